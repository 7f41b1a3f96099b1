"""Which parts of a rule's expressions can be absent for a fact, so that coverage asks for them. Pure.

A part can be absent where one of its operands can: a field that is not required, a formula or a let of such, a contract's
value in place of a parameter's. `known` never is. What only a match is asked for (holds, exclusions, suitability, conditions
of stages) finds those operands present that its condition needed in order to be true.
"""

from __future__ import annotations

from functools import cached_property

from daemon.rules.expressions import parse
from daemon.rules.nodes import Call, In, Literal, Name, Node, Or, children
from daemon.rules.schema import Rule
from daemon.rules.vocabulary import Vocabulary

NOT_BAD = "~"
"""Before a name: it is there, missing or empty, but none of the absences that `coalesce` does not pass over."""
MATCHES_ONLY = ("hold", "gates", "stages")
"""The groups of keys that are looked at for matches only."""


class Lacking:
    """What can be absent in one rule."""

    def __init__(self, words: Vocabulary) -> None:
        self._words, self._rule = words, words.rule

    def can_be_absent(self, key: str, node: Node) -> bool:
        """Whether a part of the expression under a key of the rule's file can be absent when it is looked at."""
        there = self._of_matches if key.split(".")[0] in MATCHES_ONLY else frozenset[str]()
        return self._lacks(node, there)

    @cached_property
    def _of_matches(self) -> frozenset[str]:
        """What a match certainly has: by its `when:`, or by the condition of whichever level."""
        rule: Rule = self._rule
        conditions = [level.when for level in rule.levels] or [rule.when]
        return frozenset.intersection(*(frozenset(self._sure(parse(text))) for text in conditions))

    def _sure(self, node: Node) -> set[str]:
        """The names that have a value where a part has one (where a condition is true)."""
        match node:
            case Name():
                let = self._words.lets.get(node.name)
                return {node.name} | (self._sure(let) if let is not None else set())
            case Or():
                return set.intersection(*(self._sure(part) for part in node.parts))
            case In():
                return self._sure(node.operand)
            case Call(function="coalesce", args=(Name(name=name), *_)):
                return {NOT_BAD + name}
            case Call(function="coalesce"):
                return set()
            case Call(function="if_else", args=(condition, *_)):
                return self._sure(condition)
            case _:
                return set().union(*(self._sure(part) for part in children(node)))

    def _lacks(self, node: Node, there: frozenset[str]) -> bool:
        match node:
            case Literal() | Call(function="known"):
                return False
            case Name():
                return node.name not in there and self._name_lacks(node.name, there)
            case Call(function="coalesce", args=(first, *_)):
                return not (isinstance(first, Name) and NOT_BAD + first.name in there) and self._lacks(first, there)
            case _:
                return any(self._lacks(part, there) for part in children(node))

    def _name_lacks(self, name: str, there: frozenset[str]) -> bool:
        if name in self._words.lets:
            return self._lacks(self._words.lets[name], there)
        field = self._words.kind.fields.get(name)
        if field is not None:
            derived = next((d for d in self._words.kind.derived if d.name == name), None)
            return self._lacks(parse(derived.expression), there) if derived else not field.required
        contract = self._words.contract_field(name)
        return bool(contract) and not self._words.kind.fields[contract].required
