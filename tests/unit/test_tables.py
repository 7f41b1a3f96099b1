"""Gaps and overlaps of levels at load: what no fact can reach, and what lies between two levels."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Absence
from daemon.rules.evaluate import evaluate
from daemon.rules.expressions import parse
from daemon.rules.load import load
from daemon.rules.tables import Span, box, gaps, unreachable
from tests.builders_rules import changed, env, shipped_files

LINES = {"low_line": Decimal("1.30"), "high_line": Decimal("1.50")}
RULE = "rules/margin/maintenance.yaml"


def boxes(*texts: str) -> list:
    return [box(f"level{i}", parse(text), LINES.get) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (("x < 1.30", "x < 1.50"), []),
        (("x < 1.50", "x < 1.30"), [("level1", "level0")]),
        (("x < high_line", "x < low_line"), [("level1", "level0")]),
        (("x < low_line", "x < 1.3"), [("level1", "level0")]),
        (("low_line > x", "x < 1.30"), [("level1", "level0")]),
        (("x <= 1.30", "x < 1.30"), [("level1", "level0")]),
        (("x < 1.30", "x <= 1.30"), []),
        (("x < 1.50", "b and x < 1.30"), [("level1", "level0")]),
        (("b and x < 1.50", "x < 1.30"), []),
        (("b and x < 1.50", "c and b and x < 1.30"), [("level1", "level0")]),
        (("x < 1", "x >= 1", "x < 5"), [("level2", "level0, level1")]),
        (("x < 1", "x > 1", "x < 5"), []),
        (("x > 2 and x < 1",), [("level0", "")]),
        (("x == 1", "x >= 1 and x <= 1"), [("level1", "level0")]),
        (("x < 1.50", "y < 1.30"), []),
        (("x < 1.50 or b", "x < 1.30"), []),
        (("x < -1", "x < -2"), [("level1", "level0")]),
    ],
)
def test_levels_that_no_fact_reaches(texts: tuple[str, ...], wanted: list[tuple[str, str]]) -> None:
    assert list(unreachable(boxes(*texts))) == wanted


@pytest.mark.parametrize(
    ("texts", "holes"),
    [
        (("x < 1.30", "x >= 1.40 and x < 1.50"), [("1.30", "1.40")]),
        (("x < 1.30", "x > 1.30 and x < 1.50"), [("1.30", "1.30")]),
        (("x < 1.30", "x >= 1.30 and x < 1.50"), []),
        (("x < 1.30", "x < 1.50"), []),
        (("x < low_line", "b and x >= high_line and x < 2"), [("1.30", "1.50")]),
        (("x < 1", "x > 5"), []),
        (("x < 1", "y < 2", "x > 3 and x < 4"), []),
        (("x > 5 and x < 6", "x > 3 and x <= 5", "x > 1 and x < 2"), [("2", "3")]),
    ],
)
def test_holes_between_levels(texts: tuple[str, ...], holes: list[tuple[str, str]]) -> None:
    found = [(str(hole.low), str(hole.high)) for _, _, hole in gaps(boxes(*texts))]
    assert found == holes


NUMBERS = st.integers(-3, 3).map(str)
PARTS = st.one_of(
    st.tuples(st.sampled_from("xy"), st.sampled_from(["<", "<=", ">", ">=", "=="]), NUMBERS).map(" ".join),
    st.sampled_from(["b", "not b"]),
)
TABLES = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(" and ".join), min_size=1, max_size=4)
VALUES = st.tuples(st.integers(-8, 8), st.integers(-8, 8), st.booleans())


@given(TABLES, st.lists(VALUES, max_size=30))
def test_a_level_told_to_be_out_of_reach_is_reached_by_no_fact(
    texts: list[str], facts: list[tuple[int, int, bool]]
) -> None:
    told = {name for name, _ in unreachable(boxes(*texts))}
    for x, y, b in facts:
        values = {"x": Decimal(x) / 2, "y": Decimal(y) / 2, "b": b}
        first = next((i for i, text in enumerate(texts) if evaluate(parse(text), values, env()) is True), None)
        assert f"level{first}" not in told


@given(TABLES, st.integers(-8, 8), st.booleans())
def test_no_level_holds_in_a_hole(texts: list[str], y: int, b: bool) -> None:
    for operand, _, hole in gaps(boxes(*texts)):
        assert hole.low is not None and hole.high is not None
        middle = (hole.low + hole.high) / 2
        values = {"x": Decimal(y), "y": Decimal(y), "b": b, operand: middle}
        assert all(evaluate(parse(text), values, env()) is not True for text in texts)


@given(st.lists(st.tuples(st.sampled_from(["<", "<=", ">", ">=", "=="]), st.integers(-3, 3)), max_size=5), NUMBERS)
def test_a_span_holds_what_all_its_comparisons_hold(cuts: list[tuple[str, int]], number: str) -> None:
    span = Span()
    for op, line in cuts:
        span = span.cut(op, Decimal(line))
    known = {"x": Decimal(number)}
    assert span.holds(Decimal(number)) == all(evaluate(parse(f"x {op} {line}"), known, env()) for op, line in cuts)
    assert not isinstance(evaluate(parse("x < 1"), known, env()), Absence)


def refused(path: str, old: str, new: str) -> list[str]:
    return [str(finding) for finding in load(changed(path, old, new)).findings]


def test_the_shipped_rules_have_neither() -> None:
    assert load(shipped_files()).findings == ()


def test_a_level_out_of_reach_is_refused_at_its_line() -> None:
    (found,) = refused(RULE, "when: ratio < line_warning", "when: ratio < 1 and ratio > 2")
    line = next(
        n for n, text in enumerate(shipped_files()[RULE].decode().splitlines(), 1) if "ratio < line_warning" in text
    )
    assert found.startswith(f"{RULE}:{line}:")
    assert "contradicts itself" in found and "a level that a fact can reach" in found


def test_a_milder_level_inside_a_worse_one_is_refused() -> None:
    found = refused(
        RULE, "when: basis == 'day_end' and ratio < line_call", "when: ratio < line_immediate and debts > 1"
    )
    assert any("where 'call' holds, so does urgent" in text for text in found)


def test_a_hole_between_two_levels_is_refused() -> None:
    text = shipped_files()[RULE].decode()
    for old, new in (
        ("ratio < line_immediate\n", "ratio < 1.1\n"),
        ("basis == 'day_end' and ratio < line_call", "ratio >= 1.2 and ratio < 1.3"),
        ("when: ratio < line_warning", "when: ratio >= 1.3 and ratio < 1.5"),
        ("when: ratio < line_attention", "when: ratio >= 1.5 and ratio < 1.7"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    found = [str(f) for f in load({**shipped_files(), RULE: text.encode()}).findings]
    assert any("no level for ratio from 1.1 to 1.2" in one and "a gap" in one for one in found)


def test_a_parameter_that_ends_before_the_rule_does_is_a_gap() -> None:
    path = "rules/parameters/margin.yaml"
    text = shipped_files()[path].decode()
    entry = [line for line in text.splitlines() if "{from:" in line and "value: 1.30" in line][-1]
    found = refused(path, entry, entry.replace("value:", "to: 2030-01-01, value:"))
    assert any("until 2030-01-01 only" in one and "a gap" in one for one in found)


def test_a_rule_that_could_cost_too_much_is_refused() -> None:
    many = "".join(f"  let_{n}: {' + '.join(['1'] * 30)}\n" for n in range(60))
    found = refused(RULE, "let:\n", f"let:\n{many}")
    assert any("operands and operators in all" in one and "at most 3000" in one for one in found)
