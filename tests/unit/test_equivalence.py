"""Proofs that a mutant is none: the normal form keeps every value and absence, and a proof is found only where it is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model.kinds import Absence, Value
from daemon.rules.equivalence import proof_of
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.expressions import parse
from daemon.rules.mutant import Mutant
from daemon.rules.mutate_expressions import variations
from daemon.rules.mutate_rules import with_expression
from daemon.rules.nodes import And, Compare, Literal, Name, Node, Not, Or, show
from daemon.rules.normal_form import normal
from daemon.rules.typing_of import typing_of
from tests.builders_rules import FUND, MARGIN, env, shipped

NAMES = ("a", "b", "c")
ONE = Literal(Decimal(1))
EXCLUDED = "client_kind == 'person' and not individuals_ok"


def conditions() -> st.SearchStrategy[Node]:
    leaf = st.one_of(
        st.booleans().map(Literal),
        st.builds(
            Compare,
            st.sampled_from(["<", "<=", "==", "!="]),
            st.sampled_from(NAMES).map(Name),
            st.just(Literal(Decimal(1))),
        ),
        st.builds(
            Compare,
            st.just("<"),
            st.just(Literal(Decimal(1))),
            st.sampled_from((0, 2)).map(lambda n: Literal(Decimal(n))),
        ),
    )
    return st.recursive(
        leaf,
        lambda part: st.one_of(
            part.map(Not),
            st.lists(part, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
            st.lists(part, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
        ),
        max_leaves=8,
    )


def values() -> st.SearchStrategy[dict[str, Value]]:
    one = st.one_of(st.sampled_from([Decimal(n) for n in (0, 1, 2)]), st.sampled_from([Absence.EMPTY, Absence.INVALID]))
    return st.fixed_dictionaries(dict.fromkeys(NAMES, one))


@settings(max_examples=300, deadline=None)
@given(conditions(), values())
def test_normal_form_gives_the_same_value_and_the_same_absence(node: Node, found: dict[str, Value]) -> None:
    assert evaluate(normal(node), found, env()) == evaluate(node, found, env()), show(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not not paid", "paid"),
        ("not owed < line", "owed >= line"),
        ("paid and true", "paid"),
        ("paid and false", "false"),
        ("paid or told or paid", "paid or told"),
        ("owed > 1 + 2", "owed > 3"),
        ("owed + 0 > line * 1", "owed > line"),
        ("if_else(1 < 2, owed, line)", "owed"),
        ("desk in ('north')", "desk == 'north'"),
        ("owed * 0 > 1", "owed * 0 > 1"),
    ],
)
def test_normal_form(text: str, expected: str) -> None:
    assert show(normal(parse(text))) == expected


def mutant(rule: str, key: str, before: str, after: str) -> Mutant:
    made = with_expression(shipped().rules[rule], key, after)
    changed = replace(shipped(), rules={**shipped().rules, rule: made})
    return Mutant(rule, key, "test", before, after, "", 0, changed, (parse(before), parse(after)))


@pytest.mark.parametrize(
    ("rule", "key", "before", "after", "kind"),
    [
        (MARGIN, "unless.no_debt", "debts == 0", "not debts != 0", "same form"),
        (MARGIN, "levels.call.rearm", "cured", "cured and cured or cured", "same form"),
        (
            FUND,
            "gates.exclude.individuals",
            EXCLUDED,
            "not (client_kind != 'person' or individuals_ok)",
            "every value",
        ),
    ],
)
def test_change_that_changes_nothing_is_proven(rule: str, key: str, before: str, after: str, kind: str) -> None:
    found = proof_of(shipped(), mutant(rule, key, before, after))
    assert found is not None
    assert found[0] == kind


@pytest.mark.parametrize(
    ("rule", "key", "before", "after"),
    [
        # another operand is named where both are absent
        (
            FUND,
            "gates.exclude.individuals",
            EXCLUDED,
            "not individuals_ok and client_kind == 'person'",
        ),
        (
            FUND,
            "gates.exclude.individuals",
            EXCLUDED,
            "client_kind == 'person'",
        ),
        (MARGIN, "unless.no_debt", "debts == 0", "debts <= 0"),
        (MARGIN, "levels.call.rearm", "cured", "coalesce(cured, false)"),
    ],
)
def test_change_that_changes_something_is_not_proven(rule: str, key: str, before: str, after: str) -> None:
    assert proof_of(shipped(), mutant(rule, key, before, after)) is None


def test_no_change_of_a_shipped_condition_over_few_values_is_called_equal_wrongly() -> None:
    """Every variation that `every value` proves gives the same on all facts of the cases; those it does not prove differ on one."""
    rule = shipped().rules[FUND]
    text = rule.gates.exclude["individuals"]
    for made in variations(parse(text), typing_of(shipped(), rule)):
        proven = proof_of(shipped(), mutant(FUND, "gates.exclude.individuals", text, show(made.node)))
        differs = any(
            evaluate(parse(text), known, Env(shipped().calendar, date(2024, 2, 1))) != evaluate(made.node, known, env())
            for known in every_value()
        )
        assert (proven is None) == differs, made.after


def every_value() -> list[dict[str, Any]]:
    kinds: list[Any] = ["person", "institution", *Absence]
    ok: list[Any] = [True, False, *Absence]
    return [{"client_kind": kind, "individuals_ok": known} for kind in kinds for known in ok]
