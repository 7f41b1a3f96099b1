"""What a change of a rule set's files is, and what its test report must show before it may be signed. Pure.

    logic     anything that decides otherwise: rules, formulas, gates, calendars, a card's choice of wording, a
              parameter's type, unit, contract field or dates of review apart
    values    nothing but dated values of parameters
    texts     nothing but wording, labels, titles, references, cases

A change of logic asks for every mutant and the demanded coverage. A change of values asks for its own boundary cases: on
both sides of the changed limit, and on the days before and on which it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from daemon.cards.card import Card
from daemon.errors import Finding
from daemon.model.kinds import FactKind
from daemon.rules.load import load, sort_of
from daemon.rules.mutant import Mutant
from daemon.rules.places import Places
from daemon.rules.schema import Parameter, ParameterValue, Rule, RuleSet
from daemon.rules.testing import TestReport
from daemon.rules.vocabulary import Vocabulary

T = TypeVar("T")

LOGIC, VALUES, TEXTS, NOTHING = "logic", "values", "texts", "nothing"


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A dated value that is new or other than before. `old`: what held on its first day before the change, None for nothing.
    `rules`: those that use it; `before`, `on`: whether a case of theirs is of the day before its start, and of its start."""

    parameter: str
    start: date
    old: str
    new: str
    path: str
    line: int
    rules: tuple[str, ...]
    before: bool
    on: bool

    @property
    def site(self) -> str:
        """The site of the mutants that move this value."""
        return f"parameters.{self.parameter}.values.{self.start}"


@dataclass(frozen=True, slots=True)
class Change:
    """What differs between two listings of files. `logic`, `texts`: paths; `values`: the dated values that changed."""

    logic: tuple[str, ...] = ()
    values: tuple[ValueChange, ...] = ()
    texts: tuple[str, ...] = ()

    @property
    def sort(self) -> str:
        """`logic`, `values`, `texts` or `nothing`: the gravest that there is."""
        return LOGIC if self.logic else VALUES if self.values else TEXTS if self.texts else NOTHING

    def asks_for(self, mutant: Mutant) -> bool:
        """Whether a report on this change needs this mutant."""
        return bool(self.logic) or any(mutant.site == value.site for value in self.values)


def change_between(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Change:
    """The change from one listing of files to another. From nothing at all, or from files that this program no longer reads,
    everything that differs is logic. Raises FindingsError where the new ones do not load."""
    paths = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    if not paths:
        return Change()
    after, before = load(new).required(), load(old).ruleset if old else None
    if before is None:
        return Change(logic=tuple(paths))
    return _Comparison(before, after).change(paths)


class _Comparison:
    def __init__(self, before: RuleSet, after: RuleSet) -> None:
        self.before, self.after = before, after
        self.places = Places(after.files)

    def change(self, paths: list[str]) -> Change:
        logic, texts = [], []
        values: list[ValueChange] = []
        for path in paths:
            sort, name = sort_of(path)
            if sort in ("cases", "references", "links"):
                texts.append(path)
            elif sort == "parameters":
                same, changed = self.parameters(path)
                values += changed
                if not same:
                    logic.append(path)
                elif not changed:
                    texts.append(path)
            elif self.same(sort, name):
                texts.append(path)
            else:
                logic.append(path)
        return Change(tuple(logic), tuple(values), tuple(texts))

    def same(self, sort: str, name: str) -> bool:
        """Whether a rule, kind or card decides as before; anything else decides otherwise."""
        if sort == "rule":
            return _same(self.before.rules.get(name), self.after.rules.get(name), _rule)
        if sort == "kind":
            return _same(self.before.kinds.get(name), self.after.kinds.get(name), _kind)
        return sort == "card" and _same(self.before.cards.get(name), self.after.cards.get(name), _card)

    def parameters(self, path: str) -> tuple[bool, list[ValueChange]]:
        """Whether the parameters of a file are the same but for their values and reviews, and the values that changed."""
        old, new = ({name: p for name, p in s.parameters.items() if p.path == path} for s in (self.before, self.after))
        same = old.keys() == new.keys() and all(_parameter(old[n]) == _parameter(new[n]) for n in old)
        changed = [c for name in old.keys() & new.keys() for c in self.values(old[name], new[name])]
        return same, sorted(changed, key=lambda c: (c.parameter, c.start))

    def values(self, old: Parameter, new: Parameter) -> list[ValueChange]:
        """Dated values that begin on another day, end on another day or are another number than before. Where one is gone,
        the value that now holds in its place counts as changed."""
        found: dict[date, ValueChange] = {}
        for start in {value.start for value in (*new.values, *old.values)}:
            holds = new.at(start)
            if holds is None:
                continue
            known = map(_dated, old.values)
            if _dated(holds) not in known or old.on(start) != holds.value:
                found.setdefault(holds.start, self.value(old, new, holds))
        return list(found.values())

    def value(self, old: Parameter, new: Parameter, value: ParameterValue) -> ValueChange:
        rules = tuple(
            name
            for name, rule in sorted(self.after.rules.items())
            if new.name in Vocabulary.of(self.after, rule).used_parameters
        )
        days = {case.business_date for case in self.after.cases if case.rule in rules}
        first = value is new.values[0]
        before = old.on(value.start)
        line = self.places.line(new.path, "parameters", new.name, "values", new.values.index(value))
        return ValueChange(
            new.name,
            value.start,
            "" if before is None else str(before),
            str(value.value),
            new.path,
            line,
            rules,
            first or not rules or value.start - timedelta(days=1) in days,
            first or not rules or value.start in days,
        )


def _same(old: T | None, new: T | None, strip: Callable[[T], object]) -> bool:
    return old is not None and new is not None and strip(old) == strip(new)


def _dated(value: ParameterValue) -> tuple[Any, ...]:
    return value.start, value.value, value.end


def _rule(rule: Rule) -> Rule:
    levels = tuple(replace(level, line=0) for level in rule.levels)
    stages = tuple(replace(stage, line=0) for stage in rule.stages)
    return replace(rule, title="", owner="", references=(), line=0, levels=levels, stages=stages)


def _kind(kind: FactKind) -> FactKind:
    fields = {name: replace(field, label="") for name, field in kind.fields.items()}
    derived = tuple(replace(d, label="", reference="", line=0) for d in kind.derived)
    return replace(kind, title="", fields=fields, derived=derived)


def _card(card: Card) -> tuple[Any, ...]:
    """What of a card decides which wording is taken."""
    keys = ("name", "needs", "when_stage", "when_level", "when_mark", "when", "positive")
    variants = [(*(getattr(v, key) for key in keys), tuple(text.condition for text in v.sms)) for v in card.variants]
    return card.name, card.category, variants


def _parameter(parameter: Parameter) -> tuple[Any, ...]:
    return parameter.name, parameter.type, parameter.unit, parameter.contract


def sufficient(change: Change, report: TestReport, minimum: Decimal) -> list[Finding]:
    """What a report lacks for a change to be signed; nothing where it suffices. `minimum`: the mutation score that a rule
    needs after a change of logic, 0.95 for 95 %."""
    found = [
        Finding(r.case.path, r.case.line, 1, "cases", f"{r.case.name}: {r.faults[0]}", "a case that ends as expected")
        for r in report.failed
    ]
    if change.logic:
        found += _logic(report, minimum)
    for value in change.values:
        found += _value(value, report)
    return sorted(found)


def _logic(report: TestReport, minimum: Decimal) -> list[Finding]:
    found = []
    if not report.complete and not report.failed:
        found.append(Finding("rules", 0, 0, "mutants", "a report without all mutants of all rules", "a complete one"))
    for name, rule in sorted(report.rules.items()):
        path = f"rules/{name}.yaml"
        for item in rule.coverage.missing("levels", "timers", "gates"):
            found.append(Finding(item.path, item.line, 1, item.key, f"no case: {item.what}", "a case for it"))
        if rule.score is not None and rule.score < minimum:
            count = len(rule.tally.survivors) if rule.tally else 0
            found.append(
                Finding(path, 1, 1, "mutants", f"a score of {rule.score}, {count} survive", f"at least {minimum}")
            )
    return found


def _value(value: ValueChange, report: TestReport) -> list[Finding]:
    key = f"parameters.{value.parameter}"
    found = [
        Finding(value.path, value.line, 1, key, f"no case of {day}", f"a case {what}")
        for day, what, there in (
            (value.start - timedelta(days=1), "of the day before the value begins", value.before),
            (value.start, "of the day on which the value begins", value.on),
        )
        if not there
    ]
    for name in value.rules:
        rule = report.rules.get(name)
        if rule is None or (rule.tally is None and not rule.failed):
            found.append(
                Finding(value.path, value.line, 1, key, f"a report without mutants of {name}", "one with them")
            )
        elif rule.tally is not None:
            for mutant in rule.tally.survivors:
                if mutant.site == value.site:
                    allowed = f"a case of {name} on this side of the limit:\n{rule.to_write[str(mutant)]}"
                    found.append(
                        Finding(
                            value.path,
                            value.line,
                            1,
                            key,
                            f"no case tells {mutant.before} from {mutant.after}",
                            allowed,
                        )
                    )
    return found
