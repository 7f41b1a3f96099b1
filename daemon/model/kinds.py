"""Fact kinds as values: fields and their types, feeds and their parts, look-ups, collection, derived fields.

Loaded from `rules/kinds/*.yaml` by rules/load_kinds.py; this module only says what a kind is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias


class Type(StrEnum):
    """The closed list of field types. Python values: str for id code name text msisdn enum; Decimal for money price
    ratio quantity; date, time, datetime (aware, UTC), bool."""

    ID = "id"
    CODE = "code"
    NAME = "name"
    TEXT = "text"
    MSISDN = "msisdn"
    MONEY = "money"
    PRICE = "price"
    RATIO = "ratio"
    QUANTITY = "quantity"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    BOOL = "bool"
    ENUM = "enum"


NUMBERS = frozenset({Type.MONEY, Type.PRICE, Type.RATIO, Type.QUANTITY})
STRINGS = frozenset({Type.ID, Type.CODE, Type.NAME, Type.TEXT, Type.MSISDN, Type.ENUM})
PERSONAL_TYPES = frozenset({Type.NAME, Type.TEXT, Type.ID, Type.MSISDN})
"""Operands of these types are refused in rules at load, because a sheet may not hold them (DESIGN section 3, step 2)."""

Scalar: TypeAlias = str | Decimal | bool | date | datetime | time


class Absence(StrEnum):
    """Why an operand has no value. Every one makes what needs it indeterminate; none ever reads as 'no'."""

    MISSING = "missing"  # no such column, no row found by a look-up
    EMPTY = "empty"  # null or blank in the source
    INVALID = "invalid"  # does not parse as its type
    STALE = "stale"  # older than the kind allows
    AMBIGUOUS = "ambiguous"  # a look-up found two rows


Value: TypeAlias = Scalar | Absence


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind. `label` is Chinese, for cards, errors and exports; `personal` the data level (JR/T 0171) or ''."""

    name: str
    type: Type
    label: str
    required: bool = False  # absent in a row: that row is a reject
    personal: str = ""
    values: tuple[str, ...] = ()  # for enum
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_age: timedelta | None = None  # for datetime fields used as an as-of


@dataclass(frozen=True, slots=True)
class Column:
    """How one field is read from a source's column.

    `scale` divides a number (percent: 100; implied decimals: 10**d); `format` parses dates and times (strptime); `values`
    translates source codes into the field's values, anything else is INVALID; `const` needs no column.
    """

    field: str
    column: str = ""
    scale: Decimal | None = None
    format: str = ""
    values: Mapping[str, str] | None = None
    const: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One reading of a feed: a query or file of one source, and its columns.

    `ready_when` is an expression over header fields of the reading (`business_date`, `file_date`, `settled`, `rows`,
    `due_date`); `max_age` bounds `as_of` against `now`; `keyed` is the query for asking again by key (SQL only): it
    contains `:keys`. `where` is an expression over the mapped row; a row where it is no is 'other business' and is
    counted as such, never dropped unseen.
    """

    name: str
    source: str
    query: str = ""
    file: str = ""
    format: str = "sql"  # sql | csv | dbf | ofd | http
    columns: tuple[Column, ...] = ()
    keyed: str = ""
    key_columns: tuple[str, ...] = ()
    ready_when: str = ""
    count: str = ""  # a query that gives the source's own count
    max_age: timedelta | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """One population of a kind, read whole at one due time. `schedule` entries: 'HH:MM sessions|days|workdays' or
    'every Nm HH:MM-HH:MM sessions'; `date`: which business date a poll speaks of ('today' or 'previous_session')."""

    name: str
    kind: str
    basis: str
    parts: tuple[Part, ...]
    schedule: tuple[str, ...]
    date: str = "today"
    late_after: timedelta | None = None
    timeout: timedelta = timedelta(minutes=10)
    priority: int = 5  # 1 is first


@dataclass(frozen=True, slots=True)
class Lookup:
    """Join a reference kind. `on`: our field -> its field; `take`: our new field -> its field; `asof`: our date field that
    must lie in [from_field, to_field] of the reference row (to may be absent)."""

    name: str
    kind: str
    on: Mapping[str, str]
    take: Mapping[str, str]
    between: tuple[str, str, str] | None = None  # (our date field, ref from field, ref to field)


@dataclass(frozen=True, slots=True)
class Derived:
    """A formula. `of`: 'row' before collecting, 'fact' after."""

    name: str
    type: Type
    label: str
    expression: str
    of: str = "fact"
    reference: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Collect:
    """Make one fact of several rows: rows equal in `by`; `items` are kept per row; `sums` and `alls` fold a row field
    (sum of numbers; 'and' of bools); other fields must agree over the rows or are AMBIGUOUS."""

    by: tuple[str, ...]
    items: tuple[str, ...]
    sums: Mapping[str, str] = field(default_factory=dict)
    alls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FactKind:
    """A kind. `use`: 'facts' (rules apply), 'reference' (looked up), 'contacts', 'consents' (kept in the store)."""

    name: str
    title: str
    fields: Mapping[str, Field]  # includes those taken by look-ups, derived and folded
    key: tuple[str, ...]  # of a row
    subject: str
    client: str
    business_date: str
    feeds: tuple[Feed, ...]
    use: str = "facts"
    as_of: str = ""
    lookups: tuple[Lookup, ...] = ()
    collect: Collect | None = None
    derived: tuple[Derived, ...] = ()
    path: str = ""
