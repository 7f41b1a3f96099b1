"""What one process of an installation does for all: the rule set that holds, polls, sheets past their time, the log, the journal.

On SQLite the one daemon leads. On PostgreSQL it is the one of the processes with the role `poll` that has the seat; the others
wait for it. Who loses the seat ends, and waits for it again when it is started anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from daemon import alarms, failpoints
from daemon.activation import Activation
from daemon.clock import SHANGHAI, Clock
from daemon.errors import StoreConflict
from daemon.heads import HeadStore, WriteOnce
from daemon.keeping import Keeping
from daemon.notices import passing
from daemon.parts import Parts
from daemon.polls import Polls
from daemon.publication import Publication
from daemon.publish import Publisher
from daemon.report import queries
from daemon.rules.schema import RuleSet
from daemon.schedule import Timetable
from daemon.store import acts, noticebook, seat, trail
from daemon.store.db import Store
from daemon.world import World

STANDBY = 1.0
"""Seconds between two looks at a seat that another process has."""

DRAIN = timedelta(seconds=30)
"""How long running polls are waited for at the end."""


def midnight(now: datetime) -> datetime:
    """The start of `now`'s day in Asia/Shanghai: a new store polls what was due on its first day."""
    return now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


class Lead:
    """The leading part of one process. `timetable` gives the due times of the active rule set."""

    def __init__(self, parts: Parts, worlds: Callable[[str], World], timetable: Callable[[], Timetable]) -> None:
        self.parts, self.worlds, self.timetable = parts, worlds, timetable
        self.store: Store = parts.store
        self.clock: Clock = parts.clock
        self.activation = Activation(self.store, parts.rules, worlds)
        self.alarms = alarms.Alarms(self.store)
        self.keeping = Keeping(self.store, lambda: self.ruleset)
        self.ruleset: RuleSet
        self.polls: Polls
        self.publication: Publication
        self._renewed = self._beaten = self.clock.elapsed()

    async def wait_for_seat(self, waiting: Callable[[], bool]) -> bool:
        """Wait until the seat is ours; False where `waiting` has become false before."""
        while waiting():
            if await asyncio.to_thread(self._take):
                return True
            await asyncio.sleep(STANDBY)
        return False

    def _take(self) -> bool:
        before = self.clock.elapsed()
        if not seat.is_shared(self.store):
            return True
        with self.store.write() as tx:
            taken = seat.take(tx, seat.LEAD)
        if taken:
            self._renewed = before
        return taken

    def keep_seat(self) -> None:
        """Renew the seat when it is time. Raises StoreConflict when another process has taken it."""
        if seat.is_shared(self.store) and self.clock.elapsed() - self._renewed >= seat.RENEW and not self._take():
            raise StoreConflict("another process leads this installation now, expected this one to")

    def start(self, now: datetime) -> None:
        """Rule set, log, children; what earlier boots held is free. Raises ConfigError before any work."""
        self.activate(now)
        parts = self.parts
        publisher = Publisher(
            parts.log_dir,
            HeadStore(parts.heads),
            self.store.keyring,
            parts.origin,
            trail.TrailStore(self.store),
            at=lambda step: failpoints.reached(f"publish_{step}"),
            once=None if parts.write_once is None else WriteOnce(parts.write_once),
        )
        self.publication = Publication(publisher, self.store, self.clock, parts.publish_every, parts.keep_every)
        self.polls = Polls(self.store, parts.children, parts.poll_children, self.timetable())
        self.polls.start(parts.since or midnight(now), now)

    def activate(self, now: datetime) -> RuleSet:
        """Take the rule folder if it is good and rightly signed, else the last active set, loudly, else ConfigError."""
        self.ruleset = self.activation.take(now)
        self._cancel(now, self.ruleset.rules, "its rule was removed", others=True)
        return self.ruleset

    def take_over(self, now: datetime) -> None:
        """Read the rule folder anew, and poll by what it says."""
        self.activate(now)
        self.polls.timetable = self.timetable()

    def _cancel(self, now: datetime, rules: Iterable[str], why: str, *, others: bool = False) -> None:
        """Notices stay on the set that made them; those that have not left, of these rules or of all others, are cancelled."""
        names = list(rules)
        while True:
            with self.store.read() as tx:  # most passes find nothing, and then take no lock
                found = noticebook.waiting_of(tx, names, others=others)
            if not found:
                return
            with self.store.write() as tx:
                for row in noticebook.waiting_of(tx, names, others=others):
                    rule = self.worlds(row["rule_set"]).ruleset.rules[row["rule"]]
                    passing.cancel(tx, rule, row, now, why=why)

    def _acts(self, now: datetime) -> None:
        """What people decided since the last pass: rules stopped; a set's first day, an emergency start's end."""
        if self.activation.again is not None and now >= self.activation.again:
            self.take_over(now)
        with self.store.read() as tx:
            stopped = acts.stopped_rules(tx, now)
        if stopped:
            self._cancel(now, stopped, "its rule was stopped")

    async def before(self, now: datetime, *, take: bool) -> int:
        """What comes before sending: people's acts, polls (new ones where `take`); returns how many things were done."""
        self._acts(now)
        return await asyncio.to_thread(self.polls.pass_, now, self.ruleset.digest, take)

    async def after(self, now: datetime) -> int:
        """What comes after sending: pages told, sheets erased, the log published; returns how many things were done."""
        done = await asyncio.to_thread(self.alarms.tell)
        done += await asyncio.to_thread(self.keeping.pass_, now)
        await self.publication.pass_()
        return done

    def beat(self, passed: float) -> None:
        """Record now and then that the daemon is there, also when nothing happens: how much is queued, and how long ago
        (microseconds) the last pass ended, at `passed`. A stretch of the log without any is a daemon that stood still."""
        elapsed = self.clock.elapsed()
        if elapsed - self._beaten < self.parts.beat_every:
            return
        now = self.clock.now()
        data = {"boot": self.store.boot, "lag_us": max(0, round((elapsed - passed) * 1_000_000))}
        with self.store.write() as tx:
            data["queued"] = queries.backlog_of(tx, now)[0]
            trail.append(tx, "heartbeat", t=now, actor="sys:duenotice", data=data)
        self._beaten = elapsed

    def next_instant(self, now: datetime) -> list[datetime | None]:
        """Moments at which polls or the rule set have something to do."""
        return [self.polls.next_instant(now), self.activation.again]

    async def drain(self) -> None:
        """Let running polls end."""
        await asyncio.to_thread(self.polls.drain, DRAIN)

    def give_up(self) -> None:
        """Let the children go without a word."""
        for child in self.polls.children:
            child.stop(0.0)

    async def close(self) -> None:
        """Publish what waits and leave the seat."""
        await self.publication.finish()
        if seat.is_shared(self.store):
            with self.store.write() as tx:
                seat.leave(tx, seat.LEAD)
