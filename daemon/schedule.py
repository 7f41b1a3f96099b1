"""When polls fall due: feeds' schedules on the exchange calendar. The only user of apscheduler.

A schedule entry is `HH:MM sessions|workdays|days` or `every Nm HH:MM-HH:MM sessions|workdays|days`, in Asia/Shanghai. Due times
come from apscheduler's cron triggers, as pure functions of time; the running daemon is woken by an in-memory
AsyncIOScheduler (coalesced, no misfire dropped). A due time only opens a ledger row; what runs is the ledger's matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from daemon.clock import SHANGHAI
from daemon.errors import CalendarEnd
from daemon.model.calendar import Calendar
from daemon.model.kinds import Feed
from daemon.rules.schema import RuleSet

_AT = re.compile(r"(\d{2}):(\d{2}) (sessions|workdays|days)")
_EVERY = re.compile(r"every (\d{1,3})m (\d{2}):(\d{2})-(\d{2}):(\d{2}) (sessions|workdays|days)")

LATE_RETRY = ((timedelta(hours=2), timedelta(minutes=1)), (timedelta(hours=6), timedelta(minutes=5)))
"""How old a late poll is at most, and how long it then waits for its input; an older one waits LATE_LAST."""
LATE_LAST = timedelta(minutes=15)
GIVE_UP = timedelta(hours=24)
"""A late or failed poll this long after its due time is left to a person."""


def late_wait(age: timedelta) -> timedelta:
    """How long a poll whose input is not there waits, this long after its due time, until it is tried again."""
    return next((wait for limit, wait in LATE_RETRY if age <= limit), LATE_LAST)


@dataclass(frozen=True, slots=True, order=True)
class Due:
    """One due time of a feed. `skip`: why the calendar leaves it out, or ''."""

    at: datetime
    feed: str
    business_date: date
    skip: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    feed: Feed
    trigger: CronTrigger
    days: str
    first: int  # minute of the day
    last: int
    step: int

    def fits(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        return self.first <= minute <= self.last and (minute - self.first) % self.step == 0


def entry(feed: Feed, text: str) -> _Entry:
    """Read one schedule entry. Raises ValueError; the loader has refused such a kind before."""
    if found := _AT.fullmatch(text):
        hour, minute = int(found[1]), int(found[2])
        trigger = CronTrigger(hour=hour, minute=minute, second=0, timezone=SHANGHAI)
        return _Entry(feed, trigger, found[3], hour * 60 + minute, hour * 60 + minute, 1)
    if found := _EVERY.fullmatch(text):
        step, first, last = int(found[1]), int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
        trigger = CronTrigger(hour=f"{first // 60}-{last // 60}", minute="*", second=0, timezone=SHANGHAI)
        return _Entry(feed, trigger, found[6], first, last, step)
    raise ValueError(
        f"feed {feed.name}: schedule {text!r}, expected 'HH:MM sessions' or 'every Nm HH:MM-HH:MM sessions'"
    )


class Timetable:
    """The due times of a rule set's feeds. `covers`: which (feed, business date) this installation polls at all; the demo
    polls only the days its sample covers."""

    def __init__(self, ruleset: RuleSet, covers: Callable[[str, date], bool] = lambda feed, day: True) -> None:
        self.calendar: Calendar = ruleset.calendar
        self.rules = ruleset.rules
        self.covers = covers
        self._empty = (
            datetime.max.replace(tzinfo=UTC),
            datetime.min.replace(tzinfo=UTC),
        )  # a span without any due time
        self._looked: tuple[datetime | None, Due | None] = (None, None)  # since when, and what the next due time is
        self.entries = [
            entry(feed, text)
            for kind in ruleset.kinds.values()
            if kind.use != "reference"
            for feed in kind.feeds
            for text in feed.schedule
        ]

    def due(self, after: datetime, until: datetime) -> list[Due]:
        """Every due time in (after, until], in order. Raises CalendarEnd where a day lies outside the calendar."""
        since, end = self._empty
        if since <= after and until < end:
            return []
        found = sorted(d for one in self.entries for d in self._of(one, after, until))
        if not found:
            fires = [one.trigger.get_next_fire_time(None, until + timedelta(microseconds=1)) for one in self.entries]
            self._empty = after, min((at for at in fires if at is not None), default=until)
        return found

    def next(self, after: datetime, *, within: timedelta = timedelta(days=90)) -> Due | None:
        """The next due time that is not skipped, as far as the calendar reaches."""
        since, found = self._looked
        if since is None or not since <= after < (found.at if found else since + within):
            each = [self._first(one, after, after + within) for one in self.entries]
            found = min((d for d in each if d is not None), default=None)
            self._looked = after, found
        return found

    def _first(self, one: _Entry, after: datetime, until: datetime) -> Due | None:
        try:
            return next((d for d in self._of(one, after, until) if not d.skip), None)
        except CalendarEnd:
            return None

    def _of(self, one: _Entry, after: datetime, until: datetime) -> Iterator[Due]:
        at = one.trigger.get_next_fire_time(None, after + timedelta(microseconds=1))
        while at is not None and at <= until:
            local = at.astimezone(SHANGHAI)
            if one.fits(local):
                day = self.business_date(one.feed, at)
                if self.covers(one.feed.name, day):
                    yield Due(at.astimezone(after.tzinfo), one.feed.name, day, self._skip(one.days, local.date()))
            at = one.trigger.get_next_fire_time(at, at + timedelta(seconds=1))

    def business_date(self, feed: Feed, at: datetime) -> date:
        """The business date that a poll due at this moment speaks of. Raises CalendarEnd."""
        day = at.astimezone(SHANGHAI).date()
        return self.calendar.add(day, -1) if feed.date == "previous_session" else day

    def _skip(self, days: str, day: date) -> str:
        if days == "days" or (days == "workdays" and self._is_workday(day)):
            return ""
        return "" if self.calendar.is_session(day) else f"{day} is no session"

    def _is_workday(self, day: date) -> bool:
        return self.calendar.is_session(day) or day in self.calendar.make_up_workdays


class Waker:
    """Wakes the running daemon at each due time, so that it looks at the timetable."""

    def __init__(self, timetable: Timetable, wake: Callable[[], None]) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=SHANGHAI, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )
        for i, one in enumerate(timetable.entries):
            self._scheduler.add_job(self._wake(wake), one.trigger, id=f"{one.feed.name}/{i}")

    @staticmethod
    def _wake(wake: Callable[[], None]) -> Callable[[], object]:
        async def run() -> None:
            wake()

        return run

    def start(self) -> None:
        """Begin to wake; needs a running loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stop waking."""
        self._scheduler.shutdown(wait=False)
