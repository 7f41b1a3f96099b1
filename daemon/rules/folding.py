"""Formulas and collection: mapped rows of one subject to the values of a fact. Pure, compiled once per kind.

Rows that collect into one fact must agree in what is not kept per row, or it is AMBIGUOUS. A sum with an absent member
is that absence; 'all' is the three-valued `and`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeAlias

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Collect, FactKind, Value
from daemon.model.money import EXACT
from daemon.rules.compile import compile_function
from daemon.rules.expressions import names_in, parse
from daemon.rules.functions import Env

Values: TypeAlias = dict[str, Value]
Derive: TypeAlias = Callable[[Values, date], None]


def deriver(kind: FactKind, of: str, calendar: Calendar) -> Derive | None:
    """What adds the kind's formulas of 'row' or 'fact' to values of a business date; None where there are none."""
    formulas = {d.name: parse(d.expression) for d in kind.derived if d.of == of}
    if not formulas:
        return None
    args = sorted({n for node in formulas.values() for n in names_in(node)} - set(formulas))
    compiled = compile_function(f"{kind.name}_{of}", formulas, args)
    envs: dict[date, Env] = {}

    def derive(values: Values, day: date) -> None:
        env = envs.setdefault(day, Env(calendar, day))
        row = tuple(values.get(name, Absence.MISSING) for name in args)
        values.update(zip(formulas, compiled(row, env), strict=True))

    return derive


def fold(collect: Collect, members: Sequence[Mapping[str, Value]]) -> tuple[Values, tuple[Values, ...]]:
    """The values of one collected fact, and its rows as kept. `members` are its rows, at least one."""
    values: Values = dict(members[0])
    for other in members[1:]:
        for name, value in other.items():
            if values.get(name) != value and name not in collect.items:
                values[name] = Absence.AMBIGUOUS
    for name in collect.items:
        if name not in collect.by:
            values.pop(name, None)
    for name, source in collect.sums.items():
        values[name] = total([member.get(source, Absence.MISSING) for member in members])
    for name, source in collect.alls.items():
        values[name] = every([member.get(source, Absence.MISSING) for member in members])
    return values, _kept(collect, members)


def _kept(collect: Collect, members: Sequence[Mapping[str, Value]]) -> tuple[Values, ...]:
    """The rows as cards and terms see them, in the order in which each first came."""
    summed = [name for name in collect.items if name in collect.sums.values()]
    same = [name for name in collect.items if name not in summed]
    groups: dict[tuple[Value, ...], list[Mapping[str, Value]]] = {}
    for member in members:
        groups.setdefault(tuple(member.get(name, Absence.MISSING) for name in same), []).append(member)
    return tuple(
        {name: group[0].get(name, Absence.MISSING) for name in collect.items}
        | {name: total([member.get(name, Absence.MISSING) for member in group]) for name in summed}
        for group in groups.values()
    )


def total(values: Sequence[Value]) -> Value:
    """The exact sum; the first absence where one is absent."""
    result = Decimal(0)
    for value in values:
        if not isinstance(value, Decimal):
            return value if isinstance(value, Absence) else Absence.INVALID
        result = EXACT.add(result, value)
    return result


def every(values: Sequence[Value]) -> Value:
    """Three-valued `and`: false decides, else the first absence, else true."""
    if any(value is False for value in values):
        return False
    return next((value for value in values if isinstance(value, Absence)), True)
