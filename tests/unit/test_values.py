"""Values as JSON and back, exactly; and the one text of an occurrence."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import NUMBERS, STRINGS, Absence, Type, Value
from daemon.model.values import canonical, from_json, occurrence_text, to_json, values_json

texts = st.text(st.characters(codec="utf-8"), max_size=12)
BY_TYPE: dict[Type, st.SearchStrategy[Any]] = {
    **{t: st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e20", max_value="1e20") for t in NUMBERS},
    **dict.fromkeys(STRINGS, texts),
    Type.DATE: st.dates(),
    Type.TIME: st.times(),
    Type.DATETIME: st.datetimes(timezones=st.just(UTC)),
    Type.BOOL: st.booleans(),
}


@st.composite
def typed(draw: st.DrawFn) -> tuple[Type, Value]:
    type_ = draw(st.sampled_from(list(Type)))
    return type_, draw(st.one_of(st.sampled_from(list(Absence)), BY_TYPE[type_]))


@given(typed())
def test_a_value_comes_back_from_json_exactly_and_of_its_type(pair: tuple[Type, Value]) -> None:
    type_, value = pair
    back = from_json(json.loads(json.dumps(to_json(value))), type_)
    assert type(back) is type(value)
    if isinstance(value, Decimal):
        assert isinstance(back, Decimal)
        assert Fraction(back) == Fraction(value)
    else:
        assert back == value


@given(BY_TYPE[Type.MONEY])
def test_equal_numbers_have_equal_json_whatever_their_scale(value: Decimal) -> None:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    assert to_json(Decimal((sign, (*digits, 0), exponent - 1))) == to_json(value)


def test_every_type_has_a_way_to_json() -> None:
    assert set(BY_TYPE) == set(Type)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (Decimal("1.50"), "1.5"),
        (date(2024, 2, 1), "2024-02-01"),
        (time(8, 0), "08:00:00"),
        (datetime(2024, 2, 1, 0, 0, tzinfo=UTC), "2024-02-01T00:00:00+00:00"),
        (True, True),
        ("中签", "中签"),
        (Absence.STALE, {"absent": "stale"}),
    ],
)
def test_the_json_of_a_value(value: Value, found: object) -> None:
    assert to_json(value) == found


@pytest.mark.parametrize(
    ("found", "type_"),
    [
        ("yes", Type.BOOL),
        (1, Type.BOOL),
        (1.5, Type.MONEY),
        (True, Type.CODE),
        (None, Type.NAME),
        ("2024-13-01", Type.DATE),
        ({"absent": "perhaps"}, Type.MONEY),
    ],
)
def test_what_cannot_be_of_the_type_is_refused(found: object, type_: Type) -> None:
    with pytest.raises(ValueError, match=r"found|month|Absence"):
        from_json(found, type_)


@given(st.dictionaries(texts, typed().map(lambda p: p[1]), max_size=6))
def test_an_occurrence_has_one_text_whatever_the_order_of_its_fields(values: dict[str, Value]) -> None:
    text = occurrence_text(values)
    assert occurrence_text(dict(reversed(list(values.items())))) == text
    assert json.loads(text) == values_json(values)
    assert canonical(json.loads(text)) == text


def test_the_text_of_an_occurrence_is_fixed() -> None:
    found = occurrence_text(
        {"number": "1", "code": "301589", "opened_on": date(2024, 2, 1), "名": "中", "n": Decimal("2.0")}
    )
    assert found == '{"code":"301589","n":"2","number":"1","opened_on":"2024-02-01","名":"中"}'


def test_an_absent_field_and_its_name_as_text_are_two_occurrences() -> None:
    assert occurrence_text({"code": Absence.MISSING}) != occurrence_text({"code": "missing"})
