"""Sheets past their rule's `keep:`: recorded as erased, then deleted; a month's key is destroyed with its last sheet.

A sheet is kept through its business date plus `keep:`, by the rule set that decided it; where the active set keeps that
rule's sheets longer, the longer time holds. One of which a notice is still open is kept. The record `erase.sheets` names
every sheet that is erased and is committed before the first file goes, so that no file is ever gone without a record; what
a crash left undone the next day's pass does (`files_of_erased`). Copies in backups end with the month's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import RowMapping, exists, select, update

from daemon.clock import from_micros, micros
from daemon.store import trail
from daemon.store.db import Tx, must_write
from daemon.store.month_keys import SHEETS, month_of
from daemon.store.tables import month_keys, notices, polls, runs, sheets

ACTOR = "sys:keep"
MOST = 100
"""Sheets of one record."""


@dataclass(frozen=True, slots=True)
class Erased:
    """That a sheet is kept no more: since when, by how many days of `keep:`, and the record that says so."""

    since: datetime
    days: int
    record: str


def kept_no_more(sheet: RowMapping) -> Erased | None:
    """What a sheets row says of its erasure; None while the sheet is kept."""
    if sheet["erased_at"] is None:
        return None
    return Erased(from_micros(sheet["erased_at"]), sheet["keep_days"], sheet["erased"])


def due(tx: Tx, today: date, longer: Mapping[str, timedelta], limit: int = MOST) -> list[RowMapping]:
    """Sheets whose time is over before `today`, with their business date, the oldest first. `longer`: rule -> `keep:` of the
    active set. A sheet of whose run and rule a notice has no outcome yet is not among them."""
    waiting = exists().where(
        notices.c.run == sheets.c.run, notices.c.rule == sheets.c.rule, notices.c.outcome.is_(None)
    )
    query = (
        select(sheets, polls.c.business_date)
        .join_from(sheets, runs, runs.c.id == sheets.c.run)
        .join(polls, polls.c.id == runs.c.poll)
        .where(sheets.c.erased_at.is_(None), ~waiting)
        .order_by(polls.c.business_date, sheets.c.run, sheets.c.rule)
    )
    found: list[RowMapping] = []
    for row in tx.execute(query).mappings():
        keep = max(timedelta(days=row["keep_days"]), longer.get(row["rule"], timedelta(0)))
        if date.fromisoformat(row["business_date"]) + keep < today:
            found.append(row)
        if len(found) == limit:
            break
    return found


def erase(tx: Tx, found: Sequence[RowMapping], *, now: datetime) -> str:
    """Record that these sheets (rows of `due`) are erased. Their files go once this is committed. Returns the record."""
    named = [
        {
            "rule": row["rule"],
            "sha256": row["sha256"],
            "file": row["path"].rsplit("/", 1)[-1],
            "run": row["run"],
            "business_date": row["business_date"],
            "keep_days": row["keep_days"],
        }
        for row in found
    ]
    record = trail.append(tx, "erase.sheets", t=now, actor=ACTOR, data={"sheets": named, "reason": "past keep"})
    for row in found:
        where = (sheets.c.run == row["run"]) & (sheets.c.rule == row["rule"])
        tx.execute(update(sheets).where(where).values(erased_at=micros(now), erased=record))
    return record


def files_of_erased(tx: Tx, since: datetime) -> list[str]:
    """The paths, below the state folder, of what was erased at or after `since`: none of them may be there any more."""
    return list(tx.execute(select(sheets.c.path).where(sheets.c.erased_at >= micros(since))).scalars())


def destroy_keys(tx: Tx, *, now: datetime) -> list[bytes]:
    """Destroy the sheets' keys of past months whose every sheet is erased, each with its record. Returns their ids."""
    mine = sheets.c.key == month_keys.c.id
    past = (month_keys.c.purpose == SHEETS) & (month_keys.c.month < month_of(now)) & month_keys.c.wrapped.is_not(None)
    kept, gone = exists().where(mine, sheets.c.erased_at.is_(None)), exists().where(mine)
    rows = list(tx.execute(select(month_keys).where(past, gone, ~kept)).mappings())
    for row in rows:
        data = {"key": bytes(row["id"]).hex(), "purpose": f"{SHEETS} {row['month']}", "reason": "past keep"}
        trail.append(tx, "key.destroyed", t=now, actor=ACTOR, data=data)
        tx.execute(update(month_keys).where(month_keys.c.id == row["id"]).values(wrapped=None))
        _forget(tx, (SHEETS, row["month"]))
    return [bytes(row["id"]) for row in rows]


def _forget(tx: Tx, month: tuple[str, str]) -> None:
    state = must_write(tx)
    known = state.store.known.months
    state.months.pop(month, None)

    def forget() -> None:
        known.pop(month, None)

    state.after_commit.append(forget)


def days_of(keep: timedelta) -> int:
    """`keep:` in whole days, as a sheets row has it; a part of a day counts as one."""
    return -(-keep // timedelta(days=1))
