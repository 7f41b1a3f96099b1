"""Verification: each numbered check finds what it is there for, and says where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.audit.checkpoint import Checkpoint, VerifierKey, sign
from daemon.audit.folder import folder_reader, read_keys, sheets_in, verify_folder
from daemon.audit.tree import encode_bundle, leaf_hash
from daemon.audit.verify import NAMES, Report, verify
from daemon.errors import ConfigError, SealBroken
from tests.outside.logs import ORIGIN, SIGNING, chain, files_of, log_of, published, reader, record

KEYS = [VerifierKey(ORIGIN, SIGNING.public)]


def failed(report: Report) -> dict[int, int | None]:
    """Number of each failed check and its first bad index."""
    return {check.number: check.first_bad for check in report.checks if check.ok is False}


def check(records: Sequence[bytes], **more: Any) -> Report:
    return verify(reader(log_of(records)), KEYS, **more)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 700])
def test_a_good_log_is_consistent_and_no_more(count: int) -> None:
    report = check(chain(count))
    assert report.ok, report.checks
    assert not report.complete
    assert report.verdict == "consistent; completeness not proven"
    assert [part.number for part in report.checks] == list(NAMES)
    assert report.first_bad is None


@pytest.mark.parametrize("old", [0, 1, 5, 255, 256, 257, 300])
def test_with_a_head_seen_earlier_it_is_complete(old: int) -> None:
    report = check(chain(300), seen=log_of(chain(old))["checkpoint"])
    assert report.complete, report.checks
    assert report.verdict == "complete"


def test_a_log_cut_short_and_signed_again_is_found_by_the_head_seen_earlier() -> None:
    report = check(chain(290), seen=log_of(chain(300))["checkpoint"])
    assert failed(report) == {9: 290}
    assert report.verdict == "broken"


def test_a_log_rewritten_and_signed_again_is_found_by_the_head_seen_earlier() -> None:
    other = [*chain(100), record(100, 99, node="n2"), *chain(199, 101)]
    assert failed(check(other)) == {}
    assert set(failed(check(other, seen=log_of(chain(300))["checkpoint"]))) == {9}
    assert failed(check(other, seen=log_of(chain(100))["checkpoint"])) == {}


def test_an_unsigned_head_seen_earlier_proves_nothing() -> None:
    note = log_of(chain(5))["checkpoint"]
    for bad in (note.replace(b"\n5\n", b"\n6\n"), b"", b"torn"):
        assert set(failed(check(chain(10), seen=bad))) == {9}


def test_a_head_of_another_log_is_refused() -> None:
    elsewhere = sign(Checkpoint("other.example/log", 0, bytes(32)), SIGNING.public, SIGNING.sign)
    keys = [*KEYS, VerifierKey("other.example/log", SIGNING.public)]
    assert 9 in failed(verify(reader(log_of(chain(3))), keys, seen=elsewhere))


@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/001.p/44", "tile/0/001.p/44"]
)
def test_an_absent_file_is_found(path: str) -> None:
    files = log_of(chain(300))
    del files[path]
    assert verify(reader(files), KEYS).verdict == "broken"


@pytest.mark.parametrize(
    ("path", "offset", "expected"),
    [
        ("tile/entries/000", 2 + 5, {2: 0, 4: None, 5: 0}),
        ("tile/0/000", 32 * 77 + 1, {2: 77}),
        ("tile/1/000.p/1", 3, {3: 0}),
        ("tile/0/001.p/44", 32 * 10, {2: 266}),
    ],
)
def test_a_changed_byte_is_named_by_the_first_bad_index(
    path: str, offset: int, expected: dict[int, int | None]
) -> None:
    files = log_of(chain(300))
    raw = bytearray(files[path])
    raw[offset] ^= 0xFF
    found = failed(verify(reader(files | {path: bytes(raw)}), KEYS))
    assert {number: found.get(number) for number in expected} == expected
    assert min(index for index in found.values() if index is not None) == min(
        index for index in expected.values() if index is not None
    )


def changed_files(files: dict[str, bytes], choice: st.DataObject) -> dict[str, bytes]:
    """One mutation: a bit flipped, bytes cut, bytes added, two files swapped, a file gone."""
    paths = sorted(files)
    path = choice.draw(st.sampled_from(paths))
    raw = files[path]
    kind = choice.draw(st.sampled_from(["flip", "cut", "add", "swap", "gone"]))
    if kind == "flip":
        position = choice.draw(st.integers(0, len(raw) * 8 - 1))
        changed = bytearray(raw)
        changed[position // 8] ^= 1 << position % 8
        return files | {path: bytes(changed)}
    if kind == "cut":
        return files | {path: raw[: choice.draw(st.integers(0, len(raw) - 1))]}
    if kind == "add":
        return files | {path: raw + choice.draw(st.binary(min_size=1, max_size=40))}
    if kind == "swap":
        other = choice.draw(st.sampled_from([name for name in paths if name != path]))
        return files | {path: files[other], other: raw}
    return {name: content for name, content in files.items() if name != path}


BIG = log_of(chain(600))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_mutation_of_a_log_is_found(choice: st.DataObject) -> None:
    files = changed_files(BIG, choice)
    assert verify(reader(files), KEYS).verdict == "broken"


def test_every_flipped_bit_of_a_small_log_is_found() -> None:
    files = log_of(chain(4))
    for path, raw in files.items():
        for position in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[position // 8] ^= 1 << position % 8
            assert not verify(reader(files | {path: bytes(changed)}), KEYS).ok, (path, position)


def test_a_size_made_up_ends_at_once() -> None:
    files = log_of(chain(3))
    files["checkpoint"] = files["checkpoint"].replace(b"\n3\n", b"\n999999999999999999\n")
    assert {1, 2, 4} <= set(failed(verify(reader(files), KEYS)))


def test_without_a_key_that_signed_nothing_is_vouched_for() -> None:
    assert set(failed(verify(reader(log_of(chain(3))), []))) == {1}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([record(1), b"{}"], {5: 1}),
        ([record(1), record(2).replace(b'"n":1', b'"n": 1')], {5: 1}),
        ([record(1), record(2).replace(b'"attempt"', b'"attemqt"')], {5: 1}),
        ([record(1), record(2).replace(b'"n":1', b'"n":0')], {5: 1}),
        ([record(1), record(3, 2), record(2)], {6: 1}),
        ([record(1), record(2, 9)], {6: 1}),
        ([record(1), record(2), record(1)], {8: 2}),
        ([b"x", record(2, 1), record(2)], {5: 0, 6: 1, 8: 2}),
    ],
)
def test_rightly_signed_nonsense_is_found(records: list[bytes], expected: dict[int, int]) -> None:
    assert failed(check(records)) == expected


SHEET = b"PAR1 plain sheet"


def poll(number: int, *sheets: dict[str, Any]) -> bytes:
    data = {"feed": "margin", "due": "2024-02-01T00:00:00.000000Z", "run": 1, "state": "ran", "sheets": list(sheets)}
    return record(number, kind="poll", data=data)


NAMED = {"rule": "maintenance", "sha256": sha256(SHEET).hexdigest(), "file": "p1-maintenance"}


def giving(content: bytes | None) -> Callable[[Mapping[str, Any]], Iterable[bytes] | None]:
    return lambda sheet: None if content is None else [content[:4], content[4:]]


def part(report: Report, number: int) -> tuple[bool | None, str]:
    found = report.checks[number - 1]
    assert found.number == number
    return found.ok, found.detail


def test_sheets_are_hashed_when_they_are_given() -> None:
    records = [record(1), poll(2, NAMED, NAMED)]
    assert part(check(records, sheets=giving(SHEET)), 7) == (True, "2 sheets named, 2 hashed, 0 past their keep")
    assert part(check(records, sheets=giving(None)), 7) == (True, "2 sheets named, 0 hashed, 2 past their keep")
    assert part(check(records), 7) == (None, "2 sheets named, none given")
    assert part(check(chain(2)), 7) == (True, "0 sheets named, none given")
    assert failed(check(records, sheets=giving(SHEET + b"x"))) == {7: 1}


@pytest.mark.parametrize("reason", [FileNotFoundError("p1"), SealBroken("changed")])
def test_a_sheet_that_is_gone_or_does_not_open_is_found(reason: Exception) -> None:
    def sheets(sheet: Mapping[str, Any]) -> Iterable[bytes]:
        raise reason

    assert failed(check([poll(1, NAMED)], sheets=sheets)) == {7: 0}


def test_a_sheet_that_breaks_off_is_found() -> None:
    def sheets(sheet: Mapping[str, Any]) -> Iterable[bytes]:
        yield SHEET[:4]
        raise SealBroken("chunk 1 is cut")

    assert failed(check([poll(1, NAMED)], sheets=sheets)) == {7: 0}


def test_plain_sheets_are_read_from_a_folder_by_name_only(tmp_path: Path) -> None:
    (tmp_path / "p1-maintenance").write_bytes(SHEET)
    assert check([poll(1, NAMED)], sheets=sheets_in(tmp_path)).ok
    for name in ("", "../p1-maintenance", "absent"):
        assert failed(check([poll(1, NAMED | {"file": name} if name else {**NAMED, "file": "x/y"})],
                            sheets=sheets_in(tmp_path))) == {7: 0}  # fmt: skip


def test_a_live_folder_verifies_with_what_earlier_heads_left_behind(tmp_path: Path) -> None:
    made = published(tmp_path, chain(10))
    log = tmp_path / "log"
    (log / "tile/entries/000.p/4").write_bytes(encode_bundle(chain(4)))
    (log / "tile/0/000.p/4").write_bytes(b"".join(leaf_hash(raw) for raw in chain(4)))
    assert verify_folder(log, [made.key]).ok
    before = files_of(log)
    for path in ("tile/entries/000.p/4", "tile/0/000.p/4"):
        (log / path).write_bytes(before[path][:-1] + b"\xff")
        assert failed(verify_folder(log, [made.key])) == {3: 0}
        (log / path).write_bytes(before[path])
    assert verify(folder_reader(log), [made.key]).ok


def test_a_key_inside_the_log_that_it_vouches_for_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    outside, inside = tmp_path / "log.key", log / "log.key"
    for path in (outside, inside):
        path.write_text(f"# the log of 2024\n\n{KEYS[0]}\n", "utf-8")
    assert read_keys(outside, log) == tuple(KEYS)
    (tmp_path / "link").symlink_to(inside)
    for path in (inside, tmp_path / "link"):
        with pytest.raises(ConfigError, match="from elsewhere"):
            read_keys(path, log)


@pytest.mark.parametrize("text", ["", "# nothing", "nonsense"])
def test_a_key_file_without_a_good_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.key").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="key"):
        read_keys(tmp_path / "log.key", tmp_path / "log")
