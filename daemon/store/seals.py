"""Sealed values: personal bytes under a client's data key, or, of nobody known yet, under their month's intake key.

The additional data binds table, column, row id and client (`envelope.aad`): a value moved to another row does not open.
Rows are inserted with the commit. `key_version` is the client's, or the month as a number (202402) for the intake.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select, update

from daemon.errors import SealBroken
from daemon.security.envelope import Key, aad, open_sealed, seal
from daemon.store.db import Tx, flush, later
from daemon.store.month_keys import INTAKE, key_by_id, month_key, month_of
from daemon.store.rows import chunks
from daemon.store.subjects import keys_of, keys_of_many
from daemon.store.tables import sealed


def put(tx: Tx, client: int | None, purpose: str, plain: bytes, now: datetime) -> str:
    """Seal `plain` and return the id of its row. Raises Shredded when the client's keys are destroyed."""
    id = os.urandom(16).hex()
    if client is None:
        key, version = month_key(tx, INTAKE, now), int(month_of(now).replace("-", ""))
    else:
        keys = keys_of(tx, client)
        key, version = keys.data_key, keys.version
    row = {"id": id, "client": client, "purpose": purpose, "key_version": version}
    later(tx, sealed, row | {"bytes": seal(key, plain, aad("sealed", "bytes", id, client))})
    return id


def get(tx: Tx, id: str) -> bytes:
    """The plain bytes. Raises LookupError for an unknown id, Shredded for a shredded client, SealBroken otherwise."""
    return get_many(tx, [id])[id]


def get_many(tx: Tx, ids: list[str]) -> dict[str, bytes]:
    """Id -> plain bytes, keys and rows read in bulk."""
    flush(tx)
    found: dict[str, bytes] = {}
    for part in chunks(ids):
        rows = tx.execute(select(sealed).where(sealed.c.id.in_(part))).mappings().all()
        clients = keys_of_many(tx, {row["client"] for row in rows if row["client"] is not None})
        for row in rows:
            client = row["client"]
            place = aad("sealed", "bytes", row["id"], client)
            if client is None:
                found[row["id"]] = open_sealed(lambda key_id: key_by_id(tx, key_id), row["bytes"], place)
            else:
                found[row["id"]] = open_sealed(_only(clients[client].data_key), row["bytes"], place)
    if absent := [id for id in ids if id not in found]:
        raise LookupError(f"sealed value {absent[0]}: no such row")
    return found


def reseal(tx: Tx, id: str, client: int) -> None:
    """Seal an intake value again under the client it turned out to be of. A value that is a client's already raises
    SealBroken and stays."""
    plain = get(tx, id)
    keys = keys_of(tx, client)
    bytes_ = seal(keys.data_key, plain, aad("sealed", "bytes", id, client))
    values = {"client": client, "key_version": keys.version, "bytes": bytes_}
    done = tx.execute(update(sealed).where(sealed.c.id == id, sealed.c.client.is_(None)).values(**values))
    if done.rowcount != 1:
        raise SealBroken(f"sealed value {id}: a client's already, expected one of the intake")


def _only(key: Key) -> Callable[[bytes], Key]:
    return {key.id: key}.__getitem__
