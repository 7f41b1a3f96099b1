"""When the log is published: every minute, or when enough waits, beside the passes and never in their way.

A log that is broken is told, loudly, and published no further; one that cannot be written is told and tried again after the
interval. Notices still leave in both cases, because a committed record is enough to send (DESIGN section 7). After a publication,
at most every `keep_every` seconds, the head goes into the write-once folder.
"""

from __future__ import annotations

import asyncio
import sqlite3

from daemon import alarms
from daemon.clock import Clock
from daemon.heads import LogBroken
from daemon.log import logger
from daemon.publish import Publisher
from daemon.store import pages, trail
from daemon.store.db import Store

AT = 256
"""Waiting records that are published without waiting for the minute."""


class Publication:
    """Publishes one store's log in one process."""

    def __init__(
        self, publisher: Publisher, store: Store, clock: Clock, every: float, keep_every: float = 3600.0
    ) -> None:
        self.publisher, self.clock, self.every, self.keep_every = publisher, clock, every, keep_every
        self._store, self._trail = store, trail.TrailStore(store)
        self._last, self._kept = -every, -keep_every
        self._task: asyncio.Task[str] | None = None
        self._broken = False
        self._refused = False
        self._unkept = False

    async def pass_(self) -> None:
        """Begin a publication if one is due; notice how the last one ended."""
        if self._task is not None:
            if not self._task.done():
                return
            self._end(self._task)
        waiting = 0 if self._broken else await asyncio.to_thread(self._trail.waiting)
        due = self.clock.elapsed() - self._last >= self.every
        # what a publication that failed has given its index waits without being counted
        if (waiting >= AT and not self._refused) or (due and (waiting or self._refused)):
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

    def _all(self) -> str:
        """Publish until nothing waits; returns why the head could not be laid into the write-once folder."""
        while self.publisher.publish():
            pass
        if self.clock.elapsed() - self._kept < self.keep_every:
            return ""
        try:
            self.publisher.keep()
        except OSError as reason:
            return f"{reason.filename}: {reason.strerror}"
        self._kept = self.clock.elapsed()
        return ""

    def _end(self, task: asyncio.Task[str]) -> None:
        self._task, self._last = None, self.clock.elapsed()
        try:
            unkept = task.result()
            self._refused = False
            if unkept and not self._unkept:
                said = f"the audit log's head cannot be laid into the write-once folder ({unkept}); it is tried again"
                self._page(said, "heads")
            self._unkept = bool(unkept)
        except (OSError, sqlite3.OperationalError) as reason:
            if not self._refused:
                self._refused = True
                why = getattr(reason, "strerror", None) or str(reason)
                self._page(f"the audit log cannot be written ({why}); it is tried again, notices still leave")
        except LogBroken as reason:
            self._broken = True
            logger.error("the log is broken and is published no further", action="publish", why=str(reason))
            self._page(f"the audit log is broken; it is published no further, a person must look: {reason}", "log")

    def _page(self, sentence: str, key: str = "publish") -> None:
        alarms.call(sentence, key=key)
        with self._store.write() as tx:
            pages.page(tx, key, "urgent", sentence, now=self.clock.now())
