"""CSV: known columns only, one record a line, one bad line spoils itself only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import SourceChanged
from daemon.model.facts import BadRow, Row
from daemon.model.kinds import Column, Part
from daemon.sources.csvfile import MAX_LINE, open_table
from daemon.sources.reading import NotReady
from tests.builders_files import csv_text

COLUMNS = ("fund_code", "start", "note")
PART = Part("w", "files", format="csv", columns=tuple(Column(c, c) for c in COLUMNS))


def rows(content: bytes, encoding: str = "utf-8", part: Part = PART, delimiter: str = ",") -> list[Row | BadRow]:
    return list(open_table(content, "w.csv", part, encoding, delimiter).rows)


@given(
    st.lists(
        st.fixed_dictionaries(
            {c: st.text(st.characters(codec="gb18030", exclude_characters="\r\n"), max_size=8) for c in COLUMNS}
        ),
        max_size=5,
    ),
    st.sampled_from(["utf-8", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_quoted_commas_quotes_and_four_byte_characters_round_trip(
    records: list[dict[str, str]], encoding: str, end: str
) -> None:
    found = rows(csv_text(COLUMNS, records, end=end).encode(encoding), encoding)
    assert [r.values for r in found if isinstance(r, Row)] == [tuple(r[c] for c in COLUMNS) for r in records]
    assert [r.where.line for r in found] == list(range(2, len(records) + 2))


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert len(rows(b"\xef\xbb\xbf" + csv_text(COLUMNS, [{}]).encode())) == 1


@pytest.mark.parametrize(
    "content", [b"", b"fund_code,start,note", b"fund_code,start,note\n1,2", b"fund_code,start,note\n1,2,3"]
)
def test_a_last_line_without_its_end_is_not_ready(content: bytes) -> None:
    with pytest.raises(NotReady):
        rows(content)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("fund_code,start", "missing: \\['note'\\]"),
        ("fund_code,start,note,end", "not known: \\['end'\\]"),
        ("fund_code,start,start,note", "twice: \\['start'\\]"),
        ("fund_code, start,note", "' start'"),
        ("", "missing"),
        ('fund_code,"start,note', "header"),
    ],
)
def test_columns_missing_twice_or_not_known_are_another_shape(header: str, found: str) -> None:
    with pytest.raises(SourceChanged, match=found):
        rows(f"{header}\n".encode())


def test_a_column_listed_without_field_is_known_and_not_used() -> None:
    part = Part("w", "files", columns=(*PART.columns, Column("", "end")))
    assert len(rows(b"fund_code,start,note,end\n1,2,3,4\n", part=part)) == 1


@pytest.mark.parametrize("bad", ["1,2", "1,2,3,4", "", '1,"2,3', '1,"2"x,3', "1,2," + "x" * MAX_LINE])
def test_one_bad_line_spoils_itself_only(bad: str) -> None:
    found = rows(f"fund_code,start,note\na,b,c\n{bad}\nd,e,f\n".encode())
    assert [type(r) for r in found] == [Row, BadRow, Row]
    assert found[1].where.line == 3 and found[1].where.file == "w.csv"


@pytest.mark.parametrize(("encoding", "bad"), [("utf-8", b"\xff\xfe"), ("gb18030", b"\xff")])
def test_undecodable_bytes_stay_as_escapes_in_their_cell(encoding: str, bad: bytes) -> None:
    found = rows(b"fund_code,start,note\n1,2," + bad + b"\n", encoding)[0]
    assert isinstance(found, Row) and found.values[0] == "1"
    assert str(found.values[2]).encode(encoding, "surrogateescape") == bad


def test_bytes_that_cannot_even_be_escaped_make_a_bad_row() -> None:
    found = rows(b"fund_code,start,note\n1,2,\x81\x30\x20\n3,4,5\n", "gb18030")
    assert isinstance(found[1], Row)
    assert found[0].where.line == 2


@given(st.binary(max_size=200))
def test_any_bytes_below_a_good_header_give_one_row_or_reject_a_line(noise: bytes) -> None:
    content = b"fund_code,start,note\n" + noise + b"\n"
    assert len(rows(content)) == noise.count(b"\n") + 1
