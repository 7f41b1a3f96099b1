"""Several processes on one PostgreSQL: what one has claimed no other sends, a stale one neither sends nor settles, one leads."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from daemon.app import App
from daemon.channels.channel import Outgoing, Verdict, at_once
from daemon.channels.tokens import Refresher, Token
from daemon.clock import SteppedClock
from daemon.deliver import Deliverer
from daemon.deliver.routes import Gateway, Routes
from daemon.errors import ConfigError
from daemon.gateways import StoreTokens
from daemon.store import seat
from daemon.store.db import CommitUnknown, Store, Tx
from daemon.store.tables import attempts, messages, pages
from daemon.world import World
from tests import postgres
from tests.bench import delivering
from tests.builders_store import keyring
from tests.fakes import FakeChannel, FarSide
from tests.world import Play, Scenario

NOON = datetime(2024, 2, 1, 4, 0, tzinfo=UTC)
LEASE = timedelta(seconds=1)


@dataclass
class Site:
    """One database with messages queued; each process of it has a node of its own."""

    folder: Path
    url: str
    world: World
    far: FarSide

    def open(self, node: str, role: str = "deliver") -> Store:
        """A store as the process of a node has it."""
        store = Store.open(self.folder / "state", keyring=keyring(), node=node, url=self.url)
        store.lock(role)
        return store

    @asynccontextmanager
    async def deliverer(
        self, node: str, channel: FakeChannel, *, patience: float = 0.2, lease: timedelta = LEASE
    ) -> AsyncIterator[Deliverer]:
        """What sends in the process of a node."""
        store = await asyncio.to_thread(self.open, node)
        gateway = Gateway(channel, connections=10, timeout=patience, doubt_wait=timedelta(0))
        routes = Routes({"fake": gateway}, {"rcs": ("fake",), "sms": ("fake",)})
        world = replace(self.world, store=store)
        made = Deliverer(store, routes, lambda digest: world, SteppedClock(NOON), lease=lease)
        try:
            yield made
        finally:
            await made.drain()
            made.close()
            store.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    url = postgres.database()
    store, world = delivering.stocked(tmp_path, 40, NOON, url=url)
    delivering.make_notices(store, world, NOON)
    store.close()
    return Site(tmp_path, url, world, FarSide())


class Stopped(FakeChannel):
    """Stands still with each message in its hand, before its first byte, until it is let go: as under SIGSTOP."""

    def __init__(self, far: FarSide) -> None:
        super().__init__(far=far)
        self.go = asyncio.Event()

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        await self.go.wait()
        return await super().send(outgoing, now=now, may_begin=may_begin)


async def everything_sent(deliverer: Deliverer) -> None:
    """Passes until there is nothing to do."""
    while await deliverer.pass_(NOON) or deliverer.busy:
        pass


async def test_what_one_process_has_claimed_no_other_one_sends(site: Site) -> None:
    async with (
        site.deliverer("d1", FakeChannel(far=site.far)) as one,
        site.deliverer("d2", FakeChannel(far=site.far)) as two,
        site.deliverer("d3", FakeChannel(far=site.far)) as three,
    ):
        everybody = (one, two, three)
        while sum(await asyncio.gather(*(d.pass_(NOON) for d in everybody))) or any(d.busy for d in everybody):
            pass
        with one.store.read() as tx:
            by = tx.execute(select(messages.c.boot, func.count()).group_by(messages.c.boot)).all()
    assert site.far.requests == len(site.far.taken) == 40
    assert len(by) > 1, "more than one process has sent"


async def test_a_process_whose_lease_is_over_sends_nothing_and_settles_nothing(site: Site) -> None:
    stopped = Stopped(FarSide())
    async with site.deliverer("d1", stopped) as stale, site.deliverer("d2", FakeChannel(far=site.far)) as fresh:
        assert await stale.pass_(NOON) == 10, "in `sending`, each before its first byte"
        await asyncio.sleep(LEASE.total_seconds() + 0.1)
        await everything_sent(fresh)
        assert len(site.far.taken) == 40
        with fresh.store.read() as tx:
            before = tx.execute(select(messages.c.id, messages.c.own, messages.c.fence).order_by(messages.c.id)).all()
        stopped.go.set()
        await stale.drain()
        with fresh.store.read() as tx:
            after = tx.execute(select(messages.c.id, messages.c.own, messages.c.fence).order_by(messages.c.id)).all()
    assert {own for _, own, _ in before} == {"accepted"}
    assert after == before, "a settle under an old fence changes nothing"
    assert Counter(len(one.hashes) for one in site.far.taken.values()) == {1: 40}


async def test_a_sender_that_wakes_too_late_does_not_begin(site: Site) -> None:
    """The time-out does not fit into what is left of its lease: it says so, and its claims go to another process."""
    asleep = FakeChannel(far=FarSide())
    late = site.deliverer("d1", asleep, patience=LEASE.total_seconds())
    async with late as stale, site.deliverer("d2", FakeChannel(far=site.far)) as fresh:
        await stale.pass_(NOON)
        await everything_sent(fresh)
        with fresh.store.read() as tx:
            codes = tx.execute(select(attempts.c.code).distinct().where(attempts.c.gateway == "fake")).scalars().all()
    assert asleep.far.requests == 0
    assert "lease_over" in codes


async def test_a_process_that_starts_again_does_not_wait_for_its_own_leases(site: Site) -> None:
    far = FarSide()
    async with site.deliverer("d1", Stopped(far), lease=timedelta(hours=1)) as dead:
        await dead.pass_(NOON)
        for task in list(dead._running):
            task.cancel()
        again = await asyncio.to_thread(_again, site)
        with again.store.read() as tx:
            assert tx.execute(select(func.count()).where(messages.c.own == "sending")).scalar() == 10
        again.upkeep.pass_(NOON)
        with again.store.read() as tx:
            found = dict(tx.execute(select(messages.c.own, func.count()).group_by(messages.c.own)).all())
        assert found == {"in_doubt": 10, "queued": 30} and far.requests == 0
        again.close()


def _again(site: Site) -> Deliverer:
    store = Store.open(site.folder / "state", keyring=keyring(), node="d1", url=site.url)
    store.boot = "d1/deliver/again"  # the lock file is still the dead one's, in this process
    gateway = Gateway(FakeChannel(), connections=10)
    return Deliverer(store, Routes({"fake": gateway}, {}), lambda digest: site.world, SteppedClock(NOON))


class Unsure(Store):
    """Its commits fail `times` times, although they happen."""

    times = 0

    def _commit(self, tx: Tx) -> None:
        super()._commit(tx)
        if self.times:
            self.times -= 1
            raise CommitUnknown("commit failed (the connection was lost); whether it happened is unknown")


async def test_a_commit_that_fails_is_read_back_and_what_it_holds_is_sent_once(site: Site) -> None:
    async with site.deliverer("d1", FakeChannel(far=site.far)) as one:
        store = one.store
        store.__class__ = Unsure
        assert isinstance(store, Unsure)
        prepare, settle = one.preparer.prepare, one._settle_once

        def unsure_prepare(*args: object) -> object:
            store.times = 1
            return prepare(*args)  # type: ignore[arg-type]

        def unsure_settle(answers: object, now: datetime, again: bool) -> None:
            store.times = 0 if again else 1
            settle(answers, now, again)  # type: ignore[arg-type]

        one.preparer.prepare, one._settle_once = unsure_prepare, unsure_settle  # type: ignore[method-assign, assignment]
        await everything_sent(one)
        with store.read() as tx:
            assert tx.execute(select(messages.c.own, func.count()).group_by(messages.c.own)).all() == [("accepted", 40)]
            records = text("SELECT count(*) FROM records WHERE kind = 'attempt'")
            assert tx.execute(records).scalar() == 80, "one when it begins, one when it ends"
            assert tx.execute(select(func.count()).select_from(pages)).scalar() == 0
    assert site.far.requests == 40


def test_one_process_leads_and_another_takes_over_what_it_leaves_or_does_not_renew(site: Site) -> None:
    first, second = site.open("p1", "poll"), site.open("p2", "poll")

    def take(store: Store) -> bool:
        with store.write() as tx:
            return seat.take(tx, seat.LEAD)

    assert [take(first), take(second), take(first)] == [True, False, True]
    with first.write() as tx:
        seat.leave(tx, seat.LEAD)
    assert [take(second), take(first)] == [True, False]
    with first.write() as tx:  # its time is over
        tx.execute(text("UPDATE meta SET value = '1 p2/poll/x' WHERE key = 'seat:lead'"))
    assert [take(first), take(second)] == [True, False]
    first.close()
    second.close()


async def test_two_processes_fetch_one_token(site: Site) -> None:
    fetched = 0
    stores = [await asyncio.to_thread(site.open, node) for node in ("d1", "d2", "d3")]

    async def fetch(now: datetime) -> Token:
        nonlocal fetched
        fetched += 1
        await asyncio.sleep(0.2)
        return Token(f"token-{fetched}", now + timedelta(hours=1))

    refreshers = [Refresher("main", StoreTokens(store), fetch) for store in stores]
    first = await asyncio.gather(*(one.current(NOON) for one in refreshers))
    assert {one.value for one in first if isinstance(one, Token)} == {"token-1"}
    assert isinstance(first[0], Token)
    second = await asyncio.gather(*(one.after(first[0], NOON) for one in refreshers))
    assert {one.value for one in second if isinstance(one, Token)} == {"token-2"} and fetched == 2
    for store in stores:
        store.close()


async def test_a_role_wants_a_database_that_several_processes_can_share(tmp_path: Path) -> None:
    store, _ = await asyncio.to_thread(delivering.stocked, tmp_path, 1, NOON)
    play = Play(Scenario(lambda office: None, frozenset()), tmp_path, NOON)
    (tmp_path / "backoffice").mkdir()
    play.clock, play.channel, play.store = SteppedClock(NOON), FakeChannel(), store
    app = App(replace(play._parts(), role="deliver"))
    with pytest.raises(ConfigError, match="role deliver: several processes want one PostgreSQL"):
        await app.start()
    app.deliverer.close()
    store.close()
