"""Named weather: who owns which handset, how late and how often receipts come, what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FAULTS: Mapping[str, bool | None] = MappingProxyType(
    {
        "busy": False,  # errorCode -1
        "reset": False,  # connection closed before the message was taken
        "lost": True,  # taken, then the connection closed without an answer
        "stall": True,  # taken, then no answer for `stall_seconds`, then closed
        "http_500": None,
        "html_200": None,
    }
)
"""Fault -> whether the message was taken; None: half the time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`shares`: handset kind -> share of the numbers, the rest has a 5G handset that is on. Spans are seconds, low to
    high, on the carrier's own clock. `faults`: share of requests. `repeated`, `silent`: share of receipts pushed twice,
    or never. `scatter`: up to so many seconds are added to each receipt by itself, which breaks their order. `batch`:
    receipts in one callback. `gather`: receipts wait for the next whole multiple of so many seconds and leave together.
    `per_second`: requests taken in a real second."""

    shares: Mapping[str, float]
    sent: tuple[float, float] = (0.5, 2.0)
    delivered: tuple[float, float] = (1.0, 8.0)
    displayed: tuple[float, float] = (20.0, 900.0)
    handed: tuple[float, float] = (2.0, 15.0)
    wakes: tuple[float, float] = (600.0, 100_000.0)
    revoked: tuple[float, float] = (1.0, 4.0)
    stored: float = 86_400.0
    reads: float = 0.6
    repeated: float = 0.0
    silent: float = 0.0
    scatter: float = 0.0
    revoke_fails: float = 0.0
    faults: Mapping[str, float] = field(default_factory=dict)
    stall_seconds: float = 30.0
    per_second: int | None = None
    batch: int = 50
    gather: float = 5.0


_PEOPLE = {"sms_only": 0.20, "asleep": 0.05, "rcs_off": 0.03, "off": 0.01, "blank": 0.005, "refuses": 0.005}

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "calm": Profile(_PEOPLE),
        "busy": Profile(
            _PEOPLE,
            delivered=(2.0, 120.0),
            handed=(5.0, 120.0),
            repeated=0.05,
            scatter=30.0,
            faults={"busy": 0.02, "lost": 0.003, "http_500": 0.003},
            per_second=400,
            batch=100,
        ),
        "worst": Profile(
            {"sms_only": 0.25, "asleep": 0.12, "rcs_off": 0.06, "off": 0.04, "blank": 0.02, "refuses": 0.02},
            delivered=(2.0, 900.0),
            handed=(5.0, 900.0),
            repeated=0.25,
            silent=0.03,
            scatter=600.0,
            revoke_fails=0.3,
            faults={"busy": 0.05, "reset": 0.02, "lost": 0.03, "stall": 0.005, "http_500": 0.02, "html_200": 0.02},
            stall_seconds=20.0,
            per_second=200,
            batch=20,
            gather=1.0,
        ),
    }
)
