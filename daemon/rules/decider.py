"""One rule over one fact: bucket, reason, level, occurrence, terms. Pure, compiled once, exactly reproducible.
 `decide` depends on nothing but the operands, the rows, `whole`, the gate inputs and `env` (calendar, business date);
that is what a sheet's line keeps, so a replay decides the same. Values that are no operands are ignored. In this
order:

1. a business date outside the rule's own: no match, `not_effective`;
2. a fact that is not whole: indeterminate, `not_whole`;
3. `unless`, in order: the first true one is a no match, `unless:NAME`;
4. the levels, worst first, or `when`: false is a no match, `condition`; true a match, `level:NAME` or `condition`;
   a no match is indeterminate, `needs:NAME`, while a condition in `needs` is not true (a stale figure clears nobody);
5. a match whose occurrence or stage instants cannot be told is indeterminate;
6. every gate runs; the first that does not pass decides (`gate:NAME`, `declared:NAME`), else notify.
 An absent result of 3 or 4 is indeterminate, `missing:OPERAND:KIND` with the first absent operand of the expression
and the kind of its absence. `cured` is told of every whole fact: the levels whose `rearm` is true on it. A mark whose
expression is absent is not set; a rule that must say so has a mark of its own with `not known(...)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from daemon.model.decisions import Bucket, Decision
from daemon.model.kinds import Absence, Type, Value
from daemon.model.notices import StagePlan
from daemon.rules import gates as gating
from daemon.rules.evaluate import Env
from daemon.rules.explaining import Explanation, explanation
from daemon.rules.expressions import parse
from daemon.rules.gates import GateFacts, GateInputs
from daemon.rules.program import Program, Values
from daemon.rules.schema import Rule, RuleSet
from daemon.rules.stages import Planner
from daemon.rules.verdicts import Verdict, Verdicts, first, match_reason, second
from daemon.rules.vocabulary import ROWS, Vocabulary

Rows: TypeAlias = tuple[Mapping[str, Value], ...]


class Decider:
    """A rule of a checked set, compiled. Keeps no state between facts but the parameters of the dates it has seen."""

    def __init__(self, ruleset: RuleSet, rule: Rule) -> None:
        self.rule = rule
        self.vocabulary = words = Vocabulary.of(ruleset, rule)
        self.operands: tuple[tuple[str, Type], ...] = words.operands
        self.row_operands: tuple[tuple[str, Type], ...] = words.row_operands
        third = {stage.name: parse(stage.condition) for stage in rule.stages if stage.condition}
        self.program = Program(words, first(rule), second(rule), third, early=rule.occurrence)
        self.verdicts = Verdicts(rule, self.program)
        self.planner = Planner(rule, self.program.firm)
        self._row_names = tuple(name for name, _ in self.row_operands)
        self._conditions = tuple(third)

    def decide(
        self,
        values: Mapping[str, Value],
        rows: Rows,
        whole: bool,
        gates: GateInputs,
        env: Env,
        verdict: Verdict | None = None,
    ) -> Decision:
        """The decision on one fact. Never raises for what a fact holds. `verdict`: what `verdicts` gave for these values and
        this date, where it was asked for many at once."""
        program = self.program
        picked = program.operands(values)
        operands = program.named_operands(picked)
        if not self.in_force(env):
            return Decision(Bucket.NO_MATCH, "not_effective", operands=operands)
        if not whole:
            return Decision(Bucket.INDETERMINATE, "not_whole", operands=operands)
        bucket, reason, level, marks = verdict or self.verdicts.one(operands, env)
        cured = self.verdicts.cured(operands, env)
        occurrence = {name: operands[name] for name in self.rule.occurrence}
        if bucket is Bucket.NOTIFY:
            start, _ = program.start(picked, env)
            return self._match(level, operands, start, rows, gates, env, cured, occurrence)
        return Decision(bucket, reason, "", occurrence, operands=operands, marks=marks, cured=cured)

    def in_force(self, env: Env) -> bool:
        """Whether the rule is in force on the business date."""
        day, until = env.business_date, self.rule.until
        return self.rule.effective <= day and (until is None or day <= until)

    def context(self, values: Mapping[str, Value], env: Env) -> dict[str, Value]:
        """What cards and stages see: every value given, the parameters in force on the business date, the lets."""
        program = self.program
        return {**values, **program.as_mapping(program.all(values, env))}

    def plan(
        self, level: str, values: Mapping[str, Value], env: Env, made_at: datetime
    ) -> tuple[StagePlan, ...] | Absence:
        """The stages of a level ('' without levels) with their windows, in order (stages.py); an absence where an
        instant cannot be told, which `decide` has found indeterminate."""
        program = self.program
        slots = program.all(values, env)
        found = zip(self._conditions, program.third(slots, env), strict=True)
        conditions = {name: value if isinstance(value, Absence) else value is True for name, value in found}
        return self.planner.plan(level, program.as_mapping(slots), env, made_at, conditions)

    def explain(self, values: Mapping[str, Value], rows: Rows, whole: bool, gates: GateInputs, env: Env) -> Explanation:
        """The decision with all that made it so."""
        return explanation(self.vocabulary, self.program, self.decide(values, rows, whole, gates, env), env)

    def _match(
        self,
        level: str,
        operands: dict[str, Value],
        start: Values,
        rows: Rows,
        inputs: GateInputs,
        env: Env,
        cured: frozenset[str],
        occurrence: dict[str, Value],
    ) -> Decision:
        program, rule = self.program, self.rule
        slots, found = program.finish(start, env)
        facts, marks = self._gate_facts(slots, found)
        results = gating.run(rule, inputs, facts)
        verdict = self._untold(level, occurrence, slots, env) or gating.verdict_of(results)
        bucket, reason = verdict or (Bucket.NOTIFY, match_reason(level))
        terms = self._terms(slots, rows)
        return Decision(bucket, reason, level, occurrence, terms, operands, results, marks, cured)

    def _untold(
        self, level: str, occurrence: Mapping[str, Value], slots: Values, env: Env
    ) -> tuple[Bucket, str] | None:
        for name, value in occurrence.items():
            if isinstance(value, Absence):
                return Bucket.INDETERMINATE, self.program.missing_name(name, value, slots)
        untold = self.planner.untold(level, lambda: self.program.as_mapping(slots), env)
        if untold is None:
            return None
        name, absence = untold
        return Bucket.INDETERMINATE, self.program.missing_name(name, absence, slots)

    def _gate_facts(self, slots: Values, second: Values) -> tuple[GateFacts, tuple[str, ...]]:
        """What the gates read, and the marks that are set."""
        rule, found = self.rule, iter(second)
        status = self.program.value(slots, rule.gates.status) if rule.gates.status else None
        excludes = {name: next(found) for name in rule.gates.exclude}
        holds = {name: next(found) for name in rule.holds}
        marks = tuple(name for name in rule.marks if next(found) is True)
        suitable = next(found) if rule.gates.suitability else None
        return GateFacts(status, excludes, holds, suitable), marks

    def _terms(self, slots: Values, rows: Rows) -> dict[str, Any]:
        terms: dict[str, Any] = self.program.named(slots, tuple(n for n in self.rule.terms if n != ROWS))
        if ROWS in self.rule.terms:
            terms[ROWS] = tuple({name: row.get(name, Absence.MISSING) for name in self._row_names} for row in rows)
        return terms
