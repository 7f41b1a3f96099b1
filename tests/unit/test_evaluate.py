"""What expressions mean: the truth tables, the functions, and LANGUAGE.md held against the program."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Type, Value
from daemon.model.money import plain
from daemon.rules.checking import check
from daemon.rules.compile import compile_function
from daemon.rules.evaluate import Env, evaluate, trace
from daemon.rules.expressions import parse
from daemon.rules.functions import FUNCTIONS, SHANGHAI
from daemon.rules.instants import parse_instant
from daemon.rules.types import Base, Declared, ExprType, Scope, operate

FIRST = date(2024, 1, 2)
SESSIONS = tuple(d for d in (FIRST + timedelta(days=n) for n in range(60)) if d.weekday() < 5)
ENV = Env(Calendar("sse", "test", FIRST, date(2024, 3, 1), SESSIONS), date(2024, 2, 1))
PAGE = (Path(__file__).parents[2] / "daemon" / "rules" / "LANGUAGE.md").read_text("utf-8")


def both(text: str, **values: Value) -> Value:
    """The value by the tree walk, which the generated function must share."""
    node = parse(text)
    walked = evaluate(node, values, ENV)
    compiled = compile_function("x", {"out": node}, tuple(values))(tuple(values.values()), ENV)[0]
    assert (type(compiled), str(compiled)) == (type(walked), str(walked))
    return walked


def table(heading: str, header: str) -> list[list[str]]:
    """The rows of the page's table that begins with `header` in the section `heading`."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = section[section.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


TRUTHS: dict[str, list[Value]] = {"true": [True], "false": [False], "?": list(Absence)}


def as_sign(value: Value) -> str:
    return "?" if isinstance(value, Absence) else str(value).lower()


def test_truth_tables_of_the_page_hold_for_every_kind_of_absence() -> None:
    rows = table("Absence", "| a | b |")
    assert sorted((row[0], row[1]) for row in rows) == sorted(product(TRUTHS, TRUTHS))
    for left, right, conjunction, disjunction, negation in rows:
        for a, b in product(TRUTHS[left], TRUTHS[right]):
            assert as_sign(both("a and b", a=a, b=b)) == conjunction
            assert as_sign(both("a or b", a=a, b=b)) == disjunction
            assert as_sign(both("not a", a=a)) == negation


@pytest.mark.parametrize("text", ["a and b", "a or b", "a + b < 1", "a == b", "a in (1, b)", "max(a, b)", "a / b"])
def test_of_two_absences_the_first_is_given(text: str) -> None:
    for a, b in product(Absence, Absence):
        assert both(text, a=a, b=b) is a


@pytest.mark.parametrize("absence", list(Absence))
def test_every_strict_operation_passes_an_absence_on(absence: Absence) -> None:
    one = Decimal(1)
    for op in ["+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">="]:
        assert both(f"a {op} b", a=absence, b=one) is absence
        assert both(f"a {op} b", a=one, b=absence) is absence
    assert both("-a", a=absence) is absence
    assert both("known(a)", a=absence) is False
    assert both("if_else(a, 1, 2)", a=absence) is absence
    assert both("if_else(c, a, 2)", c=False, a=absence) == 2


def test_in_is_or_over_equalities() -> None:
    one, two = Decimal(1), Decimal(2)
    for a, b in product([one, two, Absence.STALE, Absence.EMPTY], repeat=2):
        for x in (one, Absence.MISSING):
            assert both("x in (a, b)", x=x, a=a, b=b) == both("x == a or x == b", x=x, a=a, b=b)


def test_a_name_without_a_value_is_missing() -> None:
    assert evaluate(parse("a < 1"), {}, ENV) is Absence.MISSING


def test_text_that_spells_an_absence_is_text() -> None:
    for word in Absence:
        assert both("known(a)", a=word.value) is True
        assert both("coalesce(a, 'x') == a", a=word.value) is True
        assert both(f"a in ('{word.value}')", a=word.value) is True


@pytest.mark.parametrize("absence", list(Absence))
def test_coalesce_replaces_what_is_not_there_and_never_what_cannot_be_trusted(absence: Absence) -> None:
    replaced = absence in (Absence.MISSING, Absence.EMPTY)
    assert both("coalesce(a, 1)", a=absence) == (Decimal(1) if replaced else absence)
    assert both("coalesce(b, a, 1)", b=Absence.EMPTY, a=absence) == (Decimal(1) if replaced else absence)
    assert both("coalesce(b, a)", b=Absence.EMPTY, a=absence) is absence
    assert both("coalesce(1, a)", a=absence) == 1


def test_zero_divides_to_invalid_and_never_raises() -> None:
    for zero in ("0", "0.00", "-0"):
        assert both("a / b", a=Decimal(1), b=Decimal(zero)) is Absence.INVALID
        assert both("a / b", a=Decimal(0), b=Decimal(zero)) is Absence.INVALID
        assert both("b == 0 or a / b < 1", a=Decimal(1), b=Decimal(zero)) is True


def test_numbers_are_exact_where_floats_are_not() -> None:
    assert both("a + b == 0.3", a=Decimal("0.1"), b=Decimal("0.2")) is True
    assert both("a / b < 1.30", a=Decimal(1_300_000), b=Decimal(1_000_000)) is False
    assert both("a / b < 1.30", a=Decimal("1299999.99"), b=Decimal(1_000_000)) is True
    digits = both("a / 3", a=Decimal(1))
    assert isinstance(digits, Decimal) and len(digits.as_tuple().digits) == 50


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("min(3, 1, 2)", "1"),
        ("max(-1, -3)", "-1"),
        ("abs(-1.50)", "1.5"),
        ("floor(-1.5)", "-2"),
        ("floor(1.99)", "1"),
        ("ceil(-1.5)", "-1"),
        ("ceil(1.01)", "2"),
        ("cents(0.005)", "0.01"),
        ("cents(-0.005)", "-0.01"),
        ("cents_up(0.001)", "0.01"),
        ("cents_up(-0.009)", "0"),
        ("cents_down(0.009)", "0"),
        ("cents_down(-0.001)", "-0.01"),
        ("days_between(2024-02-28, 2024-03-01)", "2"),
        ("days_between(2024-03-01, 2024-02-28)", "-2"),
        ("sessions_between(2024-02-01, 2024-02-01)", "0"),
        ("sessions_between(2024-02-05, 2024-02-01)", "-2"),
        ("sessions_between(2024-02-03, 2024-02-04)", "0"),
        ("year(2024-02-01)", "2024"),
        ("month(2024-02-01)", "2"),
        ("day(2024-02-29)", "29"),
        ("weekday(2024-02-05)", "1"),
        ("weekday(2024-02-04)", "7"),
        ("length('中签ab')", "4"),
        ("1 - -1", "2"),
        ("7 - 2 - 1", "4"),
        ("8 / 4 / 2", "1"),
    ],
)
def test_numbers_that_functions_give(text: str, value: str) -> None:
    found = both(text)
    assert isinstance(found, Decimal) and plain(found) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("add_days(2024-02-28, 2)", date(2024, 3, 1)),
        ("add_days(2024-02-28, 1.5)", Absence.INVALID),
        ("add_days(2024-02-28, 100001)", Absence.INVALID),
        ("add_days(9999-12-31, 1)", Absence.INVALID),
        ("add_days(0001-01-01, -1)", Absence.INVALID),
        ("add_months(2023-08-31, 6)", date(2024, 2, 29)),
        ("add_months(2024-02-29, 12)", date(2025, 2, 28)),
        ("add_months(2024-01-15, -1)", date(2023, 12, 15)),
        ("add_months(2024-01-15, 0.5)", Absence.INVALID),
        ("add_months(9999-12-01, 1)", Absence.INVALID),
        ("add_months(0001-01-31, -1)", Absence.INVALID),
        ("add_sessions(2024-02-02, 1)", date(2024, 2, 5)),
        ("add_sessions(2024-02-03, 1)", date(2024, 2, 5)),
        ("add_sessions(2024-02-03, 0)", date(2024, 2, 5)),
        ("add_sessions(2024-02-01, 0)", date(2024, 2, 1)),
        ("add_sessions(2024-02-05, -1)", date(2024, 2, 2)),
        ("add_sessions(2024-02-28, 5)", Absence.MISSING),
        ("add_sessions(2031-01-01, 1)", Absence.MISSING),
        ("add_sessions(2024-02-01, 0.5)", Absence.INVALID),
        ("sessions_between(2024-02-01, 2031-01-01)", Absence.MISSING),
        ("is_session(2024-02-02)", True),
        ("is_session(2024-02-04)", False),
        ("is_session(2031-01-01)", Absence.MISSING),
        ("is_session(2031-01-01) and false", False),
        ("business_date()", date(2024, 2, 1)),
        ("at(2024-02-01, 08:00)", datetime(2024, 2, 1, tzinfo=UTC)),
        ("at(0001-01-01, 00:00)", Absence.INVALID),
        ("date_of(at(2024-02-01, 00:30))", date(2024, 2, 1)),
        ("time_of(at(2024-02-01, 00:30))", time(0, 30)),
        ("starts_with('600036', '60')", True),
        ("starts_with('600036', '00')", False),
        ("min(2024-02-03, 2024-02-01)", date(2024, 2, 1)),
        ("max(14:30, 15:00)", time(15)),
        ("2024-02-01 < 2024-02-02 and 14:30 != 14:31", True),
    ],
)
def test_dates_and_truths_that_functions_give(text: str, value: Value) -> None:
    found = both(text)
    assert (type(found), found) == (type(value), value)


def test_moments_at_the_end_of_time_are_invalid() -> None:
    assert both("date_of(a)", a=datetime.max.replace(tzinfo=UTC)) is Absence.INVALID
    assert both("time_of(a)", a=datetime.max.replace(tzinfo=UTC)) is Absence.INVALID


def test_the_page_lists_exactly_the_functions_there_are() -> None:
    rows = table("Functions", "| Function |")
    assert {row[0].strip("`").split("(")[0]: row[3] for row in rows} == {f.name: f.says for f in FUNCTIONS.values()}
    for signature, _, gives, _ in rows:
        name, args = signature.strip("`)").split("(")
        function = FUNCTIONS[name]
        assert len([a for a in args.split(", ") if a and a != "…"]) == len(function.params)
        assert ("…" in args) == bool(function.most)
        assert gives == (str(function.result) if function.result else "their type")


def test_products_and_quotients_of_the_page_are_those_of_the_types() -> None:
    for left, op, right, gives in table("Types", "| Left |"):
        found = operate(op, ExprType(Base(left)), ExprType(Base(right)))
        assert str(found.base if found else "refused") == gives


EXAMPLE: dict[str, tuple[Type, Value]] = {
    "cash": (Type.MONEY, Decimal(200000)),
    "securities": (Type.MONEY, Decimal(1150000)),
    "financing": (Type.MONEY, Decimal(900000)),
    "interest": (Type.MONEY, Decimal("12345.67")),
    "due": (Type.MONEY, Decimal(63445)),
    "call_line": (Type.RATIO, Decimal("1.30")),
    "target": (Type.RATIO, Decimal("1.50")),
    "price": (Type.PRICE, Decimal("126.89")),
    "won": (Type.QUANTITY, Decimal(500)),
    "payment_date": (Type.DATE, date(2024, 2, 1)),
    "contract_line": (Type.RATIO, Absence.EMPTY),
    "counter_ratio": (Type.RATIO, Absence.STALE),
    "board": (Type.ENUM, "star"),
    "as_of": (Type.DATETIME, datetime(2024, 2, 1, 6, 30, tzinfo=UTC)),
}


def as_written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).isoformat(" ", "minutes")
    return value.isoformat("minutes") if isinstance(value, time) else str(value)


@pytest.mark.parametrize("row", table("Examples", "| Expression |"), ids=lambda row: row[0])
def test_examples_of_the_page_are_typed_and_true(row: list[str]) -> None:
    text, value = row[0].strip("`"), row[1]
    scope = Scope({name: Declared.of(type_, ("main", "star")) for name, (type_, _) in EXAMPLE.items()})
    assert check(parse(text), scope)[1] == []
    assert as_written(both(text, **{name: given for name, (_, given) in EXAMPLE.items()})) == value


def test_instants_of_the_page_are_of_the_grammar() -> None:
    texts = re.findall(r"^\| `([^`]+)`", PAGE.split("\n## Instants\n")[1], re.MULTILINE)
    assert len(texts) >= 10
    for text in texts:
        assert parse_instant(text).text == text


def test_a_trace_tells_every_part_also_those_that_did_not_matter() -> None:
    told = trace(parse("ratio < line or cured"), {"ratio": Absence.STALE, "line": Decimal("1.3"), "cured": True}, ENV)
    assert told.value is True
    assert [(part.text, part.value) for part in told.children] == [("ratio < line", Absence.STALE), ("cured", True)]
    compared = told.children[0].children
    assert [(part.text, part.value) for part in compared] == [
        ("ratio", Absence.STALE),
        ("line", Decimal("1.3")),
    ]


def test_nested_choices_cost_no_more_than_their_size() -> None:
    text = "(" * 30 + "a" + " in (true, false))" * 30
    assert both(text, a=True) is True
    assert both(text, a=Absence.EMPTY) is Absence.EMPTY
