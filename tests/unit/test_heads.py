"""Heads in a folder from which nothing is taken back: whole, once a size; an installation that was put back is noticed by them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daemon.audit.checkpoint import Checkpoint, sign
from daemon.audit.folder import verify_folder
from daemon.errors import ConfigError
from daemon.heads import LogBroken, WriteOnce
from daemon.publish import Publisher
from tests.outside.logs import ORIGIN, SIGNING, MemoryTrail, chain, publisher, record, ring

KEEPERS = "audit.firm.example%2Fduenotice%2F2024"


def drain(made: Publisher) -> Publisher:
    while made.publish():
        pass
    made.keep()
    return made


@pytest.fixture
def once(tmp_path: Path) -> Path:
    folder = tmp_path / "once"
    folder.mkdir()
    return folder


def files(once: Path) -> list[str]:
    return sorted(path.name for path in (once / KEEPERS).iterdir())


def test_what_is_kept_is_what_verification_takes_as_seen(tmp_path: Path, once: Path) -> None:
    trail = MemoryTrail(chain(20))
    drain(publisher(tmp_path / "now", trail, once=WriteOnce(once)))
    trail.rows += chain(300, 20)
    made = drain(publisher(tmp_path / "now", trail, once=WriteOnce(once)))
    assert files(once) == ["000000000020.checkpoint", "000000000320.checkpoint"]
    for path in (once / KEEPERS).iterdir():
        assert path.stat().st_mode & 0o777 == 0o440
        report = verify_folder(tmp_path / "now" / "log", [made.key], seen=path.read_bytes())
        assert report.ok and report.complete


def test_keeping_one_head_again_changes_nothing(tmp_path: Path, once: Path) -> None:
    made = drain(publisher(tmp_path / "now", MemoryTrail(chain(20)), once=WriteOnce(once)))
    before = (once / KEEPERS / "000000000020.checkpoint").stat()
    made.keep()
    assert (once / KEEPERS / "000000000020.checkpoint").stat() == before


def test_an_installation_put_back_whole_does_not_start(tmp_path: Path, once: Path) -> None:
    """Database, log and head store agree with each other, as a snapshot of the machine has them."""
    trail = MemoryTrail(chain(20))
    drain(publisher(tmp_path / "now", trail, once=WriteOnce(once)))
    shutil.copytree(tmp_path / "now", tmp_path / "snapshot")
    snapshot = MemoryTrail(list(trail.rows), dict(trail.index_of))
    trail.rows += chain(10, 20)
    drain(publisher(tmp_path / "now", trail, once=WriteOnce(once)))
    publisher(tmp_path / "snapshot", snapshot)  # nothing else notices it
    with pytest.raises(ConfigError, match=r"write-once folder has a head of 30 records, the head store 20.*new origin"):
        publisher(tmp_path / "snapshot", snapshot, once=WriteOnce(once))


def test_a_log_that_went_another_way_neither_starts_nor_goes_on(tmp_path: Path, once: Path) -> None:
    drain(publisher(tmp_path / "now", MemoryTrail(chain(20)), once=WriteOnce(once)))
    other = MemoryTrail([*chain(10), *(record(number + 500) for number in range(30))])
    made = publisher(tmp_path / "other", other)
    while made.publish():
        pass
    with pytest.raises(ConfigError, match="head of 20 in the write-once folder is not the beginning of the log"):
        publisher(tmp_path / "other", other, once=WriteOnce(once))


def test_a_folder_that_comes_back_and_knows_better_stops_publication(tmp_path: Path, once: Path) -> None:
    drain(publisher(tmp_path / "now", MemoryTrail(chain(20)), once=WriteOnce(once)))
    once.rename(tmp_path / "away")
    other = MemoryTrail(chain(10))
    made = publisher(tmp_path / "other", other, once=WriteOnce(once))
    made.publish()
    with pytest.raises(FileNotFoundError):
        made.keep()
    (tmp_path / "away").rename(once)
    for call in (made.keep, made.publish):
        with pytest.raises(LogBroken, match="20 records, the head store 10"):
            call()


@pytest.mark.parametrize(
    "note",
    [
        b"torn",
        sign(Checkpoint(ORIGIN, 21, bytes(32)), SIGNING.public, SIGNING.sign),
        sign(Checkpoint("other.example/log", 20, bytes(32)), SIGNING.public, SIGNING.sign),
    ],
    ids=["torn", "another size", "another log"],
)
def test_a_file_that_is_no_head_of_ours_is_named(tmp_path: Path, once: Path, note: bytes) -> None:
    made = drain(publisher(tmp_path / "now", MemoryTrail(chain(20)), once=WriteOnce(once)))
    (once / KEEPERS / "000000000020.checkpoint").unlink()
    (once / KEEPERS / "000000000020.checkpoint").write_bytes(note)
    with pytest.raises(LogBroken, match=r"000000000020\.checkpoint"):
        made.keep()


def test_a_size_has_one_head(tmp_path: Path, once: Path) -> None:
    first, other = (Checkpoint(ORIGIN, 5, byte * 32) for byte in (b"\0", b"\1"))
    WriteOnce(once).keep(first, sign(first, SIGNING.public, SIGNING.sign))
    with pytest.raises(LogBroken, match=r"5 0{16}, expected 5 0101"):
        WriteOnce(once).keep(other, sign(other, SIGNING.public, SIGNING.sign))
    assert files(once) == ["000000000005.checkpoint"]


def test_what_a_crash_has_left_half_written_is_written_again(once: Path) -> None:
    (once / KEEPERS).mkdir()
    (once / KEEPERS / "000000000005.partial").write_bytes(b"half a he")
    head = Checkpoint(ORIGIN, 5, bytes(32))
    key = ring(SIGNING).signing
    WriteOnce(once).keep(head, sign(head, key.public, key.sign))
    assert files(once) == ["000000000005.checkpoint"]
