"""A trading calendar as a value: sessions between a first and a last day it vouches for.

A date outside is an error (CalendarEnd), not a weekday guess. `T+n` works on dates in Asia/Shanghai.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date

from daemon.errors import CalendarEnd


@dataclass(frozen=True, slots=True)
class Calendar:
    """`sessions` rise strictly; `workdays` are civil working days that are no sessions or weekends worked (调休);
    `version` is the digest or label that an explanation prints."""

    name: str
    version: str
    first: date
    last: date
    sessions: tuple[date, ...]
    make_up_workdays: frozenset[date] = frozenset()
    half_days: frozenset[date] = frozenset()

    def _known(self, day: date) -> None:
        if not self.first <= day <= self.last:
            raise CalendarEnd(f"calendar {self.name}: {day} is outside {self.first}..{self.last}")

    def is_session(self, day: date) -> bool:
        """Raises CalendarEnd outside the calendar."""
        self._known(day)
        i = bisect_left(self.sessions, day)
        return i < len(self.sessions) and self.sessions[i] == day

    def add(self, day: date, n: int) -> date:
        """The n-th session after `day` (n > 0), before it (n < 0), or for n = 0 `day` itself if a session, else the next one."""
        self._known(day)
        if n > 0:
            i = bisect_right(self.sessions, day) + n - 1
        elif n < 0:
            i = bisect_left(self.sessions, day) + n
        else:
            i = bisect_left(self.sessions, day)
        if not 0 <= i < len(self.sessions):
            raise CalendarEnd(f"calendar {self.name}: session {n:+d} from {day} lies outside {self.first}..{self.last}")
        return self.sessions[i]

    def between(self, start: date, end: date) -> int:
        """How many sessions lie in (start, end]; negative when end is before start."""
        self._known(start)
        self._known(end)
        return bisect_right(self.sessions, end) - bisect_right(self.sessions, start)
