"""Appends records to the audit trail, in the transaction they describe, and hands them to the publisher.

Neither a record without its state change nor a state change without its record is ever committed. The byte format is
audit/record.py's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from daemon.audit.record import Record, decode, encode, format_time, new_id
from daemon.audit.record import commit as commitment
from daemon.clock import micros
from daemon.errors import StoreConflict
from daemon.store.db import Store, Tx, flush, later, of
from daemon.store.rows import chunks
from daemon.store.subjects import keys_of
from daemon.store.tables import records

RANDOM_BYTES = 9
BATCH = 5_000

__all__ = ["TrailStore", "append", "format_time", "gaps", "of_client", "of_kind", "read", "since", "size", "waiting"]


def append(
    tx: Tx,
    kind: str,
    *,
    t: datetime,
    actor: str,
    data: Mapping[str, Any],
    cause: str | None = None,
    client: int | None = None,
    rule: str | None = None,
    rule_set: str | None = None,
    card: str | None = None,
    commit: Mapping[str, str | bytes] | None = None,
) -> str:
    """Append one record and return its id. `commit` maps a path to the personal value that `com[path]` commits to under
    the client's commitment key (needs `client`).

    Raises ValueError when the record breaks the format, Shredded when the client's keys are destroyed. Insertion waits
    for the commit, so that a thousand records are one statement; the order is that of appending.
    """
    state = of(tx)
    id = new_id(os.urandom(RANDOM_BYTES), micros(t))
    com = None
    if commit:
        if client is None:
            raise ValueError(f"record of kind {kind}: commitments to {', '.join(commit)}, expected a client")
        key = keys_of(tx, client).commitment_key
        com = {path: commitment(key, id, path, value) for path, value in commit.items()}
    record = Record(id, t, state.store.node, kind, actor, data, cause, client, rule, rule_set, card, com)
    later(tx, records, {"id": id, "kind": kind, "client": client, "leaf": encode(record), "position": None})
    return id


def read(tx: Tx, id: str) -> Record | None:
    """One record by its id."""
    flush(tx)
    leaf = tx.execute(select(records.c.leaf).where(records.c.id == id)).scalar()
    return None if leaf is None else decode(bytes(leaf))


def of_client(tx: Tx, client: int) -> list[Record]:
    """Every record that names a client, oldest first."""
    flush(tx)
    rows = tx.execute(select(records.c.leaf).where(records.c.client == client).order_by(records.c.row))
    return [decode(bytes(leaf)) for (leaf,) in rows]


def of_kind(tx: Tx, kind: str, *, after: int = 0, limit: int = 1000) -> list[tuple[int, Record]]:
    """(row, record) of a kind, oldest first, from behind row `after`."""
    flush(tx)
    query = select(records.c.row, records.c.leaf).where(records.c.kind == kind, records.c.row > after)
    rows = tx.execute(query.order_by(records.c.row).limit(limit))
    return [(row, decode(bytes(leaf))) for row, leaf in rows]


def since(tx: Tx, moment: datetime, kinds: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, leaf) of every record of these kinds appended from about `moment` on, in the order of appending, one batch in
    memory. The row to begin at is told by the ids, which begin with their time. Leaves are taken as they stand: that they are
    what was published is the log's verification."""
    found = select(records.c.row).where(records.c.id >= new_id(bytes(RANDOM_BYTES), micros(moment)))
    # ids of one moment are in no order: the first row is looked for among several
    first = found.order_by(records.c.id).limit(BATCH).subquery()
    start = tx.execute(select(func.min(first.c.row))).scalar()
    if start is None:
        return
    while True:
        query = select(records.c.row, records.c.leaf).where(records.c.row >= start).order_by(records.c.row).limit(BATCH)
        rows = tx.execute(query.where(records.c.kind.in_(kinds))).all()
        for row, leaf in rows:
            yield row, json.loads(leaf)
        if len(rows) < BATCH:
            return
        start = rows[-1][0] + 1


def gaps(tx: Tx, limit: int = 20) -> list[int]:
    """Indexes of the log that no record of the store has although a later one does: records that were taken away."""
    count = tx.execute(select(func.count(records.c.position))).scalar_one()
    if size(tx) == count:
        return []
    behind = records.alias()
    before = select(records.c.position + 1).where(
        records.c.position < size(tx) - 1,
        ~select(behind.c.row).where(behind.c.position == records.c.position + 1).exists(),
    )
    found = list(tx.execute(before.order_by(records.c.position).limit(limit)).scalars())
    first = tx.execute(select(func.min(records.c.position))).scalar()
    return [*([0] if first else []), *found][:limit]


def size(tx: Tx) -> int:
    """The next index of the log: one above the newest that a record has."""
    return int(tx.execute(select(func.coalesce(func.max(records.c.position) + 1, 0))).scalar_one())


def waiting(tx: Tx) -> int:
    """How many records have no index in the log yet."""
    return int(tx.execute(select(func.count()).select_from(records).where(records.c.position.is_(None))).scalar_one())


class TrailStore:
    """The publisher's view of the store: records without a position, each cause before its effects.

    Row order is such an order on both databases: an effect is appended after its cause was committed or, in the same
    transaction, appended; so its row is higher, and it is never visible without its cause.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def unpublished(self, limit: int) -> list[tuple[int, bytes]]:
        """(row, leaf bytes) of the oldest records without a position."""
        with self._store.read() as tx:
            query = select(records.c.row, records.c.leaf).where(records.c.position.is_(None))
            return [(row, bytes(leaf)) for row, leaf in tx.execute(query.order_by(records.c.row).limit(limit))]

    def assign(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Give rows their index in the log, for ever. Repeating an assignment does nothing; another index for a row, or
        an index that another row has, raises StoreConflict and changes nothing."""
        with self._store.write() as tx:
            have: dict[int, int | None] = {}
            for part in chunks([row for row, _ in pairs]):
                rows = tx.execute(select(records.c.row, records.c.position).where(records.c.row.in_(part)))
                have.update({row: position for row, position in rows})  # noqa: C416
            new = []
            for row, index in pairs:
                if row not in have or have[row] not in (None, index):
                    found = have.get(row, "no such row")
                    raise StoreConflict(f"record row {row}: position {found}, expected none or {index}")
                if have[row] is None:
                    new.append({"of_row": row, "index": index})
            if new:
                where = records.c.row == bindparam("of_row")
                try:
                    tx.execute(update(records).where(where).values(position=bindparam("index")), new)
                except IntegrityError:
                    raise StoreConflict("records: one of the indexes is taken, expected all free") from None

    def size(self) -> int:
        """How many records have a position: the next index."""
        with self._store.read() as tx:
            return size(tx)

    def indexed(self, start: int, limit: int) -> list[bytes]:
        """Leaf bytes of the records with the positions from `start`, in order."""
        with self._store.read() as tx:
            query = select(records.c.leaf).where(records.c.position >= start).order_by(records.c.position).limit(limit)
            return [bytes(leaf) for leaf in tx.execute(query).scalars()]

    def waiting(self) -> int:
        """How many records have none yet."""
        with self._store.read() as tx:
            return waiting(tx)
