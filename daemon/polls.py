"""The parent's side of polling: open due ledger rows, hand claimable polls to children, watch their time-outs.

A child of the first kind takes only feeds of first priority, so that a long fund poll never keeps a margin poll waiting. A
poll that is late or failed is tried again; one that is held runs again when its hold has ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon import failpoints
from daemon.children import Child, ChildConfig, Job
from daemon.clock import SHANGHAI, from_micros, micros
from daemon.errors import CalendarEnd
from daemon.log import logger
from daemon.model.kinds import Feed
from daemon.model.states import PollState
from daemon.schedule import GIVE_UP, Timetable, late_wait
from daemon.store import gates_rows, ledger, pages
from daemon.store.db import Store
from daemon.store.leases import lease_now
from daemon.store.ledger import Poll
from daemon.store.rows import get_meta, put_meta

FIRST_PRIORITY = 1
FAILED_RETRY = (timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=5), timedelta(minutes=10))
OPENED = "opened_through"
CALENDAR_WARNING = timedelta(days=60)


class Polls:
    """Polling for one parent."""

    def __init__(self, store: Store, config: ChildConfig, children: int, timetable: Timetable) -> None:
        self.store, self.config, self.wanted, self.timetable = store, config, children, timetable
        self.children: list[Child] = []
        self._again: dict[int, datetime] = {}
        self._failures: dict[int, int] = {}
        self._limits: dict[int, float] = {}  # poll that runs -> its time-out; a reload may have taken its feed away

    def start(self, since: datetime, now: datetime) -> None:
        """Start the children, free what earlier boots held, tell when the calendar runs out. `since`: from when on due times are
        opened in a new store."""
        left = self.timetable.calendar.last - now.astimezone(SHANGHAI).date()
        with self.store.write() as tx:
            ledger.void_leases(tx)
            if get_meta(tx, OPENED) is None:
                put_meta(tx, OPENED, str(micros(since)))
            if left < CALENDAR_WARNING:
                sentence = f"the trading calendar ends on {self.timetable.calendar.last}, in {left.days} days"
                pages.page(tx, "calendar-ends", "warning", sentence, now=now)
        self.children = [Child(self.config, first_only=i == 0 and self.wanted > 1) for i in range(self.wanted)]

    def open_now(self, feed: str, now: datetime) -> None:
        """A ledger row of a feed due at this moment, whatever its schedule says. Raises LookupError for an unknown feed."""
        found = next((one.feed for one in self.timetable.entries if one.feed.name == feed), None)
        if found is None:
            known = ", ".join(sorted({one.feed.name for one in self.timetable.entries}))
            raise LookupError(f"feed {feed}: expected one of {known}")
        with self.store.write() as tx:
            ledger.open_due(tx, feed, now, self.timetable.business_date(found, now), now=now)

    @property
    def running(self) -> int:
        """How many polls run."""
        return sum(child.job is not None for child in self.children)

    def pass_(self, now: datetime, rule_set: str, take: bool) -> int:
        """One look: rows opened, answers taken, time-outs, polls handed out. Returns how many things were done."""
        self._mend()
        done = self._open(now) + self._answers(now) + self._time_outs(now)
        return done + (self._hand_out(now, rule_set) if take else 0)

    def _mend(self) -> None:
        """A child that died while it waited is replaced: the feeds it serves must not go silent."""
        for child in self.children:
            if child.is_lost:
                logger.error("a poll child died while it waited", action="poll", code=child.process.exitcode)
                child.replace()

    def _open(self, now: datetime) -> int:
        with self.store.read() as tx:
            through = from_micros(int(get_meta(tx, OPENED) or micros(now)))
        try:
            due = self.timetable.due(through, now)
        except CalendarEnd as end:
            self._calendar_is_over(str(end), now)
            return 0
        if not due:
            return 0
        with self.store.write() as tx:
            for one in due:
                ledger.open_due(tx, one.feed, one.at, one.business_date, now=now, skip=one.skip)
            put_meta(tx, OPENED, str(micros(due[-1].at)))
        return len(due)

    def _calendar_is_over(self, why: str, now: datetime) -> None:
        """No poll can be opened without a calendar; what was decided still leaves, and a person is called, once."""
        with self.store.write() as tx:
            pages.page(tx, "calendar", "urgent", f"nothing is polled any more: {why}", now=now)

    def _answers(self, now: datetime) -> int:
        found = 0
        for child in self.children:
            answer = child.result()
            if answer is None:
                continue
            found += 1
            logger.info("a poll ended", action="poll", feed=answer.feed, poll=answer.poll, state=answer.state)
            if answer.state in ("dead", "error"):
                self._fail(answer.feed, answer.error, now)
            if answer.state == "dead":
                child.replace()
            self._plan(answer.poll, answer.state, now)
        return found

    def _plan(self, poll: int, state: str, now: datetime) -> None:
        """When a poll that did not run is tried again."""
        if state == PollState.LATE.value:
            with self.store.read() as tx:
                age = now - ledger.poll_of(tx, poll).due
            self._again[poll] = now + late_wait(age)
        elif state in (PollState.FAILED.value, "dead", "error"):
            failures = self._failures[poll] = self._failures.get(poll, 0) + 1
            self._again[poll] = now + FAILED_RETRY[min(failures, len(FAILED_RETRY)) - 1]
        else:
            self._again.pop(poll, None)

    def _fail(self, feed: str, why: str, now: datetime) -> None:
        with self.store.write() as tx:
            ledger.fail(tx, feed, why, now=now)
            pages.page(tx, f"poll:{feed}", "urgent", f"feed {feed}: {why}", now=now)

    def _time_outs(self, now: datetime) -> int:
        done = 0
        for child in self.children:
            if child.job is None:
                continue
            limit = self._limits[child.job.poll]
            if self.store.elapsed() - child.since > limit:
                job = child.job
                child.replace()
                self._fail(job.feed, f"poll timed out after {limit:.0f} s", now)
                self._plan(job.poll, "dead", now)
                done += 1
        return done

    def _feed(self, name: str) -> Feed:
        return next(one.feed for one in self.timetable.entries if one.feed.name == name)

    def _hand_out(self, now: datetime, rule_set: str) -> int:
        done = 0
        for poll in self._runnable(now):
            feed = self._feed(poll.feed)
            first = feed.priority <= FIRST_PRIORITY
            free = [c for c in self.children if c.free and (first or not c.first_only)]
            if not free:
                continue
            child = min(free, key=lambda c: not c.first_only)
            try:
                child.give(Job(poll.id, poll.feed, rule_set, now, self.store.boot), self.store.elapsed())
            except OSError:  # it died since it was looked at; the poll is nobody's yet
                child.replace()
                continue
            failpoints.reached("poll_given")
            self._limits[poll.id] = feed.timeout.total_seconds()
            done += 1
        return done

    def _runnable(self, now: datetime) -> list[Poll]:
        busy = {child.job.feed for child in self.children if child.job is not None}
        with self.store.read() as tx:
            at = lease_now(tx)
            retry = (PollState.LATE, PollState.FAILED, PollState.HELD)
            holds = gates_rows.holds_of(tx)
            found = ledger.claimable(
                tx, now=now, elapsed=at, retry=retry, ripe=lambda poll: self._ripe(poll, holds, now)
            )
        known = {one.feed.name for one in self.timetable.entries}
        mine = [p for p in found if p.feed not in busy and p.feed in known]
        return sorted(mine, key=lambda p: (self._feed(p.feed).priority, p.due))

    def _ripe(self, poll: Poll, holds: list[gates_rows.Hold], now: datetime) -> bool:
        if poll.state is PollState.HELD:
            return not any(h.feed == poll.feed and not self._ended(h, now) for h in holds)
        if poll.state in (PollState.LATE, PollState.FAILED):
            return now - poll.due < GIVE_UP and now >= self._again.get(poll.id, now)
        return True

    def _ended(self, hold: gates_rows.Hold, now: datetime) -> bool:
        ends = self._ends(hold)
        return ends is not None and now >= ends

    def _ends(self, hold: gates_rows.Hold) -> datetime | None:
        """When a hold ends itself; None where only a release ends it."""
        rule = self.timetable.rules.get(hold.rule)
        after = None if rule is None else rule.cap.ends_after
        return None if after is None else hold.since + after

    def next_instant(self, now: datetime) -> datetime | None:
        """The next due time, retry or self-ending hold after `now`."""
        found = [at for at in self._again.values() if at > now]
        due = self.timetable.next(now)
        if due is not None:
            found.append(due.at)
        with self.store.read() as tx:
            found += [at for h in gates_rows.holds_of(tx) if (at := self._ends(h)) is not None and at > now]
        return min(found, default=None)

    def drain(self, within: timedelta) -> None:
        """Let running polls end, then the children."""
        deadline = self.store.elapsed() + within.total_seconds()
        for child in self.children:
            if child.job is not None:
                child.pipe.poll(max(0.0, deadline - self.store.elapsed()))
            child.stop()
