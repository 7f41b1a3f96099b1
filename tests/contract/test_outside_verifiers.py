"""The log verified by code nobody here wrote: `tlog-scales` (PyPI) and Go's `x/mod/sumdb` by the driver in
tests/outside/verifylog. Both re-hash every record; one flipped bit anywhere is found by both and by ours.

The driver needs Debian's golang-go and golang-golang-x-mod-dev; where they are missing its tests are skipped, in CI
they fail.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tiles import leaf_hash
from tlog_scales.tlog import Checkpoint

from daemon.audit.checkpoint import VerifierKey
from daemon.audit.export import export_folder
from daemon.audit.folder import folder_reader
from daemon.audit.tree import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from tests.outside import mutations
from tests.outside.logs import chain, files_of, published, record
from tests.outside.verifiers import Memory, ask, build_driver, ours_accepts, scales_accepts

SMALL = 16


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("driver"))


Log = tuple[Path, dict[str, bytes], VerifierKey]


def make_log(folder: Path, records: Sequence[bytes]) -> Log:
    made = published(folder, records)
    return folder / "log", files_of(folder / "log"), made.key


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Sixteen short records."""
    records = [record(n, kind="heartbeat", data={}, rule_set=None, actor="sys:d") for n in range(SMALL)]
    return make_log(tmp_path_factory.mktemp("small"), records)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Three bundles, two levels of tiles."""
    return make_log(tmp_path_factory.mktemp("large"), chain(600))


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 600])
def test_a_published_log_is_accepted_by_all(tmp_path: Path, driver: Path, count: int) -> None:
    folder, files, key = make_log(tmp_path, chain(count))
    assert ask(driver, [{"dir": str(folder), "vkey": str(key)}]) == ["OK"]
    assert scales_accepts(files, str(key))
    assert ours_accepts(files, key)


def test_an_export_is_accepted_by_all(tmp_path: Path, driver: Path, large: Log) -> None:
    folder, _, key = large
    export_folder(folder_reader(folder), tmp_path / "export", {})
    assert ask(driver, [{"dir": str(tmp_path / "export"), "vkey": str(key)}]) == ["OK"]
    assert scales_accepts(files_of(tmp_path / "export"), str(key))


def flips(files: dict[str, bytes], bits: Sequence[int] | None) -> Iterator[tuple[str, int, int]]:
    """(path, offset, bit): of every byte all bits, or one of `bits` in turn."""
    for path, raw in sorted(files.items()):
        for offset in range(len(raw)):
            yield from ((path, offset, bit) for bit in (range(8) if bits is None else [bits[offset % len(bits)]]))


def flipped(files: dict[str, bytes], path: str, offset: int, bit: int) -> dict[str, bytes]:
    raw = bytearray(files[path])
    raw[offset] ^= 1 << bit
    return files | {path: bytes(raw)}


def every_flip_is_found(driver: Path, log: Log, bits: Sequence[int] | None) -> None:
    folder, files, key = log
    places = list(flips(files, bits))
    job = {"dir": str(folder), "vkey": str(key)}
    answers = ask(driver, [job, *(job | {"path": p, "offset": o, "bit": b} for p, o, b in places), job])
    assert answers[0] == answers[-1] == "OK"
    assert [place for place, answer in zip(places, answers[1:-1], strict=True) if not answer.startswith("BAD")] == []
    assert [place for place in places if ours_accepts(flipped(files, *place), key)] == []
    assert [place for place in places if scales_accepts(flipped(files, *place), str(key))] == []


def test_a_flipped_bit_in_every_byte_is_found_by_all(driver: Path, small: Log) -> None:
    every_flip_is_found(driver, small, [0, 5, 1, 7, 2, 6, 3, 4])


@pytest.mark.slow
def test_every_flipped_bit_is_found_by_all(driver: Path, small: Log) -> None:
    every_flip_is_found(driver, small, None)


def test_mutations_of_a_larger_log_are_found_by_ours_and_by_go(driver: Path, tmp_path: Path) -> None:
    assert mutations.play(driver, tmp_path, records=600, count=150, seed=20240201) == []


@pytest.mark.slow
def test_a_thousand_mutations_are_found_and_the_first_bad_record_named(driver: Path, tmp_path: Path) -> None:
    assert mutations.play(driver, tmp_path, records=4096, count=1000, seed=1) == []


def test_a_signature_line_that_does_not_reencode_is_refused_by_ours_and_by_go(driver: Path, small: Log) -> None:
    folder, files, key = small
    lines, _, code = files["checkpoint"].removesuffix(b"=\n").rpartition(b" ")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    # Of the last character's six bits the lowest two belong to no byte.
    other = code[:-1] + bytes((alphabet[alphabet.index(code[-1]) + 1],))
    assert base64.b64decode(other + b"=") == base64.b64decode(code + b"=")
    changed = lines + b" " + other + b"=\n"
    job = {"dir": str(folder), "vkey": str(key), "files": {"checkpoint": base64.b64encode(changed).decode()}}
    assert ask(driver, [job])[0].startswith("BAD signature line")
    assert not ours_accepts(files | {"checkpoint": changed}, key)


@pytest.mark.parametrize("old", [1, 2, 255, 256, 300, 599, 600])
def test_proofs_are_the_same_here_and_outside(large: Log, old: int) -> None:
    folder, files, key = large
    read, outside = folder_reader(folder), TilesReader(Memory(files))
    head = outside.get_checkpoint()
    assert isinstance(head, Checkpoint)
    proof = outside.get_consistency_proof(old, 600)
    assert consistency_proof(read, old, 600) == proof.node_hashes
    assert verify_consistency(old, 600, outside.mth(0, old), head.root_hash, proof.node_hashes)
    index = old - 1
    path = outside.get_inclusion_proof(index, 600).node_hashes
    assert inclusion_proof(read, index, 600) == path
    assert verify_inclusion(index, 600, leaf_hash(outside.get_entry(index)), path, head.root_hash)
    assert Vkey.from_string(str(key)).serialize() == str(key)
