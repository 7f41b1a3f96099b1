"""Runs the cases of a rule set: fact and instant in, what came out held against what must. Pure.

A case's rows and values pass through the kind's formulas and collection, the rule decides, the card is filled in for
each stage that is expected (the first stage of the level where none is named). Every difference is a sentence of its
own (expectations.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from daemon.model.decisions import Bucket, Decision
from daemon.model.kinds import Absence, Derived, Value
from daemon.model.notices import StagePlan
from daemon.rules.decider import Decider, Rows
from daemon.rules.evaluate import Env
from daemon.rules.expectations import Played, differences
from daemon.rules.folding import deriver, fold
from daemon.rules.gates import GateInputs
from daemon.rules.schema import Case, Rule, RuleSet

Built: TypeAlias = tuple[dict[str, Value], Rows]
"""A fact's values, and its rows where its kind collects them."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended: `faults` is empty where all came out as expected."""

    case: Case
    decision: Decision
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.faults

    def __str__(self) -> str:
        place = f"{self.case.path}:{self.case.line}: {self.case.name}"
        return f"{place}: as expected" if self.passed else "\n".join(f"{place}: {fault}" for fault in self.faults)


class Builder:
    """Makes facts of what cases give, for one rule's kind: its formulas compile once."""

    def __init__(self, ruleset: RuleSet, rule: Rule) -> None:
        self._kind = ruleset.kinds[rule.kind]
        self._of_row, self._of_fact = (deriver(self._kind, of, ruleset.calendar) for of in ("row", "fact"))

    def build(self, case: Case) -> Built:
        """The fact's values and rows: row formulas, collection, fact formulas over what the case gives. A formula's own field
        may be given too, in place of what it would give."""
        kind = self._kind
        members: list[dict[str, Value]] = [{**case.given, **row} for row in case.rows] or [dict(case.given)]
        stated = [dict(member) for member in members]
        for member, said in zip(members, stated, strict=True):
            if self._of_row is not None:
                self._of_row(member, case.business_date)
            member.update({d.name: said[d.name] for d in kind.derived if d.of == "row" and d.name in said})
        values, rows = (members[0], ()) if kind.collect is None else fold(kind.collect, members)
        if self._of_fact is not None:
            self._of_fact(values, case.business_date)
        return {**values, **{n: v for n, v in case.given.items() if n in _of_fact(kind.derived)}}, rows


def _of_fact(derived: Iterable[Derived]) -> set[str]:
    return {d.name for d in derived if d.of == "fact"}


def run_cases(ruleset: RuleSet, cases: Iterable[Case] | None = None) -> list[CaseResult]:
    """Every case of the set (or these ones), in order. A rule compiles once."""
    made: dict[str, tuple[Decider, Builder]] = {}
    results = []
    for case in ruleset.cases if cases is None else cases:
        if case.rule not in made:
            rule = ruleset.rules[case.rule]
            made[case.rule] = Decider(ruleset, rule), Builder(ruleset, rule)
        decider, builder = made[case.rule]
        played = play(ruleset, decider, case, builder)
        results.append(CaseResult(case, played.decision, tuple(differences(ruleset, case, played))))
    return results


def play(ruleset: RuleSet, decider: Decider, case: Case, builder: Builder | None = None) -> Played:
    """Everything a case gives, for the runner and for those who show it."""
    builder = builder or Builder(ruleset, decider.rule)
    told = None if case.told is None else decided(ruleset, decider, case.told, builder.build(case.told))
    return decided(ruleset, decider, case, builder.build(case), told)


def decided(ruleset: RuleSet, decider: Decider, case: Case, built: Built, told: Played | None = None) -> Played:
    """The same from a fact that is built already."""
    values, rows = built
    env = Env(ruleset.calendar, case.business_date)
    gates = GateInputs.from_json(case.gates)
    decision = decider.decide(values, rows, case.whole, gates, env)
    plans: tuple[StagePlan, ...] | Absence = ()
    if decision.terms or decision.bucket in (Bucket.NOTIFY, Bucket.HELD):
        plans = decider.plan(decision.level, values, env, case.made_at)
    context = decider.context(values, env)
    return Played(values, rows, decision, () if isinstance(plans, Absence) else plans, context, told)


def build(ruleset: RuleSet, case: Case) -> Built:
    """The fact's values and rows of one case."""
    return Builder(ruleset, ruleset.rules[case.rule]).build(case)
