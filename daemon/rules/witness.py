"""Looks for a fact that tells a mutant from its rule: the case that is missing. Pure, and bounded: it tries the facts of the
rule's cases, then facts near them, with operands of what was changed on the limit and one unit beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from daemon.cards.template import RenderError
from daemon.model.decisions import Bucket
from daemon.model.kinds import NUMBERS, Absence, Field, Type, Value
from daemon.model.money import EXACT
from daemon.model.notices import StagePlan
from daemon.rules import passage
from daemon.rules.cases import Builder, play
from daemon.rules.decider import Decider
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.expectations import FIRST_CORRECTION, Played, word
from daemon.rules.expressions import parse
from daemon.rules.gates import CONSENTS, SOURCE_STATES, call_of, contacts_of
from daemon.rules.load_cases import OPEN
from daemon.rules.mutant import Mutant
from daemon.rules.mutants import shifted
from daemon.rules.mutate_expressions import UNITS
from daemon.rules.nodes import Compare, Node, names_in, walk
from daemon.rules.schema import Case, Rule, RuleSet
from daemon.rules.types import Base
from daemon.rules.vocabulary import Vocabulary, expressions_of

MOST = 600
"""Facts that are tried for one mutant."""


@dataclass(frozen=True)
class Witness:
    """A case whose outcome differs: what the rule gives, and for the parts of it that the mutant gives otherwise what that
    gives."""

    case: Case
    given: Mapping[str, Any]
    differs: Mapping[str, Any]


class Search:
    """Looks for witnesses of one rule's mutants. What does not depend on the mutant is made once."""

    def __init__(self, ruleset: RuleSet, rule: str) -> None:
        self.ruleset, self.rule = ruleset, ruleset.rules[rule]
        self.words = Vocabulary.of(ruleset, self.rule)
        self.cases = [case for case in ruleset.cases if case.rule == rule]
        self.decider, self.builder = Decider(ruleset, self.rule), Builder(ruleset, self.rule)

    def witness(self, mutant: Mutant) -> Witness | None:
        """The first fact found that the mutant decides, plans or words otherwise."""
        rule = mutant.ruleset.rules[self.rule.name]
        decider = Decider(mutant.ruleset, rule)
        builder = self.builder if mutant.ruleset.kinds is self.ruleset.kinds else Builder(mutant.ruleset, rule)
        worded = mutant.site.startswith(("card.", "let.", "derive.", "parameters.", "marks."))
        for case in islice(self._candidates(mutant), MOST):
            here = play(self.ruleset, self.decider, case, self.builder)
            there = play(mutant.ruleset, decider, shifted(case, mutant.shift), builder)
            ours, theirs = outcome(self.ruleset, case, here), outcome(mutant.ruleset, case, there)
            if worded and ours == theirs:
                ours |= wording(self.ruleset, case, here)
                theirs |= wording(mutant.ruleset, case, there)
            if ours != theirs:
                return Witness(case, ours, {key: theirs.get(key) for key in ours if ours[key] != theirs.get(key)})
        return None

    def _candidates(self, mutant: Mutant) -> Iterator[Case]:
        yield from self.cases
        for near in (self._days, self._gates, self._receipts, self._told, self._values):
            yield from near(mutant)

    def _days(self, mutant: Mutant) -> Iterator[Case]:
        """The days around a date that was moved."""
        name = self.words.kind.business_date
        days = []
        if (
            mutant.operator in ("start", "limit")
            and mutant.site.startswith("parameters.")
            and ".values." in mutant.site
        ):
            value = self.ruleset.parameters[mutant.site.split(".")[1]]
            days = [v.start for v in value.values]
        if mutant.site in ("effective", "until"):
            days = [d for d in (self.rule.effective, self.rule.until) if d]
        for day in days:
            for n in (0, -1, 1):
                for case in self.cases[:5]:
                    yield self._on(case, day + timedelta(days=n), name)

    def _on(self, case: Case, day: Any, name: str) -> Case:
        moved = case.made_at + (day - case.business_date)
        given = {**case.given, name: day} if name in case.given else case.given
        return replace(case, business_date=day, given=given, made_at=moved)

    def _gates(self, mutant: Mutant) -> Iterator[Case]:
        if not mutant.site.startswith(("gates.", "recheck.", "cap.")):
            return
        gates: list[dict[str, Any]] = [{"consent": said} for said in CONSENTS]
        gates += [{"source": state} for state in SOURCE_STATES if state]
        if (bound := self.rule.cap.per_client) is not None:
            gates += [{"cap_used": used} for used in (bound - 1, bound, bound + 1)]
        for case in self._matches():
            yield from (replace(case, gates=found) for found in gates)
            if name := self.rule.gates.status:
                for value in (*self.words.kind.fields[name].values, Absence.MISSING):
                    yield replace(case, given={**case.given, name: value})

    def _matches(self, most: int = 3) -> list[Case]:
        """Cases that notify."""
        return [case for case in self.cases if case.expect.get("bucket") == Bucket.NOTIFY.value][:most]

    def _receipts(self, mutant: Mutant) -> Iterator[Case]:
        if mutant.site.split(".")[0] not in ("discharge", "channels", "together", "contacts"):
            return
        for case in self._matches(1):
            for channel in self.rule.channels:
                for receipt in passage.RECEIPTS:
                    yield replace(case, receipts={channel: receipt})

    def _told(self, mutant: Mutant) -> Iterator[Case]:
        """A case after another of the same obligation was told."""
        if not mutant.site.startswith(("corrections.", "card.", "terms")):
            return
        for told in self._matches(5):
            before = replace(told, expect={}, gates=OPEN)
            for case in self.cases:
                if case.business_date == told.business_date:
                    yield replace(case, told=before)
            for name in self.rule.terms:
                for value in self._others(told, name):
                    yield replace(told, told=with_value(before, self._field_of(name), value))

    def _field_of(self, term: str) -> str:
        """The field that a term's value comes from: itself, or the contract's for a parameter."""
        return self.words.contract_field(term) if term in self.words.used_parameters else term

    def _others(self, case: Case, term: str) -> list[Value]:
        """Other values of a term's field."""
        name = self._field_of(term)
        known, field = value_of(case, name), self.words.kind.fields.get(name)
        if isinstance(known, bool):
            return [not known]
        if isinstance(known, Decimal):
            return [known + 1]
        if isinstance(known, date) and not isinstance(known, datetime):
            return [known + timedelta(days=1)]
        return [value for value in field.values if value != known] if field is not None else []

    def _values(self, mutant: Mutant) -> Iterator[Case]:
        """Facts near the cases: fields of the changed expression at their limits, at each value they may have, absent."""
        nodes = list(self._expressions(mutant))
        names = dict.fromkeys(name for node in nodes for name in names_in(node))
        fields, _, _ = self.words.closure([n for n in names if n in self.words.fields or n in self.words.lets])
        fields |= {n for n in names if n in self.words.kind.fields}
        fields |= {n for d in self.words.kind.derived if d.name in fields for n in names_in(parse(d.expression))}
        for case in sorted(self.cases, key=lambda c: c.expect.get("bucket") != Bucket.NOTIFY.value)[:12]:
            for name in sorted(fields):
                for value in self._near(case, name, nodes):
                    yield with_value(case, name, value)

    def _expressions(self, mutant: Mutant) -> Iterator[Node]:
        if mutant.expression is not None:
            yield mutant.expression[0]
        if mutant.site.startswith("parameters."):
            name = mutant.site.split(".")[1]
            for text in (*self.rule.lets.values(), *(text for _, text in expressions_of(self.rule))):
                if name in names_in(node := parse(text)):
                    yield node

    def _near(self, case: Case, name: str, nodes: list[Node]) -> Iterator[Value]:
        field: Field = self.words.kind.fields[name]
        if field.type is Type.BOOL:
            yield from (True, False)
        elif field.type is Type.ENUM:
            yield from field.values
        elif field.type in NUMBERS and isinstance(value_of(case, name), Decimal):
            yield from self._at_limits(case, name, field, nodes)
        elif field.type is Type.DATE:
            yield from (case.business_date + timedelta(days=n) for n in (0, 1, -1))
        if not field.required:
            yield from (Absence.EMPTY, Absence.INVALID)

    def _at_limits(self, case: Case, name: str, field: Field, nodes: list[Node]) -> Iterator[Value]:
        unit = UNITS[Base(field.type.value)]
        for node in nodes:
            for part in walk(node):
                if isinstance(part, Compare) and (limit := self._solved(case, name, part)) is not None:
                    exact = limit.quantize(unit) if limit == limit.quantize(unit) else limit
                    yield from (exact, exact + unit, exact - unit)
        known = value_of(case, name)
        assert isinstance(known, Decimal)
        yield from (known + unit, known - unit, Decimal(0))

    def _solved(self, case: Case, name: str, part: Compare) -> Decimal | None:
        """The value of a field at which both sides are equal, where they differ linearly in it."""
        known = value_of(case, name)
        assert isinstance(known, Decimal)
        here, there = self._distance(case, part), self._distance(with_value(case, name, known + 1), part)
        if here is None or there is None or here == there:
            return None
        return EXACT.subtract(known, EXACT.divide(here, EXACT.subtract(there, here))).normalize() + 0

    def _distance(self, case: Case, part: Compare) -> Decimal | None:
        played = play(self.ruleset, self.decider, case, self.builder)
        env = Env(self.ruleset.calendar, case.business_date)
        left, right = (evaluate(side, played.context, env) for side in (part.left, part.right))
        if isinstance(left, Decimal) and isinstance(right, Decimal):
            return EXACT.subtract(left, right)
        return None


def value_of(case: Case, name: str) -> Value | None:
    """What a case gives for a field: of the fact, else of its first row."""
    if case.rows and name in case.rows[0]:
        return case.rows[0][name]
    return case.given.get(name)


def with_value(case: Case, name: str, value: Value) -> Case:
    """The case with another value of a field: in its first row where that gives it."""
    if case.rows and name in case.rows[0]:
        return replace(case, rows=({**case.rows[0], name: value}, *case.rows[1:]))
    return replace(case, given={**case.given, name: value})


def outcome(ruleset: RuleSet, case: Case, played: Played) -> dict[str, Any]:
    """Everything a case may expect but the wording, as it came out, by the keys of `expect`."""
    rule, decision = ruleset.rules[case.rule], played.decision
    left = case.receipts or dict.fromkeys(passage.first_channels(rule), "")
    found: dict[str, Any] = {
        "bucket": decision.bucket.value,
        "reason": decision.reason,
        "level": decision.level,
        "marks": sorted(decision.marks),
        "cured": sorted(decision.cured),
    }
    found |= {f"values.{name}": played.context[name] for name in _told_names(ruleset, rule)}
    for plan in played.plans:
        found |= {f"stages.{plan.stage}.{key}": value for key, value in _plan(rule, case, plan).items()}
    found |= {
        "first": list(passage.first_channels(rule)),
        "contacts": list(contacts_of(rule, decision.gates)),
        "call": bool(call_of(decision.gates)),
        "next": passage.next_channel(rule, left) or passage.NONE,
        "served": any(passage.serves(rule, channel, receipt) for channel, receipt in left.items()),
    }
    if _was_told(played):
        assert played.told is not None
        found["correction"] = passage.correction(rule, played.told.decision, decision)
    return found


def _was_told(played: Played) -> bool:
    return played.told is not None and played.told.decision.bucket is Bucket.NOTIFY


def wording(ruleset: RuleSet, case: Case, played: Played) -> dict[str, str]:
    """The wording of every stage, and of the correction where there is one: `variant STAGE`, `card STAGE`, `sms STAGE`."""
    found: dict[str, str] = {}
    stages = [plan.stage for plan in played.plans]
    rule, told = ruleset.rules[case.rule], played.told
    if (
        told is not None
        and _was_told(played)
        and passage.correction(rule, told.decision, played.decision) != passage.NONE
    ):
        stages.append(FIRST_CORRECTION)
    for stage in stages:
        try:
            shown = word(ruleset, case, played, stage)
        except RenderError as error:
            found[f"card {stage}"] = str(error)
            continue
        found |= {f"variant {stage}": shown.variant, f"card {stage}": f"{shown.title}\n{shown.description}"}
        found[f"sms {stage}"] = shown.sms
    return found


def _told_names(ruleset: RuleSet, rule: Rule) -> list[str]:
    """Names whose values a case may expect: lets, parameters, formulas of the fact."""
    words = Vocabulary.of(ruleset, rule)
    derived = [d.name for d in words.kind.derived if d.of == "fact"]
    return [*rule.lets, *words.used_parameters, *(name for name in derived if name in words.fields)]


def _plan(rule: Rule, case: Case, plan: StagePlan) -> dict[str, Any]:
    condition = plan.condition.value if isinstance(plan.condition, Absence) else plan.condition
    return {
        "at": plan.at,
        "end": plan.window_end,
        "deadline": plan.deadline,
        "if": condition,
        "late": plan.late,
        "timers": passage.timers(rule, plan, case.made_at),
    }
