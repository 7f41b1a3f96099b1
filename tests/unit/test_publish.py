"""Publishing: the files, the order of steps, crashes between any two of them, and every way to end up with two heads."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.audit.checkpoint import Checkpoint, open_checkpoint
from daemon.audit.folder import verify_folder
from daemon.audit.tree import EMPTY_ROOT, fold, leaf_hash
from daemon.errors import ConfigError, KeyUnusable
from daemon.heads import HeadStore, LogBroken
from daemon.publish import LogFolder, Publisher
from daemon.security.signing import SigningKey
from tests.outside.logs import ORIGIN, RING, SIGNING, MemoryTrail, chain, files_of, published, publisher, record, ring

STEPS = ["assign", "stage", "settle", "swap", "sign", "checkpoint", "prune"]


class Crash(Exception):
    """Stands for the end of the process."""


def crashing(step: str, count: int = 1) -> Any:
    """Raises Crash when `step` is reached for the `count`-th time."""
    left = [count]

    def at(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    return at


def drain(publisher: Publisher, limit: int = 4096) -> int:
    return sum(iter(lambda: publisher.publish(limit), 0))


def good(folder: Path, records: list[bytes]) -> None:
    """The log in `folder` verifies and holds exactly these records."""
    report = verify_folder(folder / "log", [publisher(folder, MemoryTrail(records, _all(records))).key])
    assert report.ok, report.checks
    assert report.head == Checkpoint(ORIGIN, len(records), fold([leaf_hash(raw) for raw in records]))


def _all(records: list[bytes]) -> dict[int, int]:
    return {row: row - 1 for row in range(1, len(records) + 1)}


@pytest.mark.parametrize("count", [0, 1, 16, 256, 257, 600])
def test_a_published_log_verifies(tmp_path: Path, count: int) -> None:
    records = chain(count)
    assert published(tmp_path, records).head == Checkpoint(ORIGIN, count, fold([leaf_hash(raw) for raw in records]))
    good(tmp_path, records)


def test_an_empty_log_has_a_signed_head_from_the_start(tmp_path: Path) -> None:
    made = publisher(tmp_path, MemoryTrail())
    assert open_checkpoint((tmp_path / "log" / "checkpoint").read_bytes(), [made.key]) == Checkpoint(
        ORIGIN, 0, EMPTY_ROOT
    )
    assert made.publish() == 0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.integers(30, 400))
def test_however_it_grows_the_log_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, portions: list[int], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    trail = MemoryTrail()
    made = publisher(folder, trail)
    for portion in portions:
        trail.rows += chain(portion, len(trail.rows))
        drain(made, limit)
    good(folder, trail.rows)


def test_narrower_files_stay_until_the_wider_one_is_full(tmp_path: Path) -> None:
    trail = MemoryTrail(chain(10))
    made = publisher(tmp_path, trail)
    made.publish()
    trail.rows += chain(10, 10)
    made.publish()
    assert {"tile/0/000.p/10", "tile/0/000.p/20"} < set(files_of(tmp_path / "log"))
    trail.rows += chain(240, 20)
    made.publish()
    assert set(files_of(tmp_path / "log")) == {
        "checkpoint", "tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/4",
    }  # fmt: skip


def test_causes_get_lower_indexes_than_effects(tmp_path: Path) -> None:
    rows = [record(3, 2), record(2, 1), record(1)]
    trail = MemoryTrail(rows)
    made = publisher(tmp_path, trail)
    made.publish()
    assert trail.index_of == {3: 0, 2: 1, 1: 2}
    assert verify_folder(tmp_path / "log", [made.key]).ok


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [0, 5, 250])
def test_a_crash_before_any_step_changes_nothing_of_what_follows(tmp_path: Path, step: str, before: int) -> None:
    trail = MemoryTrail(chain(before))
    drain(publisher(tmp_path, trail))
    trail.rows += chain(20, before)
    with pytest.raises(Crash):
        publisher(tmp_path, trail, at=crashing(step)).publish()
    trail.rows += chain(7, before + 20)
    drain(publisher(tmp_path, trail))
    good(tmp_path, trail.rows)
    assert [row for row, _ in sorted(trail.index_of.items(), key=lambda pair: pair[1])] == list(_all(trail.rows))


@pytest.mark.parametrize("step", ["sign", "checkpoint"])
def test_a_crash_at_the_very_first_start_is_made_up_for(tmp_path: Path, step: str) -> None:
    trail = MemoryTrail(chain(3))
    with pytest.raises(Crash):
        publisher(tmp_path, trail, at=crashing(step))
    drain(publisher(tmp_path, trail))
    good(tmp_path, trail.rows)


@pytest.mark.parametrize("step", STEPS)
def test_after_a_passing_error_the_same_publisher_goes_on(tmp_path: Path, step: str) -> None:
    trail = MemoryTrail(chain(300))
    drain(publisher(tmp_path, MemoryTrail()))
    made = publisher(tmp_path, trail, at=crashing(step))
    with pytest.raises(Crash):
        made.publish()
    drain(made)
    good(tmp_path, trail.rows)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 3), st.integers(1, 200)), max_size=6))
def test_any_series_of_crashes_ends_in_the_same_log(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[tuple[str, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    trail = MemoryTrail(chain(3))
    for step, count, more in crashes:
        trail.rows += chain(more, len(trail.rows))
        try:
            drain(publisher(folder, trail, at=crashing(step, count)), 128)
        except Crash:
            continue
    drain(publisher(folder, trail))
    good(folder, trail.rows)


class FlippingFolder(LogFolder):
    """A disk that flips one bit of every staged file whose path begins with `wanted`."""

    wanted, bit = "nothing", 0

    def stage(self, path: str, raw: bytes) -> None:
        if path.startswith(self.wanted):
            changed = bytearray(raw)
            changed[self.bit // 8 % len(raw)] ^= 1 << self.bit % 8
            raw = bytes(changed)
        super().stage(path, raw)


@pytest.mark.parametrize("bit", [0, 3, 9, 17, 200])
@pytest.mark.parametrize("path", ["tile/0/", "tile/1/", "tile/entries/", "checkpoint"])
def test_a_bit_that_flips_on_the_way_to_the_disk_is_never_published(tmp_path: Path, path: str, bit: int) -> None:
    trail = MemoryTrail(chain(3))
    disk = FlippingFolder(tmp_path / "log")
    made = publisher(tmp_path, trail, files=lambda _: disk)
    made.publish()
    before = (tmp_path / "log" / "checkpoint").read_bytes()
    trail.rows += chain(260, 3)
    disk.wanted, disk.bit = path, bit
    with pytest.raises(LogBroken, match="read back"):
        made.publish()
    disk.wanted = "nothing"
    with pytest.raises(LogBroken, match="read back"):
        made.publish()
    assert (tmp_path / "log" / "checkpoint").read_bytes() == before
    drain(publisher(tmp_path, trail))
    good(tmp_path, trail.rows)


@pytest.mark.parametrize("rows", [[b"{}"], [record(1), record(1)], [record(1, 2), record(2, 1)]])
def test_what_is_no_record_stops_publication_until_a_restart(tmp_path: Path, rows: list[bytes]) -> None:
    trail = MemoryTrail(list(rows))
    made = publisher(tmp_path, trail)
    for _ in range(2):
        with pytest.raises(LogBroken, match="of the trail"):
            made.publish()
    assert trail.index_of == {}


def kept(folder: Path, name: str) -> Path:
    """A copy of a log, a head store or both, from now."""
    copy = folder.with_name(name)
    shutil.copytree(folder, copy)
    return copy


def grown(tmp_path: Path) -> tuple[Path, MemoryTrail, Path]:
    """A log of 30 records, its trail, and a copy of its folder at 20."""
    folder, trail = tmp_path / "now", MemoryTrail(chain(20))
    drain(publisher(folder, trail))
    old = kept(folder, "old")
    trail.rows += chain(10, 20)
    drain(publisher(folder, trail))
    return folder, trail, old


def test_a_store_from_an_old_backup_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder, _, _ = grown(tmp_path)
    restored = MemoryTrail(chain(20), _all(chain(20)))
    restored.rows += [record(900)]
    with pytest.raises(ConfigError, match=r"20 records with an index, the log 30.*bring back the store.*new origin"):
        publisher(folder, restored)


def test_a_store_with_another_history_is_refused(tmp_path: Path) -> None:
    folder, _, _ = grown(tmp_path)
    other = [record(number + 500) for number in range(30)]
    with pytest.raises(ConfigError, match="not those of the store"):
        publisher(folder, MemoryTrail(other, _all(other)))


@pytest.mark.parametrize("count", [30, 256, 300, 512])
def test_a_history_that_differs_in_its_last_records_alone_is_refused(tmp_path: Path, count: int) -> None:
    drain(publisher(tmp_path, MemoryTrail(chain(count))))
    other = [*chain(count - 1), record(9_000)]
    with pytest.raises(ConfigError, match="not those of the store"):
        publisher(tmp_path, MemoryTrail(other, _all(other)))


@pytest.mark.parametrize("later", [0, 1, 15])
def test_an_older_database_in_the_place_of_the_one_it_began_with_stops_publication(tmp_path: Path, later: int) -> None:
    """As where a standby that lags takes over: what it lacks is in the log already."""
    trail = MemoryTrail(chain(30))
    made = publisher(tmp_path, trail)
    drain(made)
    before = files_of(tmp_path / "log")
    trail.rows, trail.index_of = chain(20), _all(chain(20))
    trail.rows += [record(900 + number) for number in range(later)]
    with pytest.raises(LogBroken, match="the store has 20 records with an index, the log 30"):
        made.publish()
    assert files_of(tmp_path / "log") == before
    assert trail.size() == 20, "no record gets an index that the log has given to another"


def test_a_log_folder_from_an_old_backup_is_refused(tmp_path: Path) -> None:
    folder, trail, old = grown(tmp_path)
    shutil.rmtree(folder / "log")
    shutil.copytree(old / "log", folder / "log")
    with pytest.raises(ConfigError, match=r"does not hold the 30 records.*bring back the log"):
        publisher(folder, trail)


def test_an_absent_log_folder_is_refused(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    shutil.rmtree(folder / "log")
    with pytest.raises(ConfigError, match="bring back the log"):
        publisher(folder, trail)


def test_a_head_store_from_an_old_backup_is_refused(tmp_path: Path) -> None:
    folder, trail, old = grown(tmp_path)
    shutil.copy(old / "heads.db", folder / "heads.db")
    with pytest.raises(ConfigError, match="checkpoint has 30 records, the head store 20"):
        publisher(folder, trail)


def test_an_absent_head_store_is_refused(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    (folder / "heads.db").unlink()
    with pytest.raises(ConfigError, match="no head of"):
        publisher(folder, trail)


def test_a_checkpoint_of_another_history_is_refused(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    other = tmp_path / "other"
    published(other, [record(number + 500) for number in range(30)])
    shutil.copy(other / "log" / "checkpoint", folder / "log" / "checkpoint")
    with pytest.raises(ConfigError, match="not the beginning"):
        publisher(folder, trail)


def test_a_checkpoint_by_another_key_or_torn_is_refused(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    stranger = ring(SigningKey(bytes(32)))
    with pytest.raises(ConfigError, match="not signed by a key given"):
        publisher(folder, trail, ring=stranger)
    (folder / "log" / "checkpoint").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="checkpoint"):
        publisher(folder, trail)


def test_a_checkpoint_by_an_earlier_signing_key_is_taken_over(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    rotated = ring(SigningKey(bytes(32)), SIGNING)
    trail.rows += chain(1, 30)
    made = publisher(folder, trail, ring=rotated)
    drain(made)
    assert open_checkpoint((folder / "log" / "checkpoint").read_bytes(), [made.key]).size == 31


def test_a_bit_rotten_last_bundle_is_not_built_upon(tmp_path: Path) -> None:
    folder, trail, _ = grown(tmp_path)
    path = folder / "log" / "tile" / "entries" / "000.p" / "30"
    path.write_bytes(path.read_bytes().replace(b"ctcu-a", b"ctcu-b", 1))
    with pytest.raises(ConfigError, match="does not hash"):
        publisher(folder, trail)


def test_two_publishers_of_one_log_never_sign_two_heads_of_one_size(tmp_path: Path) -> None:
    trail = MemoryTrail(chain(5))
    first, second = publisher(tmp_path, trail), publisher(tmp_path, trail)
    first.publish()
    with pytest.raises(LogBroken, match="expected 0"):
        second.publish()


def test_an_origin_must_be_a_name_and_a_signing_key_be_there(tmp_path: Path) -> None:
    heads = HeadStore(tmp_path / "heads.db")
    with pytest.raises(ConfigError, match="origin"):
        Publisher(tmp_path / "log", heads, RING, "two words", MemoryTrail())
    with pytest.raises(KeyUnusable, match="signing"):
        Publisher(tmp_path / "log", heads, ring(), ORIGIN, MemoryTrail())


class TestHeadStore:
    old = Checkpoint(ORIGIN, 5, bytes(32))
    new = Checkpoint(ORIGIN, 6, bytes(range(32)))

    def test_a_head_moves_only_from_the_one_expected(self, tmp_path: Path) -> None:
        heads = HeadStore(tmp_path / "heads.db")
        assert heads.read(ORIGIN) is None
        heads.swap(None, self.old)
        for wrong in (None, Checkpoint(ORIGIN, 5, b"\1" * 32), self.new):
            with pytest.raises(LogBroken):
                heads.swap(wrong, self.new)
        heads.swap(self.old, self.new)
        assert HeadStore(tmp_path / "heads.db").read(ORIGIN) == self.new

    def test_a_head_never_shrinks_and_never_stays(self, tmp_path: Path) -> None:
        heads = HeadStore(tmp_path / "heads.db")
        heads.swap(None, self.new)
        for size in (5, 6):
            with pytest.raises(LogBroken):
                heads.swap(self.new, Checkpoint(ORIGIN, size, bytes(32)))
        assert heads.read(ORIGIN) == self.new

    def test_a_size_that_once_had_a_head_gets_no_other(self, tmp_path: Path) -> None:
        heads = HeadStore(tmp_path / "heads.db")
        heads.swap(None, self.old)
        heads.swap(self.old, self.new)
        with sqlite3.connect(tmp_path / "heads.db") as db:
            db.execute("UPDATE head SET size = 5, root = ?", (self.old.root,))
        with pytest.raises(LogBroken, match="size 6 before"):
            heads.swap(self.old, Checkpoint(ORIGIN, 6, b"\2" * 32))
        assert heads.read(ORIGIN) == self.old

    def test_origins_do_not_know_each_other(self, tmp_path: Path) -> None:
        heads = HeadStore(tmp_path / "heads.db")
        heads.swap(None, self.old)
        heads.swap(None, Checkpoint("other.example/log", 5, bytes(32)))
        assert heads.read(ORIGIN) == self.old
