"""Take-over of files: flags, two looks, rewriting in place, names by business date, age."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from daemon.errors import ConfigError, SourceChanged, SourceUnavailable
from daemon.model.facts import Row
from daemon.model.kinds import Column, Part
from daemon.sources import NotAskable, NotReady, SourceConfig
from daemon.sources.files import FileSource, Wait, file_name
from tests.builders_files import FUND_07, SJSFX, dbf, ofd

DAY = date(2024, 2, 1)
NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)
PART = Part("sz", "clearing", file="sjsfx_{date:%Y%m%d}.dbf", format="dbf", columns=(Column("code", "FXZQDM"),))
CONTENT = dbf(SJSFX, [{"FXZQDM": "301589"}] * 3)
OTHER = dbf(SJSFX, [{"FXZQDM": "688584"}] * 3)


def no_wait(_seconds: float) -> None:
    return None


def source(folder: Path, wait: Wait = no_wait, **settings: object) -> FileSource:
    complete = {} if "stable" in settings else {"flag": "{stem}.flg"}
    return FileSource("clearing", SourceConfig("files", folder=str(folder), **{**complete, **settings}), wait)  # type: ignore[arg-type]


def put(folder: Path, content: bytes = CONTENT, flag: str | None = "", at: datetime = NOW) -> Path:
    path = folder / "sjsfx_20240201.dbf"
    path.write_bytes(content)
    os.utime(path, (at.timestamp(), at.timestamp()))
    if flag is not None:
        path.with_suffix(".flg").write_text(flag)
    return path


def codes(folder_source: FileSource, part: Part = PART) -> list[object]:
    with folder_source.read(part, business_date=DAY, now=NOW) as reading:
        return [r.values[0] for r in reading.rows if isinstance(r, Row)]


def test_a_flagged_file_is_read_with_digest_count_and_as_of(tmp_path: Path) -> None:
    put(tmp_path)
    with source(tmp_path).read(PART, business_date=DAY, now=NOW) as reading:
        assert (reading.part, reading.source, reading.started, reading.as_of) == ("sz", "clearing", NOW, NOW)
        assert reading.digest == sha256(CONTENT).hexdigest() and reading.count == 3
        assert reading.header == {
            "due_date": DAY, "file_date": DAY, "rows": Decimal(3), "deleted": Decimal(0), "as_of": NOW,
        }  # fmt: skip
        assert [r.where.file for r in reading.rows] == ["sjsfx_20240201.dbf"] * 3


def test_no_folder_no_file_and_no_flag_never_read_as_nobody(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="absent"):
        codes(source(tmp_path / "absent"))
    (tmp_path / "sjsfx_20240201.flg").write_text("")
    with pytest.raises(NotReady, match="not there yet"):
        codes(source(tmp_path))
    (tmp_path / "sjsfx_20240201.flg").unlink()
    put(tmp_path, flag=None)
    with pytest.raises(NotReady, match=r"sjsfx_20240201\.flg"):
        codes(source(tmp_path))


def test_yesterdays_file_is_not_todays(tmp_path: Path) -> None:
    put(tmp_path)
    with pytest.raises(NotReady), source(tmp_path).read(PART, business_date=date(2024, 2, 2), now=NOW):
        pass


def test_a_file_changed_after_its_flag_waits_for_the_next_flag(tmp_path: Path) -> None:
    path = put(tmp_path)
    later = path.with_suffix(".flg").stat().st_mtime + 5
    os.utime(path, (later, later))
    with pytest.raises(NotReady, match="after its flag"):
        codes(source(tmp_path))


@pytest.mark.parametrize(
    ("flag", "found"),
    [("rows=4", "3 rows"), ("size=10", "size"), (f"sha256={'0' * 64}", "sha256"), ("rows=3\nsize=11", "size")],
)
def test_a_file_that_is_not_what_its_flag_says_is_not_ready(tmp_path: Path, flag: str, found: str) -> None:
    put(tmp_path, flag=flag)
    with pytest.raises(NotReady, match=found):
        codes(source(tmp_path))


def test_a_flag_adds_header_fields_and_its_other_lines_are_left_alone(tmp_path: Path) -> None:
    said = f"done by CSDC\nrows=3\nsize={len(CONTENT)}\nsha256={sha256(CONTENT).hexdigest()}\n"
    put(tmp_path, flag=said + "settled=1\nbusiness_date=20240201\nas_of=2024-02-01T19:30:00+08:00\n")
    with source(tmp_path).read(PART, business_date=DAY, now=NOW) as reading:
        assert reading.header["settled"] is True and reading.header["business_date"] == DAY
        assert reading.as_of == datetime(2024, 2, 1, 11, 30, tzinfo=UTC)


def test_a_misread_settlement_flag_is_no_default(tmp_path: Path) -> None:
    put(tmp_path, flag="settled=maybe")
    with pytest.raises(SourceChanged, match="settled"):
        codes(source(tmp_path))


def test_the_count_of_a_csv_comes_from_its_flag(tmp_path: Path) -> None:
    part = Part("w", "clearing", file="w.csv", format="csv", columns=(Column("a", "a"),))
    (tmp_path / "w.csv").write_text("a\n1\n2\n")
    (tmp_path / "w.flg").write_text("rows=2")
    with source(tmp_path).read(part, business_date=DAY, now=NOW) as reading:
        assert reading.count == 2
    (tmp_path / "w.flg").write_text("rows=3")
    with pytest.raises(NotReady, match="found 2 rows, expected 3"):
        codes(source(tmp_path), part)


def test_stable_files_need_two_equal_looks(tmp_path: Path) -> None:
    path = put(tmp_path, flag=None)
    waited: list[float] = []

    def rewrite(seconds: float) -> None:
        waited.append(seconds)
        path.write_bytes(OTHER)

    with pytest.raises(NotReady, match="still changing"):
        codes(source(tmp_path, rewrite, stable=2.5))
    assert waited == [2.5]
    assert codes(source(tmp_path, stable=2.5)) == ["688584"] * 3


def test_a_stable_but_cut_file_is_not_ready(tmp_path: Path) -> None:
    put(tmp_path, CONTENT[:-40], flag=None)
    with pytest.raises(NotReady, match="by its header"):
        codes(source(tmp_path, stable=1))


def test_rewriting_in_place_while_reading_does_not_tear_the_reading(tmp_path: Path) -> None:
    path = put(tmp_path)
    with source(tmp_path).read(PART, business_date=DAY, now=NOW) as reading:
        first = next(reading.rows)
        path.write_bytes(OTHER[:200])
        rest = [r.values for r in reading.rows if isinstance(r, Row)]
    assert isinstance(first, Row) and [first.values, *rest] == [("301589",)] * 3


def test_a_file_too_old_is_not_ready(tmp_path: Path) -> None:
    part = Part("sz", "clearing", file=PART.file, format="dbf", columns=PART.columns, max_age=timedelta(hours=3))
    put(tmp_path, at=NOW - timedelta(hours=3))
    assert len(codes(source(tmp_path), part)) == 3
    put(tmp_path, at=NOW - timedelta(hours=3, seconds=1))
    with pytest.raises(NotReady, match="not older than"):
        codes(source(tmp_path), part)


def test_an_ofd_file_is_as_old_as_its_header_says(tmp_path: Path) -> None:
    part = Part("f", "clearing", file="OFD_98_101_{date:%Y%m%d}_07.TXT", format="ofd", max_age=timedelta(days=1))
    (tmp_path / "OFD_98_101_20240201_07.TXT").write_bytes(ofd(FUND_07, [{"FundCode": "012742"}], file_date="20240130"))
    (tmp_path / "OFD_98_101_20240201_07.flg").write_text("")
    with pytest.raises(NotReady, match="2024-01-30"):
        codes(source(tmp_path), part)


def test_a_missing_column_is_another_shape(tmp_path: Path) -> None:
    put(tmp_path)
    part = Part("sz", "clearing", file=PART.file, format="dbf", columns=(Column("code", "FXZQDM2"),))
    with pytest.raises(SourceChanged, match="FXZQDM2"):
        codes(source(tmp_path), part)


def test_links_folders_and_huge_files_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path)
    with pytest.raises(SourceChanged, match="at most 100"):
        codes(source(tmp_path, max_bytes=100))
    path.rename(tmp_path / "elsewhere.dbf")
    path.symlink_to(tmp_path / "elsewhere.dbf")
    with pytest.raises(SourceUnavailable):
        codes(source(tmp_path))


def test_files_cannot_be_asked_by_key(tmp_path: Path) -> None:
    with pytest.raises(NotAskable):
        source(tmp_path).ask(PART, [("301589",)], business_date=DAY, now=NOW)


def test_the_fingerprint_is_of_the_newest_file_and_sees_a_changed_width(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        source(tmp_path).fingerprint(PART)
    put(tmp_path)
    first = source(tmp_path).fingerprint(PART)
    wider = [(n, t, w + 1, d) for n, t, w, d in SJSFX]
    (tmp_path / "sjsfx_20240202.dbf").write_bytes(dbf(wider, []))
    (tmp_path / "sjsfx_20240202.flg").write_text("")
    assert source(tmp_path).fingerprint(PART) != first
    (tmp_path / "sjsfx_20240203x.dbf").write_bytes(b"other")
    (tmp_path / "sjsfx_20240202.dbf").write_bytes(CONTENT)
    (tmp_path / "sjsfx_20240202.flg").write_text("")
    assert source(tmp_path).fingerprint(PART) == first


@pytest.mark.parametrize(
    "name", ["", "../x.dbf", "/etc/passwd", "{date.year}", "{date:%Y%q}", "a{b}", ".hidden", "{0}"]
)
def test_file_names_are_plain(name: str) -> None:
    with pytest.raises(ConfigError, match="plain name"):
        file_name(Part("p", "s", file=name), DAY)


def test_file_names_hold_the_business_date() -> None:
    assert file_name(Part("p", "s", file="a_{date:%Y-%m-%d}_{date:%d}.csv"), DAY) == "a_2024-02-01_01.csv"
