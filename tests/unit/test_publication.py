"""Publishing beside the passes: when it is due, and that a broken log stops publication and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon.audit.checkpoint import Checkpoint
from daemon.clock import SteppedClock
from daemon.heads import HeadStore, LogBroken, WriteOnce
from daemon.publication import AT, Publication
from daemon.publish import Publisher
from daemon.store import pages, trail
from daemon.store.db import Store
from tests.builders_store import NOW, new_store


class Clock(SteppedClock):
    """`elapsed` as the test says."""

    seconds = 0.0

    def elapsed(self) -> float:
        return self.seconds


def begun(folder: Path, every: float = 60.0, once: Path | None = None) -> tuple[Store, Publication, Clock]:
    store, clock = new_store(folder / "state"), Clock(NOW)
    publisher = Publisher(
        folder / "log",
        HeadStore(folder / "heads.db"),
        store.keyring,
        "test/log",
        trail.TrailStore(store),
        once=None if once is None else WriteOnce(once),
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


async def test_a_log_that_is_found_broken_is_told_although_it_could_not_be_written_before(tmp_path: Path) -> None:
    store, publication, clock = begun(tmp_path)
    folder = tmp_path / "log"
    folder.rename(tmp_path / "away")
    folder.write_bytes(b"a file stands where the folder was")
    append(store, AT)
    await publication.pass_()
    await settled_refused(publication)
    folder.unlink()
    (tmp_path / "away").rename(folder)
    (tmp_path / "heads.db").unlink()  # and with it the head that it must grow from
    HeadStore(tmp_path / "heads.db").swap(None, Checkpoint("test/log", 7, bytes(32)))
    clock.seconds = 60.0
    await publication.pass_()
    await settled_broken(publication)
    with store.read() as tx:
        said = {row["key"]: row["sentence"] for row in pages.pages_of(tx)}
    assert set(said) == {"publish", "log"}
    assert "does not hold the 7 records of the head store" in said["log"]
    store.close()


async def settled_refused(publication: Publication) -> None:
    assert publication._task is not None
    await asyncio.wait({publication._task})
    await publication.pass_()


async def published(publication: Publication, store: Store, clock: Clock, seconds: float) -> None:
    append(store, 1)
    clock.seconds = seconds
    await publication.pass_()
    await settled(publication)


async def test_the_head_is_kept_at_the_first_publication_and_then_every_hour(tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    store, publication, clock = begun(tmp_path, once=once)
    for seconds in (0.0, 60.0, 3_540.0, 3_660.0):
        await published(publication, store, clock, seconds)
    assert sorted(path.name for path in (once / "test%2Flog").iterdir()) == [
        "000000000001.checkpoint", "000000000004.checkpoint",
    ]  # fmt: skip
    store.close()


async def test_a_write_once_folder_that_is_away_pages_once_and_the_log_goes_on(tmp_path: Path) -> None:
    once = tmp_path / "once"
    store, publication, clock = begun(tmp_path, once=once)
    for seconds in (0.0, 60.0):
        await published(publication, store, clock, seconds)
    with store.read() as tx:
        (page,) = pages.pages_of(tx)
    assert "write-once folder" in page["sentence"] and str(once) in page["sentence"]
    assert size(publication) == 2
    once.mkdir()
    await published(publication, store, clock, 120.0)
    assert [path.name for path in (once / "test%2Flog").iterdir()] == ["000000000003.checkpoint"]
    store.close()
