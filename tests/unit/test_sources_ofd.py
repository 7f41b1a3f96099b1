"""OFD file 07: header versions, widths in bytes, implied decimals, end line and counts."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ConfigError, SourceChanged
from daemon.model.facts import BadRow, Row
from daemon.model.kinds import Column, Part
from daemon.sources.ofd import load_layout, open_table
from daemon.sources.reading import NotReady
from daemon.sources.table import Table
from tests.builders_files import FUND_07, ofd, ofd_record

ALL = Part("funds", "files", file="f.TXT", format="ofd")
LAYOUT = load_layout(None)
FUND = {
    "FundName": "华夏成长混合",
    "FundCode": "012742",
    "FundStatus": "0",
    "NAV": Decimal("1.0234"),
    "UpdateDate": "20240131",
    "NextTradeDate": "20240328",
}


def opened(content: bytes, part: Part = ALL) -> Table:
    return open_table(content, "f.TXT", part, "gb18030", LAYOUT)


def read(content: bytes, part: Part = ALL) -> list[dict[str, object]]:
    table = opened(content, part)
    return [dict(zip(table.columns, r.values, strict=True)) for r in table.rows if isinstance(r, Row)]


def test_the_shipped_layout_of_file_07_has_83_fields_in_972_bytes() -> None:
    fields = [f for (file_type, _), f in LAYOUT.items() if file_type == "07"]
    assert (len(fields), sum(f.width for f in fields)) == (83, 972)


@pytest.mark.parametrize("version", ["20", "21", "22"])
@pytest.mark.parametrize("padded", [True, False])
def test_each_header_version_reads_padded_or_not(version: str, padded: bool) -> None:
    table = opened(ofd(FUND_07, [FUND], version=version, padded=padded))
    assert (table.count, table.file_date) == (1, date(2024, 2, 1))
    assert table.as_of == datetime(2024, 1, 31, 16, tzinfo=UTC)
    row = next(table.rows)
    assert isinstance(row, Row) and row.where.line == 12 + len(FUND_07)
    values = dict(zip(table.columns, row.values, strict=True))
    assert values == {**FUND, "NAV": "001.0234", "TotalFundVol": ""}


def test_names_in_capitals_are_the_same_fields_under_the_layouts_spelling() -> None:
    part = Part("f", "files", columns=(Column("code", "FundCode"), Column("nav", "NAV")))
    assert read(ofd(FUND_07, [FUND], upper=True), part) == [{"FundCode": "012742", "NAV": "001.0234"}]


def test_fields_are_taken_by_name_not_by_position() -> None:
    assert read(ofd(FUND_07[::-1], [FUND]))[0]["FundCode"] == "012742"


@pytest.mark.parametrize("end", [b"OFDCFEND", b"OFDCFEND\r\n", b"OFDCFEND  \r\n"])
def test_the_end_line_may_lack_its_line_end(end: bytes) -> None:
    assert len(read(ofd(FUND_07, [FUND, FUND], end=end))) == 2


@given(cut=st.integers(min_value=3, max_value=400))
def test_a_file_cut_anywhere_is_not_ready(cut: int) -> None:
    with pytest.raises(NotReady):
        opened(ofd(FUND_07, [FUND] * 4)[:-cut])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_records_than_said_is_not_ready(count: int) -> None:
    with pytest.raises(NotReady, match="expected"):
        opened(ofd(FUND_07, [FUND, FUND], count=count))


def test_a_record_of_the_wrong_byte_count_is_bad_with_its_line_and_stops_nothing() -> None:
    wrong = ofd_record(FUND_07, FUND)[:-1]
    rows = list(opened(ofd(FUND_07, [FUND, wrong, FUND])).rows)
    assert [type(r) for r in rows] == [Row, BadRow, Row]
    assert rows[1].where.line == 13 + len(FUND_07) and isinstance(rows[1], BadRow)
    assert rows[1].expected == "a record of 86 bytes, found 85"


def test_one_wrong_length_in_every_record_is_another_layout() -> None:
    wide = [(n, t, 300 if n == "FundName" else w, d) for n, t, w, d in FUND_07]
    with pytest.raises(SourceChanged, match="every record"):
        opened(ofd(wide, [FUND, FUND]))


def test_a_layout_of_ones_own_widens_a_field(tmp_path: Path) -> None:
    own = tmp_path / "layout.csv"
    own.write_text("file_type,name,type,width,decimals\n07,FundName,C,300,0\n07,MainFundCode,C,6,0\n", "utf-8")
    wide = [(n, t, 300 if n == "FundName" else w, d) for n, t, w, d in FUND_07] + [("MainFundCode", "C", 6, 0)]
    table = open_table(ofd(wide, [FUND], version="22"), "f", ALL, "gb18030", load_layout(own))
    row = next(table.rows)
    assert isinstance(row, Row) and row.values[0] == "华夏成长混合" and row.values[-1] == ""


@pytest.mark.parametrize(
    "line", ["07,FundName,X,300,0", "07,FundName,C,0,0", "07,FundName,C,4,5", "07,FundName", "07,F,N,٣,0"]
)
def test_a_bad_layout_row_names_file_and_line(tmp_path: Path, line: str) -> None:
    own = tmp_path / "layout.csv"
    own.write_text(f"file_type,name,type,width,decimals\n{line}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"layout\.csv:2"):
        load_layout(own)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (ofd(FUND_07, [FUND], version="23"), "version '23'"),
        (ofd((*FUND_07, ("NewField", "C", 3, 0)), [FUND]), "NewField"),
        (ofd((*FUND_07, FUND_07[0]), [FUND]), "twice"),
        (ofd(FUND_07, [FUND], file_date="00000000"), "date line"),
        (ofd(FUND_07, [FUND], file_type="08"), "layout of file 08"),
        (ofd(FUND_07, [FUND]).replace(b"\r\n", b"\n"), "CRLF"),
        (ofd(FUND_07, [FUND]).replace(b"OFDCFDAT", b"OFDCFIDX"), "OFDCFIDX"),
    ],
)
def test_another_shape_is_refused(content: bytes, found: str) -> None:
    with pytest.raises(SourceChanged, match=found):
        opened(content)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"0012345", "001.2345"), (b"       ", ""), (b"-012345", "-01.2345"), (b"0000000", "000.0000"),
        (b" 012345", b" 012345"), (b"12.3456", b"12.3456"), (b"1e12345", b"1e12345"), (b"+012345", b"+012345"),
    ],
)  # fmt: skip
def test_implied_decimals_come_from_digits_only(raw: bytes, expected: str | bytes) -> None:
    value = read(ofd(FUND_07, [{**FUND, "NAV": raw}]))[0]["NAV"]
    assert value == expected


@given(st.decimals(min_value=0, max_value=Decimal("999.9999"), places=4))
def test_numbers_round_trip(nav: Decimal) -> None:
    assert Decimal(str(read(ofd(FUND_07, [{**FUND, "NAV": nav}]))[0]["NAV"])) == nav


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=10))
def test_names_of_one_two_and_four_bytes_keep_the_widths(name: str) -> None:
    if len(name.encode("gb18030")) > 40:
        return
    row = read(ofd(FUND_07, [{**FUND, "FundName": name}]))[0]
    assert row["FundName"] == name.rstrip(" ") and row["FundCode"] == "012742"


def test_a_name_cut_inside_a_character_stays_bytes_and_keeps_the_row() -> None:
    cut = ("𠮷" * 10).encode("gb18030")[:-1] + b" "
    row = read(ofd(FUND_07, [{**FUND, "FundName": cut}]))[0]
    assert row["FundName"] == cut and row["FundCode"] == "012742"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(noise: bytes) -> None:
    with suppress(NotReady, SourceChanged):
        list(opened(b"OFDCFDAT\r\n21\r\n" + noise + b"\r\nOFDCFEND\r\n").rows)
