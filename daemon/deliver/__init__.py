"""One delivery pass, start to end: what time has done, claim, ask again, prepare, send, judge, settle.

What is claimed of one feed is delivered as a task, and a feed has at most `LANES` of them: while one waits for answers another
is prepared, and a source that answers slowly when it is asked again holds up its own feed and no other. Work on the store runs in
one thread, requests in the loop, as many at once as a gateway has connections; no transaction is open while one is under way.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from daemon import failpoints
from daemon.channels.channel import Outgoing, Verdict
from daemon.clock import Clock, micros
from daemon.deliver.asking import Asker, questions
from daemon.deliver.health import Health
from daemon.deliver.pace import Pace
from daemon.deliver.preparing import Preparer, Sending
from daemon.deliver.routes import Gateway, Routes
from daemon.deliver.settling import Settler
from daemon.deliver.slots import Slots
from daemon.deliver.upkeep import Row, Upkeep
from daemon.log import logger
from daemon.store import outbox, pages
from daemon.store.db import CommitUnknown, Store, StoreBusy, StoreUnusable
from daemon.store.outbox import Claim
from daemon.world import World

T = TypeVar("T")
LEASE = timedelta(seconds=90)
BROKEN_WAIT = timedelta(minutes=1)
BATCH = 50
"""Messages of one task: prepared in one transaction, which holds the store's lock."""

LANES = 3
MICROSECOND = timedelta(microseconds=1)
SETTLE_AGAIN = 0.2
"""Seconds between two tries of a settle while the store is away."""

PATIENCE = 0.5
"""Seconds that a pass waits for a task to end before it looks at everything else again."""

REVOKING, QUERYING = ":revoke", ":query"
"""Stand among the feeds that are being delivered; no feed has such a name."""

UPKEEP = 0.2
"""Seconds after which what time has done is looked at again while there is plenty to claim."""


class Deliverer:
    """Delivers for one process. `worlds` gives the rule set a notice was made under, by digest."""

    def __init__(
        self,
        store: Store,
        routes: Routes,
        worlds: Callable[[str], World],
        clock: Clock,
        *,
        rng: random.Random | None = None,
        lease: timedelta = LEASE,
    ) -> None:
        self.store, self.routes, self.clock, self.lease = store, routes, clock, lease
        self.worlds = worlds
        self.asker = Asker(store, worlds)
        self.health = health = Health()
        self.slots = Slots({name: one.connections for name, one in routes.gateways.items()})
        self.preparer = Preparer(store, routes, worlds, health, self.slots)
        spread = rng or random.Random()  # of waits; decides nothing  # nosec B311
        self.settler = Settler(store, routes, worlds, spread, health)
        self.upkeep = Upkeep(store, routes, worlds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._asking = ThreadPoolExecutor(4, thread_name_prefix="ask")
        self._free = {name: asyncio.Semaphore(one.connections) for name, one in routes.gateways.items()}
        self._pace = {name: Pace(one.per_second) for name, one in routes.gateways.items()}
        self._running: dict[asyncio.Task[int], str] = {}
        self._kept_up = -UPKEEP
        self._plenty = False

    @property
    def busy(self) -> bool:
        """Whether something that was claimed is still under way."""
        return bool(self._running)

    async def pass_(self, now: datetime) -> int:
        """Do what is due at `now`; returns how many things were done, 0 when nothing is left or all waits for a source."""
        done = 0
        if not self._plenty or self.clock.elapsed() - self._kept_up >= UPKEEP:
            self._kept_up = self.clock.elapsed()
            done += await self._in_store(self.upkeep.pass_, now)
            await self._revoke(now)
            await self._query(now)
        room = min(BATCH, self.slots.free)
        claimed = await self._in_store(self._claim, now, room) if room > 0 else {}
        count = sum(map(len, claimed.values()))
        done += count
        self._plenty = count == room == BATCH
        for feed, claims in claimed.items():
            task = asyncio.create_task(self._guarded(feed, claims, now), name=f"deliver {feed}")
            self._running[task] = feed
        if self._running and not (self._plenty and self._room()):
            await asyncio.wait(self._running, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        for task in [task for task in self._running if task.done()]:
            del self._running[task]
            done += task.result()
        return done

    def _room(self) -> bool:
        """Whether a feed that is being delivered may have another task."""
        return any(count < LANES for count in Counter(self._running.values()).values())

    def _claim(self, now: datetime, room: int) -> dict[str, list[Claim]]:
        """Claims by feed, at most `room`; none of a feed that has all its tasks."""
        full = [channel for channel in self.routes.channels if self._is_full(channel, now)]
        busy = [feed for feed, count in Counter(self._running.values()).items() if count >= LANES]
        with self.store.read() as tx:
            if not outbox.is_due(tx, micros(now), busy, full):
                return {}
        found: dict[str, list[Claim]] = defaultdict(list)
        with self.store.write(beside=True) as tx:
            for claim in outbox.claim(tx, micros(now), self.lease // MICROSECOND, room, busy, full):
                found[claim.message["feed"]].append(claim)
        return found

    def _is_full(self, channel: str, now: datetime) -> bool:
        """Whether the gateway by which the channel's messages would go has no free connection: then they are not claimed, and the
        claims of other channels are not behind them."""
        first = next(
            (name for name in self.routes.carriers(channel) if self.health.barred_until(name, now) is None), None
        )
        return first is not None and not self.slots.has(first)

    async def _guarded(self, feed: str, claims: Sequence[Claim], now: datetime) -> int:
        """Deliver one feed's claims; an error of ours there pages a person and costs no other feed. What has not left is put
        back for a while, what is in `sending` its lease brings into doubt. Raises StoreUnusable: then nothing can be recorded."""
        try:
            return await self._deliver(claims, now)
        except StoreUnusable:
            raise
        except (StoreBusy, CommitUnknown) as reason:
            logger.warning("delivery lost the store for a moment", action="deliver", feed=feed, why=str(reason))
            await self._in_store(self._rest, claims, "the store was away", micros(now))
            return 0
        except Exception as reason:
            logger.opt(exception=True).error("delivery broke on an error of ours", action="deliver", feed=feed)
            await self._in_store(self._broke, feed, claims, type(reason).__name__, now)
            return 0

    def _rest(self, claims: Sequence[Claim], why: str, due: int) -> None:
        """Put back what has not been in `sending`."""
        with self.store.write() as tx:
            for claim in claims:
                outbox.put_back(tx, claim.message["id"], claim.fence, due=due, why=why)

    def _broke(self, feed: str, claims: Sequence[Claim], what: str, now: datetime) -> None:
        self._rest(claims, "an error of ours", micros(now + BROKEN_WAIT))
        with self.store.write() as tx:
            pages.page(tx, f"deliver:{feed}", "urgent", f"feed {feed}: delivery breaks on {what}", now=now)

    async def _deliver(self, claims: Sequence[Claim], now: datetime) -> int:
        """Ask again, prepare, send, settle."""
        failpoints.reached("after_claim")
        wanted = await self._in_store(questions, self.store, claims, self.worlds)
        unasked = await asyncio.get_running_loop().run_in_executor(self._asking, self.asker.ask, wanted, now)
        failpoints.reached("after_ask")
        opened = {one.claim.notice["inputs"]: one.inputs for one in wanted}
        sendings, ended = await self._in_store(self.preparer.prepare, claims, unasked, opened, now)
        failpoints.reached("after_sending_commit")
        verdicts = await asyncio.gather(*(self._send(one, now) for one in sendings))
        failpoints.reached("before_settle")
        await self._settle(list(zip(sendings, verdicts, strict=True)), now)
        failpoints.reached("after_settle_commit")
        return len(sendings) + ended

    async def _send(self, sending: Sending, now: datetime) -> Verdict:
        """One attempt, when a connection is free. A sender past its lease's end less the time-out does not write."""
        gateway = self.routes.gateways[sending.gateway]
        try:
            return await self._attempt(gateway, sending, now)
        finally:
            self.slots.give(sending.gateway)

    async def _attempt(self, gateway: Gateway, sending: Sending, now: datetime) -> Verdict:
        async with self._free[sending.gateway]:
            if wait := self._pace[sending.gateway].take(self.clock.elapsed()):
                await asyncio.sleep(wait)

            def may_begin() -> bool:
                return sending.lease_until / 1_000_000 - self.clock.elapsed() > gateway.timeout

            failpoints.reached("before_send")
            verdict = await gateway.channel.send(sending.outgoing, now=now, may_begin=may_begin)
        failpoints.reached("after_send")
        return verdict

    async def _settle(self, answers: Sequence[tuple[Sending, Verdict]], now: datetime) -> None:
        """Keep the answers. A store that is away is tried again for as long as the leases hold: without its settle, what the
        gateway took is in doubt."""
        until = min((sending.lease_until for sending, _ in answers), default=0) / 1_000_000
        again = False
        while True:
            try:
                return await self._in_store(self._settle_once, answers, now, again)
            except (StoreBusy, CommitUnknown) as reason:
                if isinstance(reason, StoreUnusable) or self.clock.elapsed() >= until:
                    raise
            again = True
            await asyncio.sleep(SETTLE_AGAIN)

    def _settle_once(self, answers: Sequence[tuple[Sending, Verdict]], now: datetime, again: bool) -> None:
        with self.store.write(beside=True) as tx:
            self.settler.settle(tx, answers, now, again=again)

    async def _revoke(self, now: datetime) -> None:
        """Call messages back, beside the passes: a gateway that is slow to answer holds up no claim."""
        if REVOKING not in self._running.values() and (wanted := await self._in_store(self.upkeep.revocations, now)):
            self._beside(REVOKING, [self._revoke_one(row, outgoing, now) for row, outgoing in wanted])

    async def _revoke_one(self, row: Row, outgoing: Outgoing, now: datetime) -> None:
        async with self._free[row["gateway"]]:
            failpoints.reached("before_revoke")
            channel = self.routes.gateways[row["gateway"]].channel
            verdict = await channel.revoke(outgoing.platform_id, outgoing.recipient, now=now)
        failpoints.reached("after_revoke")
        await self._in_store(self.upkeep.revoked, row, verdict, now)
        failpoints.reached("revoke_settled")

    async def _query(self, now: datetime) -> None:
        """Ask about messages in doubt, beside the passes too."""
        if QUERYING not in self._running.values() and (wanted := await self._in_store(self.upkeep.doubtful, now)):
            self._beside(QUERYING, [self._query_one(row, recipient, now) for row, recipient in wanted])

    async def _query_one(self, row: Row, recipient: str, now: datetime) -> None:
        async with self._free[row["gateway"]]:
            channel = self.routes.gateways[row["gateway"]].channel
            standing = await channel.query(row["platform_id"], recipient, now=now)
        failpoints.reached("after_query")
        await self._in_store(self.upkeep.answered, row, standing, now)

    def _beside(self, name: str, works: Sequence[Coroutine[None, None, None]]) -> None:
        async def all_of_them() -> int:
            await asyncio.gather(*works)
            return len(works)

        self._running[asyncio.create_task(all_of_them(), name=name)] = name

    async def _in_store(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def next_instant(self, now: datetime) -> datetime | None:
        """The next moment after `now` at which a pass has something to do."""
        return self.upkeep.next_instant(now)

    async def drain(self) -> None:
        """Wait until everything claimed has settled."""
        if self._running:
            await asyncio.wait(self._running)

    def close(self) -> None:
        """Let the threads end."""
        self._thread.shutdown(wait=True)
        self._asking.shutdown(wait=False)
