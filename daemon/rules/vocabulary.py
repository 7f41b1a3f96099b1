"""The names a rule uses and what each stands for: a field of its kind, a parameter, or one of its own lets. Pure.
 Field first, then let, then parameter; the loader refuses a name with two meanings, so the order never matters. A
parameter that yields to the contract adds the contract's field to the operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from daemon.model.kinds import PERSONAL_TYPES, FactKind, Type
from daemon.rules.expressions import names_in, parse
from daemon.rules.instants import parse_instant
from daemon.rules.nodes import Node
from daemon.rules.schema import Parameter, Rule, RuleSet

ROWS = "rows"
"""The name under which terms and cards know the rows of a collected fact."""


def row_only(kind: FactKind) -> frozenset[str]:
    """The fields that exist per row only: they are no operands of a rule."""
    if kind.collect is None:
        return frozenset()
    kept = set(kind.collect.sums) | set(kind.collect.alls) | set(kind.collect.by)
    return frozenset(kind.collect.items) - kept


def fact_fields(kind: FactKind) -> dict[str, Type]:
    """The fields of a whole fact, by name."""
    hidden = row_only(kind)
    return {name: field.type for name, field in kind.fields.items() if name not in hidden}


def expressions_of(rule: Rule) -> Iterator[tuple[str, str]]:
    """Every expression of a rule but its lets, as (key in its file, text)."""
    yield from ((f"unless.{name}", text) for name, text in rule.unless.items())
    if rule.when:
        yield "when", rule.when
    for level in rule.levels:
        yield f"levels.{level.name}.when", level.when
        yield f"levels.{level.name}.rearm", level.rearm
    yield from ((f"needs.{name}", text) for name, text in rule.needs.items())
    yield from ((f"hold.{name}", text) for name, text in rule.holds.items())
    yield from ((f"marks.{name}", text) for name, text in rule.marks.items())
    if rule.gates.suitability:
        yield "gates.suitability", rule.gates.suitability
    yield from ((f"gates.exclude.{name}", text) for name, text in rule.gates.exclude.items())
    yield from ((f"stages.{stage.name}.if", stage.condition) for stage in rule.stages if stage.condition)


def plain_names(rule: Rule) -> Iterator[tuple[str, str]]:
    """The names a rule writes outside of expressions, as (key, name)."""
    yield from (("occurrence", name) for name in rule.occurrence)
    yield from (("terms", name) for name in rule.terms if name != ROWS)
    if rule.gates.status:
        yield "gates.status", rule.gates.status
    if rule.agreed:
        yield "agreed", rule.agreed
    for stage in rule.stages:
        yield from ((f"stages.{stage.name}.at", name) for name in parse_instant(stage.at).names())
        yield from ((f"stages.{stage.name}.deadline", name) for name in parse_instant(stage.deadline).names())


@dataclass(frozen=True)
class Vocabulary:
    """The names of one rule. Made for a rule that has been checked; an unknown name raises KeyError. `shown`: the names
    its card uses, of which the parameters count as the rule's own."""

    rule: Rule
    kind: FactKind
    parameters: Mapping[str, Parameter]
    shown: tuple[str, ...] = ()

    @classmethod
    def of(cls, ruleset: RuleSet, rule: Rule) -> Vocabulary:
        """The vocabulary of a rule in its set."""
        return cls(rule, ruleset.kinds[rule.kind], ruleset.parameters, tuple(ruleset.cards[rule.card].fields))

    @cached_property
    def lets(self) -> dict[str, Node]:
        """The rule's lets, parsed, in the order of the file."""
        return {name: parse(text) for name, text in self.rule.lets.items()}

    @cached_property
    def fields(self) -> dict[str, Type]:
        """The fields a rule of this kind may name."""
        return fact_fields(self.kind)

    def closure(self, names: Iterable[str]) -> tuple[set[str], set[str], set[str]]:
        """Fields, parameters and lets that these names need, through lets and through parameters that yield to a
        contract."""
        fields: set[str] = set()
        parameters: set[str] = set()
        lets: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name in self.fields:
                fields.add(name)
            elif name in self.lets:
                if name not in lets:
                    lets.add(name)
                    todo += names_in(self.lets[name])
            else:
                parameters.add(name)
                if contract := self.contract_field(name):
                    fields.add(contract)
        return fields, parameters, lets

    def contract_field(self, parameter: str) -> str:
        """The field that overrides a parameter in this kind, or ''."""
        contract = self.parameters[parameter].contract
        return contract if contract in self.fields else ""

    @cached_property
    def all_names(self) -> tuple[str, ...]:
        """Every name the rule writes, its lets and the card's parameters included, sorted."""
        found = set(self.lets) | {name for _, name in plain_names(self.rule)}
        found.update(name for name in self.shown if name in self.parameters and name not in self.fields)
        for _, text in expressions_of(self.rule):
            found.update(names_in(parse(text)))
        return tuple(sorted(found))

    @cached_property
    def operands(self) -> tuple[tuple[str, Type], ...]:
        """Every field the rule needs, sorted: the columns of its sheets."""
        fields, _, _ = self.closure(self.all_names)
        return tuple((name, self.fields[name]) for name in sorted(fields))

    @cached_property
    def used_parameters(self) -> tuple[str, ...]:
        """Every parameter the rule needs, sorted."""
        return tuple(sorted(self.closure(self.all_names)[1]))

    @cached_property
    def row_operands(self) -> tuple[tuple[str, Type], ...]:
        """What a sheet keeps of each row: the kind's collected fields but for personal types; () where no term is the
        rows."""
        if ROWS not in self.rule.terms or self.kind.collect is None:
            return ()
        types = ((name, self.kind.fields[name].type) for name in self.kind.collect.items)
        return tuple(sorted((name, type_) for name, type_ in types if type_ not in PERSONAL_TYPES))
