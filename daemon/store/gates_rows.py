"""Rows that gates and polls read: silences, releases of single clients and corrections, holds of a feed's rule.

Each change is a record. A hold opens with the record of the poll that saw it; a `release` record ends it and names the
counts it allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update

from daemon.clock import from_micros, micros
from daemon.errors import StoreConflict
from daemon.model.states import PollState
from daemon.model.values import canonical
from daemon.store import pages, trail, worklist
from daemon.store.db import Tx
from daemon.store.rows import one
from daemon.store.subjects import client_of
from daemon.store.tables import holds, polls, releases, silences

EVERY = "*"
SCOPES = ("client", "correction")


@dataclass(frozen=True, slots=True)
class Silences:
    """The silences of one rule at one moment."""

    everyone: str
    subjects: Mapping[int, str]

    def reason(self, subject: int, client: int) -> str:
        """Why the subject, or the client it belongs to, is silenced; '' when neither is."""
        return self.subjects.get(subject) or self.subjects.get(client) or self.everyone


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold of one rule of a feed. `counts`: what was seen; `allowed`: what a release allows, None while it is open
    or when it ended by itself; `gone`: that release also lets what is gone be taken as gone."""

    id: int
    feed: str
    rule: str
    reason: str
    counts: Mapping[str, int]
    since: datetime
    open: bool
    allowed: Mapping[str, int] | None
    gone: bool
    record: str


def silence(
    tx: Tx, rule: str, subject: int | None, *, until: datetime, reason: str, by: str, now: datetime
) -> tuple[int, str]:
    """Silence a rule (`*`: every rule) for a subject, or for everyone, until a moment. Returns (id, record).

    Raises ValueError for an end that is not ahead: a silence always ends.
    """
    if until <= now:
        raise ValueError(f"silence of {rule}: ends {until.isoformat()}, expected a moment ahead")
    data = {"by": by, "reason": reason, "until": trail.format_time(until), "rules": [rule]}
    record = _append(tx, "silence", data, by, now, rule=rule, subject=subject)
    row = {"rule": rule, "subject": subject, "since": micros(now), "until": micros(until), "reason": reason}
    made = tx.execute(insert(silences).values(**row, actor=by, record=record)).inserted_primary_key
    assert made is not None
    return int(made[0]), record


def end_silence(tx: Tx, id: int, *, by: str, reason: str, now: datetime) -> str:
    """End a silence before its time. Raises StoreConflict when it is over. Returns the record."""
    row = one(tx, silences, id=id)
    if row is None or row["until"] <= micros(now):
        raise StoreConflict(f"silence {id}: {'over' if row else 'no such silence'}, expected one in force")
    data = {"by": by, "reason": reason, "ended": True, "rules": [row["rule"]]}
    record = _append(tx, "silence", data, by, now, rule=row["rule"], subject=row["subject"], cause=row["record"])
    tx.execute(update(silences).where(silences.c.id == id).values(until=micros(now), record=record))
    return record


def silences_of(tx: Tx, rule: str, now: datetime) -> Silences:
    """What silences a rule now. A subject's own silence gives its reason before one for everyone."""
    query = select(silences).where(
        silences.c.rule.in_((rule, EVERY)), silences.c.since <= micros(now), silences.c.until > micros(now)
    )
    everyone, single = "", {}
    for row in tx.execute(query.order_by(silences.c.id)).mappings():
        if row["subject"] is None:
            everyone = row["reason"]
        else:
            single[row["subject"]] = row["reason"]
    return Silences(everyone, single)


def all_silences(tx: Tx, now: datetime | None = None) -> list[RowMapping]:
    """Silences as they stand, those in force at a moment or all, oldest first."""
    query = select(silences).order_by(silences.c.id)
    if now is not None:
        query = query.where(silences.c.since <= micros(now), silences.c.until > micros(now))
    return list(tx.execute(query).mappings())


def release(
    tx: Tx, scope: str, rule: str, subject: int, occurrence: str, *, by: str, reason: str, now: datetime
) -> str:
    """Release one subject's occurrence from a declared hold, or (`correction`) its held correction. Returns the
    record."""
    if scope not in SCOPES:
        raise ValueError(f"release: scope {scope!r}, expected one of {', '.join(SCOPES)}")
    record = _append(tx, "release", {"by": by, "reason": reason, "scope": scope}, by, now, rule=rule, subject=subject)
    row = {"scope": scope, "rule": rule, "subject": subject, "occurrence": occurrence, "at": micros(now)}
    tx.execute(insert(releases).values(**row, actor=by, reason=reason, record=record))
    return record


def releases_of(tx: Tx, rule: str, scope: str = "client") -> dict[tuple[int, str], str]:
    """(subject, occurrence) -> record of the newest release."""
    query = select(releases).where(releases.c.rule == rule, releases.c.scope == scope).order_by(releases.c.id)
    return {(row["subject"], row["occurrence"]): row["record"] for row in tx.execute(query).mappings()}


def open_hold(
    tx: Tx, feed: str, rule: str, *, reason: str, counts: Mapping[str, int], now: datetime, record: str
) -> tuple[Hold, bool]:
    """Open a hold, once: (the open hold, whether this call opened it). `record` is that of the poll which saw the
    counts."""
    row = _open_row(tx, feed, rule)
    if row is not None:
        return _hold(row), False
    names = {"feed": feed, "rule": rule, "reason": reason, "counts": canonical(dict(counts))}
    tx.execute(insert(holds).values(**names, since=micros(now), record=record))
    row = _open_row(tx, feed, rule)
    assert row is not None
    return _hold(row), True


def end_hold(
    tx: Tx,
    id: int,
    *,
    by: str,
    reason: str,
    allowed: Mapping[str, int] | None,
    now: datetime,
    gone: bool = False,
    person: bool = True,
) -> str:
    """End an open hold: a person's release with the counts it allows, or (`person=False`) the rule's own end. Returns
    the record. Raises StoreConflict when it is not open."""
    row = one(tx, holds, id=id)
    if row is None or row["ended_at"] is not None:
        raise StoreConflict(f"hold {id}: {'ended' if row else 'no such hold'}, expected an open one")
    data = {"by": by, "reason": reason, "hold": str(id), "gone": gone, "counts": dict(allowed or {})}
    actor = f"person:{by}" if person else by
    record = trail.append(tx, "release", t=now, actor=actor, cause=row["record"], rule=row["rule"], data=data)
    limits = None if allowed is None else canonical(dict(allowed))
    values = {"ended_at": micros(now), "ended_by": by, "allowed": limits, "gone": gone, "record": record}
    tx.execute(update(holds).where(holds.c.id == id).values(**values))
    if person:  # what ended itself is still for a person to look at
        key = hold_key(row["feed"], row["rule"])
        worklist.close_key(tx, key, by=by, result="released", now=now)
        pages.acknowledge(tx, key, by=by, now=now)
    return record


def hold_key(feed: str, rule: str) -> str:
    """The key of the page and of the task that an open hold has."""
    return f"hold:{feed}:{rule}"


def holds_of(tx: Tx, *, feed: str | None = None, open_only: bool = True) -> list[Hold]:
    """Holds by age, the open ones unless told otherwise."""
    query = select(holds).order_by(holds.c.id)
    query = query.where(holds.c.ended_at.is_(None)) if open_only else query
    query = query if feed is None else query.where(holds.c.feed == feed)
    return [_hold(row) for row in tx.execute(query).mappings()]


def source_state(tx: Tx, feed: str, now: datetime) -> str:
    """What the gate of the source reads where a feed cannot be asked by key: 'late' while its newest due poll waits for its
    input, 'short' while that is held because the source counts other rows than were read, else ''."""
    query = select(polls.c.state).where(polls.c.feed == feed, polls.c.due <= micros(now)).order_by(polls.c.due.desc())
    state = tx.execute(query.limit(1)).scalar()
    if state == PollState.LATE.value:
        return "late"
    seen = [hold.counts for hold in holds_of(tx, feed=feed)]
    short = any("source" in counts and counts["source"] != counts.get("rows") for counts in seen)
    return "short" if state == PollState.HELD.value and short else ""


def newest_hold(tx: Tx, feed: str, rule: str) -> Hold | None:
    """The newest hold of a feed's rule, open or ended: what it allows bounds the next poll's counts."""
    query = select(holds).where(holds.c.feed == feed, holds.c.rule == rule).order_by(holds.c.id.desc()).limit(1)
    row = tx.execute(query).mappings().first()
    return None if row is None else _hold(row)


def _open_row(tx: Tx, feed: str, rule: str) -> RowMapping | None:
    query = select(holds).where(holds.c.feed == feed, holds.c.rule == rule, holds.c.ended_at.is_(None))
    return tx.execute(query).mappings().first()


def _hold(row: RowMapping) -> Hold:
    return Hold(
        row["id"],
        row["feed"],
        row["rule"],
        row["reason"],
        json.loads(row["counts"]),
        from_micros(row["since"]),
        row["ended_at"] is None,
        None if row["allowed"] is None else json.loads(row["allowed"]),
        bool(row["gone"]),
        row["record"],
    )


def _append(
    tx: Tx,
    kind: str,
    data: Mapping[str, object],
    by: str,
    now: datetime,
    *,
    rule: str,
    subject: int | None,
    cause: str | None = None,
) -> str:
    client = None if subject is None else client_of(tx, subject)
    name = None if rule == EVERY else rule
    return trail.append(tx, kind, t=now, actor=f"person:{by}", cause=cause, client=client, rule=name, data=data)
