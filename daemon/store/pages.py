"""Pages: what calls a person, and which ways have told it. One open page per key, acknowledged by a name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update

from daemon.clock import micros
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.engine import hold_people
from daemon.store.tables import page_calls, pages

SEVERITIES = ("info", "warning", "urgent")


def page(tx: Tx, key: str, severity: str, sentence: str, *, now: datetime) -> bool:
    """Keep a page; False while one with this key waits to be acknowledged. `key` and `sentence` hold nothing personal.
    Raises ValueError for an unknown severity."""
    if severity not in SEVERITIES:
        raise ValueError(f"page {key}: severity {severity!r}, expected one of {', '.join(SEVERITIES)}")
    hold_people(tx)
    open_already = select(pages.c.id).where(pages.c.key == key, pages.c.acknowledged_at.is_(None))
    if tx.execute(open_already).first() is not None:
        return False
    tx.execute(insert(pages).values(key=key, severity=severity, sentence=sentence, at=micros(now)))
    return True


def pages_of(tx: Tx, *, open_only: bool = True, limit: int = 1000) -> list[RowMapping]:
    """Pages, newest first."""
    query = select(pages).order_by(pages.c.id.desc()).limit(limit)
    if open_only:
        query = query.where(pages.c.acknowledged_at.is_(None))
    return list(tx.execute(query).mappings())


def acknowledge(tx: Tx, key: str, *, by: str, now: datetime) -> bool:
    """A person has seen the open page of a key, or the condition is over (`by` then names the part that says so)."""
    where = (pages.c.key == key) & pages.c.acknowledged_at.is_(None)
    return tx.execute(update(pages).where(where).values(acknowledged_at=micros(now), acknowledged_by=by)).rowcount > 0


def acknowledge_by(tx: Tx, key: str, *, by: str, reason: str, now: datetime) -> str | None:
    """A person has seen the open page of a key; returns the record, None where no page of it waits."""
    if not acknowledge(tx, key, by=by, now=now):
        return None
    data = {"page": key, "change": "acknowledged", "by": by, "reason": reason}
    return trail.append(tx, "page", t=now, actor=f"person:{by}", data=data)


def calls_of(tx: Tx, ids: Sequence[int]) -> list[RowMapping]:
    """How calls for these pages went."""
    return list(tx.execute(select(page_calls).where(page_calls.c.page.in_(ids))).mappings()) if ids else []


def called(tx: Tx, page: int, step: int, way: str, *, told: bool, code: str, now: datetime) -> None:
    """Keep that a page was told, or could not be told, by a way in a step."""
    c = page_calls.c
    where = (c.page == page) & (c.step == step) & (c.way == way)
    values = {"tries": c.tries + 1, "last": micros(now), "told": told, "code": code}
    if not tx.execute(update(page_calls).where(where).values(**values)).rowcount:
        row = {"page": page, "step": step, "way": way, "tries": 1, "last": micros(now), "told": told, "code": code}
        tx.execute(insert(page_calls).values(**row))
