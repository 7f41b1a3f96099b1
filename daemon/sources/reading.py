"""What every source gives back: one `Reading` of one part of a feed, streamed, with what the source says of itself.

A source reads and cuts into rows; it parses no value (rules/mapping.py does), evaluates no expression (`ready_when`
is the caller's, over `Reading.header`) and never answers "nobody" for something it could not read: what is not there
yet is `NotReady`, what cannot be reached `SourceUnavailable`, what has another shape `SourceChanged`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeAlias

from daemon.errors import DueNoticeError, SourceChanged, SourceUnavailable
from daemon.model.facts import BadRow, Row
from daemon.model.kinds import Part, Scalar, Type

HEADER: Mapping[str, Type] = {
    "due_date": Type.DATE,  # the business date the poll is for; always there
    "business_date": Type.DATE,  # the business date that the source says its content is of
    "file_date": Type.DATE,  # the date in a file's own header (DBF, OFD)
    "settled": Type.BOOL,  # the source says that its settlement is finished
    "rows": Type.QUANTITY,  # the source's own count of rows
    "deleted": Type.QUANTITY,  # records marked as deleted (DBF): no rows, and not in `rows`
    "as_of": Type.DATETIME,
}
"""The closed list of header fields and their types. What a source does not say is left out and reads as missing."""

Secrets: TypeAlias = Callable[[str], str]
"""Gives the text of a secret by its file's name; raises ConfigError when it is absent."""


class NotReady(SourceUnavailable):
    """The input is not there yet, not whole or too old: the poll waits and runs when it lands. `reason` is for a
    person.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NotAskable(DueNoticeError):
    """This part cannot be read by key; the caller takes it from the sealed inputs."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one part, valid inside the `with` that gave it; `rows` can be run through once.

    `started`: the poll's `now`, which orders what is known. `as_of`: the moment the source says its content is from,
    or None. `columns`: names in the order of `Row.values`. `count`: the source's own count of live rows, or None.
    `digest`: SHA-256 (hex) of the file's bytes as taken over; None for SQL.
    """

    part: str
    source: str
    started: datetime
    as_of: datetime | None
    columns: tuple[str, ...]
    header: Mapping[str, Scalar]
    count: int | None
    rows: Iterator[Row | BadRow]
    digest: str | None = None


class Source(Protocol):
    """One configured way to reach a back-office system. The SQL and the file source obey the same contract suite."""

    def read(self, part: Part, *, business_date: date, now: datetime) -> AbstractContextManager[Reading]:
        """The whole part. Raises NotReady, SourceUnavailable, SourceChanged, also while `rows` runs."""
        ...

    def ask(
        self, part: Part, keys: Sequence[tuple[str, ...]], *, business_date: date, now: datetime
    ) -> AbstractContextManager[Reading]:
        """The rows of some keys now. Raises NotAskable where the part has no keyed query (always for files)."""
        ...

    def fingerprint(self, part: Part) -> str:
        """SHA-256 (hex) of the shape of the columns, to compare at start. Raises as `read` does."""
        ...


def check_columns(part: Part, found: Sequence[str], place: str) -> None:
    """Every column the part maps is there, each name once. Raises SourceChanged naming all that is wrong."""
    doubled = sorted({name for name in found if found.count(name) > 1})
    missing = [name for name in wanted(part) if name not in found]
    if doubled or missing:
        raise SourceChanged(f"{place}: columns missing: {missing}, twice: {doubled}; found {list(found)}")


def wanted(part: Part) -> tuple[str, ...]:
    """The source columns that the part maps, each once, in its order; constants need none."""
    return tuple(dict.fromkeys(c.column for c in part.columns if c.column))


def check_age(part: Part, as_of: datetime | None, now: datetime, place: str) -> None:
    """`part.max_age` bounds `as_of` against `now`. Raises NotReady when older, SourceChanged when the source says
    none.
    """
    if part.max_age is None:
        return
    if as_of is None:
        raise SourceChanged(f"{place}: says no as_of, expected one not older than {part.max_age}")
    if now - as_of > part.max_age:
        raise NotReady(f"{place}: content is as of {as_of.isoformat()}, expected not older than {part.max_age}")
