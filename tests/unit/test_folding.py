"""Formulas and collection: sums, agreement, added-up rows, absences."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Absence, Collect, Value
from daemon.rules.folding import deriver, every, fold, total
from tests.builders_rules import env, shipped

COLLECT = Collect(by=("client",), items=("code", "due"), sums={"total": "due"}, alls={"agree": "agrees"})

numbers = st.decimals(0, 10**9, places=2)
values = st.one_of(numbers, st.sampled_from(list(Absence)))


def row(code: str, due: Value, agrees: Value = True, cash: Value = Decimal(5)) -> dict[str, Value]:
    return {"client": "c", "code": code, "due": due, "agrees": agrees, "cash": cash}


@given(st.lists(numbers, min_size=1, max_size=20))
def test_sum_is_exact_in_any_order(dues: list[Decimal]) -> None:
    assert total(dues) == total(dues[::-1]) == sum(dues)


@given(st.lists(values, min_size=1, max_size=8))
def test_sum_with_an_absent_member_is_the_first_absence(members: list[Value]) -> None:
    absent = [m for m in members if isinstance(m, Absence)]
    assert not absent or total(members) is absent[0]


@given(st.lists(st.sampled_from([True, False, Absence.EMPTY, Absence.INVALID]), min_size=1, max_size=6))
def test_all_is_a_three_valued_and(members: list[Value]) -> None:
    found = every(members)
    if False in members:
        assert found is False
    else:
        assert found == next((m for m in members if isinstance(m, Absence)), True)


def test_fields_that_differ_over_the_rows_are_ambiguous() -> None:
    folded, _ = fold(COLLECT, [row("a", Decimal(1)), row("b", Decimal(2), cash=Decimal(6))])
    assert folded["cash"] is Absence.AMBIGUOUS
    assert folded["total"] == 3
    assert "code" not in folded


def test_rows_that_agree_in_all_but_what_is_summed_are_one() -> None:
    _, kept = fold(COLLECT, [row("a", Decimal(1)), row("b", Decimal(2)), row("a", Decimal(3))])
    assert kept == ({"code": "a", "due": Decimal(4)}, {"code": "b", "due": Decimal(2)})


@given(st.lists(st.tuples(st.sampled_from("abc"), numbers), min_size=1, max_size=12))
def test_added_up_rows_make_the_same_total(pairs: list[tuple[str, Decimal]]) -> None:
    folded, kept = fold(COLLECT, [row(code, due) for code, due in pairs])
    assert total([one["due"] for one in kept]) == folded["total"]
    assert len({one["code"] for one in kept}) == len(kept)


def test_ratio_without_debts_is_invalid_and_not_an_error() -> None:
    derive = deriver(shipped().kinds["margin_account"], "fact", shipped().calendar)
    assert derive is not None
    figures = ("cash_asset", "market_value", "other_assets", "financing", "short_value", "interest")
    made: dict[str, Value] = dict.fromkeys(figures, Decimal(0))
    derive(made, env().business_date)
    assert (made["debts"], made["own_ratio"]) == (Decimal(0), Absence.INVALID)


def test_kind_without_formulas_has_no_deriver() -> None:
    assert deriver(shipped().kinds["client"], "fact", shipped().calendar) is None
