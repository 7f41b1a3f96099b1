"""The parent: takes configured parts, wires the roles of one service, starts, passes, reloads, drains, stops.

One pass does all that is due at `now`: ledger rows opened, polls handed to children, a delivery pass, pages told, the log
published. `run` lets passes follow each other in real time; the demo's driver calls `pass_` and steps the clock between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from daemon import alarms, failpoints, sdnotify
from daemon.activation import Activation, Rulebook
from daemon.alarms.calling import Calling
from daemon.app_parts import worlds_of
from daemon.channels.channel import Received
from daemon.children import ChildConfig
from daemon.clock import SHANGHAI, Clock, RealClock, micros
from daemon.deliver import Deliverer
from daemon.deliver.routes import Routes
from daemon.intake import Intake
from daemon.keeping import Keeping
from daemon.log import logger
from daemon.notices import passing
from daemon.polls import Polls
from daemon.publication import Publication
from daemon.publish import HeadStore, Publisher
from daemon.rules.schema import RuleSet
from daemon.schedule import Timetable, Waker
from daemon.server import Running, serve
from daemon.sources.reading import Source
from daemon.store import acts, clocksteps, noticebook, trail
from daemon.store.db import Store, StoreUnusable
from daemon.store.rows import put_meta
from daemon.web import callbacks, health

PROBE = 5.0
"""Seconds between two proofs that the store takes a commit."""

SAYING = 5.0
"""Seconds for calling people when the store is gone."""


@dataclass
class Parts:
    """What the composition needs. `rules` reads the rule folder and its approvals anew; `covers` limits what is polled, `since`
    says from when on (the demo). `changed` names the sections of the configuration that only a restart takes over.
    `calling` carries pages to people. `publish_every`, `pass_every`: seconds between publications, and between passes that
    nothing wakes."""

    store: Store
    clock: Clock
    sources: Mapping[str, Source]
    routes: Routes
    children: ChildConfig
    rules: Rulebook
    log_dir: Path
    heads: Path
    origin: str
    host: str = "127.0.0.1"
    port: int = 0
    poll_children: int = 2
    covers: Callable[[str, date], bool] = lambda feed, day: True
    since: datetime | None = None
    publish_every: float = 60.0
    pass_every: float = 1.0
    changed: Callable[[], Sequence[str]] = list
    calling: Calling | None = None
    closers: Sequence[Callable[[], object]] = field(default_factory=tuple)


def midnight(now: datetime) -> datetime:
    """The start of `now`'s day in Asia/Shanghai: a new store polls what was due on its first day."""
    return now.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


class App:
    """One running service on one store."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.store, self.clock = parts, parts.store, parts.clock
        self.worlds = worlds_of(self.store, parts.sources)
        self.activation = Activation(self.store, parts.rules, lambda digest: self.worlds(digest))
        self.deliverer = Deliverer(self.store, parts.routes, self.worlds, self.clock)
        self.intake = Intake(self.store, self.worlds)
        self.alarms = alarms.Alarms(self.store)
        self.keeping = Keeping(self.store, lambda: self.ruleset)
        self.wake = asyncio.Event()
        self.stopping = False
        self.reloading = False
        self._stepped = False
        self._probed = self.clock.elapsed()
        self._unusable: StoreUnusable | None = None
        self.web: Running | None = None
        self.polls: Polls
        self.waker: Waker | None = None
        self.passed = self.clock.elapsed()
        self.publication: Publication

    async def start(self) -> None:
        """Lock, rule set, log, callbacks, children; then nothing of earlier boots is leased. Raises ConfigError before any work."""
        self._lock = self.store.lock()
        now = self.clock.now()
        self.activate(now)
        keys = self.store.keyring
        publisher = Publisher(
            self.parts.log_dir,
            HeadStore(self.parts.heads),
            keys,
            self.parts.origin,
            trail.TrailStore(self.store),
            at=lambda step: failpoints.reached(f"publish_{step}"),
        )
        self.publication = Publication(publisher, self.store, self.clock, self.parts.publish_every)
        gateways = {name: gateway.channel for name, gateway in self.parts.routes.gateways.items()}
        routes = callbacks.routes(gateways, self._received, self.clock.now, self._note)
        routes.append(health.route(lambda: self.clock.elapsed() - self.passed))
        self.web = await serve(routes, self.parts.host, self.parts.port)
        self.polls = Polls(self.store, self.parts.children, self.parts.poll_children, self.timetable())
        self.polls.start(self.parts.since or midnight(now), now)
        with self.store.write() as tx:
            trail.append(
                tx,
                "start",
                t=now,
                actor="sys:duenotice",
                data={"version": _version(), "boot": self.store.boot, "role": "all"},
            )
        sdnotify.notify("READY=1")
        logger.info("the daemon has started", action="start", boot=self.store.boot, port=self.web.port)

    def activate(self, now: datetime) -> RuleSet:
        """Take the rule folder if it is good and rightly signed, else the last active set, loudly, else ConfigError."""
        self.ruleset = self.activation.take(now)
        self._cancel(now, self.ruleset.rules, "its rule was removed", others=True)
        return self.ruleset

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
            self._take_over(now)
        with self.store.read() as tx:
            stopped = acts.stopped_rules(tx, now)
        if stopped:
            self._cancel(now, stopped, "its rule was stopped")

    def timetable(self) -> Timetable:
        """The due times of the active rule set."""
        return Timetable(self.ruleset, self.parts.covers)

    def reload(self) -> None:
        """Ask for a reload between two passes (SIGHUP)."""
        self.reloading = True
        self.wake.set()

    def stop(self) -> None:
        """Ask to drain and end (SIGTERM)."""
        self.stopping = True
        self.wake.set()

    async def pass_(self) -> int:
        """Everything due at `now`, once; returns how many things were done."""
        if self.reloading:
            self.reloading = False
            self._reload()
        now = self.clock.now()
        self._watch_clock(now)
        self._acts(now)
        done = await asyncio.to_thread(self.polls.pass_, now, self.ruleset.digest, not self.stopping)
        done += await self.deliverer.pass_(now)
        done += await asyncio.to_thread(self.alarms.tell)
        done += await asyncio.to_thread(self.keeping.pass_, now)
        await self.publication.pass_()
        self.passed = self.clock.elapsed()
        return done

    def _reload(self) -> None:
        """Rules and cards are read, checked and swapped; of the rest it is said what only a restart takes over."""
        self._take_over(self.clock.now())
        for section in self.parts.changed():
            logger.warning("a setting has changed: restart needed", action="reload", section=section)

    def _take_over(self, now: datetime) -> None:
        self.activate(now)
        self.polls.timetable = self.timetable()

    def _watch_clock(self, now: datetime) -> None:
        """A wall clock that steps is not believed (clock.py): a record and a page, once a step, until a person says it is right."""
        step = self.clock.step if isinstance(self.clock, RealClock) else None
        if step is None:
            if self._stepped:
                with self.store.write() as tx:
                    clocksteps.over(tx)
            self._stepped = False
        elif not self._stepped:
            self._stepped = True
            with self.store.write() as tx:
                clocksteps.stepped(tx, step, now=now)
        elif isinstance(self.clock, RealClock):
            with self.store.read() as tx:
                confirmed = clocksteps.confirmed(tx)
            if confirmed:
                self.clock.believe()
                logger.warning("a person believes the wall clock", action="clock", step=step.total_seconds())

    async def run(self) -> None:
        """Passes until told to stop, then drain: no new poll, what is in `sending` settles, the log is published.

        Raises StoreUnusable where the store's storage refuses: what cannot be recorded is not sent, so nothing goes on.
        """
        self.waker = Waker(self.timetable(), self.wake.set)
        self.waker.start()
        watchdog = sdnotify.watchdog_seconds()
        calling = self.parts.calling
        people = asyncio.create_task(calling.run(lambda: self.passed), name="calling") if calling else None
        try:
            await self._passes(watchdog)
        except StoreUnusable as broken:
            await self._give_up(broken)
            raise
        finally:
            if people is not None:
                people.cancel()
        await self.close()

    async def _passes(self, watchdog: float | None) -> None:
        while not self.stopping:
            busy = await self.pass_()
            if self._unusable is not None:
                raise self._unusable
            await asyncio.to_thread(self._probe)
            if watchdog is not None:
                sdnotify.notify("WATCHDOG=1")
            if not busy:
                self.wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), self.parts.pass_every)

    def _probe(self) -> None:
        """Write a little now and then: a daemon that has nothing to do must know, too, that its store takes no commit."""
        if self.clock.elapsed() - self._probed >= PROBE:
            with self.store.write() as tx:
                put_meta(tx, "probed", str(micros(self.clock.now())))
            self._probed = self.clock.elapsed()

    async def _give_up(self, broken: StoreUnusable) -> None:
        """Say so where no page can be kept, and let go without a word to the store: what is in `sending` the next boot brings
        into doubt."""
        sentence = f"the store cannot be written, nothing is sent, the daemon stops: {broken}"
        alarms.call(sentence, key="store")
        if self.web is not None:
            await self.web.stop()
        if self.waker is not None:
            self.waker.stop()
        for child in self.polls.children:
            await asyncio.to_thread(child.stop, 0.0)
        if self.parts.calling is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAYING):
                    await self.parts.calling.say(sentence, self.clock.now())

    def next_instant(self) -> datetime | None:
        """The next moment at which a pass has something to do: a poll, a retry of one, a stage, a timer, an outcome."""
        now = self.clock.now()
        found = [self.polls.next_instant(now), self.deliverer.next_instant(now), self.activation.again]
        return min((f for f in found if f is not None), default=None)

    @property
    def busy(self) -> bool:
        """Whether a child runs a poll."""
        return self.polls.running > 0 or self.deliverer.busy

    async def close(self) -> None:
        """Drain and let everything go, in the order in which it would be missed least."""
        sdnotify.notify("STOPPING=1")
        if self.waker is not None:
            self.waker.stop()
        await asyncio.to_thread(self.polls.drain, timedelta(seconds=30))
        await self.deliverer.drain()
        if self.web is not None:
            await self.web.stop()
        now = self.clock.now()
        with self.store.write() as tx:
            trail.append(
                tx,
                "stop",
                t=now,
                actor="sys:duenotice",
                data={"boot": self.store.boot, "role": "all", "reason": "drained"},
            )
        await self.publication.finish()
        self.deliverer.close()
        for closer in self.parts.closers:
            found = closer()
            if asyncio.iscoroutine(found):
                await found
        self._lock.release()
        self.store.close()

    async def _received(self, gateway: str, raw: bytes, received: Sequence[Received]) -> None:
        try:
            await asyncio.to_thread(self.intake.keep, gateway, received, self.clock.now())
        except StoreUnusable as broken:
            self._unusable = broken
            raise
        finally:
            self.wake.set()

    def _note(self, gateway: str, what: str, error: Exception) -> None:
        logger.warning("a callback was not taken", action="callback", gateway=gateway, what=what, why=str(error))


def _version() -> str:
    from daemon import __version__

    return __version__
