"""Rule sets kept as bytes by digest, and which one is active. Loading and checking them is daemon/rules' matter.

Bytes: canonical JSON, path -> base64 of the file, deflated (zlib). Once a signed set was active in a store, an
unsigned one is refused there for good.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, insert, select

from daemon.clock import from_micros, micros
from daemon.errors import ConfigError
from daemon.model.values import canonical
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.rows import one
from daemon.store.tables import activations, rule_sets

MAX_BYTES = 64 * 1024 * 1024
"""Bound of a set's bytes once inflated."""


@dataclass(frozen=True, slots=True)
class Active:
    """The active rule set."""

    digest: str
    signed: bool
    at: datetime
    actor: str
    record: str


def keep(tx: Tx, digest: str, files: Mapping[str, bytes], *, signed: bool, now: datetime) -> None:
    """Keep a set's files under their digest. Keeping it again changes nothing but that it may become signed."""
    row = one(tx, rule_sets, digest=digest)
    if row is not None:
        if signed and not row["signed"]:
            tx.execute(rule_sets.update().where(rule_sets.c.digest == digest).values(signed=True))
        return
    text = canonical({path: base64.b64encode(raw).decode() for path, raw in files.items()})
    packed = zlib.compress(text.encode(), 9)
    tx.execute(insert(rule_sets).values(digest=digest, bytes=packed, signed=signed, loaded_at=micros(now)))


def files_of(tx: Tx, digest: str) -> dict[str, bytes]:
    """The files of a set kept here. Raises LookupError for an unknown digest; that the bytes have it, the loader
    checks."""
    row = one(tx, rule_sets, digest=digest)
    if row is None:
        raise LookupError(f"rule set {digest}: not kept in this store")
    inflater = zlib.decompressobj()
    text = inflater.decompress(row["bytes"], MAX_BYTES)
    if inflater.unconsumed_tail:
        raise ConfigError(f"rule set {digest}: longer than {MAX_BYTES} bytes")
    return {path: base64.b64decode(found) for path, found in json.loads(text).items()}


def activate(tx: Tx, digest: str, *, actor: str, now: datetime, reason: str = "") -> str | None:
    """Make a kept set the active one; returns the record, None when it is active already.

    Raises ConfigError for an unsigned set where a signed one was once active, LookupError for one that is not kept.
    """
    row = one(tx, rule_sets, digest=digest)
    if row is None:
        raise LookupError(f"rule set {digest}: not kept in this store")
    if not row["signed"] and ever_signed(tx):
        raise ConfigError(f"rule set {digest}: unsigned, expected a signed one: one was active in this store before")
    before = active(tx)
    if before is not None and before.digest == digest and before.signed == row["signed"]:
        return None
    data = {"digest": digest, "signed": bool(row["signed"]), "reason": reason}
    if before is not None:
        data["previous"] = before.digest
    cause = None if before is None else before.record
    record = trail.append(tx, "rules.activated", t=now, actor=actor, cause=cause, rule_set=digest, data=data)
    mode = "signed" if row["signed"] else "unsigned"
    tx.execute(insert(activations).values(digest=digest, mode=mode, at=micros(now), actor=actor, record=record))
    return record


def active(tx: Tx) -> Active | None:
    """The newest activation; every process reads it at the start of a pass."""
    row = tx.execute(select(activations).order_by(activations.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    return Active(row["digest"], row["mode"] == "signed", from_micros(row["at"]), row["actor"], row["record"])


def ever_signed(tx: Tx) -> bool:
    """Whether a signed set was ever active in this store."""
    return bool(tx.execute(select(exists().where(activations.c.mode == "signed"))).scalar())
