"""Rows of a reading to typed rows of a kind, or rejects. Pure; compiled once per reading, a closure per column.

A value that cannot be read is an absence and stays in the row, so that what needs it becomes indeterminate. A row is a
reject only when a required field, or what identifies it (key, subject, client, business date), is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from daemon.errors import ConfigError, SourceChanged
from daemon.model.facts import BadRow, Reject, Row, Where
from daemon.model.kinds import STRINGS, Absence, Column, FactKind, Field, Part, Type, Value
from daemon.model.money import plain
from daemon.rules.converters import Convert, converter, expected

SHOWN = 80
AHEAD = timedelta(minutes=5)
"""How far the clock of a back office may be ahead of ours; a moment further ahead says nothing of how old a figure is."""
REPEATED = "the same row again"
"""What is found in a reject that says nothing new and puts nothing in doubt."""


class MappedRow(NamedTuple):
    """A typed row. `values` holds the fields that this part maps; look-ups and formulas come later. `digest` is equal
    for rows whose mapped columns hold the same raw values; it means nothing outside this process."""

    values: dict[str, Value]
    key: tuple[str, ...]
    where: Where
    digest: int


RowMap: TypeAlias = Callable[[Row], MappedRow | Reject]


@dataclass(frozen=True, slots=True)
class Plan:
    """One part's mapping: `columns` that are read (constants apart), their fields and closures, in one order."""

    part: Part
    kind: FactKind
    columns: tuple[Column, ...]
    fields: tuple[Field, ...]
    converts: tuple[Convert, ...]
    constants: Mapping[str, Value]
    needed: tuple[int, ...]


def map_row(part: Part, kind: FactKind, columns: Sequence[str], *, now: datetime | None = None) -> RowMap:
    """The mapping for a reading with these columns. With `now`, moments older than their field's `max_age` are STALE,
    and INVALID where they lie ahead of it.

    Columns of the part without a field are known and left out. Raises SourceChanged for a column that the reading
    lacks, ConfigError for a mapping that does not fit the kind (unknown field, wrong constant, scale, format).
    """
    missing = [c.column for c in part.columns if c.const is None and c.column not in columns]
    if missing:
        raise SourceChanged(f"part {part.name}: columns missing: {missing}; found {list(columns)}")
    plan = _plan(part, kind, now)
    pick = _picker([list(columns).index(c.column) for c in plan.columns])
    key_of, names = _key(plan), [f.name for f in plan.fields]
    converts, needed, constants = plan.converts, plan.needed, plan.constants

    def convert(row: Row) -> MappedRow | Reject:
        raws = pick(row.values)
        found = [to(raw) for to, raw in zip(converts, raws, strict=True)]
        for i in needed:
            if found[i].__class__ is Absence:
                return _reject(plan, row.where, raws, found, i)
        values = dict(zip(names, found, strict=True))
        values.update(constants)
        return MappedRow(values, key_of(values), row.where, _digest(raws))

    return convert


def reject_of(part: Part, bad: BadRow) -> Reject:
    """The reject of a row that the reader could not cut; its key is not known."""
    return Reject(part.name, bad.where, bad.column, bad.found, bad.expected)


def key_text(value: Value) -> str:
    """A key's part as text: numbers plain, dates and moments ISO, texts as they are."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    return str(value) if isinstance(value, bool) else value.isoformat()


def _plan(part: Part, kind: FactKind, now: datetime | None) -> Plan:
    read = tuple(c for c in part.columns if c.field and c.const is None)
    constant = {c.field: c for c in part.columns if c.field and c.const is not None}
    named = [c.field for c in part.columns if c.field]
    wrong = sorted({n for n in named if n not in kind.fields or named.count(n) > 1})
    identity = (*kind.key, *(n for n in (kind.subject, kind.client, kind.business_date) if n in named))
    unmapped = sorted(set(kind.key) - set(named))
    if wrong or unmapped or not read:
        raise ConfigError(f"part {part.name}: fields unknown or twice: {wrong}, of the key unmapped: {unmapped}")
    fields = tuple(kind.fields[c.field] for c in read)
    needed = tuple(i for i, f in enumerate(fields) if f.required or f.name in identity)
    converts = tuple(_converter(part, f, c, now) for f, c in zip(fields, read, strict=True))
    constants = {name: _constant(part, kind.fields[name], c) for name, c in constant.items()}
    return Plan(part, kind, read, fields, converts, constants, needed)


def _converter(part: Part, field: Field, column: Column, now: datetime | None) -> Convert:
    try:
        convert = converter(field, column)
    except ValueError as error:
        raise ConfigError(f"part {part.name}, field {field.name}: {error}") from error
    if now is None or field.max_age is None or field.type is not Type.DATETIME:
        return convert
    oldest, newest = now - field.max_age, now + AHEAD

    def fresh(raw: Any) -> Value:
        value = convert(raw)
        if not isinstance(value, datetime) or oldest <= value <= newest:
            return value
        return Absence.STALE if value < oldest else Absence.INVALID

    return fresh


def _constant(part: Part, field: Field, column: Column) -> Value:
    value = _converter(part, field, column, None)(column.const)
    if isinstance(value, Absence):
        raise ConfigError(
            f"part {part.name}, field {field.name}: const {column.const!r}, expected {expected(field, column)}"
        )
    return value


def _picker(indexes: list[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    pick = itemgetter(*indexes)
    return pick if len(indexes) > 1 else lambda values: (pick(values),)


def _key(plan: Plan) -> Callable[[Mapping[str, Value]], tuple[str, ...]]:
    """The key of a row's values. Where every part is text already it is picked as it stands."""
    names = plan.kind.key
    pick: Callable[[Mapping[str, Value]], Any] = itemgetter(*names)
    if len(names) > 1 and all(plan.kind.fields[n].type in STRINGS for n in names):
        return pick
    return lambda values: tuple([key_text(values[name]) for name in names])


def _digest(raws: tuple[Any, ...]) -> int:
    try:
        return hash(raws)
    except TypeError:  # an array or a document of some driver; its column is INVALID
        return hash(repr(raws))


def _reject(plan: Plan, where: Where, raws: tuple[Any, ...], found: list[Value], i: int) -> Reject:
    """For the i-th column; with key and subject when those could be read."""
    values = dict(zip((f.name for f in plan.fields), found, strict=True)) | dict(plan.constants)
    key = [values[n] for n in plan.kind.key]
    subject = values.get(plan.kind.subject, Absence.MISSING)
    wanted = expected(plan.fields[i], plan.columns[i])
    return Reject(
        part=plan.part.name,
        where=where,
        column=plan.columns[i].column,
        found=_shown(raws[i]),
        expected=wanted if found[i] is not Absence.EMPTY else f"not empty, {wanted}",
        key=None if any(isinstance(k, Absence) for k in key) else tuple(key_text(k) for k in key),
        subject=None if isinstance(subject, Absence) else key_text(subject),
        known={name: value for name, value in values.items() if not isinstance(value, Absence)},
    )


def _shown(raw: Any) -> str:
    if raw is None:
        return "null"
    return (
        raw[:SHOWN].hex() if isinstance(raw, bytes) else ascii(raw)[:SHOWN] if not isinstance(raw, str) else raw[:SHOWN]
    )


class Keys:
    """Finds rows of one key within a reading, in any order, at some 150 bytes a row (hashes, no keys).

    A repeated row with the same raw values is a reject without key: the first one stands and nothing about its subject
    is in doubt. One that differs is a reject with key and subject, and its key joins `conflicted`: which of the two is
    right is not known, so the fact that the first made must not count as whole. Two keys of one 64-bit hash are taken
    for one key: a reject that a person sees, never a silent loss.
    """

    def __init__(self, part: Part, kind: FactKind) -> None:
        self._part, self._kind = part, kind
        self._seen: dict[int, int] = {}
        self.conflicted: set[tuple[str, ...]] = set()

    def check(self, row: MappedRow) -> Reject | None:
        """None for the first row of its key."""
        place = hash(row.key)
        found = self._seen.get(place)
        if found is None:
            self._seen[place] = row.digest
            return None
        return self.repeated(row) if found == row.digest else self.conflict(row)

    def repeated(self, row: MappedRow) -> Reject:
        """The reject of a row that says nothing new."""
        return self._reject(row, REPEATED, None, None)

    def conflict(self, row: MappedRow) -> Reject:
        """The reject of a row that contradicts another one of its key."""
        self.conflicted.add(row.key)
        subject = row.values.get(self._kind.subject, Absence.MISSING)
        text = None if isinstance(subject, Absence) else key_text(subject)
        return self._reject(row, "another row of the same key with other values", row.key, text)

    def _reject(self, row: MappedRow, found: str, key: tuple[str, ...] | None, subject: str | None) -> Reject:
        columns = ", ".join(self._kind.key)
        return Reject(self._part.name, row.where, columns, found, "one row a key", key, subject, row.values)


def unique(rows: Iterable[MappedRow | Reject], keys: Keys) -> Iterator[MappedRow | Reject]:
    """Rows with each key once, looking one row ahead: of neighbours that differ (as in key order) none passes.

    Where rows of one key are no neighbours the first has passed already, and `keys.conflicted` names its key.
    """
    held: MappedRow | None = None
    torn = False
    for row in rows:
        if isinstance(row, Reject):
            yield row
        elif held is not None and row.key == held.key:
            if row.digest == held.digest:
                yield keys.repeated(row)
                continue
            if not torn:
                yield keys.conflict(held)
            torn = True
            yield keys.conflict(row)
        else:
            if held is not None and not torn:
                yield keys.check(held) or held
            elif held is not None:
                keys.check(held)
            held, torn = row, False
    if held is not None and not torn:
        yield keys.check(held) or held
