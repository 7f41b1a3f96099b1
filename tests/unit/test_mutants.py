"""Mutants: which mistakes are made, which cases kill them, and that a case left out lets exactly its mutants live."""

from __future__ import annotations

from decimal import Decimal

import pytest

from daemon.rules.expressions import ExpressionError, parse
from daemon.rules.mutants import mutants_of, run_mutants
from daemon.rules.mutate_expressions import Typing, variations
from daemon.rules.mutate_instants import instant_variations
from daemon.rules.nodes import show
from daemon.rules.skeleton import Skeletons
from daemon.rules.types import BOOL, DATE, MONEY, QUANTITY, RATIO, Base, Declared, ExprType, Scope
from tests.builders_mini import CASES, NAME, RULE, mini

ENUM = ExprType(Base.ENUM, ("north", "south", "east"))
TYPING = Typing(
    Scope(
        {
            "owed": Declared(MONEY),
            "line": Declared(MONEY),
            "ratio": Declared(RATIO),
            "count": Declared(QUANTITY),
            "share": Declared(QUANTITY),
            "day": Declared(DATE),
            "last": Declared(DATE),
            "desk": Declared(ENUM),
            "told": Declared(BOOL),
            "paid": Declared(BOOL),
        }
    ),
    {"share": Decimal("0.01"), "count": Decimal(1)},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owed > line", ["owed >= line", "owed > line + 0.01", "owed > line - 0.01"]),
        ("owed > 0", ["owed >= 0", "owed > 0.01", "owed > -0.01"]),
        ("ratio < 1.3", ["ratio <= 1.3", "ratio < 1.3001", "ratio < 1.2999"]),
        ("ratio < 0.00001", ["ratio <= 0.00001", "ratio < 0.00002", "ratio < 0.00000"]),
        ("count >= 3", ["count > 3", "count >= 4", "count >= 2"]),
        ("share <= 0", ["share < 0", "share <= 0.01", "share <= -0.01"]),
        ("day <= last", ["day < last", "day <= add_days(last, 1)", "day <= add_days(last, -1)"]),
        ("day < 2024-02-01", ["day <= 2024-02-01", "day < 2024-02-02", "day < 2024-01-31"]),
        ("desk == 'north'", ["desk != 'north'", "desk == 'south'", "desk == 'east'"]),
        (
            "desk in ('north', 'south')",
            ["desk in ('south')", "desk in ('north')", "desk in ('north', 'south', 'east')"],
        ),
        ("told and paid", ["told or paid", "paid", "told"]),
        ("told or not paid", ["told and not paid", "not paid", "told", "told or paid"]),
        ("if_else(told, owed, line)", ["if_else(told, line, owed)"]),
        ("coalesce(owed, line)", ["owed", "line"]),
        ("add_sessions(day, count)", ["add_sessions(day, count + 1)", "add_sessions(day, count - 1)"]),
        ("add_days(day, 2)", ["add_days(day, 3)", "add_days(day, 1)"]),
        ("max(owed, line)", ["min(owed, line)"]),
        ("cents_up(owed)", ["cents(owed)", "cents_down(owed)"]),
        ("owed / 10", ["owed * 10", "owed / 10.01", "owed / 9.99"]),
        ("owed + line", ["owed - line"]),
        ("false", ["true"]),
    ],
)
def test_changes_of_an_expression(text: str, expected: list[str]) -> None:
    assert [show(made.node) for made in variations(parse(text), TYPING)] == expected


def test_change_that_the_loader_would_refuse_is_none() -> None:
    whole = " or ".join(["not owed > line", *["owed > line"] * 98])  # one operand or operator below the bound
    made = variations(parse(whole), TYPING)
    assert {variation.operator for variation in made} == {"joint", "dropped", "negation", "strictness"}
    with pytest.raises(ExpressionError):
        parse(whole.replace("owed > line", "owed > line + 0.01", 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T 14:30", ["T+1 14:30", "T-1 14:30", "T 14:31", "T 14:29"]),
        ("T+2 14:30", ["T+3 14:30", "T+1 14:30", "T+2d 14:30", "T+2 14:31", "T+2 14:29"]),
        ("T+1d told_by", ["T+2d told_by", "T+0d told_by", "T+1 told_by", "T+1d told_by +1m", "T+1d told_by -1m"]),
        ("day cutoff -30m", ["day+1 cutoff -30m", "day-1 cutoff -30m", "day cutoff -29m", "day cutoff -31m"]),
        ("T+topup_days cutoff", ["T+topup_days cutoff +1m", "T+topup_days cutoff -1m"]),
        ("at once", ["+1m", "-1m"]),
        ("+1h", ["+61m", "+59m"]),
        ("T 00:00", ["T+1 00:00", "T-1 00:00", "T 00:01"]),
    ],
)
def test_changes_of_an_instant(text: str, expected: list[str]) -> None:
    assert [made for _, made in instant_variations(text)] == expected


def test_full_cases_kill_every_mutant_of_the_small_rule() -> None:
    tally = run_mutants(mini(), NAME)
    assert (tally.made, tally.killed, tally.equivalents, tally.survivors) == (31, 31, (), ())
    assert tally.score == 1


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        ("a cent over the line", "timer: 10m next_channel -> 11m next_channel"),
        ("on the line", "owed > line -> owed >= line"),
        ("an SMS that was delivered serves", ""),
        ("an SMS that was handed over does not serve", "delivered -> handed_to_sms"),
        ("the day before the rule takes effect", "2020-01-01 -> 2019-12-31"),
        ("the first day of the rule", "2020-01-01 -> 2020-01-02"),
        ("another amount after telling", "correction: false -> true"),
        ("a debt that is paid after telling", "correction: false -> true"),
        ("a late source does not silence", "unasked: send -> hold"),
        ("a refusal does not silence", "consent: none -> opt_out"),
        ("a client who was never asked", ""),
    ],
)
def test_case_left_out_lets_its_mutants_live(left_out: str, expected: str) -> None:
    cases = tuple(case for case in CASES if left_out not in case)
    assert len(cases) == len(CASES) - 1
    survivors = [str(mutant) for mutant in run_mutants(mini(cases=cases), NAME).survivors]
    assert any(expected in text for text in survivors) if expected else not survivors


def test_survivor_names_its_place_and_change() -> None:
    cases = tuple(case for case in CASES if "on the line" not in case)
    (strict,) = [m for m in run_mutants(mini(cases=cases), NAME).survivors if m.operator == "strictness"]
    assert str(strict) == "rules/desk/debt.yaml:8: when: strictness: owed > line -> owed >= line"


def test_case_that_is_printed_for_a_survivor_kills_it_when_pasted() -> None:
    cases = (CASES[1], CASES[0].split("    receipts")[0] + "    expect: {bucket: notify}\n")
    ruleset = mini(cases=cases)
    survivors = run_mutants(ruleset, NAME).survivors
    assert len(survivors) == 25
    skeletons = Skeletons(ruleset, NAME)
    for mutant in survivors:
        text = skeletons.case(mutant)
        pasted = mini(cases=(*cases, text + "\n"))
        after = run_mutants(pasted, NAME, only=lambda one, text=str(mutant): str(one) == text)  # type: ignore[misc]
        assert after.killed == 1, text


def test_score_is_killed_of_all_that_are_not_equivalent() -> None:
    tally = run_mutants(mini(cases=CASES[:1]), NAME)
    assert tally.score == Decimal(tally.killed * 10_000 // tally.made) / 10_000
    assert tally.score < Decimal("0.9")


def test_every_mutant_differs_from_the_rule_and_from_the_others() -> None:
    found = mutants_of(mini(), NAME)
    assert len({(m.site, m.before, m.after) for m in found}) == len(found)
    assert all(m.before != m.after for m in found)


def test_equivalent_mutant_is_proven_not_counted() -> None:
    rule = RULE.replace("card: desk/debt", 'card: desk/debt\nquiet: {from: "21:00", to: "08:00"}')
    tally = run_mutants(mini(rule), NAME)
    assert [e.proof for e in tally.equivalents] == ["never quiet"] * 4
    assert tally.score == 1
