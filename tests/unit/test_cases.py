"""The case runner: what came out is held against what must, and each difference is a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from daemon.rules.cases import run_cases
from daemon.rules.schema import Case
from tests.builders_rules import FUND, MARGIN, PAYMENT, load_changed, shipped


def case(rule: str, name: str) -> Case:
    return next(c for c in shipped().cases if c.rule == rule and name in c.name)


def faults(one: Case, **expect: Any) -> tuple[str, ...]:
    (result,) = run_cases(shipped(), [replace(one, expect={**one.expect, **expect})])
    return result.faults


BREACH = "vector 129.999999"


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"bucket": "no_match"}, "bucket: found notify (level:call), expected no_match"),
        ({"reason": "level:urgent"}, "reason: found level:call, expected level:urgent"),
        ({"level": "urgent"}, "level: found call, expected urgent"),
        ({"marks": ["ratio_differs"]}, "marks: found none, expected ratio_differs"),
        ({"cured": ["call"]}, "cured: found urgent, expected call"),
        ({"values": {"to_add": 200000}}, "to_add: found 200000.01, expected 200000"),
        ({"values": {"deadline": "2024-02-06T15:00"}}, "expected 2024-02-06T15:00"),
        ({"stages": {"call/notice": {"if": False}}}, "stage call/notice: if: found True, expected False"),
        ({"stages": {"urgent/notice": {"if": True}}}, "stage urgent/notice: found none, expected one of call/notice"),
        ({"card": ["130.00%"]}, "card: found no '130.00%'"),
        ({"without": ["129.99%"]}, "without: found '129.99%'"),
        ({"sms": ["申购"]}, "sms: found no '申购'"),
        ({"variant": "warning"}, "variant: found call, expected warning"),
    ],
)
def test_difference_is_a_sentence(expect: dict[str, Any], said: str) -> None:
    found = faults(case(MARGIN, BREACH), **expect)
    assert any(said in fault for fault in found), found


def test_what_is_as_expected_has_no_faults() -> None:
    (result,) = run_cases(shipped(), [case(MARGIN, BREACH)])
    assert result.passed
    assert str(result).endswith("as expected")


def test_result_names_file_line_and_case() -> None:
    one = case(MARGIN, BREACH)
    (result,) = run_cases(shipped(), [replace(one, expect={"bucket": "held"})])
    assert str(result).startswith(f"rules/margin/maintenance.cases.yaml:{one.line}: {one.name}: bucket: found notify")


def test_card_of_a_fact_that_nobody_is_told_of_is_a_fault() -> None:
    found = faults(case(FUND, "the day after the window"), card=["x"])
    assert found == ("card: found no stage to word, expected a match",)


def test_winning_numbers_of_one_issue_are_added_up() -> None:
    (result,) = run_cases(shipped(), [case(PAYMENT, "ten winning numbers")])
    (row,) = result.decision.terms["rows"]
    assert (row["quantity"], row["due"]) == (1000, 126890)
    assert "security_name" not in row


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("rules/margin/maintenance.yaml", "ratio < line_immediate\n", "ratio <= line_immediate\n"),
        ("rules/margin/maintenance.yaml", "basis == 'day_end' and ratio < line_call", "ratio < line_call"),
        ("rules/margin/maintenance.yaml", "rearm: cured", "rearm: ratio >= line_call"),
        ("rules/margin/maintenance.yaml", "cents_up(line_target", "cents_down(line_target"),
        ("rules/margin/maintenance.yaml", "deadline: T+1d told_by", "deadline: T+1 told_by"),
        (
            "rules/client_status.yaml",
            "    dormant: phone_as_well\n    institution: send\n    id_expired: phone_as_well",
            "    dormant: phone_as_well\n    institution: send\n    id_expired: send",
        ),
        ("rules/parameters/margin.yaml", "value: 0.0001", "value: 0.0002"),
        ("rules/kinds/margin_account.yaml", "financing + short_value + interest", "financing + interest"),
        ("rules/ipo/payment.yaml", "if: short > 0", "if: short >= 0"),
        ("rules/ipo/payment.yaml", "  amounts_differ: not amounts_agree\n", ""),
        ("rules/ipo/payment.yaml", "effective: 2017-09-08", "effective: 2017-09-09"),
        ("rules/fund/open_window.yaml", "window_start <= business_date", "window_start < business_date"),
        ("rules/fund/open_window.yaml", "when: business_date <= max", "when: business_date < max"),
        ("rules/fund/followers.yaml", "assessment_age <= assessment_days", "assessment_age < assessment_days"),
        ("rules/fund/followers.yaml", "known(offering) and matches and", "matches and"),
        ("rules/fund/limit_change.yaml", "day_limit >= before", "day_limit > before"),
        ("rules/fund/lot_open.yaml", "<= lot_notice", "< lot_notice"),
        ("rules/fund/open_window.yaml", "client_kind == 'person' and not", "not"),
    ],
)
def test_changed_rule_fails_a_case(path: str, old: str, new: str) -> None:
    ruleset = load_changed(path, old, new).required()
    assert any(not result.passed for result in run_cases(ruleset))


@pytest.mark.parametrize(
    ("merged", "told", "untold"), [("true", "弃购2次", "沪市"), ("false", "弃购沪市1次、深市1次", "弃购2次")]
)
def test_waivers_are_told_together_or_by_market(merged: str, told: str, untold: str) -> None:
    ruleset = load_changed("rules/parameters/ipo.yaml", "value: true", f"value: {merged}").required()
    one = next(
        c for c in ruleset.cases if c.rule == PAYMENT and c.name.startswith("the last call says what is missing")
    )
    (result,) = run_cases(ruleset, [replace(one, expect={"bucket": "notify", "card": [told], "without": [untold]})])
    assert result.faults == ()
