"""A rule's expressions compiled over one tuple of values: operands, parameters of the date, then lets as they are
needed. Pure.
 The tuple grows in steps: `start` has operands, parameters and the lets that deciding needs; `finish` adds the other
lets, which only a match needs. A let is computed once, by one generated function for all lets of the same depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from operator import itemgetter
from typing import Any, TypeAlias

from daemon.model.kinds import Absence, Value
from daemon.rules.compile import compile_function
from daemon.rules.evaluate import Env
from daemon.rules.nodes import Node, names_in
from daemon.rules.straight import Names
from daemon.rules.vocabulary import Vocabulary

Values: TypeAlias = tuple[Value, ...]


class Program:
    """The first expressions (what decides), `second` (what a match needs) and `third` (stage conditions) are named expressions; the
    names in `early` must be there after `start` too."""

    def __init__(
        self,
        words: Vocabulary,
        first: Mapping[str, Node],
        second: Mapping[str, Node],
        third: Mapping[str, Node],
        early: Sequence[str] = (),
    ) -> None:
        self._words = words
        self._operands = tuple(name for name, _ in words.operands)
        self._pick = _picker(self._operands)
        self._contract = {name: f for name in words.used_parameters if (f := words.contract_field(name))}
        self._firm = tuple(name for name in words.used_parameters if name not in self._contract)
        self._parameters = (*self._contract, *self._firm)
        self._agreed = _picker(tuple(self._operands.index(field) for field in self._contract.values()))
        inputs = (*self._operands, *self._parameters)
        _, _, needed = words.closure([*early, *(n for node in first.values() for n in names_in(node))])
        early_lets = {name: node for name, node in words.lets.items() if name in needed}
        late_lets = {name: node for name, node in words.lets.items() if name not in needed}
        self._names = (*inputs, *early_lets, *late_lets)
        self._index = {name: i for i, name in enumerate(self._names)}
        self._first = compile_function("first", {**early_lets, **first}, inputs)
        self._lets = len(early_lets)
        self._second = compile_function("second", {**late_lets, **second}, (*inputs, *early_lets))
        self._more = len(late_lets)
        self.third = compile_function("third", third, self._names)
        self._nodes = {**first, **second}
        self._dated: dict[date, tuple[Values, Values]] = {}
        self._whole: dict[date, Values | None] = {}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters it reads."""
        return self._parameters

    @property
    def firm(self) -> frozenset[str]:
        """The parameters that no contract overrides: their values are a matter of the business date alone."""
        return frozenset(self._firm)

    def names(self) -> Names:
        """What the names stand for, for straight code."""
        return Names(frozenset(self._operands), self._parameters, self._contract, self._words.lets)

    def firm_on(self, day: date) -> Values | None:
        """The firm's values of all parameters on a day, in their order; None where one that no contract overrides has none."""
        try:
            return self._whole[day]
        except KeyError:
            yielding, fixed = self._on(day)
            lacking = any(isinstance(value, Absence) for value in fixed)
            return self._whole.setdefault(day, None if lacking else yielding + fixed)

    def operands(self, values: Mapping[str, Value]) -> Values:
        """The operands among these values, in their order; one that is not there is MISSING."""
        try:
            return self._pick(values)
        except KeyError:
            missing = Absence.MISSING
            return tuple([values.get(name, missing) for name in self._operands])

    def named_operands(self, operands: Values) -> dict[str, Value]:
        """The operands, by name."""
        return dict(zip(self._operands, operands, strict=True))

    def start(self, operands: Values, env: Env) -> tuple[Values, Values]:
        """Operands, parameters (the contract's where they yield to it) and the lets that deciding needs; and what `first`
        gives on them."""
        yielding, fixed = self._dated.get(env.business_date) or self._on(env.business_date)
        if yielding:
            agreed = self._agreed(operands)
            operands += tuple([f if c is Absence.EMPTY else c for c, f in zip(agreed, yielding, strict=True)])
        slots = operands + fixed
        found = self._first(slots, env)
        return slots + found[: self._lets], found[self._lets :]

    def all(self, values: Mapping[str, Value], env: Env) -> Values:
        """Everything that there is to know of a fact: operands, parameters, all lets."""
        return self.finish(self.start(self.operands(values), env)[0], env)[0]

    def finish(self, slots: Values, env: Env) -> tuple[Values, Values]:
        """The rest of the lets added; and what `second` gives."""
        found = self._second(slots, env)
        return slots + found[: self._more], found[self._more :]

    def value(self, slots: Values, name: str) -> Value:
        """The value of an operand, parameter or let; a late let only after `finish`."""
        return slots[self._index[name]]

    def named(self, slots: Values, names: Iterable[str]) -> dict[str, Value]:
        """Several values, by name."""
        index = self._index
        return {name: slots[index[name]] for name in names}

    def as_mapping(self, slots: Values) -> dict[str, Value]:
        """All values there are by now, by name."""
        return dict(zip(self._names, slots, strict=False))

    def missing(self, key: str, found: Absence, slots: Values) -> str:
        """The reason of an absent expression: its first absent operand."""
        return self._reason(names_in(self._nodes[key]), key, found, slots)

    def missing_name(self, name: str, found: Absence, slots: Values) -> str:
        """The reason of an absent value: the operand behind it where it is a let."""
        return self._reason((name,), name, found, slots)

    def _reason(self, names: Sequence[str], last: str, found: Absence, slots: Values) -> str:
        for name in names:
            value = slots[self._index[name]] if name in self._index else None
            if isinstance(value, Absence):
                name = self._contract.get(name, name)
                let = self._words.lets.get(name)
                return self._reason(names_in(let), name, value, slots) if let else f"missing:{name}:{value}"
        return f"missing:{last}:{found}"

    def _on(self, day: date) -> tuple[Values, Values]:
        """The firm's values of a day: those that yield to a contract, and the others."""
        parameters = self._words.parameters
        found = [Absence.MISSING if (v := parameters[name].on(day)) is None else v for name in self._parameters]
        split = len(self._contract)
        self._dated[day] = tuple(found[:split]), tuple(found[split:])
        return self._dated[day]


def _picker(keys: Sequence[Any]) -> Callable[[Any], tuple[Any, ...]]:
    """What takes these keys, or places, of a mapping or tuple; `itemgetter` gives no tuple for fewer than two."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: tuple([values[key] for key in keys])
