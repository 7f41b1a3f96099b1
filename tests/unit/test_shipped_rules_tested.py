"""The shipped rules against the bars of their own report: every case as expected, levels, timers and gates covered whole, and
nearly every mistake noticed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from daemon.rules.coverage import coverage_of
from daemon.rules.mutants import run_mutants
from daemon.settings import RuleSettings
from tests.builders_rules import shipped

RULES = sorted(shipped().rules)


@pytest.mark.parametrize("rule", RULES)
def test_levels_timers_and_gates_are_covered_whole(rule: str) -> None:
    found = coverage_of(shipped(), rule)
    assert [str(item) for item in found.missing("levels", "stages", "timers", "gates")] == []
    covered, of = found.of("conditions")
    assert Decimal(covered) / of >= Decimal("0.9")


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_cases_notice_nearly_every_mistake(rule: str) -> None:
    tally = run_mutants(shipped(), rule)
    assert tally.score >= RuleSettings().mutation_score, [str(mutant) for mutant in tally.survivors]
    assert tally.made >= 100
