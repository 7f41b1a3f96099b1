"""How a notice leaves and what serves it, and that cases can state it: each difference a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from daemon.model.decisions import Bucket, Decision
from daemon.rules import passage
from daemon.rules.cases import run_cases
from daemon.rules.expressions import parse
from daemon.rules.lacking import Lacking
from daemon.rules.schema import Case, Rule
from daemon.rules.vocabulary import Vocabulary
from tests.builders_mini import NAME, mini
from tests.builders_rules import FUND, MARGIN, local, shipped

RULE: Rule = mini().rules[NAME]


def case(name: str) -> Case:
    return next(c for c in mini().cases if name in c.name)


def faults(one: Case, **expect: Any) -> tuple[str, ...]:
    (result,) = run_cases(mini(), [replace(one, expect={**one.expect, **expect})])
    return result.faults


@pytest.mark.parametrize(
    ("name", "expect", "said"),
    [
        ("a cent over", {"first": ("sms",)}, "first: found rcs, expected sms"),
        ("a cent over", {"next": "none"}, "next: found sms, expected none"),
        ("an SMS that was delivered", {"next": "sms"}, "next: found none, expected sms"),
        ("a cent over", {"served": True}, "served: found False, expected True"),
        ("a cent over", {"contacts": ("agreed",)}, "contacts: found client, expected agreed"),
        ("another amount", {"correction": "held"}, "correction: found made, expected held"),
        (
            "a cent over",
            {"stages": {"notice": {"late": "send_marked"}}},
            "stage notice: late: found drop, expected send_marked",
        ),
        (
            "a cent over",
            {"stages": {"notice": {"timers": ((local("2024-02-01 09:11"), "task"),)}}},
            "stage notice: timers: found 2024-02-01T09:10 next_channel, expected 2024-02-01T09:11 task",
        ),
        (
            "a cent over",
            {"stages": {"notice": {"timers": ()}}},
            "timers: found 2024-02-01T09:10 next_channel, expected none",
        ),
    ],
)
def test_difference_is_a_sentence(name: str, expect: dict[str, Any], said: str) -> None:
    found = faults(case(name), **expect)
    assert any(said in fault for fault in found), found


def test_timers_of_a_late_reading_count_from_it() -> None:
    late = replace(case("a cent over"), made_at=local("2024-02-01 10:00"))
    stages = {"notice": {"timers": ((local("2024-02-01 10:10"), "next_channel"),)}}
    assert faults(late, stages=stages) == ()


def test_fact_that_was_told_must_have_notified_for_the_same_obligation() -> None:
    one = case("another amount")
    assert one.told is not None
    silent = replace(one, told=replace(one.told, given={**one.told.given, "owed": one.told.given["owed"] * 0}))  # type: ignore[operator]
    assert faults(silent) == ("told: found no_match (condition), expected a fact that notifies",)
    other = replace(one, told=replace(one.told, given={**one.told.given, "business_date": date(2024, 2, 2)}))
    assert faults(other) == ("told: found another occurrence, expected the obligation of the case",)


def test_gone_is_worded_as_it_was_told() -> None:
    one = next(c for c in shipped().cases if c.rule == FUND and "taken back after it was told" in c.name)
    (result,) = run_cases(shipped(), [replace(one, expect={**one.expect, "card": ["自2024年3月28日起开放"]})])
    assert result.passed
    (result,) = run_cases(shipped(), [replace(one, expect={**one.expect, "variant": "opening"})])
    assert result.faults == ("variant: found withdrawn, expected opening",)


@pytest.mark.parametrize(
    ("wants", "serving"),
    [
        ("accepted", {"accepted", "handed_to_sms", "delivered"}),
        ("handed_to_sms", {"handed_to_sms", "delivered"}),
        ("delivered", {"delivered"}),
    ],
)
def test_receipt_serves_from_what_discharges_on(wants: str, serving: set[str]) -> None:
    rule = replace(RULE, discharge={"rcs": wants})
    receipts = ("", "undelivered", *passage.RECEIPTS)
    assert {receipt for receipt in receipts if passage.serves(rule, "rcs", receipt)} == serving
    assert not passage.serves(rule, "sms", "delivered")


def test_rule_without_discharge_is_served_by_delivery_on_its_channels() -> None:
    rule = replace(RULE, discharge={})
    assert passage.serves(rule, "sms", "delivered")
    assert not passage.serves(rule, "sms", "handed_to_sms")
    assert not passage.serves(rule, "email", "delivered")


@pytest.mark.parametrize(
    ("found", "gone", "only", "held", "expected"),
    [
        (Decision(Bucket.NOTIFY, "condition", terms={"owed": 1}), False, (), False, "none"),
        (Decision(Bucket.NOTIFY, "condition", terms={"owed": 2}), False, (), False, "made"),
        (Decision(Bucket.NOTIFY, "condition", terms={"owed": 2}), False, (), True, "held"),
        (Decision(Bucket.HELD, "declared:x", terms={"owed": 2}), True, (), False, "none"),
        (Decision(Bucket.INDETERMINATE, "missing:owed:empty"), True, (), False, "none"),
        (Decision(Bucket.SUPPRESSED, "gate:consent", terms={"owed": 1}), True, (), False, "none"),
        (Decision(Bucket.NO_MATCH, "condition"), False, (), False, "none"),
        (Decision(Bucket.NO_MATCH, "condition"), True, (), False, "made"),
        (Decision(Bucket.NO_MATCH, "condition"), True, ("paid",), False, "none"),
        (Decision(Bucket.NO_MATCH, "unless:paid"), True, ("paid",), True, "held"),
    ],
)
def test_what_becomes_of_what_was_told(
    found: Decision, gone: bool, only: tuple[str, ...], held: bool, expected: str
) -> None:
    rule = replace(RULE, correct_gone=gone, gone_only=only, correct_held=held)
    told = Decision(Bucket.NOTIFY, "condition", terms={"owed": 1})
    assert passage.correction(rule, told, found) == expected


@pytest.mark.parametrize(
    ("rule", "key", "part", "expected"),
    [
        (MARGIN, "levels.urgent.when", "ratio < line_immediate", True),
        (MARGIN, "levels.call.when", "basis == 'day_end'", False),  # required: a row without it is a reject
        (MARGIN, "marks.ratio_differs", "known(own_ratio)", False),
        (FUND, "unless.no_window", "coalesce(announcement, 'none') == 'none'", True),
        (FUND, "hold.days_contradict", "closing_day < window_start", False),  # a match has both days
        (FUND, "hold.status_contradicts", "status == 'no_buy'", True),
        (FUND, "unless.nothing_held", "share <= 0", False),
    ],
)
def test_what_can_be_absent(rule: str, key: str, part: str, expected: bool) -> None:
    words = Vocabulary.of(shipped(), shipped().rules[rule])
    assert Lacking(words).can_be_absent(key, parse(part)) is expected
