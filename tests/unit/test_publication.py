"""Publishing beside the passes: when it is due, and that a broken log stops publication and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon.clock import SteppedClock
from daemon.publication import AT, Publication
from daemon.publish import HeadStore, LogBroken, Publisher
from daemon.store import pages, trail
from daemon.store.db import Store
from tests.builders_store import NOW, new_store


class Clock(SteppedClock):
    """`elapsed` as the test says."""

    seconds = 0.0

    def elapsed(self) -> float:
        return self.seconds


def begun(folder: Path, every: float = 60.0) -> tuple[Store, Publication, Clock]:
    store, clock = new_store(folder / "state"), Clock(NOW)
    publisher = Publisher(
        folder / "log", HeadStore(folder / "heads.db"), store.keyring, "test/log", trail.TrailStore(store)
    )
    return store, Publication(publisher, store, clock, every), clock


def append(store: Store, count: int) -> None:
    with store.write() as tx:
        for _ in range(count):
            trail.append(tx, "heartbeat", t=NOW, actor="sys:test", data={})


def size(publication: Publication) -> int:
    return 0 if publication.publisher.head is None else publication.publisher.head.size


async def settled(publication: Publication) -> None:
    if publication._task is not None:
        await publication._task
    await publication.pass_()


async def test_the_first_records_go_at_once_and_later_ones_after_the_interval(tmp_path: Path) -> None:
    store, publication, clock = begun(tmp_path)
    append(store, 3)
    await publication.pass_()
    await settled(publication)
    first = size(publication)
    append(store, 1)
    await publication.pass_()
    assert size(publication) == first
    clock.seconds = 60.0
    await publication.pass_()
    await settled(publication)
    assert size(publication) == first + 1
    store.close()


async def test_many_records_do_not_wait_for_the_interval(tmp_path: Path) -> None:
    store, publication, _ = begun(tmp_path)
    await publication.pass_()
    await settled(publication)
    before = size(publication)
    append(store, AT)
    await publication.pass_()
    await settled(publication)
    assert size(publication) == before + AT
    store.close()


async def test_a_broken_log_is_published_no_further_and_raises_nothing(tmp_path: Path) -> None:
    store, publication, _ = begun(tmp_path)

    class Broken:
        head = None

        def publish(self) -> int:
            raise LogBroken("a bit flipped")

    publication.publisher = Broken()  # type: ignore[assignment]
    append(store, AT)
    await publication.pass_()
    await settled_broken(publication)
    await publication.finish()
    with store.read() as tx:
        assert trail.of_kind(tx, "heartbeat")
    store.close()


async def settled_broken(publication: Publication) -> None:

    if publication._task is not None:
        await asyncio.wait({publication._task})
    await publication.pass_()
    assert publication._broken


async def test_a_log_that_cannot_be_written_pages_once_and_is_tried_again_after_the_interval(tmp_path: Path) -> None:
    store, publication, clock = begun(tmp_path)
    folder, away = tmp_path / "log", tmp_path / "away"
    folder.rename(away)
    folder.write_bytes(b"a file stands where the folder was")
    append(store, AT)
    for clock.seconds in (0.0, 60.0):
        await publication.pass_()
        await settled_refused(publication)
    with store.read() as tx:
        assert [row["key"] for row in pages.pages_of(tx)] == ["publish"]
    folder.unlink()
    away.rename(folder)
    await publication.pass_()
    assert size(publication) == 0  # not before the interval is over
    clock.seconds = 120.0
    await publication.pass_()
    await settled(publication)
    assert size(publication) == AT
    store.close()


async def settled_refused(publication: Publication) -> None:
    assert publication._task is not None
    await asyncio.wait({publication._task})
    await publication.pass_()
