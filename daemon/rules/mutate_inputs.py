"""The mutants of what a rule rests on: the parameters it uses, the formulas of its kind, its card's choice of wording. Pure.

A parameter's value is moved by one unit of its precision, each dated value by itself, and so is its first day; a
contract's own value is read one unit off, and is ignored. Of the kind the formulas count that reach the rule or its card.
Of the card a wording is dropped, one of its conditions is dropped, neighbouring wordings are swapped, and an SMS text
loses the consent it asks for; a card that the loader would refuse for it is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from daemon.cards.card import Card, Variant
from daemon.model.kinds import Derived, Scalar
from daemon.rules.check_cards import Links, covers, wording_of
from daemon.rules.expressions import parse
from daemon.rules.mutant import Mutant
from daemon.rules.mutate_expressions import UNITS, shifted_time, unit_of, variations
from daemon.rules.nodes import names_in, show
from daemon.rules.places import Places
from daemon.rules.schema import Parameter, ParameterValue, Rule, RuleSet
from daemon.rules.types import Base
from daemon.rules.typing_of import kind_typing, precision
from daemon.rules.vocabulary import ROWS, Vocabulary

Variants: TypeAlias = tuple[Variant, ...]

DAY = timedelta(days=1)


def input_mutants(ruleset: RuleSet, name: str) -> list[Mutant]:
    """All of one rule's inputs."""
    maker = _Maker(ruleset, ruleset.rules[name])
    return [*maker.parameters(), *maker.formulas(), *maker.card()]


class _Maker:
    def __init__(self, ruleset: RuleSet, rule: Rule) -> None:
        self.ruleset, self.rule = ruleset, rule
        self.places = Places(ruleset.files)
        self.words = Vocabulary.of(ruleset, rule)
        kind = ruleset.kinds[rule.kind]
        self.precision = precision(kind, [case for case in ruleset.cases if case.rule == rule.name])

    def mutant(
        self,
        site: str,
        operator: str,
        before: object,
        after: object,
        path: str,
        line: int,
        ruleset: RuleSet,
        **more: Any,
    ) -> Mutant:
        return Mutant(self.rule.name, site, operator, str(before), str(after), path, line, ruleset, **more)

    def parameters(self) -> Iterator[Mutant]:
        for name in self.words.used_parameters:
            parameter = self.ruleset.parameters[name]
            for i, value in enumerate(parameter.values):
                yield from self._dated(parameter, i, value)
            if self.words.contract_field(name):
                yield from self._contract(parameter)

    def _dated(self, parameter: Parameter, i: int, value: ParameterValue) -> Iterator[Mutant]:
        if self._in_force(parameter, i):
            for moved in moved_scalars(parameter, value.value):
                yield self._changed(parameter, i, "limit", value.value, moved, replace(value, value=moved))
        if i and self._in_force(parameter, i - 1):
            for n in (1, -1):
                start = value.start + n * DAY
                yield self._changed(parameter, i, "start", value.start, start, replace(value, start=start))

    def _in_force(self, parameter: Parameter, i: int) -> bool:
        """Whether a dated value is in force on some day of the rule."""
        value = parameter.values[i]
        ends = parameter.values[i + 1].start - DAY if i + 1 < len(parameter.values) else value.end or date.max
        return ends >= self.rule.effective and (self.rule.until is None or value.start <= self.rule.until)

    def _changed(
        self, parameter: Parameter, i: int, operator: str, before: object, after: object, value: ParameterValue
    ) -> Mutant:
        values = (*parameter.values[:i], value, *parameter.values[i + 1 :])
        site = f"parameters.{parameter.name}.values.{parameter.values[i].start}"
        line = self.places.line(parameter.path, "parameters", parameter.name, "values", i)
        ruleset = self._with_parameter(replace(parameter, values=values))
        return self.mutant(site, operator, before, after, parameter.path, line, ruleset)

    def _with_parameter(self, parameter: Parameter) -> RuleSet:
        return replace(self.ruleset, parameters={**self.ruleset.parameters, parameter.name: parameter})

    def _contract(self, parameter: Parameter) -> Iterator[Mutant]:
        """The contract's own value read one unit off, and not read at all."""
        field, site = parameter.contract, f"parameters.{parameter.name}.contract"
        line = self.places.line(parameter.path, "parameters", parameter.name, "contract")
        unit = UNITS.get(Base(parameter.type.value)) if parameter.type.value in set(Base) else None
        if unit is not None:
            for by in (unit, -unit):
                shift = {field: by}
                yield self.mutant(
                    site, "limit", field, f"{field} {by:+f}", parameter.path, line, self.ruleset, shift=shift
                )
        firm = self._with_parameter(replace(parameter, contract=""))
        yield self.mutant(site, "dropped", field, "the firm's value", parameter.path, line, firm)

    def formulas(self) -> Iterator[Mutant]:
        kind = self.ruleset.kinds[self.rule.kind]
        typing = kind_typing(self.ruleset, self.rule)
        for formula in self._reaching(kind.derived):
            node = parse(formula.expression)
            for made in variations(node, typing):
                changed = replace(formula, expression=show(made.node))
                derived = tuple(changed if d is formula else d for d in kind.derived)
                kinds = {**self.ruleset.kinds, kind.name: replace(kind, derived=derived)}
                yield self.mutant(
                    f"derive.{formula.name}",
                    made.operator,
                    made.before,
                    made.after,
                    kind.path,
                    formula.line,
                    replace(self.ruleset, kinds=kinds),
                    expression=(node, made.node),
                )

    def _reaching(self, derived: Iterable[Derived]) -> list[Derived]:
        """The formulas that the rule or its card needs, directly or through others, sums and alls."""
        kind, formulas = self.ruleset.kinds[self.rule.kind], {d.name: d for d in derived}
        folded = {} if kind.collect is None else {**kind.collect.sums, **kind.collect.alls}
        todo = [name for name, _ in self.words.operands] + list(self.words.shown)
        if kind.collect is not None:
            todo += [*kind.collect.by, *(kind.collect.items if ROWS in (*self.words.shown, *self.rule.terms) else ())]
        needed: set[str] = set()
        while todo:
            name = todo.pop()
            if name not in needed:
                needed.add(name)
                todo += names_in(parse(formulas[name].expression)) if name in formulas else ()
                todo += (folded[name],) if name in folded else ()
        return [d for d in formulas.values() if d.name in needed]

    def card(self) -> Iterator[Mutant]:
        card: Card = self.ruleset.cards[self.rule.card]
        known = set(wording_of(card, Links(self.ruleset.hosts), {}))
        for variant, operator, before, after, key, variants in _reworded(card.variants):
            changed = replace(card, variants=variants)
            if not _hidden(variants) and set(wording_of(changed, Links(self.ruleset.hosts), {})) <= known:
                ruleset = replace(self.ruleset, cards={**self.ruleset.cards, card.name: changed})
                site = f"card.{variant.name}{'.' if key else ''}{key}"
                yield self.mutant(site, operator, before, after, card.path, variant.line, ruleset)


def moved_scalars(parameter: Parameter, value: Scalar) -> list[Scalar]:
    """A parameter's value one unit of its precision up and down; a bool the other way; none for a code."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Decimal):
        unit = min(UNITS[Base(parameter.type.value)], unit_of(value))
        return [value + unit, value - unit]
    if isinstance(value, date):
        return [value + DAY, value - DAY]
    if isinstance(value, time):
        return [moved for n in (1, -1) if (moved := shifted_time(value, n)) is not None]
    return []


def _reworded(variants: Variants) -> Iterator[tuple[Variant, str, str, str, str, Variants]]:
    """The variant changed, what sort of change, before, after, its key, and all variants after it."""
    for i, variant in enumerate(variants):
        rest = variants[i + 1 :]
        if rest:
            yield variant, "dropped", variant.name, "nothing", "", (*variants[:i], *rest)
            yield variant, "swapped", variant.name, rest[0].name, "", (*variants[:i], rest[0], variant, *rest[1:])
        for key, before, loose in _loosened(variant):
            yield variant, "dropped", f"{key}: {before}", "nothing", key, (*variants[:i], loose, *rest)


def _hidden(variants: Variants) -> bool:
    """Whether some variant is never taken, because an earlier one fits whenever it does."""
    return any(covers(a, b) for i, b in enumerate(variants) for a in variants[:i])


def _loosened(variant: Variant) -> Iterator[tuple[str, str, Variant]]:
    """The variant without one of its conditions: key, what it asked for, the variant."""
    for key in ("when_stage", "when_level", "when_mark"):
        if asked := getattr(variant, key):
            nothing: dict[str, Any] = {key: ()}
            yield key, ", ".join(asked), replace(variant, **nothing)
    for name in variant.needs:
        rest: dict[str, Any] = {
            key: tuple(n for n in getattr(variant, key) if n != name) for key in ("needs", "positive")
        }
        yield "needs", name, replace(variant, **rest)
    for name in variant.positive:
        yield "needs", f"{name} > 0", replace(variant, positive=tuple(n for n in variant.positive if n != name))
    for name, allowed in variant.when.items():
        yield (
            "when",
            f"{name}: {', '.join(allowed)}",
            replace(variant, when={k: v for k, v in variant.when.items() if k != name}),
        )
    for i, text in enumerate(variant.sms):
        if text.condition:
            sms = (*variant.sms[:i], replace(text, condition=""), *variant.sms[i + 1 :])
            yield "sms", f"if: {text.condition}", replace(variant, sms=sms)
