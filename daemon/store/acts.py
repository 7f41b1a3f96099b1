"""What people decided about rule sets, kept with the record of each: lists of signers, approvals, stopped rules.

Whether a signature is good, `rules/approvals.py` and `rules/signers.py` say; here it is kept once, with its record.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, or_, select, update

from daemon.clock import from_micros, micros
from daemon.errors import StoreConflict
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.rows import one
from daemon.store.tables import approvals, signer_lists, stops


def newest_list(tx: Tx) -> RowMapping | None:
    """The row of the newest list of signers: version, sha256, bytes; None before one is pinned."""
    return tx.execute(select(signer_lists).order_by(signer_lists.c.version.desc()).limit(1)).mappings().first()


def keep_list(
    tx: Tx, version: int, sha256: str, raw: bytes, *, by: Sequence[str], actor: str, now: datetime, reason: str = ""
) -> str:
    """Keep the next list of signers, signed by these administrators (the first one: by nobody). Returns the record.

    Raises StoreConflict where it does not follow the newest one kept: a pinned list is never pinned again.
    """
    last = newest_list(tx)
    if version != (1 if last is None else last["version"] + 1):
        kept = "none" if last is None else f"version {last['version']}"
        raise StoreConflict(f"signers: version {version}, expected the one after what is kept here ({kept})")
    data = {"version": version, "sha256": sha256, "principals": list(by), "reason": reason}
    cause = None if last is None else last["record"]
    record = trail.append(tx, "rules.signers", t=now, actor=actor, cause=cause, data=data)
    row = {"version": version, "sha256": sha256, "bytes": raw, "at": micros(now), "actor": actor, "record": record}
    tx.execute(insert(signer_lists).values(**row))
    return record


def keep_approval(
    tx: Tx,
    digest: str,
    sha256: str,
    key: str,
    *,
    principal: str,
    role: str,
    statement: bytes,
    signature: bytes,
    data: Mapping[str, Any],
    now: datetime,
) -> str:
    """Keep a statement that counts, once; returns its record: `rules.proposed` of an author, `rules.signed` of an approver."""
    row = one(tx, approvals, sha256=sha256, key=key)
    if row is not None:
        return str(row["record"])
    kind = "rules.proposed" if role == "author" else "rules.signed"
    names = {"digest": digest, "principal": principal, "statement": sha256, "key": key}
    record = trail.append(tx, kind, t=now, actor=f"person:{principal}", rule_set=digest, data={**data, **names})
    made = {"digest": digest, "sha256": sha256, "key": key, "principal": principal, "role": role, "at": micros(now)}
    tx.execute(insert(approvals).values(**made, statement=statement, signature=signature, record=record))
    return record


def approvals_of(tx: Tx) -> list[RowMapping]:
    """Every approval kept, oldest first."""
    return list(tx.execute(select(approvals).order_by(approvals.c.id)).mappings())


@dataclass(frozen=True, slots=True)
class Stop:
    """A rule that a person stopped. `paused_until`: an emergency start lets it run until then."""

    rule: str
    at: datetime
    actor: str
    reason: str
    record: str
    paused_until: datetime | None


def stop(tx: Tx, rule: str, *, by: str, reason: str, now: datetime, rule_set: str | None) -> str:
    """Stop a rule at once, on one person's word. Returns the record. Raises StoreConflict when it is stopped already."""
    row = _open(tx, rule)
    paused = row is not None and row["paused_until"] is not None and row["paused_until"] > micros(now)
    if row is not None and not paused:
        raise StoreConflict(f"rule {rule}: stopped already, by {row['actor']}: {row['reason']}")
    data = {"rule": rule, "by": by, "reason": reason, **({"digest": rule_set} if rule_set else {})}
    actor = f"person:{by}"
    record = trail.append(tx, "rules.stopped", t=now, actor=actor, rule=rule, rule_set=rule_set, data=data)
    if row is not None:
        tx.execute(update(stops).where(stops.c.id == row["id"]).values(ended_at=micros(now), ended_by=actor))
    tx.execute(insert(stops).values(rule=rule, at=micros(now), actor=actor, reason=reason, record=record))
    return record


def start(
    tx: Tx,
    rule: str,
    *,
    actor: str,
    now: datetime,
    reason: str,
    cause: str | None = None,
    until: datetime | None = None,
) -> str:
    """Let a stopped rule run again, for good or `until` the end of an emergency. Returns the record. Whether that may be,
    the caller has made sure of. Raises StoreConflict when it is not stopped."""
    row = _open(tx, rule)
    if row is None:
        raise StoreConflict(f"rule {rule}: not stopped")
    data: dict[str, Any] = {"rule": rule, "reason": reason}
    if until is not None:
        data["until"] = trail.format_time(until)
    record = trail.append(tx, "rules.started", t=now, actor=actor, cause=cause or row["record"], rule=rule, data=data)
    ended = {"paused_until": micros(until)} if until is not None else {"ended_at": micros(now), "ended_by": actor}
    tx.execute(update(stops).where(stops.c.id == row["id"]).values(**ended))
    return record


def _open(tx: Tx, rule: str) -> RowMapping | None:
    query = select(stops).where(stops.c.rule == rule, stops.c.ended_at.is_(None))
    return tx.execute(query).mappings().first()


def stops_of(tx: Tx) -> list[Stop]:
    """Stops that nobody has ended, those paused by an emergency among them, oldest first."""
    rows = tx.execute(select(stops).where(stops.c.ended_at.is_(None)).order_by(stops.c.id)).mappings()
    return [
        Stop(
            row["rule"], from_micros(row["at"]), row["actor"], row["reason"], row["record"],
            None if row["paused_until"] is None else from_micros(row["paused_until"]),
        )
        for row in rows
    ]  # fmt: skip


def end_pauses(tx: Tx, *, actor: str, now: datetime, cause: str) -> None:
    """Rules that an emergency start lets run are stopped again, before its end: what led to it holds no more. A record each."""
    for row in (
        tx.execute(select(stops).where(stops.c.ended_at.is_(None), stops.c.paused_until > micros(now))).mappings().all()
    ):
        data = {"rule": row["rule"], "reason": "the emergency start that let it run is over"}
        record = trail.append(tx, "rules.stopped", t=now, actor=actor, cause=cause, rule=row["rule"], data=data)
        tx.execute(update(stops).where(stops.c.id == row["id"]).values(paused_until=None, record=record))


def stopped_rules(tx: Tx, now: datetime, rules: Collection[str] | None = None) -> frozenset[str]:
    """The rules that are stopped now, of these or of all."""
    running = or_(stops.c.paused_until.is_(None), stops.c.paused_until <= micros(now))
    query = select(stops.c.rule).where(stops.c.ended_at.is_(None), running)
    found = tx.execute(query if rules is None else query.where(stops.c.rule.in_(list(rules)))).scalars()
    return frozenset(found)
