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
from typing import Any

from sqlalchemy import exists, func, insert, select

from daemon.clock import from_micros, micros
from daemon.errors import ConfigError
from daemon.model.values import canonical
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.rows import one
from daemon.store.tables import activations, rule_sets

MAX_BYTES = 64 * 1024 * 1024
"""Bound of a set's bytes once inflated."""


SIGNED, UNSIGNED, EMERGENCY = "signed", "unsigned", "emergency"


@dataclass(frozen=True, slots=True)
class Active:
    """The active rule set. `version`: what the signers call it, 0 when unsigned; `until`: end of an emergency start."""

    digest: str
    mode: str
    version: int
    until: datetime | None
    at: datetime
    actor: str
    record: str

    @property
    def signed(self) -> bool:
        """Whether two people approved it."""
        return self.mode == SIGNED


@dataclass(frozen=True, slots=True)
class Act:
    """On whose word a set is activated: that of two people (signed), or of one until `until` (emergency). `cause`: the
    record of the last signature."""

    mode: str
    version: int
    until: datetime | None = None
    principals: tuple[str, ...] = ()
    cause: str | None = None


NOBODY = Act(UNSIGNED, 0)


def keep(tx: Tx, digest: str, files: Mapping[str, bytes], *, now: datetime) -> None:
    """Keep a set's files under their digest. Keeping it again changes nothing."""
    if one(tx, rule_sets, digest=digest) is not None:
        return
    text = canonical({path: base64.b64encode(raw).decode() for path, raw in files.items()})
    packed = zlib.compress(text.encode(), 9)
    tx.execute(insert(rule_sets).values(digest=digest, bytes=packed, loaded_at=micros(now)))


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


def activate(
    tx: Tx, digest: str, *, actor: str, now: datetime, reason: str = "", act: Act = NOBODY, again: bool = False
) -> str | None:
    """Make a kept set the active one; returns the record, None when it is active already on such a word (`again`: a
    record all the same). That the word is good, the caller has made sure of.

    Raises ConfigError for an unsigned set where a signed one was once active, LookupError for one that is not kept.
    """
    if one(tx, rule_sets, digest=digest) is None:
        raise LookupError(f"rule set {digest}: not kept in this store")
    if act.mode == UNSIGNED and ever_signed(tx):
        raise ConfigError(f"rule set {digest}: unsigned, expected a signed one: one was active in this store before")
    before = active(tx)
    if before is not None and not again and (before.digest, before.mode, before.version, before.until) == (
        digest, act.mode, act.version, act.until
    ):  # fmt: skip
        return None
    data: dict[str, Any] = {"digest": digest, "signed": act.mode == SIGNED, "reason": reason, "mode": act.mode}
    if act.mode != UNSIGNED:
        data |= {"version": act.version, "principals": list(act.principals)}
    if act.until is not None:
        data["until"] = trail.format_time(act.until)
    if before is not None:
        data["previous"] = before.digest
    cause = act.cause or (None if before is None else before.record)
    record = trail.append(tx, "rules.activated", t=now, actor=actor, cause=cause, rule_set=digest, data=data)
    until = None if act.until is None else micros(act.until)
    row = {"digest": digest, "mode": act.mode, "version": act.version, "until": until, "at": micros(now)}
    tx.execute(insert(activations).values(**row, actor=actor, record=record))
    return record


def active(tx: Tx) -> Active | None:
    """The newest activation; every process reads it at the start of a pass."""
    return _newest(tx)


def approved(tx: Tx) -> Active | None:
    """The newest activation of a set that two people approved."""
    return _newest(tx, SIGNED)


def _newest(tx: Tx, mode: str = "") -> Active | None:
    query = select(activations).order_by(activations.c.id.desc()).limit(1)
    row = tx.execute(query.where(activations.c.mode == mode) if mode else query).mappings().first()
    if row is None:
        return None
    until = None if row["until"] is None else from_micros(row["until"])
    at = from_micros(row["at"])
    return Active(row["digest"], row["mode"], row["version"], until, at, row["actor"], row["record"])


def emergency_since(tx: Tx, version: int) -> bool:
    """Whether an emergency start was used since the signed set of this version was first active."""
    first = select(func.min(activations.c.id)).where(activations.c.mode == SIGNED, activations.c.version == version)
    used = exists().where(activations.c.mode == EMERGENCY, activations.c.id > first.scalar_subquery())
    return bool(tx.execute(select(used)).scalar())


def ever_signed(tx: Tx) -> bool:
    """Whether a signed set was ever active in this store."""
    return bool(tx.execute(select(exists().where(activations.c.mode == SIGNED))).scalar())
