"""One delivery pass, start to end: what time has done, claim, ask again, prepare, send, judge, settle.

A pass is called with `now` and ends when nothing more can be done at it. Work on the store runs in one thread, requests in
the loop, as many at once as a gateway has connections; no transaction is open while one is under way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from daemon.channels.channel import Outgoing, Verdict, VerdictKind
from daemon.clock import Clock, micros
from daemon.deliver.asking import Asker, questions
from daemon.deliver.preparing import Preparer, Sending
from daemon.deliver.routes import Routes
from daemon.deliver.settling import Settler
from daemon.deliver.upkeep import Upkeep
from daemon.store import outbox
from daemon.store.db import Store
from daemon.store.outbox import Claim
from daemon.world import World

T = TypeVar("T")
LEASE_SECONDS = 90
BATCH = 50


@dataclass(frozen=True, slots=True)
class Answered:
    """One attempt with its verdict."""

    sending: Sending
    verdict: Verdict


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
    ) -> None:
        self.store, self.routes, self.clock = store, routes, clock
        self.worlds = worlds
        self.asker = Asker(store, worlds)
        self.preparer = Preparer(store, routes, worlds)
        self.settler = Settler(store, routes, worlds, rng or random.Random())
        self.upkeep = Upkeep(store, routes, worlds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="ask")

    async def pass_(self, now: datetime) -> int:
        """Do what is due at `now`; returns how many things were done, 0 when nothing is left."""
        done = await self._in_store(self.upkeep.pass_, now, self._elapsed())
        done += await self._revoke(now)
        claims = await self._in_store(self._claim, now)
        if not claims:
            return done
        unasked = await self._ask(claims, now)
        sendings, put_back = await self._in_store(self.preparer.prepare, claims, unasked, now)
        answers = await asyncio.gather(*(self._send(one, now) for one in sendings))
        await self._in_store(self._settle, answers, now)
        return done + len(sendings) + put_back

    def _elapsed(self) -> int:
        return int(self.clock.elapsed() * 1_000_000)

    def _claim(self, now: datetime) -> list[Claim]:
        until = self._elapsed() + LEASE_SECONDS * 1_000_000
        with self.store.write() as tx:
            return outbox.claim(tx, micros(now), self.store.boot, until, BATCH)

    async def _ask(self, claims: Sequence[Claim], now: datetime) -> set[str]:
        """In a thread of its own: a slow source costs this pass, not the callbacks."""
        loop = asyncio.get_running_loop()
        wanted = await self._in_store(questions, self.store, claims, self.worlds)
        return await loop.run_in_executor(self._asking, self.asker.ask, wanted, now)

    async def _send(self, sending: Sending, now: datetime) -> Answered:
        """One attempt. A sender past its lease's end less the time-out does not write."""
        gateway = self.routes.gateways[sending.gateway]
        left = sending.lease_until / 1_000_000 - self.clock.elapsed()
        if left <= gateway.timeout:
            return Answered(
                sending, Verdict(VerdictKind.TRANSIENT, "lease_over", "the lease was nearly over, nothing was sent")
            )
        verdict = await gateway.channel.send(sending.outgoing, now=now)
        return Answered(sending, verdict)

    def _settle(self, answers: Sequence[Answered], now: datetime) -> None:
        with self.store.write() as tx:
            self.settler.settle(tx, [(answer.sending, answer.verdict) for answer in answers], now)

    async def _revoke(self, now: datetime) -> int:
        wanted = await self._in_store(self.upkeep.revocations, now)
        for message, outgoing in wanted:
            verdict = await self._revoke_one(message["gateway"], outgoing, now)
            await self._in_store(self.upkeep.revoked, message, verdict, now)
        return len(wanted)

    async def _revoke_one(self, gateway: str, outgoing: Outgoing, now: datetime) -> Verdict:
        return await self.routes.gateways[gateway].channel.revoke(outgoing.platform_id, outgoing.recipient, now=now)

    async def _in_store(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def next_instant(self, now: datetime) -> datetime | None:
        """The next moment after `now` at which a pass has something to do."""
        return self.upkeep.next_instant(now)

    def close(self) -> None:
        """Let the threads end."""
        self._thread.shutdown(wait=True)
        self._asking.shutdown(wait=False)
