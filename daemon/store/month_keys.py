"""A key per month for sheets, and one for the intake: rejects, raw callbacks, strangers' uplinks.

A month is one of Asia/Shanghai, `2024-02`. Keys lie wrapped in `month_keys`; each one made is a `key.created` record.
Destroying them when their time is over is left to retention.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from daemon.clock import SHANGHAI, micros
from daemon.security.envelope import Key, aad
from daemon.store import trail
from daemon.store.db import Tx, must_write, of
from daemon.store.rows import one
from daemon.store.subjects import renew
from daemon.store.tables import month_keys

SHEETS = "sheets"
INTAKE = "intake"
ACTOR = "sys:keys"


def month_of(moment: datetime) -> str:
    """`2024-02`, in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).strftime("%Y-%m")


def month_key(tx: Tx, purpose: str, now: datetime) -> Key:
    """The key of `now`'s month, made in this (writing) transaction if it is the month's first use. Raises LookupError
    when it was destroyed."""
    renew(tx)
    state, month = of(tx), month_of(now)
    found = state.months.get((purpose, month)) or state.store.known.months.get((purpose, month))
    if found is not None:
        return found
    row = one(tx, month_keys, purpose=purpose, month=month)
    key = _make(tx, purpose, month, now) if row is None else _unwrap(tx, row["id"], row["wrapped"])
    if state.writing:
        state.months[purpose, month] = key
    else:
        state.store.known.months[purpose, month] = key
    return key


def key_by_id(tx: Tx, id: bytes) -> Key:
    """The month key that a sealed value names. Raises LookupError when it is not known or was destroyed."""
    renew(tx)
    state = of(tx)
    for key in (*state.months.values(), *state.store.known.months.values()):
        if key.id == id:
            return key
    wrapped = tx.execute(select(month_keys.c.wrapped).where(month_keys.c.id == id)).scalar()
    return _unwrap(tx, id, wrapped)


def _make(tx: Tx, purpose: str, month: str, now: datetime) -> Key:
    keyring = must_write(tx).store.keyring
    key = keyring.new_month_key()
    wrapped = keyring.wrap_key(key, aad("month_keys", "wrapped", key.id, None))
    row = {"id": key.id, "purpose": purpose, "month": month, "wrapped": wrapped, "kek": keyring.primary.id}
    tx.execute(insert(month_keys).values(**row, created_at=micros(now)))
    data = {"key": key.id.hex(), "purpose": f"{purpose} {month}", "alg": key.alg.label}
    trail.append(tx, "key.created", t=now, actor=ACTOR, data=data)
    return key


def _unwrap(tx: Tx, id: bytes, wrapped: bytes | None) -> Key:
    if wrapped is None:
        raise LookupError(f"month key {id.hex()}: not known, or destroyed")
    return of(tx).store.keyring.unwrap_key(wrapped, aad("month_keys", "wrapped", id, None))
