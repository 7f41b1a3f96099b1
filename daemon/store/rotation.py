"""Rotation while everything runs: keys wrapped again under the primary key-encryption key, clients' data keys made anew.

Each function does one short step in a writing transaction; the caller repeats it until nothing is left, resting between
steps. Every step moves `subjects.KEYS_EPOCH`, so that a process drops the keys it remembers in its next transaction: no value
is ever read or written under a key that is gone. What is left is read from the rows themselves (`subjects.kek`,
`month_keys.kek`, the meta row of the data keys): a step that was killed is taken again. Adding a key to the key file, and taking
an older one out, is left to `security/keyfile.py`.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, bindparam, delete, func, select, update

from daemon.clock import micros
from daemon.errors import StoreConflict
from daemon.security.envelope import Key, aad, key_id, open_sealed, seal
from daemon.store import trail
from daemon.store.db import KEK_HELD, KEY_CHECK, Store, Tx, TxState, flush, must_write
from daemon.store.engine import hold_keys
from daemon.store.rows import get_meta, put_meta
from daemon.store.subjects import KEYS_EPOCH, renew, unwrap
from daemon.store.tables import messages, meta, month_keys, sealed, subjects, tokens

DATA_KEYS = "data_key_rotation"
"""The meta row of a rotation of data keys under way."""

CLIENTS_A_STEP = 200
VALUES_A_STEP = 400


@dataclass(frozen=True, slots=True)
class DataRotation:
    """A rotation of data keys: clients up to `until` get a new one, those up to `after` have it; `values` were sealed again."""

    by: str
    started: int
    until: int
    after: int = 0
    clients: int = 0
    values: int = 0


def wrapped_under(tx: Tx) -> dict[bytes, dict[str, int]]:
    """Key-encryption key -> how many clients' and months' keys and gateways' tokens it wraps."""
    found: dict[bytes, dict[str, int]] = {}
    for name, table, held in (
        ("clients", subjects, subjects.c.data_key), ("months", month_keys, month_keys.c.wrapped),
    ):  # fmt: skip
        query = select(table.c.kek, func.count()).where(held.is_not(None)).group_by(table.c.kek)
        for kek, count in tx.execute(query):
            found.setdefault(bytes(kek), {})[name] = count
    for blob in tx.execute(select(tokens.c.sealed)).scalars():
        of_kek = found.setdefault(key_id(bytes(blob)), {})
        of_kek["tokens"] = of_kek.get("tokens", 0) + 1
    return found


def begin(tx: Tx, *, by: str, reason: str, now: datetime) -> str:
    """Record that the primary key-encryption key of the file wraps from now on. Returns the record. Every process reads its
    key file again."""
    primary = must_write(tx).store.keyring.primary
    data = {"key": primary.id.hex(), "purpose": "wrapping", "alg": primary.alg.label, "reason": reason}
    record = trail.append(tx, "key.created", t=now, actor=by, data=data)
    put_meta(tx, KEYS_EPOCH, record)
    return record


def rewrap(tx: Tx, after: int = 0, limit: int = CLIENTS_A_STEP) -> tuple[int, int]:
    """Wrap up to `limit` keys again that lie under an older key-encryption key, of clients with numbers above `after` first.
    Returns how many, and the number to go on after; (0, 0): none is left. A walk over all of them ends with (0, n), n above 0,
    and what was made under an older key meanwhile is found by another one from 0."""
    _alone(tx)
    done, last = _rewrap(tx, subjects, subjects.c.number, ("data_key", "commitment_key"), limit, after)
    if not done and not after:
        done, _ = _rewrap(tx, month_keys, month_keys.c.id, ("wrapped",), limit)
        done = done or _rewrap_tokens(tx)
    if done:
        put_meta(tx, KEYS_EPOCH, os.urandom(8).hex())
    return done, last if last is not None else after


def _alone(tx: Tx) -> TxState:
    """Keep out every transaction that seals or wraps, until this one ends. Raises StoreConflict where the daemon cannot know the
    primary."""
    hold_keys(tx, alone=True)
    renew(tx)
    state = must_write(tx)
    held, primary = get_meta(tx, KEK_HELD), state.store.keyring.primary.id.hex()
    if held and held != primary:
        raise StoreConflict(
            f"the daemon was started with key {held} in its credentials, expected {primary}: encrypt the new key file, restart it"
        )
    return state


def _rewrap(
    tx: Tx, table: Table, row: Column[int] | Column[bytes], names: tuple[str, ...], limit: int, after: int | None = None
) -> tuple[int, int | None]:
    keyring = must_write(tx).store.keyring
    columns = [table.c[name] for name in names]
    left = select(row, *columns).where(table.c.kek != keyring.primary.id, columns[0].is_not(None))
    if after is not None:
        left = left.where(row > after)
    changed: list[dict[str, Any]] = []
    for found in tx.execute(left.order_by(row).limit(limit).with_for_update()).mappings():
        key = found[row.name]
        client = key if table is subjects else None
        places = {name: aad(table.name, name, key, client) for name in names}
        changed.append(
            {"row_": key} | {name: keyring.wrap(keyring.unwrap(found[name], at), at) for name, at in places.items()}
        )
    if not changed:
        return 0, None
    change = update(table).where(row == bindparam("row_"))
    bound: dict[str, Any] = {name: bindparam(name) for name in names}
    tx.execute(change.values(kek=keyring.primary.id, **bound), changed)
    return len(changed), changed[-1]["row_"]


def _rewrap_tokens(tx: Tx) -> int:
    keyring, done = must_write(tx).store.keyring, 0
    for found in tx.execute(select(tokens.c.gateway, tokens.c.sealed).with_for_update()).mappings().all():
        blob, at = bytes(found["sealed"]), aad("tokens", "sealed", found["gateway"], None)
        if key_id(blob) != keyring.primary.id:
            again = keyring.wrap(keyring.unwrap(blob, at), at)
            tx.execute(update(tokens).where(tokens.c.gateway == found["gateway"]).values(sealed=again))
            done += 1
    return done


def rewrapped(tx: Tx, count: int, *, by: str, reason: str, now: datetime) -> str:
    """Record that nothing lies under an older key-encryption key any more. Returns the record."""
    primary = must_write(tx).store.keyring.primary
    data = {"key": primary.id.hex(), "purpose": "wrapping", "count": count, "reason": reason}
    return trail.append(tx, "key.rotated", t=now, actor=by, data=data)


def data_rotation(tx: Tx) -> DataRotation | None:
    """The rotation of data keys under way, if there is one."""
    found = get_meta(tx, DATA_KEYS)
    return None if not found else DataRotation(**json.loads(found))


def begin_data_keys(tx: Tx, *, by: str, reason: str, now: datetime) -> DataRotation:
    """Begin a rotation of every client's data key, or go on with the one under way."""
    under_way = data_rotation(tx)
    if under_way is not None:
        return under_way
    primary = must_write(tx).store.keyring.primary
    until = tx.execute(select(func.max(subjects.c.number)).where(subjects.c.data_key.is_not(None))).scalar() or 0
    data = {"key": primary.id.hex(), "purpose": "data keys begun", "alg": primary.alg.label, "reason": reason}
    trail.append(tx, "key.rotated", t=now, actor=by, data=data)
    begun = DataRotation(by, micros(now), until)
    put_meta(tx, DATA_KEYS, json.dumps(asdict(begun)))
    return begun


def rotate_data_keys(tx: Tx, rotation: DataRotation, clients: int = CLIENTS_A_STEP) -> DataRotation:
    """Give the next `clients` new data keys, of the primary's algorithm, and seal their values again. A client's values are
    sealed in the transaction that changes its key."""
    store = _alone(tx).store
    flush(tx)
    where = (subjects.c.number > rotation.after) & (subjects.c.number <= rotation.until)
    query = select(subjects).where(where, subjects.c.data_key.is_not(None)).order_by(subjects.c.number)
    rows = tx.execute(query.limit(clients).with_for_update()).mappings().all()
    sizes = _values_of(tx, [row["number"] for row in rows])
    again: list[dict[str, Any]] = []
    values = 0
    for row in rows:
        number = row["number"]
        if again and values + sizes.get(number, 0) > VALUES_A_STEP:
            break
        old, new = unwrap(store, row), Key.new(store.keyring.primary.alg)
        values += _seal_again(tx, number, old.data_key, new, old.version + 1)
        again.append(
            {"number_": number, "version_": old.version + 1} | _wrapped(store, number, new, old.commitment_key)
        )
    if again:
        change = update(subjects).where(subjects.c.number == bindparam("number_"))
        both: dict[str, Any] = {name: bindparam(f"{name}_") for name in ("data_key", "commitment_key")}
        kek = store.keyring.primary.id
        tx.execute(change.values(key_version=bindparam("version_"), kek=kek, **both), again)
        put_meta(tx, KEYS_EPOCH, os.urandom(8).hex())
    after = again[-1]["number_"] if again else rotation.until
    now = replace(rotation, after=after, clients=rotation.clients + len(again), values=rotation.values + values)
    put_meta(tx, DATA_KEYS, json.dumps(asdict(now)))
    return now


def _wrapped(store: Store, number: int, data_key: Key, commitment_key: bytes) -> dict[str, bytes]:
    places = {name: aad("subjects", name, number, number) for name in ("data_key", "commitment_key")}
    return {
        "data_key_": store.keyring.wrap_key(data_key, places["data_key"]),
        "commitment_key_": store.keyring.wrap(commitment_key, places["commitment_key"]),
    }


def _values_of(tx: Tx, clients: list[int]) -> dict[int, int]:
    query = select(sealed.c.client, func.count()).where(sealed.c.client.in_(clients)).group_by(sealed.c.client)
    return dict(tx.execute(query).all())


def _seal_again(tx: Tx, client: int, old: Key, new: Key, version: int) -> int:
    changed = []
    for id, blob in tx.execute(select(sealed.c.id, sealed.c.bytes).where(sealed.c.client == client)):
        place = aad("sealed", "bytes", id, client)
        plain = open_sealed({old.id: old}.__getitem__, bytes(blob), place)
        changed.append({"id_": id, "bytes_": seal(new, plain, place), "version_": version})
    if changed:
        change = update(sealed).where(sealed.c.id == bindparam("id_"))
        tx.execute(change.values(bytes=bindparam("bytes_"), key_version=bindparam("version_")), changed)
    return len(changed)


def data_keys_rotated(tx: Tx, rotation: DataRotation, *, by: str, reason: str, now: datetime) -> str:
    """Record the end of a rotation of data keys. Returns the record."""
    primary = must_write(tx).store.keyring.primary
    data = {
        "key": primary.id.hex(),
        "purpose": "data keys",
        "alg": primary.alg.label,
        "clients": rotation.clients,
        "values": rotation.values,
        "reason": reason,
    }
    put_meta(tx, DATA_KEYS, "")
    return trail.append(tx, "key.rotated", t=now, actor=by, data=data)


def retire(tx: Tx, id: bytes, *, by: str, reason: str, now: datetime) -> str:
    """Record that an older key-encryption key is destroyed; its check value goes, so that a key file without it is taken.
    Raises StoreConflict while it is the primary or anything lies under it. Taking it out of the file is left to the caller,
    after the commit."""
    keyring = _alone(tx).store.keyring
    if id == keyring.primary.id:
        raise StoreConflict(f"key {id.hex()} is the primary, expected an older one: run `keys rotate` first")
    if wraps := wrapped_under(tx).get(id):
        told = ", ".join(f"{count} of {name}" for name, count in wraps.items())
        raise StoreConflict(f"key {id.hex()} still wraps {told}, expected nothing: run `keys rewrap` first")
    keyring.kek(id)
    tx.execute(delete(meta).where(meta.c.key == KEY_CHECK + id.hex()))
    data = {"key": id.hex(), "purpose": "wrapping", "reason": reason}
    record = trail.append(tx, "key.destroyed", t=now, actor=by, data=data)
    put_meta(tx, KEYS_EPOCH, record)
    return record


def longest_due(tx: Tx, now: datetime) -> int | None:
    """Since when (microseconds) the message longest due has waited to be claimed; None where none waits."""
    where = (messages.c.state == "queued") & (messages.c.due <= micros(now))
    return tx.execute(select(func.min(messages.c.due)).where(where)).scalar()
