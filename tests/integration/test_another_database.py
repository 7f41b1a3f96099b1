"""An older database in the place of the newest one, with processes that send and do not publish: they send nothing from it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from daemon.app import App
from daemon.clock import SteppedClock
from daemon.errors import ConfigError
from daemon.heads import HeadStore
from daemon.publish import Publisher
from daemon.store import trail
from daemon.store.db import Store
from tests import postgres
from tests.bench import delivering
from tests.builders_store import keyring
from tests.fakes import FakeChannel, FarSide
from tests.world import Play, Scenario

NOON = datetime(2024, 2, 1, 4, 0, tzinfo=UTC)
BEHIND = r"the store has \d+ records with an index, the log \d+\. Nothing is sent"


@dataclass
class Site:
    """A database with messages queued and its log; beside it the same database as it was before the last publication."""

    folder: Path
    url: str
    far: FarSide

    @property
    def older(self) -> str:
        return self.url.replace("/test", "/older")

    def app(self, url: str) -> App:
        """What sends, as a process of its own."""
        play = Play(Scenario(lambda office: None, frozenset()), self.folder, NOON, url=url)
        play.clock, play.channel = SteppedClock(NOON), FakeChannel(far=self.far)
        play.store = Store.open(self.folder / "state", keyring=keyring(), node="d1", url=url)  # type: ignore[assignment]
        return App(replace(play._parts(), role="deliver", pass_every=0.01))

    def publish(self) -> None:
        store = Store.open(self.folder / "state", keyring=keyring(), node="p1", url=self.url)
        heads = HeadStore(self.folder / "heads" / "heads.db")
        source = trail.TrailStore(store)
        publisher = Publisher(self.folder / "trail", heads, keyring(), "test.example/trail", source)
        while publisher.publish():
            pass
        store.close()

    def append(self) -> None:
        """One more record, so that a checkpoint tells of something that the older database lacks."""
        store = Store.open(self.folder / "state", keyring=keyring(), node="p1", url=self.url)
        with store.write() as tx:
            trail.append(tx, "heartbeat", t=NOON, actor="sys:test", data={})
        store.close()

    def server(self, *statements: str) -> None:
        engine = create_engine(self.url.replace(name_of(self.url), "postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for one in statements:
                connection.execute(text(one))
        engine.dispose()


def name_of(url: str) -> str:
    """The database that an address names."""
    found = re.search(r"/(\w+)\?", url)
    assert found is not None
    return found.group(1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    url = postgres.database()
    store, world = delivering.stocked(tmp_path, 5, NOON, url=url)
    delivering.make_notices(store, world, NOON)
    store.close()
    for folder in ("backoffice", "heads"):
        (tmp_path / folder).mkdir()
    made = Site(tmp_path, url, FarSide())
    made.publish()
    made.server(f"CREATE DATABASE {name_of(made.older)} TEMPLATE {name_of(url)}")
    made.append()
    made.publish()
    yield made
    made.server(f"DROP DATABASE IF EXISTS {name_of(made.older)} WITH (FORCE)")


async def test_a_process_that_sends_does_not_start_on_a_database_older_than_the_log(site: Site) -> None:
    app = await asyncio.to_thread(site.app, site.older)
    with pytest.raises(ConfigError, match=BEHIND):
        await app.start()
    app.deliverer.close()
    app.store.close()
    assert site.far.requests == 0


async def test_it_does_not_start_without_the_log_that_its_records_are_in(site: Site) -> None:
    (site.folder / "trail").rename(site.folder / "elsewhere")
    app = await asyncio.to_thread(site.app, site.url)
    with pytest.raises(ConfigError, match="found no checkpoint"):
        await app.start()
    app.deliverer.close()
    app.store.close()


async def test_a_standby_that_lagged_and_has_taken_over_is_sent_nothing_from(site: Site) -> None:
    app = await asyncio.to_thread(site.app, site.url)
    assert await app.start()
    running = asyncio.create_task(app.run())
    while len(site.far.taken) < 5:  # noqa: ASYNC110 - the far side has no event to wait for
        await asyncio.sleep(0.01)
    newest, older = name_of(site.url), name_of(site.older)
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{newest}'"
    await asyncio.to_thread(
        site.server,
        f"ALTER DATABASE {newest} ALLOW_CONNECTIONS false",
        ended,
        f"ALTER DATABASE {newest} RENAME TO lost_{newest}",
        f"ALTER DATABASE {older} RENAME TO {newest}",
    )
    with pytest.raises(ConfigError, match=BEHIND):
        await asyncio.wait_for(running, 30)
    assert site.far.requests == 5, "the older database has all five queued"
    app.store.close()
    await asyncio.to_thread(site.server, f"DROP DATABASE lost_{newest} WITH (FORCE)")
