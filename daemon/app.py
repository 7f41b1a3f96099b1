"""The parent: takes configured parts, wires the roles of one process, starts, passes, reloads, drains, stops.

One pass does all that is due at `now`: ledger rows opened, polls handed to children, a delivery pass, pages told, the log
published. `run` lets passes follow each other in real time; the demo's driver calls `pass_` and steps the clock between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime

from daemon import alarms, history, sdnotify
from daemon.app_parts import worlds_of
from daemon.channels.channel import Received
from daemon.clock import RealClock, micros
from daemon.deliver import Deliverer
from daemon.errors import ConfigError
from daemon.intake import Intake
from daemon.lead import Lead
from daemon.log import logger
from daemon.parts import Parts
from daemon.polls import Polls
from daemon.publication import Publication
from daemon.rules.schema import RuleSet
from daemon.schedule import Timetable, Waker
from daemon.server import Server
from daemon.store import clocksteps, trail
from daemon.store.db import CommitUnknown, StoreBusy, StoreUnusable
from daemon.store.rows import put_meta
from daemon.web import callbacks, health

__all__ = ["App", "Parts"]

PROBE = 5.0
"""Seconds between two proofs that the store takes a commit."""

SAYING = 5.0
"""Seconds for calling people when the store is gone."""

AWAY, LOOK_AGAIN = 60.0, 1.0
"""Seconds for which a store that gives no transaction is waited for, and between two looks."""


class App:
    """One running process of a service on one store."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.store, self.clock = parts, parts.store, parts.clock
        self.worlds = worlds_of(self.store, parts.sources)
        self.lead = Lead(parts, lambda digest: self.worlds(digest), lambda: self.timetable())
        self.deliverer = Deliverer(self.store, parts.routes, self.worlds, self.clock, rng=parts.rng, lease=parts.lease)
        self.intake = Intake(self.store, self.worlds)
        self.wake = asyncio.Event()
        self.stopping = False
        self.reloading = False
        self._stepped = False
        self._probed = self.clock.elapsed()
        self._unusable: StoreUnusable | None = None
        self._away: float | None = None
        self.web: Server | None = None
        self.waker: Waker | None = None
        self.passed = self.clock.elapsed()
        self.leads, self.delivers = parts.has("poll"), parts.has("deliver")

    async def start(self) -> bool:
        """Lock, the seat of who leads, rule set, log, children, callbacks; then nothing of earlier boots is leased. False where it
        was told to stop while another process had the seat: everything is let go. Raises ConfigError before any work."""
        if self.parts.role != "all" and self.store.engine.dialect.name == "sqlite":
            raise ConfigError(f"role {self.parts.role}: several processes want one PostgreSQL, found SQLite (`store:`)")
        self._lock = self.store.lock(self.parts.role)
        if self.leads and not await self._have_seat():
            await self._let_go()
            return False
        now = self.clock.now()
        if self.leads:
            self.lead.start(now)
        else:
            await asyncio.to_thread(self._hold_against_log)
        if self.store.engine.dialect.name != "sqlite":
            self.store.hold = self._hold_against_log
        self.web = await self._serve()
        port = self.web.port if self.web is not None else 0
        data = {"boot": self.store.boot, "role": self.parts.role}
        with self.store.write() as tx:
            trail.append(tx, "start", t=now, actor="sys:duenotice", data={"version": _version(), **data})
        sdnotify.notify("READY=1")
        logger.info("the daemon has started", action="start", port=port, **data)
        return True

    async def _have_seat(self) -> bool:
        first = True

        def waiting() -> bool:
            nonlocal first
            if not first:
                sdnotify.notify("READY=1\nSTATUS=another process leads\nWATCHDOG=1")
            first = False
            return not self.stopping

        return await self.lead.wait_for_seat(waiting)

    async def _serve(self) -> Server | None:
        routes = [health.route(lambda: self.clock.elapsed() - self.passed)]
        port = self.parts.health_port
        if self.parts.has("web"):
            gateways = {name: gateway.channel for name, gateway in self.parts.routes.gateways.items()}
            routes = [*callbacks.routes(gateways, self._received, self.clock.now, self._note), *routes]
            port = self.parts.port
        elif not port:
            return None
        return await self.parts.listen(routes, self.parts.host, port)

    @property
    def ruleset(self) -> RuleSet:
        """The active rule set."""
        return self.lead.ruleset

    @property
    def polls(self) -> Polls:
        """The polls of the leading part."""
        return self.lead.polls

    @property
    def publication(self) -> Publication:
        """The publication of the leading part."""
        return self.lead.publication

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
        now, done = self.clock.now(), 0
        self._watch_clock(now)
        if self.leads:
            await asyncio.to_thread(self.lead.keep_seat)
            done += await self.lead.before(now, take=not self.stopping)
        if self.delivers:
            done += await self.deliverer.pass_(now)
        if self.leads:
            done += await self.lead.after(now)
        self.passed = self.clock.elapsed()
        return done

    def _reload(self) -> None:
        """Rules and cards are read, checked and swapped; of the rest it is said what only a restart takes over."""
        if self.leads:
            self.lead.take_over(self.clock.now())
        for section in self.parts.changed():
            logger.warning("a setting has changed: restart needed", action="reload", section=section)

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

        Raises StoreUnusable where the store's storage refuses: what cannot be recorded is not sent, so nothing goes on;
        StoreBusy or CommitUnknown where it gave no transaction for `AWAY` seconds; ConfigError where it comes back from another
        time than the log; StoreConflict where another process has taken the seat.
        """
        if self.leads:
            self.waker = Waker(self.timetable(), self.wake.set)
            self.waker.start()
        watchdog = sdnotify.watchdog_seconds()
        calling = self.parts.calling if self.leads else None
        people = asyncio.create_task(calling.run(lambda: self.passed), name="calling") if calling else None
        try:
            await self._passes(watchdog)
        except StoreUnusable as broken:
            await self._give_up(f"the store cannot be written, nothing is sent, the daemon stops: {broken}")
            raise
        except ConfigError as other:
            await self._give_up(f"the daemon stops: {other}")
            raise
        finally:
            if people is not None:
                people.cancel()
        await self.close()

    async def _passes(self, watchdog: float | None) -> None:
        while not self.stopping:
            try:
                busy = await self.pass_()
                if self._unusable is not None:
                    raise self._unusable
                await asyncio.to_thread(self._probe)
                if self.leads:
                    await asyncio.to_thread(self.lead.beat, self.passed)
            except StoreUnusable:
                raise
            except (StoreBusy, CommitUnknown) as reason:
                await self._wait_for_store(reason)
                continue
            self._away = None
            if watchdog is not None:
                sdnotify.notify("WATCHDOG=1")
            if not busy:
                self.wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), self.parts.pass_every)

    async def _wait_for_store(self, reason: Exception) -> None:
        """A pass that lost the store is given up: each of its transactions happened or did not, and the next pass finds which.
        Raises the reason when that has gone on for too long."""
        if self._away is None:
            self._away = self.clock.elapsed()
            logger.warning("the store is away, waiting for it", action="store", why=str(reason))
        elif self.clock.elapsed() - self._away >= AWAY:
            alarms.call(f"the store is away for {AWAY:.0f} s, the daemon stops: {reason}", key="store")
            raise reason
        await asyncio.sleep(LOOK_AGAIN)

    def _hold_against_log(self) -> None:
        history.hold_against(self.parts.log_dir, self.parts.origin, self.store)

    def _probe(self) -> None:
        """Write a little now and then: a daemon that has nothing to do must know, too, that its store takes no commit."""
        if self.clock.elapsed() - self._probed >= PROBE:
            with self.store.write() as tx:
                put_meta(tx, "probed", str(micros(self.clock.now())))
            self._probed = self.clock.elapsed()

    async def _give_up(self, sentence: str) -> None:
        """Say so where no page can be kept, and let go without a word to the store: what is in `sending` the next boot brings
        into doubt."""
        alarms.call(sentence, key="store")
        if self.web is not None:
            await self.web.stop()
        if self.waker is not None:
            self.waker.stop()
        if self.leads:
            await asyncio.to_thread(self.lead.give_up)
        if self.parts.calling is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAYING):
                    await self.parts.calling.say(sentence, self.clock.now())

    def next_instant(self) -> datetime | None:
        """The next moment at which a pass has something to do: a poll, a retry of one, a stage, a timer, an outcome."""
        now = self.clock.now()
        found = [*(self.lead.next_instant(now) if self.leads else []), self.deliverer.next_instant(now)]
        return min((f for f in found if f is not None), default=None)

    @property
    def busy(self) -> bool:
        """Whether a child runs a poll, or something that was claimed is under way."""
        return (self.leads and self.polls.running > 0) or self.deliverer.busy

    async def close(self) -> None:
        """Drain and let everything go, in the order in which it would be missed least."""
        sdnotify.notify("STOPPING=1")
        if self.waker is not None:
            self.waker.stop()
        if self.leads:
            await self.lead.drain()
        await self.deliverer.drain()
        if self.web is not None:
            await self.web.stop()
        data = {"boot": self.store.boot, "role": self.parts.role, "reason": "drained"}
        with self.store.write() as tx:
            trail.append(tx, "stop", t=self.clock.now(), actor="sys:duenotice", data=data)
        if self.leads:
            await self.lead.close()
        await self._let_go()

    async def _let_go(self) -> None:
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
