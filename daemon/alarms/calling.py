"""Carries open pages to people, beside the passes and never in their way: a slow robot delays nobody else.

What was told is kept in the store, so that a restart neither repeats nor forgets. Due pages of one way go out as one text.
A way is called once a `REST`: robots take about twenty texts a minute. Acknowledged pages are told no further.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from daemon.alarms.plan import Due, Page, Roster, Tried, due
from daemon.alarms.ways import Heard, Heartbeat, Way
from daemon.clock import SHANGHAI, Clock, from_micros
from daemon.errors import DueNoticeError
from daemon.log import logger
from daemon.store import pages
from daemon.store.db import Store

REST = 3.5
"""Seconds between two calls of one way."""

LINES = 20
"""Pages in one text; the rest follows in the next."""

FRESH = 60.0
"""Seconds since the last finished pass, after which no heartbeat is sent."""


class Calling:
    """One roster over its ways. `progress`: `elapsed` of the last finished pass of the service."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: str,
        roster: Roster,
        ways: Mapping[str, Way],
        heartbeat: Heartbeat | None = None,
        every: float = 60.0,
    ) -> None:
        self.store, self.clock, self.node = store, clock, node
        self.roster, self.ways = roster, ways
        self.heartbeat, self.every = heartbeat, every
        self._beat = -every
        self._called: dict[str, float] = {}

    async def run(self, progress: Callable[[], float]) -> None:
        """Until cancelled. Whatever breaks is told to the journal, and the next look comes."""
        while True:
            try:
                await self.pass_(self.clock.now())
                await self.beat(progress())
            except DueNoticeError as broken:
                logger.error("people could not be called", action="call", why=str(broken))
            await asyncio.sleep(1.0)

    async def beat(self, progress: float) -> None:
        """Tell the other host, while passes end."""
        elapsed = self.clock.elapsed()
        if self.heartbeat is None or elapsed - self._beat < self.every or elapsed - progress > FRESH:
            return
        self._beat = elapsed
        heard = await self.heartbeat.beat(self.clock.now())
        if not heard.told:
            logger.warning("the heartbeat was not heard", action="call", code=heard.code)

    async def pass_(self, now: datetime) -> int:
        """Call by every way that is due, all at a time; returns how many texts were taken."""
        found = await asyncio.to_thread(self._due, now)
        ways: dict[str, list[Due]] = {}
        for one in found:
            ways.setdefault(one.way, []).append(one)
        elapsed = self.clock.elapsed()
        ready = [name for name in ways if elapsed - self._called.get(name, -REST) >= REST]
        heard = await asyncio.gather(*(self._call(name, ways[name][:LINES], now) for name in ready))
        return sum(heard)

    async def _call(self, name: str, found: Sequence[Due], now: datetime) -> bool:
        self._called[name] = self.clock.elapsed()
        heard = await self.ways[name].tell(_id(name, found), self.text([one.page for one in found]), now)
        await asyncio.to_thread(self._keep, name, found, heard, now)
        if not heard.told:
            logger.warning("a way to a person failed", action="call", way=name, code=heard.code, pages=len(found))
        return heard.told

    async def say(self, sentence: str, now: datetime) -> bool:
        """Tell an urgent sentence at once by every way of the first step, where the store can keep no page. Returns whether one
        way took it."""
        page = Page(0, "urgent", sentence, now)
        first = self.roster.first.get("urgent", ())
        found = [(way, Due(page, way, (0,))) for way in first if way in self.ways]
        id = f"{now:%Y%m%dT%H%M}"
        heard = await asyncio.gather(
            *(self.ways[way].tell(f"{_id(way, [one])}-{id}", self.text([page]), now) for way, one in found)
        )
        return any(one.told for one in heard)

    def text(self, found: Sequence[Page]) -> str:
        """One line a page, the worst first; the head line says how many and from where."""
        urgent = sum(page.severity == "urgent" for page in found)
        lines = [f"Due Notice {self.node}: {urgent} 紧急 urgent, {len(found) - urgent} 其他 other"]
        order = {"urgent": 0, "warning": 1}
        for page in sorted(found, key=lambda page: (order.get(page.severity, 2), page.at)):
            lines.append(f"[{page.severity}] {page.at.astimezone(SHANGHAI):%m-%d %H:%M} {page.sentence}")
        return "\n".join(lines)

    def _due(self, now: datetime) -> list[Due]:
        with self.store.read() as tx:
            rows = pages.pages_of(tx)
            opened = [Page(row["id"], row["severity"], row["sentence"], from_micros(row["at"])) for row in rows]
            calls = pages.calls_of(tx, [page.id for page in opened])
        tried = [Tried(r["page"], r["step"], r["way"], r["tries"], from_micros(r["last"]), r["told"]) for r in calls]
        return [one for one in due(opened, tried, self.roster, now) if one.way in self.ways]

    def _keep(self, name: str, found: Sequence[Due], heard: Heard, now: datetime) -> None:
        with self.store.write() as tx:
            for one in found:
                for step in one.steps:
                    pages.called(tx, one.page.id, step, name, told=heard.told, code=heard.code, now=now)


def _id(name: str, found: Sequence[Due]) -> str:
    """The same for the same pages and steps by the same way, so that a repeat is known as one."""
    text = f"{name} " + " ".join(f"{one.page.id}:{one.steps}" for one in found)
    return "page-" + hashlib.sha256(text.encode()).hexdigest()[:24]
