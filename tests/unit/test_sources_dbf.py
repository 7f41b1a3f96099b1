"""DBF: real layout, exact sizes, deletion, code pages, null bits."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import SourceChanged
from daemon.model.facts import BadRow, Row
from daemon.model.kinds import Column, Part
from daemon.sources.dbf import open_table
from daemon.sources.reading import NotReady
from tests.builders_files import SJSFX, dbf

ALL = Part("sz", "files", file="f.dbf", format="dbf")
WINNER = {
    "FXZQDM": "301589",
    "FXZQZH": "0123456789",
    "FXYWLB": "A3",
    "FXDDBH": "000000012345",
    "FXQRGS": Decimal("500"),
    "FXZJJE": Decimal("126.89"),
    "FXFSRQ": "20240201",
}


def read(content: bytes, part: Part = ALL, encoding: str = "gbk") -> list[dict[str, object]]:
    table = open_table(content, "f.dbf", part, encoding)
    rows = list(table.rows)
    assert all(isinstance(r, Row) for r in rows)
    return [dict(zip(table.columns, r.values, strict=True)) for r in rows if isinstance(r, Row)]


def test_the_real_layout_reads_back_trimmed_and_counted() -> None:
    table = open_table(dbf(SJSFX, [WINNER, WINNER]), "f.dbf", ALL, "gbk")
    assert (table.count, table.records, table.deleted, table.file_date) == (2, 2, 0, date(2024, 2, 1))
    first = next(table.rows)
    assert isinstance(first, Row) and first.where.line == 1
    values = dict(zip(table.columns, first.values, strict=True))
    assert values["FXZQZH"] == "0123456789" and values["FXQRGS"] == "500.00" and values["FXZJJE"] == "126.89"
    assert values["FXWTGS"] == "" and values["FXBYBZ"] == ""


def test_only_mapped_columns_are_read_in_the_order_of_the_file() -> None:
    part = Part("sz", "files", columns=(Column("price", "FXZJJE"), Column("code", "FXZQDM")))
    assert read(dbf(SJSFX, [WINNER]), part) == [{"FXZQDM": "301589", "FXZJJE": "126.89"}]


def test_deleted_records_are_no_rows_and_are_counted_apart() -> None:
    table = open_table(dbf(SJSFX, [WINNER] * 3, deleted=frozenset({1})), "f.dbf", ALL, "gbk")
    assert (table.count, table.deleted) == (2, 1)
    assert [r.where.line for r in table.rows] == [1, 3]


def test_a_table_without_records_is_whole() -> None:
    table = open_table(dbf(SJSFX, []), "f.dbf", ALL, "gbk")
    assert table.count == 0 and list(table.rows) == []


@given(cut=st.integers(min_value=1, max_value=800))
def test_a_file_cut_anywhere_is_not_ready(cut: int) -> None:
    content = dbf(SJSFX, [WINNER] * 3, end=b"")
    with pytest.raises(NotReady):
        open_table(content[: max(0, len(content) - cut)], "f.dbf", ALL, "gbk")


@pytest.mark.parametrize("extra", [b"\x1a\x1a", b" ", b" " * 133])
def test_a_file_longer_than_its_header_is_not_ready(extra: bytes) -> None:
    with pytest.raises(NotReady, match="records by its header"):
        open_table(dbf(SJSFX, [WINNER], end=b"") + extra, "f.dbf", ALL, "gbk")


def test_a_record_with_another_flag_is_bad_and_stops_nothing() -> None:
    width = 1 + sum(f[2] for f in SJSFX)
    content = bytearray(dbf(SJSFX, [WINNER] * 3))
    content[len(content) - 1 - 2 * width] = ord("x")
    rows = list(open_table(bytes(content), "f.dbf", ALL, "gbk").rows)
    assert isinstance(rows[1], BadRow) and rows[1].where.line == 2 and rows[1].found == "78 (1 bytes)"
    assert isinstance(rows[0], Row) and isinstance(rows[2], Row)


def test_bytes_outside_the_code_page_stay_bytes_and_keep_the_row() -> None:
    rows = read(dbf(SJSFX, [{**WINNER, "FXTGDY": b"\xff\xff"}]))
    assert rows[0]["FXTGDY"] == b"\xff\xff      " and rows[0]["FXZQDM"] == "301589"


def test_a_four_byte_character_is_text_only_under_gb18030() -> None:
    content = dbf((("NAME", "C", 20, 0),), [{"NAME": "𠮷野"}], encoding="gb18030")
    assert read(content, encoding="gb18030") == [{"NAME": "𠮷野"}]
    assert isinstance(read(content)[0]["NAME"], bytes)


@given(st.lists(st.text(st.characters(codec="gbk", exclude_categories=["Cc"]), max_size=10), max_size=8))
def test_gbk_text_round_trips(names: list[str]) -> None:
    content = dbf((("NAME", "C", 40, 0),), [{"NAME": n} for n in names])
    assert read(content) == [{"NAME": n.rstrip(" ")} for n in names]


@given(st.lists(st.decimals(min_value=-(10**12), max_value=10**12, places=2), max_size=8))
def test_numbers_round_trip(amounts: list[Decimal]) -> None:
    content = dbf((("AMT", "N", 18, 2),), [{"AMT": a} for a in amounts])
    assert [Decimal(str(r["AMT"])) for r in read(content)] == amounts


def test_dates_logicals_and_overflown_numbers() -> None:
    fields = (("D", "D", 8, 0), ("L", "L", 1, 0), ("N", "N", 5, 0))
    rows = read(dbf(fields, [{"D": date(2024, 2, 1), "L": "y", "N": "*****"}, {"L": "?"}, {"L": "X"}]))
    assert rows[0] == {"D": "20240201", "L": "T", "N": "*****"}
    assert rows[1] == {"D": "", "L": "", "N": ""}
    assert rows[2]["L"] == b"X"


def test_foxpro_null_bits_make_nulls() -> None:
    fields = (("A", "C", 2, 0), ("B", "N", 3, 0), ("_NULLFLAGS", "0", 1, 0))
    content = bytearray(dbf(fields, [{"A": "x", "B": Decimal(7), "_NULLFLAGS": b"\x01"}], version=0x30))
    content[32 + 32 + 18] = 0x02
    assert read(bytes(content)) == [{"A": "x", "B": None}]


@pytest.mark.parametrize(
    ("place", "byte", "found"),
    [(0, 0x8B, "version"), (10, 7, "record length"), (32, 0x31, "field name"), (43, ord("M"), "'M'"), (48, 0, "0.0")],
)
def test_a_header_out_of_its_bounds_is_another_shape(place: int, byte: int, found: str) -> None:
    content = bytearray(dbf(SJSFX, [WINNER]))
    content[place] = byte
    with pytest.raises(SourceChanged, match=found):
        open_table(bytes(content), "f.dbf", ALL, "gbk")


def test_a_field_name_twice_is_another_shape() -> None:
    with pytest.raises(SourceChanged, match="twice"):
        open_table(dbf((("A", "C", 1, 0), ("A", "C", 1, 0)), []), "f.dbf", ALL, "gbk")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    with suppress(NotReady, SourceChanged):
        list(open_table(b"\x03" + content, "f.dbf", ALL, "gbk").rows)


@pytest.mark.parametrize(("year", "expected"), [(24, 2024), (124, 2024), (99, 1999)])
def test_the_year_of_change_is_read_as_writers_store_it(year: int, expected: int) -> None:
    content = bytearray(dbf(SJSFX, []))
    content[1] = year
    changed = open_table(bytes(content), "f.dbf", ALL, "gbk").file_date
    assert changed is not None and changed.year == expected
