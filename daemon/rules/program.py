"""A rule's expressions compiled over one tuple of values: operands, parameters of the date, then lets as they are
needed. Pure.
 The tuple grows in steps: `start` has operands, parameters and the lets that deciding needs; `finish` adds the other
lets, which only a match needs. A let is computed once, by one generated function for all lets of the same depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TypeAlias

from daemon.model.kinds import Absence, Value
from daemon.rules.compile import compile_function
from daemon.rules.evaluate import Env
from daemon.rules.nodes import Node, names_in
from daemon.rules.vocabulary import Vocabulary

Values: TypeAlias = tuple[Value, ...]


class Program:
    """`first` (what decides), `second` (what a match needs) and `third` (stage conditions) are named expressions; the
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
        self._parameters = words.used_parameters
        inputs = (*self._operands, *self._parameters)
        _, _, needed = words.closure([*early, *(n for node in first.values() for n in names_in(node))])
        early_lets = {name: node for name, node in words.lets.items() if name in needed}
        late_lets = {name: node for name, node in words.lets.items() if name not in needed}
        self._names = (*inputs, *early_lets, *late_lets)
        self._index = {name: i for i, name in enumerate(self._names)}
        fields = ((name, words.contract_field(name)) for name in self._parameters)
        self._contract = {name: field for name, field in fields if field}
        self._yields = tuple((self._index[name], self._index[field]) for name, field in self._contract.items())
        self._early = compile_function("lets", early_lets, inputs)
        self._late = compile_function("more_lets", late_lets, (*inputs, *early_lets))
        self.first = compile_function("first", first, (*inputs, *early_lets))
        self.second = compile_function("second", second, self._names)
        self.third = compile_function("third", third, self._names)
        self._nodes = {**first, **second}
        self._dated: dict[date, Values] = {}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters it reads."""
        return self._parameters

    def operands(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The operands among these values; one that is not there is MISSING."""
        missing = Absence.MISSING
        return {name: values.get(name, missing) for name in self._operands}

    def start(self, operands: Mapping[str, Value], env: Env) -> Values:
        """Operands, parameters (the contract's where they yield to it) and the lets that deciding needs."""
        slots = tuple(operands.values()) + self._on(env.business_date)
        if self._yields:
            slots = self._yielded(slots)
        return slots + self._early(slots, env) if self._early.outputs else slots

    def finish(self, slots: Values, env: Env) -> Values:
        """The rest of the lets added."""
        return slots + self._late(slots, env) if self._late.outputs else slots

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

    def _yielded(self, slots: Values) -> Values:
        mutable = list(slots)
        for parameter, field in self._yields:
            if (contract := slots[field]) is not Absence.EMPTY:
                mutable[parameter] = contract
        return tuple(mutable)

    def _on(self, day: date) -> Values:
        found = self._dated.get(day)
        if found is None:
            values = (self._words.parameters[name].on(day) for name in self._parameters)
            found = self._dated[day] = tuple(Absence.MISSING if v is None else v for v in values)
        return found
