"""Free connections of each gateway: a message is committed as `sending` only when one is free for it.

So what a crash leaves in doubt is bounded by the connections, and a gateway that stalls holds no more than its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock


class Slots:
    """Thread-safe. What is taken is given back once its request has ended, however it ended."""

    def __init__(self, connections: Mapping[str, int]) -> None:
        self._free = dict(connections)
        self._lock = Lock()

    @property
    def free(self) -> int:
        """How many are free at all gateways together."""
        with self._lock:
            return sum(self._free.values())

    def has(self, gateway: str) -> bool:
        """Whether one of a gateway's is free."""
        with self._lock:
            return bool(self._free.get(gateway))

    def take(self, gateway: str) -> bool:
        """Take one of a gateway's; False where none is free."""
        with self._lock:
            if not self._free.get(gateway):
                return False
            self._free[gateway] -= 1
            return True

    def give(self, gateway: str) -> None:
        """Give one back."""
        with self._lock:
            self._free[gateway] += 1
