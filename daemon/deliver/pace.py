"""How fast a gateway may be sent to: evenly spaced slots, taken one by one. Pure: the time is handed in."""

from __future__ import annotations


class Pace:
    """`per_second` slots a second, 0: no bound. A time that nobody used is not made up for."""

    def __init__(self, per_second: int) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0

    def take(self, elapsed: float) -> float:
        """Take the next slot; returns how many seconds after `elapsed` it is."""
        at = max(self._next, elapsed)
        self._next = at + self._gap
        return at - elapsed if self._gap else 0.0
