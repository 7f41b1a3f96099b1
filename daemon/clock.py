"""The only reader of the clock. Everything else is handed `now`.

`now` is wall time in UTC with microseconds (due times, timers, deadlines); `elapsed` is seconds that never step
(leases, time-outs on one host). Real `now` is believed only while it moves with `elapsed`: after a step of more than
`STEP_SECONDS` it runs on by `elapsed` until `believe()` is called, and `step` says by how much the wall clock jumped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
STEP_SECONDS = 60.0


class Clock(Protocol):
    """What a clock offers; the stepped one of the demo and the real one pass the same contract."""

    def now(self) -> datetime:
        """UTC, aware, microseconds."""
        ...

    def elapsed(self) -> float:
        """Seconds from an arbitrary start; always real, never steps."""
        ...


class RealClock:
    """Wall time, guarded against steps. `wall`, `mono`: the machine's two clocks, in seconds."""

    def __init__(self, wall: Callable[[], float] = time.time, mono: Callable[[], float] = time.monotonic) -> None:
        self._read_wall, self._read_mono = wall, mono
        self._wall, self._mono = wall(), mono()
        self.step: timedelta | None = None

    def now(self) -> datetime:
        wall, mono = self._read_wall(), self._read_mono()
        expected = self._wall + (mono - self._mono)
        if abs(wall - expected) > STEP_SECONDS:
            self.step = timedelta(seconds=wall - expected)
            return datetime.fromtimestamp(expected, UTC)
        self.step = None
        self._wall, self._mono = wall, mono
        return datetime.fromtimestamp(wall, UTC)

    def elapsed(self) -> float:
        return time.monotonic()

    def believe(self) -> None:
        """A person or a second source confirmed the wall clock: `now` follows it again from here."""
        self._wall, self._mono, self.step = self._read_wall(), self._read_mono(), None


class SteppedClock:
    """`now` stands still until `set` moves it forward; `elapsed` stays real. The demo's and the rehearsal's clock."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> float:
        return time.monotonic()

    def set(self, now: datetime) -> None:
        """Move to `now`. Raises ValueError when that would be a step back."""
        if now < self._now:
            raise ValueError(f"a stepped clock never goes back: {self._now.isoformat()} -> {now.isoformat()}")
        self._now = now


def micros(moment: datetime) -> int:
    """UTC microseconds since the epoch, the form in which the store keeps times. Exact."""
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def from_micros(value: int) -> datetime:
    """The inverse of `micros`."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
