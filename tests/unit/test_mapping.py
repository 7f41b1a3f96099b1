"""Mapping: strict typed values, absences, rejects with key and subject, each key once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import ConfigError, SourceChanged
from daemon.model.facts import BadRow, Reject, Row, Where
from daemon.model.kinds import Absence, Column, FactKind, Field, Part, Type, Value
from daemon.rules.converters import converter
from daemon.rules.mapping import Keys, MappedRow, key_text, map_row, reject_of, unique

EMPTY, INVALID = Absence.EMPTY, Absence.INVALID
WHERE = Where("sjsfx_20240201.dbf", 7)


def one(kind: Type, raw: Any, *, column: Mapping[str, Any] | None = None, **field: Any) -> Value:
    return converter(Field("x", kind, "值", **field), Column("x", "X", **(column or {})))(raw)


@given(st.decimals(min_value=-(10**25), max_value=10**25, allow_nan=False, places=8))
def test_numbers_read_exactly_as_text_decimal_and_padded(number: Decimal) -> None:
    text = format(number, "f")
    for raw in (text, f"   {text}", f"{text}  ", number):
        assert one(Type.MONEY, raw) == number


@given(st.integers(min_value=-(10**20), max_value=10**20))
def test_whole_numbers_of_a_driver_are_exact(number: int) -> None:
    assert one(Type.QUANTITY, number) == Decimal(number)
    assert one(Type.MONEY, number, column={"scale": Decimal(100)}) == Decimal(number).scaleb(-2)


@given(st.text(max_size=12))
def test_any_text_is_a_number_of_ascii_digits_or_an_absence(text: str) -> None:
    value = one(Type.MONEY, text)
    if isinstance(value, Decimal):
        assert text.isascii() and not set(text) - set("0123456789.+- ") and value == Decimal(text.strip(" "))


@pytest.mark.parametrize(
    "raw",
    [
        "1_000",
        "1,000",
        "１２",
        "١٢",
        "NaN",
        "Infinity",
        "1e3",
        "0x1",
        "--1",
        "1.2.3",
        ".",
        "-",
        "1 2",
        "\t1",
        "1\n",
        1.5,
        True,
        b"1",
        Decimal("NaN"),
        Decimal("1e40"),
        10**30,
        "9" * 31,
        [1],
        object(),
    ],
)
def test_what_only_looks_like_a_number_is_invalid(raw: Any) -> None:
    assert one(Type.MONEY, raw) is INVALID


@pytest.mark.parametrize("kind", [t for t in Type if t is not Type.ENUM])
@pytest.mark.parametrize("raw", [None, "", "   "])
def test_null_and_blank_are_empty_for_every_type(kind: Type, raw: Any) -> None:
    assert one(kind, raw) is EMPTY
    assert one(Type.ENUM, raw, values=("a",)) is EMPTY


@pytest.mark.parametrize("kind", list(Type))
@pytest.mark.parametrize("raw", [b"\xff\xfe", 1.5, [1], {"a": 1}, "\udcff", "\x00", float("nan"), object()])
def test_every_type_is_total_and_calls_rubbish_invalid(kind: Type, raw: Any) -> None:
    assert one(kind, raw, values=("a",)) is INVALID


@pytest.mark.parametrize(
    ("raw", "value"), [("0", Decimal(0)), ("-0.01", INVALID), ("10", Decimal(10)), ("10.01", INVALID)]
)
def test_bounds_are_inclusive(raw: str, value: Value) -> None:
    assert one(Type.MONEY, raw, minimum=Decimal(0), maximum=Decimal(10)) == value


def test_a_scale_divides_before_bounds() -> None:
    assert one(Type.RATIO, "129.999999", column={"scale": Decimal(100)}, maximum=Decimal(2)) == Decimal("1.29999999")


@given(st.dates(min_value=date(1900, 1, 1)))
def test_dates_read_from_each_form(day: date) -> None:
    for raw in (day.isoformat(), day.strftime("%Y%m%d").zfill(8), int(day.strftime("%Y%m%d")), day):
        assert one(Type.DATE, raw) == day
    assert one(Type.DATE, Decimal(day.strftime("%Y%m%d"))) == day
    assert one(Type.DATE, datetime(day.year, day.month, day.day)) == day  # noqa: DTZ001  as Oracle's driver gives it
    slashed = f"{day.day:02}/{day.month:02}/{day.year:04}"
    assert one(Type.DATE, slashed, column={"format": "%d/%m/%Y"}) == day


@pytest.mark.parametrize(
    "raw",
    [
        "00000000",
        "20240230",
        "2024-2-1",
        "２０２４0201",
        "2024-0201",
        "202402",
        "18991231",
        0,
        1.0,
        "20240201x",
        True,
        datetime(2024, 2, 1, 9, 30),  # noqa: DTZ001
    ],
)
def test_dates_that_are_none_are_invalid(raw: Any) -> None:
    assert one(Type.DATE, raw) is INVALID


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2024-02-01T08:00:00", datetime(2024, 2, 1, tzinfo=UTC)),
        ("2024-02-01 08:00", datetime(2024, 2, 1, tzinfo=UTC)),
        ("2024-02-01T08:00:00.5+09:00", datetime(2024, 1, 31, 23, 0, 0, 500000, tzinfo=UTC)),
        ("2024-02-01T00:00:00Z", datetime(2024, 2, 1, tzinfo=UTC)),
        (datetime(2024, 2, 1, 8), datetime(2024, 2, 1, tzinfo=UTC)),  # noqa: DTZ001
        ("2024-02-01", INVALID),
        ("0001-01-01T00:00:00", INVALID),
        ("2024-02-01T25:00", INVALID),
    ],
)
def test_moments_are_utc_and_shanghai_without_an_offset(raw: Any, value: Value) -> None:
    assert one(Type.DATETIME, raw) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("14:30", time(14, 30)),
        ("14:30:05", time(14, 30, 5)),
        (time(9), time(9)),
        (timedelta(hours=9), time(9)),
        ("24:00", INVALID),
        ("9:00", INVALID),
        (timedelta(days=1), INVALID),
    ],
)
def test_times(raw: Any, value: Value) -> None:
    assert one(Type.TIME, raw) == value


@pytest.mark.parametrize(
    ("raw", "value"), [(1, True), ("0", False), ("Y ", True), (False, False), ("2", INVALID), (2, INVALID)]
)
def test_bools(raw: Any, value: Value) -> None:
    assert one(Type.BOOL, raw) is value


def test_codes_translate_and_unknown_ones_are_invalid() -> None:
    column = {"values": {"0": "open", "9": "closed"}}
    for raw, value in (
        ("0", "open"),
        ("9  ", "closed"),
        (0, "open"),
        (Decimal(9), "closed"),
        ("a", INVALID),
        (None, EMPTY),
    ):
        assert one(Type.ENUM, raw, column=column, values=("open", "closed")) == value
    assert one(Type.BOOL, "A", column={"values": {"A": "true", "B": "false"}}) is True
    assert one(Type.BOOL, "1", column={"values": {"A": "true", "B": "false"}}) is INVALID


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Type.ID, "0123456789   ", "0123456789"),
        (Type.ID, "  0123456789", "0123456789"),
        (Type.ID, "０123456789", INVALID),
        (Type.ID, "01234 6789", INVALID),
        (Type.ID, 12345, "12345"),
        (Type.ID, Decimal("12345.00"), "12345"),
        (Type.ID, Decimal("1.5"), INVALID),
        (Type.CODE, "000001", "000001"),
        (Type.CODE, "３0１589", INVALID),
        (Type.NAME, "张\u3000三", "张\u3000三"),
        (Type.NAME, "𠮷野\ue000", "𠮷野\ue000"),
        (Type.NAME, "张\u202e三", INVALID),
        (Type.NAME, "张\u200b三", INVALID),
        (Type.NAME, "名" * 257, INVALID),
        (Type.MSISDN, "10123456789", "10123456789"),
        (Type.MSISDN, "１0123456789", INVALID),
        (Type.MSISDN, "101-2345", INVALID),
    ],
)
def test_texts_lose_the_padding_of_either_side_and_nothing_else(kind: Type, raw: Any, value: Value) -> None:
    assert one(kind, raw) == value


@pytest.mark.parametrize(
    "changes",
    [{"format": "%Y-%m"}, {"format": "%Y%m%d%d"}, {"format": "%j"}, {"format": "%Y%m%d%"}],
)
def test_a_format_that_gives_no_date_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        one(Type.DATE, "x", column=changes)


FIELDS = {
    f.name: f
    for f in (
        Field("account", Type.ID, "证券账户", required=True),
        Field("code", Type.CODE, "代码", required=True),
        Field("kind", Type.ENUM, "类别", values=("won", "other")),
        Field("quantity", Type.QUANTITY, "中签数量", required=True, minimum=Decimal(1)),
        Field("day", Type.DATE, "日期", required=True),
        Field("name", Type.NAME, "名称"),
        Field("exchange", Type.CODE, "市场"),
        Field("as_of", Type.DATETIME, "截至", max_age=timedelta(hours=1)),
    )
}
KIND = FactKind("allotment", "中签", FIELDS, ("exchange", "account", "code"), "account", "client", "day", ())
PART = Part(
    "sz",
    "clearing",
    format="dbf",
    columns=(
        Column("account", "FXZQZH"),
        Column("code", "FXZQDM"),
        Column("kind", "FXYWLB", values={"A3": "won"}),
        Column("quantity", "FXQRGS"),
        Column("day", "FXFSRQ"),
        Column("name", "NAME"),
        Column("as_of", "ASOF"),
        Column("exchange", const="SZ"),
        Column("", "FXBYBZ"),
    ),
)
COLUMNS = ("FXBYBZ", "NAME", "FXZQZH", "FXZQDM", "FXYWLB", "FXQRGS", "FXFSRQ", "ASOF")
GOOD = {
    "FXBYBZ": "",
    "NAME": "诺瓦星云",
    "FXZQZH": "0123456789   ",
    "FXZQDM": "301589",
    "FXYWLB": "A3",
    "FXQRGS": "500.00",
    "FXFSRQ": "20240201",
    "ASOF": "2024-02-01T08:00:00",
}


def mapped(now: datetime | None = None, line: int = 7, **changes: Any) -> MappedRow | Reject:
    values = tuple(({**GOOD, **changes})[c] for c in COLUMNS)
    return map_row(PART, KIND, COLUMNS, now=now)(Row(Where(WHERE.file, line), values))


def good(**changes: Any) -> MappedRow:
    row = mapped(**changes)
    assert isinstance(row, MappedRow)
    return row


def test_a_row_maps_by_name_whatever_the_order_of_columns() -> None:
    row = good()
    assert row.key == ("SZ", "0123456789", "301589") and row.where == WHERE
    assert row.values == {
        "account": "0123456789", "code": "301589", "kind": "won", "quantity": Decimal(500), "day": date(2024, 2, 1),
        "name": "诺瓦星云", "as_of": datetime(2024, 2, 1, tzinfo=UTC), "exchange": "SZ",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field", "absence"),
    [({"NAME": b"\xff"}, "name", INVALID), ({"FXYWLB": "A9"}, "kind", INVALID), ({"NAME": None}, "name", EMPTY)],
)
def test_what_is_not_required_stays_in_the_row_as_an_absence(changes: Any, field: str, absence: Absence) -> None:
    assert good(**changes).values[field] is absence


@pytest.mark.parametrize(
    ("changes", "column", "found", "expected"),
    [
        ({"FXFSRQ": "00000000"}, "FXFSRQ", "00000000", "a date as 2024-02-01 or 20240201"),
        ({"FXQRGS": "0"}, "FXQRGS", "0", "a decimal number from 1"),
        ({"FXQRGS": None}, "FXQRGS", "null", "not empty, a decimal number from 1"),
        ({"FXQRGS": 500.0}, "FXQRGS", "500.0", "a decimal number from 1"),
        ({"FXQRGS": b"\xff5"}, "FXQRGS", "ff35", "a decimal number from 1"),
        ({"FXQRGS": "x" * 500}, "FXQRGS", "x" * 80, "a decimal number from 1"),
    ],
)
def test_a_required_field_that_is_absent_rejects_the_row_with_key_and_subject(
    changes: Any, column: str, found: str, expected: str
) -> None:
    key = ("SZ", "0123456789", "301589")
    assert mapped(**changes) == Reject("sz", WHERE, column, found, expected, key, "0123456789")


def test_a_reject_whose_key_cannot_be_read_has_none_but_its_subject_where_it_can() -> None:
    spoilt = mapped(FXZQZH="01234 56789")
    assert isinstance(spoilt, Reject) and (spoilt.key, spoilt.subject) == (None, None)
    code = mapped(FXZQDM="")
    assert isinstance(code, Reject) and (code.key, code.subject) == (None, "0123456789")


def test_a_moment_older_than_its_field_allows_is_stale() -> None:
    moment = datetime(2024, 2, 1, tzinfo=UTC)
    assert good(now=moment + timedelta(hours=1)).values["as_of"] == moment
    assert good(now=moment + timedelta(hours=1, seconds=1)).values["as_of"] is Absence.STALE


def test_a_moment_ahead_of_the_reading_is_no_age() -> None:
    moment = datetime(2024, 2, 1, tzinfo=UTC)
    assert good(now=moment - timedelta(minutes=5)).values["as_of"] == moment
    assert good(now=moment - timedelta(minutes=5, seconds=1)).values["as_of"] is INVALID


def test_a_column_that_the_reading_lacks_is_another_shape() -> None:
    with pytest.raises(SourceChanged, match="FXZQDM"):
        map_row(PART, KIND, [c for c in COLUMNS if c != "FXZQDM"])


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ((*PART.columns, Column("misspelt", "NAME")), "misspelt"),
        ((*PART.columns, Column("name", "NAME")), "name"),
        (PART.columns[1:], "account"),
        ((*PART.columns[:-2], Column("exchange", const="上 海")), "const"),
        ((*PART.columns[1:], Column("account", "FXZQZH", values={"1": "a b"})), "codes"),
        ((PART.columns[0], PART.columns[1], PART.columns[7], Column("kind", "FXYWLB", values={"A": "lost"})), "lost"),
        ((PART.columns[0], PART.columns[1], PART.columns[7], Column("quantity", "FXQRGS", scale=Decimal(0))), "scale"),
    ],
)
def test_a_mapping_that_does_not_fit_its_kind_is_a_config_error(columns: tuple[Column, ...], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        map_row(Part("sz", "clearing", columns=columns), KIND, COLUMNS)


def test_a_row_the_reader_could_not_cut_becomes_a_reject_without_key() -> None:
    bad = BadRow(WHERE, "", "00", "a record of 972 bytes, found 971")
    assert reject_of(PART, bad) == Reject("sz", WHERE, "", "00", "a record of 972 bytes, found 971")


def test_key_parts_are_plain_text() -> None:
    assert [key_text(v) for v in ("a", Decimal("1.50"), date(2024, 2, 1), True, time(9))] == [
        "a", "1.5", "2024-02-01", "True", "09:00:00",
    ]  # fmt: skip


def test_of_neighbours_with_one_key_equal_ones_repeat_and_others_contradict() -> None:
    keys = Keys(PART, KIND)
    rows = [
        good(line=1),
        good(line=2),
        good(line=3, FXZQDM="1"),
        good(line=4, FXZQDM="1", FXQRGS="600"),
        good(line=5, FXZQDM="2"),
    ]
    found = list(unique(rows, keys))
    assert [(r.where.line, type(r), getattr(r, "key", None)) for r in found] == [
        (2, Reject, None),
        (1, MappedRow, rows[0].key),
        (3, Reject, rows[2].key),
        (4, Reject, rows[2].key),
        (5, MappedRow, rows[4].key),
    ]
    assert keys.conflicted == {rows[2].key}
    assert found[2].subject == "0123456789" if isinstance(found[2], Reject) else False


def test_rows_of_one_key_that_are_no_neighbours_are_found_too() -> None:
    keys = Keys(PART, KIND)
    rows = [good(line=1), good(line=2, FXZQDM="1"), good(line=3), good(line=4, FXZQDM="1", FXQRGS="600")]
    found = list(unique(rows, keys))
    assert [(type(r), r.key) for r in found if r.where.line in (3, 4)] == [(Reject, None), (Reject, rows[1].key)]
    assert keys.conflicted == {rows[1].key}


def test_unmapped_columns_do_not_make_rows_differ() -> None:
    found = list(unique([good(line=1, FXBYBZ="a"), good(line=2, FXBYBZ="b")], Keys(PART, KIND)))
    assert [type(r) for r in found] == [Reject, MappedRow]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 2)), max_size=30))
def test_no_row_is_lost_and_no_key_passes_twice(pairs: list[tuple[int, int]]) -> None:
    keys, plan = Keys(PART, KIND), map_row(PART, KIND, COLUMNS)
    raw = [{**GOOD, "FXZQDM": str(code), "FXQRGS": str(n)} for code, n in pairs]
    rows = [plan(Row(Where("f", i), tuple(r[c] for c in COLUMNS))) for i, r in enumerate(raw, 1)]
    found = list(unique(rows, keys))
    assert sorted(r.where.line for r in found) == list(range(1, len(pairs) + 1))
    passed = [r.key for r in found if isinstance(r, MappedRow)]
    assert len(set(passed)) == len(passed)
    told = {code: {n for c, n in pairs if c == code} for code, _ in pairs}
    assert {k[2] for k in keys.conflicted} == {str(code) for code, ns in told.items() if len(ns) > 1}
    assert {k[2] for k in passed} >= {str(code) for code, ns in told.items() if len(ns) == 1}


def test_values_that_cannot_be_hashed_are_still_compared() -> None:
    assert good(NAME=[1]).digest == good(NAME=[1]).digest != good(NAME=[2]).digest
