"""The exported trail of a played demo, verified by code nobody here wrote; one flipped byte anywhere is found by all.

`tlog-scales` takes half a minute for all records of the demo, so where one byte was flipped it is asked for the records of that
byte's bundle, beside signature and root. The whole is asked once.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon.audit.checkpoint import VerifierKey, parse_vkey
from tests.acceptance.played import WHO, Played
from tests.outside.logs import files_of
from tests.outside.verifiers import ask, build_driver, ours_accepts, scales_accepts

BUNDLE = 256
SAMPLE = 12


@dataclass(frozen=True)
class Exported:
    """An export of the demo, its files, and the key as it was told to us another way."""

    folder: Path
    files: dict[str, bytes]
    vkey: str

    @property
    def key(self) -> VerifierKey:
        return parse_vkey(self.vkey)

    @property
    def log(self) -> list[str]:
        """The paths that hold the log."""
        return sorted(path for path in self.files if path.startswith("tile/") or path == "checkpoint")

    @property
    def size(self) -> int:
        return int(self.files["checkpoint"].split(b"\n")[1])


@pytest.fixture(scope="module")
def exported(changed: Played, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported") / "export"
    said = changed.run("audit", "export", str(folder), *WHO)
    vkey = next(word for word in said.split() if word.count("+") >= 2)
    return Exported(folder, files_of(folder), vkey)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("driver"))


def test_the_export_is_accepted_by_ours_and_by_go(
    changed: Played, exported: Exported, driver: Path, tmp_path: Path
) -> None:
    assert exported.size > 5_000
    assert ask(driver, [{"dir": str(exported.folder), "vkey": exported.vkey}]) == ["OK"]
    key = tmp_path / "key"
    key.write_text(exported.vkey + "\n")
    changed.run("audit", "verify", str(exported.folder), "--key", str(key))


def test_the_export_is_accepted_by_tlog_scales_record_by_record(exported: Exported) -> None:
    indices = range(0, exported.size, 16)
    assert scales_accepts(exported.files, exported.vkey, indices)


@pytest.mark.slow
def test_every_record_of_the_export_is_accepted_by_tlog_scales(exported: Exported) -> None:
    assert scales_accepts(exported.files, exported.vkey)


def flipped(exported: Exported, path: str, offset: int, bit: int) -> dict[str, bytes]:
    raw = bytearray(exported.files[path])
    raw[offset] ^= 1 << bit
    return exported.files | {path: bytes(raw)}


def indices_of(exported: Exported, path: str) -> range:
    """The records under a file: its bundle's, or for a tile above level 0 one record a bundle."""
    parts = path.removeprefix("tile/").split(".p/")[0].split("/")
    if parts[0] not in ("entries", "0"):
        return range(0, exported.size, BUNDLE)
    number = int("".join(part.removeprefix("x") for part in parts[1:]))
    return range(number * BUNDLE, min((number + 1) * BUNDLE, exported.size))


def places(exported: Exported) -> list[tuple[str, int, int]]:
    """One byte and bit of every file of the log."""
    chance = random.Random(20240201)
    return [(path, chance.randrange(len(exported.files[path])), chance.randrange(8)) for path in exported.log]


def test_one_flipped_byte_in_any_file_is_found_by_go_or_beside_the_log_by_sha256sum(
    exported: Exported, driver: Path, tmp_path: Path
) -> None:
    job = {"dir": str(exported.folder), "vkey": exported.vkey}
    answers = ask(driver, [job, *(job | {"path": p, "offset": o, "bit": b} for p, o, b in places(exported)), job])
    assert answers[0] == answers[-1] == "OK"
    assert [answer for answer in answers[1:-1] if not answer.startswith("BAD")] == []
    beside = sorted(set(exported.files) - set(exported.log) - {"SHA256SUMS"})
    assert len(beside) > 20
    for path, raw in exported.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(raw)
    sums = ["sha256sum", "--quiet", "--check", "SHA256SUMS"]
    assert subprocess.run(sums, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    for path in beside:
        (tmp_path / path).write_bytes(flipped(exported, path, len(exported.files[path]) // 2, 0)[path])
        assert subprocess.run(sums, cwd=tmp_path, capture_output=True, check=False).returncode == 1, path
        (tmp_path / path).write_bytes(exported.files[path])
    for path in [*beside[::8], "SHA256SUMS"]:
        assert not ours_accepts(flipped(exported, path, len(exported.files[path]) // 2, 0), exported.key), path


def sampled(exported: Exported) -> list[tuple[str, int, int]]:
    """The checkpoint, the upper tiles, and some of the others."""
    some = random.Random(7).sample(places(exported), SAMPLE)
    upper = [place for place in places(exported) if not place[0].startswith(("tile/0/", "tile/entries/"))]
    return sorted({*some, *upper})


def not_found(exported: Exported, where: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The flips that ours or `tlog-scales` does not find."""
    missed = []
    for place in where:
        changed_files = flipped(exported, *place)
        indices = range(1) if place[0] == "checkpoint" else indices_of(exported, place[0])
        if ours_accepts(changed_files, exported.key) or scales_accepts(changed_files, exported.vkey, indices):
            missed.append(place)
    return missed


def test_one_flipped_byte_is_found_by_ours_and_by_tlog_scales(exported: Exported) -> None:
    assert not_found(exported, sampled(exported)) == []


@pytest.mark.slow
def test_one_flipped_byte_in_any_file_is_found_by_ours_and_by_tlog_scales(exported: Exported) -> None:
    assert not_found(exported, places(exported)) == []
