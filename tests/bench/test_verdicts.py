"""The rules' bench on a few facts: every contender finds the same on each; its times are not judged."""

from __future__ import annotations

from collections import Counter

from tests.bench import verdicts
from tests.bench.verdicts import by_hand, everything, facts, measure
from tests.builders_rules import decider, env


def test_every_engine_gives_every_fact_the_same_bucket_reason_level_and_mark() -> None:
    found = {each.name: each for each in measure(600, everything(), chunk=200)}
    assert all(each.facts == 600 and each.differ == 0 for each in found.values())
    compared = {name for name, each in found.items() if each.same}
    assert {"ours", "by hand", "rule-engine", "common-expression-language", "zen-engine, decision table"} < compared
    assert verdicts.table(list(found.values())).count("\n") == len(found) + 1


def test_the_facts_reach_every_level_and_reason() -> None:
    seen = Counter((bucket, reason, mark) for bucket, reason, _, mark in by_hand()(facts(0, 2_000)))
    reasons = {reason for _, reason, _ in seen}
    levels = {f"level:{level.name}" for level in decider().rule.levels}
    assert levels | {"unless:no_debt", "condition", "needs:figures_of_the_day"} == reasons
    assert {mark for _, _, mark in seen} == {True, False}


def test_an_answer_that_differs_is_told() -> None:
    wrong = verdicts.Timed("wrong", lambda chunk: [("notify", "condition", "", False)] * len(chunk))
    try:
        measure(20, [wrong], chunk=10)
    except AssertionError as error:
        assert "wrong: 20 of 20 differ" in str(error)
    else:
        raise AssertionError("a wrong answer went by")


def test_the_loop_by_hand_finds_what_the_rule_finds_where_operands_are_absent() -> None:
    from daemon.model.kinds import Absence

    names = ("debts", "own_ratio", "counter_ratio", "ratio_source", "as_of", "contract_immediate", "contract_attention")
    broken = [{**fact, name: absence} for fact in facts(0, 40) for name in names for absence in Absence]
    ours = decider().verdicts.many(broken, env(verdicts.DAY))
    assert verdicts.plain(ours) == by_hand()(broken)  # type: ignore[arg-type]
