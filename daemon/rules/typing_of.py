"""The types of the names that a checked rule, or a formula of its kind, may use; and how finely quantities are given. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from daemon.model.kinds import FactKind, Type
from daemon.rules.checking import check
from daemon.rules.checks import field_scope
from daemon.rules.expressions import parse
from daemon.rules.mutate_expressions import Typing, unit_of
from daemon.rules.schema import Case, Rule, RuleSet
from daemon.rules.types import Declared, Scope
from daemon.rules.vocabulary import Vocabulary


def typing_of(ruleset: RuleSet, rule: Rule) -> Typing:
    """The names a rule may use: fields, parameters, its lets in their order."""
    words = Vocabulary.of(ruleset, rule)
    names = {n: Declared.of(p.type, (), "parameter") for n, p in ruleset.parameters.items()}
    names |= {n: Declared.of(words.kind.fields[n].type, words.kind.fields[n].values) for n in words.fields}
    for name, text in rule.lets.items():
        names[name] = Declared(check(parse(text), Scope(names))[0], "let")
    return Typing(Scope(names), precision(words.kind, _of(ruleset, rule.name)))


def kind_typing(ruleset: RuleSet, rule: Rule) -> Typing:
    """The names a formula of the rule's kind may use."""
    kind = ruleset.kinds[rule.kind]
    return Typing(field_scope(kind.fields, personal=True), precision(kind, _of(ruleset, rule.name)))


def _of(ruleset: RuleSet, rule: str) -> list[Case]:
    return [case for case in ruleset.cases if case.rule == rule]


def precision(kind: FactKind, cases: Iterable[Case]) -> dict[str, Decimal]:
    """The finest unit in which the cases give each quantity: 0.01 for shares that are held in hundredths, 1 for counts."""
    found: dict[str, Decimal] = {}
    for case in cases:
        for given in (case.given, *case.rows):
            for name, value in given.items():
                if isinstance(value, Decimal) and kind.fields[name].type is Type.QUANTITY:
                    found[name] = min(found.get(name, Decimal(1)), unit_of(value))
    return found
