"""Several tasks a feed: a pass that claims has done something, and a gateway that does not answer holds up what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select, update

from daemon.channels.channel import Outgoing, Verdict, at_once
from daemon.clock import SteppedClock
from daemon.deliver import BATCH, LANES, Deliverer
from daemon.deliver.routes import Gateway, Routes
from daemon.store.tables import messages
from tests.bench import delivering
from tests.fakes import FakeChannel


class Held(FakeChannel):
    """Answers nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        await self.go.wait()
        return await super().send(outgoing, now=now, may_begin=may_begin)


async def test_no_more_is_in_sending_than_there_are_connections(tmp_path: Path) -> None:
    clock = SteppedClock(datetime(2024, 2, 1, 1, 0, tzinfo=UTC))
    store, world = await asyncio.to_thread(delivering.stocked, tmp_path, 40, clock.now())
    with store.lock():
        await asyncio.to_thread(delivering.make_notices, store, world, clock.now())
        channel = Held()
        gateway = Gateway(channel, connections=7)
        deliverer = Deliverer(store, Routes({"fake": gateway}, {"rcs": ("fake",)}), lambda digest: world, clock)
        assert [await deliverer.pass_(clock.now()) for _ in range(3)] == [7, 0, 0]
        with store.read() as tx:
            by_state = select(messages.c.own, func.count()).group_by(messages.c.own)
            assert dict(tx.execute(by_state).all()) == {"sending": 7, "queued": 33}
        channel.go.set()
        while await deliverer.pass_(clock.now()) or deliverer.busy:
            pass
        assert len(channel.far.taken) == 40
        deliverer.close()
    store.close()


async def test_a_gateway_that_stalls_holds_only_its_own_connections(tmp_path: Path) -> None:
    """Cards go by the one that stalls; texts, which come later in the order of claims, by another one."""
    clock = SteppedClock(datetime(2024, 2, 1, 1, 0, tzinfo=UTC))
    store, world = await asyncio.to_thread(delivering.stocked, tmp_path, 60, clock.now())
    with store.lock():
        await asyncio.to_thread(delivering.make_notices, store, world, clock.now())
        with store.write() as tx:
            ids = tx.execute(select(messages.c.id).order_by(messages.c.id)).scalars().all()
            tx.execute(
                update(messages)
                .where(messages.c.id.in_(ids[50:]))
                .values(channel="sms", deadline=messages.c.deadline + 1)
            )
        stalled, works = Held(), FakeChannel("works")
        gateways = {"stalled": Gateway(stalled, connections=3), "works": Gateway(works, connections=3)}
        routes = Routes(gateways, {"rcs": ("stalled",), "sms": ("works",)})
        deliverer = Deliverer(store, routes, lambda digest: world, clock)
        for second in range(8):
            clock.set(datetime(2024, 2, 1, 1, 0, second, tzinfo=UTC))
            await deliverer.pass_(clock.now())
        assert len(works.far.taken) == 10
        with store.read() as tx:
            waiting = tx.execute(select(func.count()).where(messages.c.own == "sending")).scalar()
        assert waiting == 3
        stalled.go.set()
        await deliverer.drain()
        deliverer.close()
    store.close()


async def test_a_feed_has_at_most_its_tasks_and_then_the_rest_goes(tmp_path: Path) -> None:
    clock, count = SteppedClock(datetime(2024, 2, 1, 1, 0, tzinfo=UTC)), LANES * BATCH + 30
    now = clock.now()
    store, world = await asyncio.to_thread(delivering.stocked, tmp_path, count, now)
    with store.lock():
        await asyncio.to_thread(delivering.make_notices, store, world, now)
        channel = Held()
        routes = Routes({"fake": Gateway(channel, connections=count)}, {"rcs": ("fake",), "sms": ("fake",)})
        deliverer = Deliverer(store, routes, lambda digest: world, clock)
        assert [await deliverer.pass_(clock.now()) for _ in range(LANES + 1)] == [*[BATCH] * LANES, 0]
        with store.read() as tx:
            by_state = select(messages.c.own, func.count()).group_by(messages.c.own)
            assert dict(tx.execute(by_state).all())["queued"] == 30
        channel.go.set()
        while await deliverer.pass_(clock.now()) or deliverer.busy:
            pass
        assert len(channel.far.taken) == count
        deliverer.close()
    store.close()
