"""A daemon that has nothing to do says so in the trail, and the log shows when it was not there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from daemon.app import App
from daemon.clock import SteppedClock
from daemon.store import trail
from daemon.store.db import Store
from tests.builders_store import keyring
from tests.fakes import FakeChannel
from tests.world import Play, Scenario, at

NOON = at("12:00")


class Going(SteppedClock):
    """A stepped clock by which time also passes."""

    def elapsed(self) -> float:
        return (self.now() - NOON).total_seconds()


@pytest.fixture
def app(tmp_path: Path) -> App:
    """A daemon without feeds, in stepped time, a heartbeat every ten minutes."""
    play = Play.new(Scenario(lambda office: None, frozenset()), tmp_path)
    play.clock, play.channel = Going(NOON), FakeChannel(far=play.far)
    play.store = Store.open(tmp_path / "state", keyring=keyring(), node="n1")  # type: ignore[assignment]
    return App(replace(play._parts(), pass_every=0.01, beat_every=600.0))


async def beats(app: App, count: int) -> list[datetime]:
    """Wait until so many are published; when each was."""
    while True:
        with app.store.read() as tx:
            found = [record for _, record in trail.of_kind(tx, "heartbeat")]
            if len(found) >= count and not trail.waiting(tx):
                return [record.t for record in found]
        await asyncio.sleep(0.01)


async def test_a_heartbeat_is_recorded_and_published_at_its_interval_and_not_before(app: App) -> None:
    assert await app.start()
    running = asyncio.create_task(app.run())
    for minutes in (9, 10, 19, 20, 60):
        app.clock.set(NOON + timedelta(minutes=minutes))  # type: ignore[attr-defined]
        await beats(app, {9: 0, 10: 1, 19: 1, 20: 2, 60: 3}[minutes])
        await asyncio.sleep(0.1)
    found = await beats(app, 3)
    app.stopping = True
    app.wake.set()
    await asyncio.wait_for(running, 30)
    assert [round((t - NOON) / timedelta(minutes=1)) for t in found] == [10, 20, 60], "one, however long it stood still"
