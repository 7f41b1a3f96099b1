"""When the log is published: every minute, or when enough waits, beside the passes and never in their way.

A log that is broken is told, loudly, and published no further; notices still leave, because a committed record is enough to
send (DESIGN section 7).
"""

from __future__ import annotations

import asyncio

from daemon import alarms
from daemon.clock import Clock
from daemon.log import logger
from daemon.publish import LogBroken, Publisher
from daemon.store import pages, trail
from daemon.store.db import Store

AT = 256
"""Waiting records that are published without waiting for the minute."""


class Publication:
    """Publishes one store's log in one process."""

    def __init__(self, publisher: Publisher, store: Store, clock: Clock, every: float) -> None:
        self.publisher, self.clock, self.every = publisher, clock, every
        self._store, self._trail = store, trail.TrailStore(store)
        self._last = -every
        self._task: asyncio.Task[None] | None = None
        self._broken = False

    async def pass_(self) -> None:
        """Begin a publication if one is due; notice how the last one ended."""
        if self._task is not None:
            if not self._task.done():
                return
            self._end(self._task)
        waiting = 0 if self._broken else await asyncio.to_thread(self._trail.waiting)
        if waiting >= AT or (waiting and self.clock.elapsed() - self._last >= self.every):
            self._task = asyncio.create_task(asyncio.to_thread(self._all), name="publish")

    async def settled(self) -> None:
        """Wait until no publication is under way. Raises what publishing raises but LogBroken, which is told."""
        if self._task is not None:
            await asyncio.wait({self._task})
            self._end(self._task)

    async def finish(self) -> None:
        """Publish until nothing waits. Raises as `settled` does."""
        await self.settled()
        if not self._broken:
            self._task = asyncio.create_task(asyncio.to_thread(self._all), name="publish")
            await self.settled()

    def _all(self) -> None:
        while self.publisher.publish():
            pass

    def _end(self, task: asyncio.Task[None]) -> None:
        self._task, self._last = None, self.clock.elapsed()
        try:
            task.result()
        except LogBroken as reason:
            self._broken = True
            logger.error("the log is broken and is published no further", action="publish", why=str(reason))
            sentence = "the audit log is broken; it is published no further, a person must look"
            alarms.call(sentence, key="publish")
            with self._store.write() as tx:
                pages.page(tx, "publish", "urgent", sentence, now=self.clock.now())
