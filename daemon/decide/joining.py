"""Join reference rows and make facts of rows. Pure; formulas and folding are rules/folding.py's.

None found by a look-up is a missing value, two are ambiguous. Where a row of the reference kind was a reject that could
have been the one, none found is invalid: there is a row, and it cannot be trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias, TypeGuard

from daemon.model.facts import Fact, Where
from daemon.model.kinds import Absence, FactKind, Lookup, Value
from daemon.rules.folding import Values, fold

Key: TypeAlias = tuple[Value, ...]


@dataclass(slots=True)
class Rows:
    """The rows of one reference kind, indexed for one look-up."""

    lookup: Lookup
    found: dict[Key, list[Mapping[str, Value]]] = field(default_factory=dict)
    rejected: set[Key] = field(default_factory=set)
    blind: bool = False  # a reject whose look-up key could not be read: it may be of any key

    def add(self, row: Mapping[str, Value]) -> None:
        key = tuple(row.get(theirs, Absence.MISSING) for theirs in self.lookup.on.values())
        self.found.setdefault(key, []).append(row)

    def refuse(self, known: Mapping[str, Value]) -> None:
        """A row that was a reject; `known`: what of it could be read."""
        key = tuple(known.get(theirs, Absence.MISSING) for theirs in self.lookup.on.values())
        if any(isinstance(part, Absence) for part in key):
            self.blind = True
        else:
            self.rejected.add(key)

    def join(self, row: Values) -> None:
        """Add what the look-up takes to a row; the kind of its absence where there is not exactly one."""
        key = tuple(row.get(ours, Absence.MISSING) for ours in self.lookup.on)
        absent = next((v for v in key if isinstance(v, Absence)), None)
        rows = [] if absent is not None else [r for r in self.found.get(key, ()) if self._in_force(row, r)]
        if len(rows) == 1:
            for ours, theirs in self.lookup.take.items():
                row[ours] = rows[0].get(theirs, Absence.MISSING)
            return
        doubted = self.blind or key in self.rejected
        why = absent or (Absence.AMBIGUOUS if rows else Absence.INVALID if doubted else Absence.MISSING)
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


@dataclass(frozen=True, slots=True)
class Joined:
    """One row with everything joined and derived, and where it came from."""

    part: str
    values: Values
    where: Where | None = None


def one_fact(
    kind: FactKind, row: Joined, basis: str, as_of: Mapping[str, datetime], *, whole: bool = True
) -> Fact | None:
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
        values, kept = fold(collect, [m.values for m in members])
        yield (
            _fact(kind, values, kept, basis, as_of, len(members), whole and values.get(kind.subject) not in torn),
            members,
        )


def is_key(value: Value | None) -> TypeGuard[str]:
    """Whether a value names a subject or client. An absence is a text too, and names nobody."""
    return isinstance(value, str) and not isinstance(value, Absence)


def _fact(
    kind: FactKind,
    values: Values,
    rows: tuple[Values, ...],
    basis: str,
    as_of: Mapping[str, datetime],
    count: int,
    whole: bool,
) -> Fact | None:
    subject, client, day = values.get(kind.subject), values.get(kind.client), values.get(kind.business_date)
    if not is_key(subject) or not is_key(client) or not isinstance(day, date):
        return None
    key = tuple(str(values.get(name, "")) for name in (kind.collect.by if kind.collect else kind.key))
    return Fact(key, subject, client, day, basis, values, rows, as_of, count, whole)
