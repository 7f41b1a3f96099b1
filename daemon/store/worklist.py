"""What a person must do: one open task per key, taken by a name, closed with a result; each change with its record."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update

from daemon.clock import micros
from daemon.errors import StoreConflict
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.engine import hold_people
from daemon.store.rows import one
from daemon.store.subjects import client_of
from daemon.store.tables import tasks

ACTOR = "sys:worklist"
RESULTS = ("reached", "no_answer", "wrong_number", "refused", "left_word", "settled", "not_needed", "other")
"""What can come of a task that a person closes; the program closes with words of its own."""


def open_task(
    tx: Tx,
    key: str,
    reason: str,
    *,
    now: datetime,
    rule: str = "",
    feed: str = "",
    notice: str | None = None,
    subject: int | None = None,
    deadline: datetime | None = None,
    detail: str = "",
    cause: str | None = None,
) -> int:
    """Open a task and return its id; while one with this key is open, that one's id, and nothing changes. `key`,
    `reason` and `detail` hold nothing personal."""
    hold_people(tx)
    row = tx.execute(select(tasks.c.id).where(tasks.c.key == key, tasks.c.closed_at.is_(None))).first()
    if row is not None:
        return int(row.id)
    data = {"task": key, "change": "opened", "reason": reason}
    if notice is not None:
        data["notice"] = notice
    if deadline is not None:
        data["due"] = trail.format_time(deadline)
    client = None if subject is None else client_of(tx, subject)
    record = trail.append(tx, "task", t=now, actor=ACTOR, cause=cause, client=client, rule=rule or None, data=data)
    made = tx.execute(
        insert(tasks).values(
            key=key,
            reason=reason,
            rule=rule,
            feed=feed,
            notice=notice,
            subject=subject,
            detail=detail,
            deadline=None if deadline is None else micros(deadline),
            opened_at=micros(now),
            record=record,
        )
    ).inserted_primary_key
    assert made is not None
    return int(made[0])


def take(tx: Tx, id: int, *, by: str, now: datetime) -> None:
    """Take an open task in a person's name. Raises StoreConflict when it is closed or another person's."""
    row = _open(tx, id)
    if row["taken_by"] not in (None, by):
        raise StoreConflict(f"task {id}: {row['taken_by']} has taken it, expected it to be free")
    record = _record(tx, row, "taken", by, now)
    tx.execute(update(tasks).where(tasks.c.id == id).values(taken_by=by, record=record))


def close(tx: Tx, id: int, *, by: str, result: str, now: datetime, **more: str) -> str:
    """Close an open task with its result; returns the record, which takes `more` (`reason`, `recording`). Raises
    StoreConflict when it is closed already."""
    row = _open(tx, id)
    record = _record(tx, row, "closed", by, now, result=result, **more)
    values = {"closed_at": micros(now), "closed_by": by, "result": result, "record": record}
    tx.execute(update(tasks).where(tasks.c.id == id).values(**values))
    return record


def task(tx: Tx, id: int) -> RowMapping:
    """One task. Raises StoreConflict where there is none."""
    row = one(tx, tasks, id=id)
    if row is None:
        raise StoreConflict(f"task {id}: no such task, expected one that is listed")
    return row


def close_key(tx: Tx, key: str, *, by: str, result: str, now: datetime) -> bool:
    """Close the open task of a key, if there is one; says whether there was."""
    id = tx.execute(select(tasks.c.id).where(tasks.c.key == key, tasks.c.closed_at.is_(None))).scalar()
    if id is not None:
        close(tx, id, by=by, result=result, now=now)
    return id is not None


def tasks_of(tx: Tx, *, open_only: bool = True, limit: int = 1000) -> list[RowMapping]:
    """Tasks, those with the nearest deadline first, then the oldest."""
    query = select(tasks).order_by(tasks.c.deadline.is_(None), tasks.c.deadline, tasks.c.id).limit(limit)
    if open_only:
        query = query.where(tasks.c.closed_at.is_(None))
    return list(tx.execute(query).mappings())


def _open(tx: Tx, id: int) -> RowMapping:
    row = one(tx, tasks, id=id)
    if row is None or row["closed_at"] is not None:
        raise StoreConflict(f"task {id}: {'closed' if row else 'no such task'}, expected an open one")
    return row


def _record(tx: Tx, row: RowMapping, change: str, by: str, now: datetime, **more: str) -> str:
    data = {"task": row["key"], "change": change, "by": by, **more}
    client = None if row["subject"] is None else client_of(tx, row["subject"])
    return trail.append(
        tx, "task", t=now, actor=f"person:{by}", cause=row["record"], client=client, rule=row["rule"] or None, data=data
    )
