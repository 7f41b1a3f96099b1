"""The first cause of a decision, on the shipped rules: which condition or gate made it so."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest

from daemon.clock import SHANGHAI
from daemon.model.kinds import Absence, Value
from daemon.report.explain import Cause, cause_of, fact_key
from daemon.rules.cases import build
from daemon.rules.decider import Decider
from daemon.rules.gates import OPEN, GateInputs
from daemon.store.sheetlines import Line
from tests.builders_rules import MARGIN, PAYMENT, decider, env, load_changed, shipped

DAY = date(2024, 2, 1)


def _values(rule: str, **changed: Value) -> dict[str, Value]:
    case = next(case for case in shipped().cases if case.rule == rule)
    values, _ = build(shipped(), case)
    return {**values, **changed}


def _margin(ratio: str, **changed: Value) -> dict[str, Value]:
    found = Decimal(ratio)
    given: dict[str, Value] = {"counter_ratio": found, "own_ratio": found, "ratio_source": "counter", **changed}
    return _values(MARGIN, **given)


def _cause(rule: str, values: dict[str, Value], gates: GateInputs = OPEN, *, whole: bool = True) -> Cause | None:
    found = decider(rule).explain(values, (), whole, gates, env(DAY))
    return cause_of(found, decider(rule).rule.levels)


def test_a_match_is_caused_by_its_level() -> None:
    found = _cause(MARGIN, _margin("1.25"))
    assert found is not None
    assert (found.kind, found.key) == ("condition", "levels.call.when")
    assert found.trace is not None
    assert found.trace.value is True


def test_a_ratio_above_every_line_is_caused_by_the_mildest_level() -> None:
    found = _cause(MARGIN, _margin("2.5"))
    assert found is not None
    assert (found.kind, found.key) == ("level", "levels.attention.when")
    assert found.trace is not None
    assert [child.value for child in found.trace.children] == [Decimal("2.5"), Decimal("1.7")]


def test_no_debt_is_a_cause_of_its_own() -> None:
    found = _cause(MARGIN, _margin("2.5", debts=Decimal(0)))
    assert found is not None
    assert (found.kind, found.key) == ("condition", "unless.no_debt")


def test_a_missing_operand_points_at_the_condition_that_needed_it() -> None:
    found = _cause(MARGIN, _margin("1.25", counter_ratio=Absence.MISSING))
    assert found is not None
    assert found.kind == "condition"
    assert found.key == "levels.urgent.when"
    assert found.trace is not None
    assert found.trace.value is Absence.MISSING


def test_a_figure_of_another_day_clears_nobody_and_is_the_cause() -> None:
    old = datetime(2024, 1, 31, 15, 0, tzinfo=SHANGHAI)
    found = _cause(MARGIN, _margin("2.5", as_of=old))
    assert found is not None
    assert found.key == "needs.figures_of_the_day"


@pytest.mark.parametrize(
    ("gates", "gate"),
    [
        (GateInputs(stopped=True), "stopped"),
        (GateInputs(silenced="exchange test"), "silence"),
        (GateInputs(stopped=True, silenced="exchange test"), "stopped"),
    ],
)
def test_the_first_gate_that_does_not_pass_is_the_cause(gates: GateInputs, gate: str) -> None:
    found = _cause(MARGIN, _margin("1.25"), gates)
    assert found is not None
    assert (found.kind, found.key) == ("gate", gate)


def test_a_declared_hold_brings_its_condition() -> None:
    found = _cause(PAYMENT, _values(PAYMENT, amounts_agree=False))
    assert found is not None
    assert (found.kind, found.key, found.detail) == ("gate", "declared", "amounts_differ")
    assert found.trace is not None
    assert found.trace.text == "not amounts_agree"


@pytest.mark.parametrize(("status", "why"), [("frozen", "unsuitable"), (Absence.MISSING, "unknown:missing")])
def test_what_is_not_known_to_be_suitable_brings_its_condition(status: Value, why: str) -> None:
    asks = "gates:\n  suitability: client_status == 'normal'\n"
    ruleset = load_changed("rules/margin/maintenance.yaml", "gates:\n", asks).required()
    rule = ruleset.rules[MARGIN]
    values = _margin("1.25", client_status=status)
    found = cause_of(Decider(ruleset, rule).explain(values, (), True, OPEN, env(DAY)), rule.levels)
    assert found is not None
    assert (found.kind, found.key, found.detail) == ("gate", "suitability", why)
    assert found.trace is not None
    assert found.trace.text == "client_status == 'normal'"


def test_a_fact_that_is_not_whole_says_so() -> None:
    found = _cause(MARGIN, _margin("2.5"), whole=False)
    assert found == Cause("whole", "whole")


def test_a_date_before_the_rule_is_the_cause() -> None:
    found = decider(MARGIN).explain(_margin("1.25"), (), True, OPEN, env(date(2014, 1, 2)))
    cause = cause_of(found, decider(MARGIN).rule.levels)
    assert cause == Cause("date", "effective", "2014-01-02")


def test_facts_of_one_subject_are_told_apart_by_what_the_sheet_holds() -> None:
    kind = shipped().kinds["fund_holding"]
    operands: dict[str, Value] = {"fund_code": "005428", "business_date": DAY, "share": Decimal(1)}
    line = Line(7, 7, DAY, "no_match", "unless:no_window", operands)
    assert fact_key(kind, line) == (("fund_code", "005428"),)
