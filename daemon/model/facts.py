"""Rows read from a source, facts made of them, and rejects. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from daemon.model.kinds import Value


@dataclass(frozen=True, slots=True)
class Where:
    """Where a row stands: `file` is a file's name or 'source/query', `line` counts records from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be part of a fact. Stops nothing; reaches a person. `found` may be personal: sealed, never logged.

    `key` is the row's key where it could be read, so that its subject is 'unknown' rather than 'gone'. `known`: what of the
    row could be read, for as long as the reading lasts; it is kept nowhere.
    """

    part: str
    where: Where
    column: str
    found: str
    expected: str
    key: tuple[str, ...] | None = None
    subject: str | None = None
    known: Mapping[str, Value] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A raw row: values as the source gave them, in the order of the reading's `columns`."""

    where: Where
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A raw row the reader itself could not split into columns (torn record, undecodable bytes)."""

    where: Where
    column: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: subject and client keys as the back office names them, typed values or the kind of their absence.

    `items`: one mapping per collected row. `as_of`: part -> moment the source says its data is from.
    `rows`: how many source rows it is made of. `whole`: False when a row of it was a reject or a part was not complete.
    """

    key: tuple[str, ...]
    subject: str
    client: str
    business_date: date
    basis: str
    values: Mapping[str, Value]
    items: tuple[Mapping[str, Value], ...] = ()
    as_of: Mapping[str, datetime] = field(default_factory=dict)
    rows: int = 1
    whole: bool = True
