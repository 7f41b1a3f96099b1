"""A wall clock that has stepped: the record and the page of it, and a person's word that it is right.

What the clock shows meanwhile is clock.py's; the daemon reads the word between two passes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.store import pages, trail
from daemon.store.db import Tx
from daemon.store.rows import get_meta, put_meta

STEP, BELIEVED = "clock_step", "clock_believed"
"""Meta rows: record and microseconds of the step that lasts ('' for none); the record of the step that a person believes."""

PAGE = "clock"


def stepped(tx: Tx, step: timedelta, *, now: datetime) -> str:
    """The wall clock stepped by so much and is not believed. Returns the record."""
    micro = step // timedelta(microseconds=1)
    data = {"step_us": micro, "believed": False}
    record = trail.append(tx, "clock", t=now, actor="sys:duenotice", data=data)
    sentence = f"the wall clock stepped by {step.total_seconds():.0f} s and is not believed; where it is right now: alarms clock"
    pages.page(tx, PAGE, "urgent", sentence, now=now)
    put_meta(tx, STEP, f"{record} {micro}")
    return record


def over(tx: Tx) -> None:
    """The step that lasted is over: believed, or gone by itself."""
    put_meta(tx, STEP, "")


def confirm(tx: Tx, *, by: str, reason: str, now: datetime) -> str | None:
    """A person says that the wall clock is right. Returns the record, None where no step lasts."""
    record, _, micro = (get_meta(tx, STEP) or "").partition(" ")
    if not record:
        return None
    data = {"step_us": int(micro), "believed": True, "by": by, "reason": reason}
    said = trail.append(tx, "clock", t=now, actor=f"person:{by}", cause=record, data=data)
    put_meta(tx, BELIEVED, record)
    pages.acknowledge(tx, PAGE, by=by, now=now)
    return said


def confirmed(tx: Tx) -> bool:
    """Whether a person believes the step that lasts."""
    record = (get_meta(tx, STEP) or "").partition(" ")[0]
    return bool(record) and get_meta(tx, BELIEVED) == record
