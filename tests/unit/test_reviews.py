"""Reviews of parameters by the calendar, and the references of low confidence that a set rests on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from daemon.rules.reviews import due_on, not_ok, reviews, weak_references
from daemon.rules.schema import RuleSet
from tests.builders_rules import shipped

REVIEWED = date(2026, 1, 5)
LAST = date(2027, 1, 5)


def only(name: str = "line_call", **changes: object) -> RuleSet:
    """The shipped set with one parameter, reviewed for a year from 2026-01-05."""
    made = replace(shipped().parameters[name], reviewed_on=REVIEWED, review_every=timedelta(days=365), **changes)  # type: ignore[arg-type]
    return replace(shipped(), parameters={name: made})


@pytest.mark.parametrize(
    ("today", "state", "days"),
    [
        (REVIEWED, "ok", 365),
        (LAST - timedelta(days=31), "ok", 31),
        (LAST - timedelta(days=30), "due", 30),
        (LAST, "due", 0),
        (LAST + timedelta(days=1), "overdue", -1),
    ],
)
def test_review_is_due_thirty_days_ahead_and_overdue_past_its_last_day(today: date, state: str, days: int) -> None:
    (found,) = reviews(only(), today)
    assert (found.parameter, found.due_on, found.state, found.days) == ("line_call", LAST, state, days)
    assert found.path == "rules/parameters/margin.yaml" and found.line > 0
    assert (not_ok(only(), today) == ()) == (state == "ok")


def test_most_urgent_review_stands_first() -> None:
    found = reviews(shipped(), date(2026, 7, 1))
    assert [r.due_on for r in found] == sorted(due_on(p) for p in shipped().parameters.values())
    assert {r.parameter for r in found} == set(shipped().parameters)


def test_references_of_low_confidence_are_named_with_what_rests_on_them() -> None:
    found = {weak.reference.id: weak for weak in weak_references(shipped())}
    assert {weak.reference.confidence for weak in found.values()} <= {"C", "D"}
    assert "parameter line_attention" in found["FIRM-MARGIN"].used_by
    assert "rule ipo/payment" in found["EXR-IPO-SH"].used_by
    assert "EXR-MT-043" not in found  # of confidence B


def test_reference_that_nothing_names_is_not_among_the_weak() -> None:
    lonely = replace(shipped().references["FIRM-OPS"], id="FIRM-X")
    made = replace(shipped(), references={**shipped().references, "FIRM-X": lonely})
    assert "FIRM-X" not in {weak.reference.id for weak in weak_references(made)}


def test_formula_that_rests_on_a_weak_reference_is_named() -> None:
    weak = replace(shipped().references["EXR-MT-042"], confidence="C")
    made = replace(shipped(), references={**shipped().references, weak.id: weak})
    used = {w.reference.id: w.used_by for w in weak_references(made)}[weak.id]
    assert any(name.startswith("formula margin_account.") for name in used), used
