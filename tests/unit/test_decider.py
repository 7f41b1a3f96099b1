"""Deciding: exactly one bucket, first level that holds, absence never reads as no, the same from the operands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model.decisions import Bucket, Decision
from daemon.model.kinds import NUMBERS, PERSONAL_TYPES, Absence, Type, Value
from daemon.rules.decider import Decider
from daemon.rules.evaluate import evaluate
from daemon.rules.expressions import parse
from daemon.rules.gates import NAMES, OPEN, GateInputs
from daemon.rules.schema import RuleSet
from tests.builders_rules import FUND, MARGIN, PAYMENT, decider, env, fact, shipped

RULES = (MARGIN, PAYMENT, FUND)
CONSENTED = GateInputs(consent="in")


def decide(name: str = MARGIN, whole: bool = True, gates: GateInputs = CONSENTED, **values: object) -> Decision:
    return decider(name).decide(fact(name, **values), (), whole, gates, env(DAYS[name]))


DAYS = {MARGIN: date(2024, 2, 1), PAYMENT: date(2024, 2, 1), FUND: date(2024, 3, 28)}


@st.composite
def facts(draw: st.DrawFn, name: str) -> dict[str, Value]:
    """A fact near the limits of a rule, with some operands absent."""
    values = fact(name)
    fields = shipped().kinds[shipped().rules[name].kind].fields
    for operand, type_ in decider(name).operands:
        how = draw(st.integers(0, 9))
        if how == 0:
            values[operand] = draw(st.sampled_from(list(Absence)))
        elif how == 1:
            values.pop(operand, None)
        elif how < 5:
            values[operand] = draw(_value(type_, fields[operand].values, values.get(operand)))
    return values


def _value(type_: Type, allowed: tuple[str, ...], old: Value | None) -> st.SearchStrategy[Value]:
    if type_ is Type.RATIO:
        return st.decimals("0.9", "1.9", places=2)
    if type_ in NUMBERS:
        return st.decimals(0, 2_000_000, places=2)
    if type_ is Type.BOOL:
        return st.booleans()
    if type_ is Type.ENUM:
        return st.sampled_from(allowed)
    if type_ is Type.DATE:
        return st.dates(date(2024, 1, 2), date(2024, 4, 30))
    return st.just(Absence.MISSING if old is None else old)


def expected_bucket(ruleset: RuleSet, name: str, values: Mapping[str, Value], day: date) -> str:
    """What the rule's own text gives, walked by the tree evaluator; matches apart from gates and plans."""
    rule, kind = ruleset.rules[name], ruleset.kinds[ruleset.rules[name].kind]
    known: dict[str, Value] = {n: v for n, v in values.items() if n in kind.fields}
    for parameter in ruleset.parameters.values():
        firm = parameter.on(day)
        own: Value = Absence.MISSING if firm is None else firm
        if parameter.contract in kind.fields:
            contract = known.get(parameter.contract, Absence.MISSING)
            own = own if contract is Absence.EMPTY else contract
        known[parameter.name] = own
    for let, text in rule.lets.items():
        known[let] = evaluate(parse(text), known, env(day))
    ordered = [("no", text) for text in rule.unless.values()]
    ordered += [("match", level.when) for level in rule.levels] or [("match", rule.when)]
    for kind_of, text in ordered:
        found = evaluate(parse(text), known, env(day))
        if found is not False:
            return kind_of if found is True else "unknown"
    return "no"


@pytest.mark.parametrize("name", RULES)
def test_decision_is_that_of_the_rule_as_written(name: str) -> None:
    @settings(max_examples=200, deadline=None)
    @given(facts(name))
    def check(values: dict[str, Value]) -> None:
        found = decider(name).decide(values, (), True, CONSENTED, env(DAYS[name]))
        expected = expected_bucket(shipped(), name, values, DAYS[name])
        if expected == "unknown":
            assert found.bucket is Bucket.INDETERMINATE and found.reason.startswith("missing:")
        elif expected == "no":
            assert found.bucket in (Bucket.NO_MATCH, Bucket.INDETERMINATE)
            assert found.bucket is Bucket.NO_MATCH or shipped().rules[name].needs
        else:
            assert found.terms and found.bucket is not Bucket.NO_MATCH

    check()


@pytest.mark.parametrize("name", RULES)
def test_operands_alone_decide_the_same(name: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(facts(name), st.booleans())
    def check(values: dict[str, Value], whole: bool) -> None:
        rule = decider(name)
        found = rule.decide(values, (), whole, CONSENTED, env(DAYS[name]))
        assert rule.decide(found.operands, (), whole, CONSENTED, env(DAYS[name])) == found
        assert tuple(found.operands) == tuple(n for n, _ in rule.operands)

    check()


@pytest.mark.parametrize("name", RULES)
def test_reason_of_an_indeterminate_fact_names_an_absent_operand(name: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(facts(name))
    def check(values: dict[str, Value]) -> None:
        found = decider(name).decide(values, (), True, CONSENTED, env(DAYS[name]))
        kind, _, rest = found.reason.partition(":")
        operand, _, absence = rest.partition(":")
        if kind == "missing" and operand in found.operands:
            assert found.operands[operand] == Absence(absence)

    check()


@pytest.mark.parametrize("name", RULES)
def test_operands_are_sorted_and_hold_nothing_personal(name: str) -> None:
    operands = decider(name).operands
    assert list(operands) == sorted(operands)
    assert not [n for n, type_ in (*operands, *decider(name).row_operands) if type_ in PERSONAL_TYPES]


def test_rows_of_terms_hold_only_what_a_sheet_may() -> None:
    rows = ({"security_code": "301589", "security_name": "诺瓦星云", "due": Decimal(1)},)
    found = decider(PAYMENT).decide(fact(PAYMENT, amounts_agree=True), rows, True, OPEN, env())
    (row,) = found.terms["rows"]
    assert row["security_code"] == "301589" and "security_name" not in row


def test_fact_that_is_not_whole_is_indeterminate_whatever_it_holds() -> None:
    found = decide(whole=False, counter_ratio=Decimal("0.5"))
    assert (found.bucket, found.reason, found.cured) == (Bucket.INDETERMINATE, "not_whole", frozenset())


def test_before_its_first_day_a_rule_says_no() -> None:
    found = decider().decide(fact(), (), True, OPEN, env(date(2015, 6, 30)))
    assert (found.bucket, found.reason) == (Bucket.NO_MATCH, "not_effective")


def test_after_its_last_day_a_rule_says_no() -> None:
    rule = replace(shipped().rules[MARGIN], until=date(2024, 1, 31))
    ended = Decider(shipped(), rule)
    assert ended.decide(fact(), (), True, OPEN, env(date(2024, 2, 1))).reason == "not_effective"
    assert ended.decide(fact(), (), True, OPEN, env(date(2024, 1, 31))).reason != "not_effective"


def test_worst_level_that_holds_is_taken() -> None:
    for ratio, level in (("1.09", "urgent"), ("1.29", "call"), ("1.49", "warning"), ("1.69", "attention")):
        figure = Decimal(ratio)
        assert decide(counter_ratio=figure, own_ratio=figure).level == level


def test_absent_worse_level_makes_a_milder_one_indeterminate() -> None:
    found = decide(counter_ratio=Decimal("1.49"), contract_call=Absence.INVALID)
    assert (found.bucket, found.reason) == (Bucket.INDETERMINATE, "missing:contract_call:invalid")


def test_worse_level_that_holds_needs_no_milder_line() -> None:
    assert decide(counter_ratio=Decimal("1.05"), contract_warning=Absence.INVALID).level == "urgent"


def test_cured_is_told_of_every_whole_fact() -> None:
    assert decide(counter_ratio=Decimal(3)).cured == {"urgent", "warning", "attention"}
    assert decide(counter_ratio=Decimal("1.29"), cured=True).cured == {"urgent", "call"}


def test_no_match_is_not_believed_on_figures_of_another_day() -> None:
    assert decide(counter_ratio=Decimal(3)).bucket is Bucket.NO_MATCH
    late = decide(counter_ratio=Decimal(3), business_date=date(2024, 2, 2))
    assert (late.bucket, late.reason) == (Bucket.INDETERMINATE, "needs:figures_of_the_day")


def test_match_without_its_occurrence_is_indeterminate() -> None:
    found = decide(counter_ratio=Decimal("1.05"), basis=Absence.MISSING)
    assert (found.bucket, found.reason) == (Bucket.INDETERMINATE, "missing:basis:missing")


def test_instant_that_cannot_be_told_makes_a_match_indeterminate() -> None:
    found = decide(FUND, cutoff=Absence.INVALID)
    assert (found.bucket, found.reason) == (Bucket.INDETERMINATE, "missing:cutoff:invalid")


def test_suppressed_match_keeps_its_occurrence_and_terms() -> None:
    found = decide(gates=GateInputs(silenced="complaint"), counter_ratio=Decimal("1.29"))
    assert found.bucket is Bucket.SUPPRESSED
    assert found.occurrence and found.terms and found.level == "call"


def test_mark_that_cannot_be_told_is_not_set() -> None:
    assert decide(counter_ratio=Decimal("1.29"), own_ratio=Absence.INVALID).marks == ()
    assert decide(counter_ratio=Decimal("1.29"), own_ratio=Decimal("1.30")).marks == ("ratio_differs",)


def test_context_has_fields_parameters_and_lets() -> None:
    figures = {"debts": Decimal(1_000_000), "assets": Decimal("1299999.99")}
    found = decider().context(fact(account_tail="0001", **figures), env())
    assert (found["account_tail"], found["line_target"]) == ("0001", Decimal("1.50"))
    assert (found["to_add"], found["to_sell"]) == (Decimal("200000.01"), Decimal("400000.02"))


def test_explanation_shows_what_decided() -> None:
    made = decider().explain(fact(counter_ratio=Decimal("1.29")), (), True, OPEN, env())
    (decided,) = [c for c in made.conditions if c.decided]
    assert decided.key == "levels.call.when" and decided.trace.value is True
    assert {child.text for child in decided.trace.children} == {"basis == 'day_end'", "ratio < line_call"}
    assert made.calendar.startswith("sse ")
    assert [g.verdict for g in made.gates] == ["pass"] * len(NAMES)


def test_explanation_tells_the_contract_from_the_firm() -> None:
    made = decider().explain(fact(contract_attention=Absence.EMPTY), (), True, OPEN, env())
    notes = {p.name: p for p in made.parameters}
    assert notes["line_call"].source == "contract" and notes["line_call"].value == Decimal("1.30")
    assert notes["line_attention"].source == "firm" and notes["line_attention"].reference.startswith("FIRM-MARGIN")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"debts": 0}, "unless.no_debt"),
        ({"counter_ratio": Absence.EMPTY}, "levels.urgent.when"),
        ({"counter_ratio": Decimal(3), "as_of": Absence.EMPTY}, "needs.figures_of_the_day"),
    ],
)
def test_explanation_of_a_client_not_told_names_the_first_thing_that_made_it_so(
    values: dict[str, object], key: str
) -> None:
    made = decider().explain(fact(**values), (), True, OPEN, env())
    assert [c.key for c in made.conditions if c.decided][:1] == [key]
