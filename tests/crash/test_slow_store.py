"""A store that takes no commit for a while: nothing leaves without its record, /health says so within ten seconds, and with the
store back everything is delivered once."""

from __future__ import annotations

import sqlite3
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from daemon.clock import RealClock
from daemon.store.engine import FILE_NAME, TURN_LOCK
from tests import postgres
from tests.bench import delivering
from tests.crash.accounted import unaccounted
from tests.crash.several import Site, free_port

COUNT = 3_000
SLOW = 30.0
"""Seconds for which the store takes no commit: longer than a writer waits for SQLite's lock."""


def health(port: int) -> int:
    """The status of /health, 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def until(true: Callable[[], bool], seconds: float) -> float:
    """Wait until it is true; how long that took. Fails where it takes longer."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begun


@contextmanager
def locked_file(folder: Path) -> Iterator[None]:
    """SQLite: another writer holds the lock."""
    with closing(sqlite3.connect(folder / "state" / FILE_NAME, isolation_level=None, timeout=10)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("ROLLBACK")


@contextmanager
def locked_server(url: str) -> Iterator[None]:
    """PostgreSQL: another session holds what every writer takes first."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": TURN_LOCK})
        yield
        connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": TURN_LOCK})
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_store_that_stands_still_sends_nothing_and_health_says_so(tmp_path: Path, kind: str) -> None:
    url = ""
    if kind == "postgres":
        postgres.needed()
        url = postgres.database()
    now = RealClock().now()
    store, world = delivering.stocked(tmp_path, COUNT, now, url=url)
    delivering.make_notices(store, world, now)
    store.close()
    site = Site(tmp_path, url, free_port())
    with delivering.sink(site.port) as sink:
        site.lay_out(sink, ("a1",))
        site.start("a1")
        try:
            until(lambda: len(delivering.arrivals_of(sink)) > COUNT // 20, 60)
            assert health(site.port) == 200
            with locked_file(tmp_path) if kind == "sqlite" else locked_server(url):
                begun = time.monotonic()
                seen = until(lambda: health(site.port) != 200, 10)
                before = len(delivering.arrivals_of(sink))
                assert before < COUNT, "all had left before the store stood still"
                time.sleep(max(0.0, begun + SLOW - time.monotonic()))
                assert len(delivering.arrivals_of(sink)) == before, "something left while nothing could be recorded"
            mended = until(lambda: _mended(site), 60)
            until(lambda: len({id for id, _ in delivering.arrivals_of(sink)}) == COUNT, 120)
            arrivals = delivering.arrivals_of(sink)
            exits = site.end()
        finally:
            site.kill()
    print(
        f"{kind}: /health failed after {seen:.1f} s, was good again {mended:.1f} s after the store; {len(arrivals)} requests"
    )
    assert exits == {"a1": 0}
    assert unaccounted(tmp_path / "log", arrivals) == []
    assert Counter(id for id, _ in arrivals).total() == COUNT


def _mended(site: Site) -> bool:
    """Good again; a process that has ended is started, as systemd does."""
    if site.processes["a1"].poll() is not None:
        assert site.processes["a1"].returncode in (74, 75), site.log_of("a1")
        site.start("a1")
        time.sleep(1)
    return health(site.port) == 200
