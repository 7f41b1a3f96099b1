"""Small statements that several tables need: set a row, read one by key, number things, the store's own facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Table, insert, inspect, select, text, update

from daemon.store.tables import counters, meta

CHUNK = 500
"""How many keys one IN list holds: below every bound of SQLite's and PostgreSQL's parameters."""

T = TypeVar("T")


def chunks(things: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Slices of at most `size`."""
    for start in range(0, len(things), size):
        yield things[start : start + size]


def revision(tx: Connection) -> str:
    """The migration this store stands on, '' for a new one."""
    if not inspect(tx).has_table("alembic_version"):
        return ""
    return str(tx.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def get_meta(tx: Connection, key: str) -> str | None:
    """A fact about this store."""
    found = tx.execute(select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if found is None else str(found)


def put_meta(tx: Connection, key: str, value: str) -> None:
    """Set a fact about this store."""
    put(tx, meta, {"key": key}, {"value": value})


def put(tx: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Update the row of `key`, or insert it. Of two first writers at once the second one gets IntegrityError."""
    where = [table.c[name] == found for name, found in key.items()]
    if not values or tx.execute(update(table).where(*where).values(**values)).rowcount == 0:
        tx.execute(insert(table).values(**key, **values))


def one(tx: Connection, table: Table, **key: Any) -> RowMapping | None:
    """The row of a key as a mapping, or None."""
    return tx.execute(select(table).where(*[table.c[k] == v for k, v in key.items()])).mappings().first()


def next_numbers(tx: Connection, name: str, count: int) -> range:
    """`count` fresh numbers of a counter, from 1, never given out twice (a rollback gives them back unseen)."""
    raised = update(counters).where(counters.c.name == name).values(value=counters.c.value + count)
    taken = tx.execute(raised.returning(counters.c.value)).scalar()
    if taken is None:
        tx.execute(insert(counters).values(name=name, value=count))
        taken = count
    return range(taken - count + 1, taken + 1)
