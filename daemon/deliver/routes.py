"""Which gateway carries which channel, and what delivery needs to know of each. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from daemon.channels.channel import Channel


@dataclass(frozen=True, slots=True)
class Gateway:
    """One configured connection. `connections`: requests at once; `timeout`: seconds an attempt may take; `doubt_wait`: how long a
    message in doubt waits for a receipt; `signature`: of SMS texts, filed with the operator; `per_second`:
    requests a second at most, 0 where only `connections` bounds them."""

    channel: Channel
    connections: int = 20
    timeout: float = 30.0
    doubt_wait: timedelta = timedelta(seconds=60)
    retry_base: timedelta = timedelta(seconds=2)
    retry_cap: timedelta = timedelta(minutes=5)
    signature: str = ""
    per_second: int = 0


@dataclass(frozen=True, slots=True)
class Routes:
    """Gateways by name, and for each channel the names of its gateways, first choice first."""

    gateways: Mapping[str, Gateway]
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def carriers(self, channel: str) -> list[str]:
        """The configured gateways of a channel, first choice first."""
        return [name for name in self.channels.get(channel, ()) if name in self.gateways]
