"""The test report of a rule set: cases, coverage, mutation scores, as one canonical document with a digest. Pure.

Who signs a set signs this digest, so the report names the digest of the set it was made of, and the same set always gives
the same report. What a change of the files asks of it is changes.py's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from daemon.model.values import canonical
from daemon.rules.cases import CaseResult, run_cases
from daemon.rules.coverage import Coverage, coverage_of
from daemon.rules.mutant import Mutant
from daemon.rules.mutants import Tally, run_mutants
from daemon.rules.schema import RuleSet
from daemon.rules.skeleton import Skeletons

FORMAT = "duenotice-test-report/1"
Progress = Callable[[str, int, int], None]
"""Told the rule, and how many of how many of its mutants have been looked at."""


@dataclass(frozen=True)
class RuleReport:
    """One rule: how many cases, the failed ones, what they cover, what became of its mutants (None: not asked for) and the
    case to write for each survivor, by the text of the mutant."""

    rule: str
    cases: int
    failed: tuple[CaseResult, ...]
    coverage: Coverage
    tally: Tally | None = None
    to_write: Mapping[str, str] = field(default_factory=dict)

    @property
    def score(self) -> Decimal | None:
        """The mutation score, None where mutants were not asked for."""
        return None if self.tally is None else self.tally.score


@dataclass(frozen=True)
class TestReport:
    """The report on a rule set, or on some of its rules. `complete`: every mutant of every rule of the set was looked at."""

    __test__ = False  # no test class, whatever its name says to pytest

    set_digest: str
    rules: Mapping[str, RuleReport]
    complete: bool

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """Every case that did not end as expected."""
        return tuple(result for _, rule in sorted(self.rules.items()) for result in rule.failed)

    @property
    def score(self) -> Decimal | None:
        """The lowest mutation score of its rules, None where mutants were not asked for."""
        return min((rule.score for rule in self.rules.values() if rule.score is not None), default=None)

    @property
    def coverage(self) -> Mapping[str, Coverage]:
        """What the cases cover, by rule."""
        return {name: rule.coverage for name, rule in self.rules.items()}

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """Every mutant that no case kills and no proof excuses."""
        return tuple(m for _, rule in sorted(self.rules.items()) if rule.tally for m in rule.tally.survivors)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; scores as text, exact."""
        rules = {name: _rule_json(rule) for name, rule in sorted(self.rules.items())}
        return {"format": FORMAT, "rule_set": self.set_digest, "complete": self.complete, "rules": rules}

    def text(self) -> str:
        """The document: canonical JSON, which the digest is of."""
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        """SHA-256 of `text()` in UTF-8, in hex."""
        return hashlib.sha256(self.text().encode()).hexdigest()


def test_report(
    ruleset: RuleSet,
    rules: Iterable[str] | None = None,
    *,
    mutants: bool = True,
    only: Callable[[Mutant], bool] | None = None,
    progress: Progress = lambda rule, done, of: None,
) -> TestReport:
    """Runs the cases of all rules, or of these, and with `mutants` every mutant that `only` wants."""
    names = sorted(ruleset.rules if rules is None else rules)
    results = run_cases(ruleset, [case for case in ruleset.cases if case.rule in names])
    found: dict[str, RuleReport] = {}
    for name in names:
        mine = [result for result in results if result.case.rule == name]
        failed = tuple(result for result in mine if not result.passed)
        tally = None
        if mutants and not failed:

            def told(done: int, of: int, name: str = name) -> None:
                progress(name, done, of)

            tally = run_mutants(ruleset, name, only or _every, told)
        to_write: dict[str, str] = {}
        if tally is not None and tally.survivors:
            skeletons = Skeletons(ruleset, name)
            to_write = {str(m): skeletons.case(m) for m in tally.survivors}
        found[name] = RuleReport(name, len(mine), failed, coverage_of(ruleset, name), tally, to_write)
    whole = names == sorted(ruleset.rules) and all(rule.tally is not None for rule in found.values())
    return TestReport(ruleset.digest, found, whole and only is None)


test_report.__test__ = False  # type: ignore[attr-defined]


def _every(mutant: Mutant) -> bool:
    return True


def _rule_json(rule: RuleReport) -> dict[str, Any]:
    failed = [
        {"path": r.case.path, "line": r.case.line, "case": r.case.name, "faults": list(r.faults)} for r in rule.failed
    ]
    return {
        "cases": rule.cases,
        "failed": failed,
        "coverage": rule.coverage.to_json(),
        "mutants": None if rule.tally is None else _tally_json(rule),
    }


def _tally_json(rule: RuleReport) -> dict[str, Any]:
    tally = rule.tally
    assert tally is not None
    return {
        "made": tally.made,
        "killed": tally.killed,
        "score": str(tally.score),
        "equivalent": [{**_mutant_json(e.mutant), "proof": e.proof, "because": e.because} for e in tally.equivalents],
        "survivors": [{**_mutant_json(m), "case": rule.to_write[str(m)]} for m in tally.survivors],
    }


def _mutant_json(mutant: Mutant) -> dict[str, Any]:
    names = ("path", "line", "site", "operator", "before", "after")
    return {name: getattr(mutant, name) for name in names}
