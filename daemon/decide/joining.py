"""Join reference rows, derive, collect: mapped rows to facts. Pure.

None found by a look-up is a missing value, two are ambiguous; rows that collect into one fact must agree in what is not
kept per row. A formula is compiled once for all rows of a reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from daemon.model.calendar import Calendar
from daemon.model.facts import Fact, Where
from daemon.model.kinds import Absence, Collect, FactKind, Lookup, Value
from daemon.model.money import EXACT
from daemon.rules.compile import compile_function
from daemon.rules.expressions import names_in, parse
from daemon.rules.functions import Env

Key: TypeAlias = tuple[Value, ...]
Values: TypeAlias = dict[str, Value]


@dataclass(slots=True)
class Rows:
    """The rows of one reference kind, indexed for one look-up."""

    lookup: Lookup
    found: dict[Key, list[Mapping[str, Value]]] = field(default_factory=dict)
    rejected: set[Key] = field(default_factory=set)

    def add(self, row: Mapping[str, Value]) -> None:
        key = tuple(row.get(theirs, Absence.MISSING) for theirs in self.lookup.on.values())
        self.found.setdefault(key, []).append(row)

    def join(self, row: Values) -> None:
        """Add what the look-up takes to a row; the kind of its absence where there is not exactly one."""
        key = tuple(row.get(ours, Absence.MISSING) for ours in self.lookup.on)
        absent = next((v for v in key if isinstance(v, Absence)), None)
        rows = [] if absent is not None else [r for r in self.found.get(key, ()) if self._in_force(row, r)]
        if len(rows) == 1:
            for ours, theirs in self.lookup.take.items():
                row[ours] = rows[0].get(theirs, Absence.MISSING)
            return
        why = absent or (Absence.AMBIGUOUS if rows else Absence.INVALID if key in self.rejected else Absence.MISSING)
        for ours in self.lookup.take:
            row[ours] = why

    def _in_force(self, row: Mapping[str, Value], reference: Mapping[str, Value]) -> bool:
        if self.lookup.between is None:
            return True
        ours, first, last = self.lookup.between
        day, start, end = row.get(ours), reference.get(first), reference.get(last)
        if not isinstance(day, date) or not isinstance(start, date):
            return False
        return start <= day and (not isinstance(end, date) or day <= end)


def deriver(kind: FactKind, of: str, calendar: Calendar) -> Callable[[Values, date], None] | None:
    """Adds the kind's formulas of 'row' or 'fact' to a mapping of values; None where there are none."""
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


@dataclass(frozen=True, slots=True)
class Joined:
    """One row with everything joined and derived, and where it came from."""

    part: str
    values: Values
    where: Where | None = None


def one_fact(kind: FactKind, row: Joined, basis: str, as_of: Mapping[str, datetime], *, whole: bool = True) -> Fact | None:
    """A fact of one row; None where it has no subject, client or business date to be known by."""
    return _fact(kind, row.values, (), basis, as_of, 1, whole)


def collect_facts(
    kind: FactKind, rows: Iterable[Joined], torn: Set[str], basis: str, as_of: Mapping[str, datetime], *, whole: bool
) -> Iterator[tuple[Fact | None, list[Joined]]]:
    """Facts of rows that are equal in `collect.by`. `torn`: the subjects of which a row was a reject."""
    collect = kind.collect
    assert collect is not None
    groups: dict[Key, list[Joined]] = {}
    for row in rows:
        groups.setdefault(tuple(row.values.get(name, Absence.MISSING) for name in collect.by), []).append(row)
    for members in groups.values():
        values, kept = fold(collect, members)
        yield _fact(kind, values, kept, basis, as_of, len(members), whole and values.get(kind.subject) not in torn), members


def fold(collect: Collect, members: Sequence[Joined]) -> tuple[Values, tuple[Values, ...]]:
    """The values of one collected fact and its rows as kept."""
    values: Values = dict(members[0].values)
    for other in members[1:]:
        for name, value in other.values.items():
            if values.get(name) != value and name not in collect.items:
                values[name] = Absence.AMBIGUOUS
    for name in collect.items:
        if name not in collect.by:
            values.pop(name, None)
    for name, source in collect.sums.items():
        values[name] = total([m.values.get(source, Absence.MISSING) for m in members])
    for name, source in collect.alls.items():
        values[name] = every([m.values.get(source, Absence.MISSING) for m in members])
    kept = tuple({name: m.values.get(name, Absence.MISSING) for name in collect.items} for m in members)
    return values, kept


def total(values: Sequence[Value]) -> Value:
    """The exact sum; the first absence where one is absent."""
    result = Decimal(0)
    for value in values:
        if not isinstance(value, Decimal):
            return value if isinstance(value, Absence) else Absence.INVALID
        result = EXACT.add(result, value)
    return result


def every(values: Sequence[Value]) -> Value:
    """Three-valued 'and': false decides, else the first absence, else true."""
    if any(v is False for v in values):
        return False
    return next((v for v in values if isinstance(v, Absence)), True)


def _fact(
    kind: FactKind, values: Values, rows: tuple[Values, ...], basis: str, as_of: Mapping[str, datetime], count: int, whole: bool
) -> Fact | None:
    subject, client, day = values.get(kind.subject), values.get(kind.client), values.get(kind.business_date)
    if not isinstance(subject, str) or not isinstance(client, str) or not isinstance(day, date):
        return None
    key = tuple(str(values.get(name, "")) for name in (kind.collect.by if kind.collect else kind.key))
    return Fact(key, subject, client, day, basis, values, rows, as_of, count, whole)
