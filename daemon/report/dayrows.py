"""The store's rows of one business date, as the daily proof reads them: in one snapshot, no column that is sealed.

A task is of the date when it is about one of its notices, or about none and was opened on it. Rows that belong to nothing
(a message without notice, an attempt or a task of what is not there) are read whatever their date: they are of every day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import RowMapping, Table, exists, or_, select

from daemon.report.queries import span_of
from daemon.store.db import Tx
from daemon.store.rows import chunks
from daemon.store.tables import (
    attempts,
    episodes,
    holds,
    messages,
    notices,
    poll_counts,
    polls,
    receipts,
    rejects,
    releases,
    runs,
    sheets,
    silences,
    stops,
    tasks,
    uplinks,
)

Row: TypeAlias = RowMapping
Rows: TypeAlias = list[Row]

NOTICE = ("id", "rule", "subject", "client", "stage", "rule_set", "run", "feed", "business_date", "stands", "marks",
          "made_at", "told_at", "held", "outcome", "outcome_why", "served", "record")  # fmt: skip
MESSAGE = ("id", "notice", "client", "role", "channel", "generation", "state", "own", "tries", "ever_in_doubt",
           "acknowledged_at", "record")  # fmt: skip
MOST_LOOSE = 1_000
"""Rows that belong to nothing: named one by one up to so many of a table."""


@dataclass(slots=True)
class DayRows:
    """Rows by table. `loose`: table -> rows that belong to nothing; `counts`: (run, rule) -> bucket -> facts; `rejects`: run ->
    rows."""

    day: date
    polls: Rows = field(default_factory=list)
    runs: Rows = field(default_factory=list)
    sheets: Rows = field(default_factory=list)
    counts: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    rejects: dict[int, int] = field(default_factory=dict)
    notices: Rows = field(default_factory=list)
    messages: Rows = field(default_factory=list)
    attempts: Rows = field(default_factory=list)
    receipts: Rows = field(default_factory=list)
    uplinks: Rows = field(default_factory=list)
    tasks: Rows = field(default_factory=list)
    holds: Rows = field(default_factory=list)
    silences: Rows = field(default_factory=list)
    releases: Rows = field(default_factory=list)
    episodes: Rows = field(default_factory=list)
    stops: Rows = field(default_factory=list)
    loose: dict[str, Rows] = field(default_factory=dict)


def day_rows(tx: Tx, day: date) -> DayRows:
    """Read them."""
    found = DayRows(day)
    _ledger(tx, found)
    _notices(tx, found)
    _tasks(tx, found)
    _people(tx, found)
    found.loose = _loose(tx)
    return found


def _ledger(tx: Tx, found: DayRows) -> None:
    where = polls.c.business_date == found.day.isoformat()
    found.polls = list(tx.execute(select(polls).where(where).order_by(polls.c.due, polls.c.id)).mappings())
    found.runs = _of(tx, runs, "poll", (poll["id"] for poll in found.polls))
    numbers = [run["id"] for run in found.runs]
    found.sheets = _of(tx, sheets, "run", numbers)
    for row in _of(tx, poll_counts, "run", numbers):
        buckets = found.counts.setdefault((row["run"], row["rule"]), {})
        buckets[row["bucket"]] = buckets.get(row["bucket"], 0) + row["facts"]
    for row in _of(tx, rejects, "run", numbers, ("run",)):
        found.rejects[row["run"]] = found.rejects.get(row["run"], 0) + 1


def _notices(tx: Tx, found: DayRows) -> None:
    columns = [notices.c[name] for name in NOTICE]
    where = notices.c.business_date == found.day.isoformat()
    found.notices = list(tx.execute(select(*columns).where(where).order_by(notices.c.made_at, notices.c.id)).mappings())
    found.messages = _of(tx, messages, "notice", (notice["id"] for notice in found.notices), MESSAGE)
    ids = [message["id"] for message in found.messages]
    found.attempts = _of(tx, attempts, "message", ids)
    found.receipts = _of(tx, receipts, "message", ids, ("id", "gateway", "message", "kind", "code", "record"))
    found.uplinks = _of(tx, uplinks, "message", ids, ("id", "message", "record"))


def _tasks(tx: Tx, found: DayRows) -> None:
    first, end = span_of(found.day)
    mine = _of(tx, tasks, "notice", (notice["id"] for notice in found.notices))
    query = select(tasks).where(tasks.c.notice.is_(None), tasks.c.opened_at >= first, tasks.c.opened_at < end)
    found.tasks = sorted([*mine, *tx.execute(query).mappings()], key=lambda row: int(row["id"]))


def _people(tx: Tx, found: DayRows) -> None:
    """What people, or the rules themselves, held back and let go on the date, and what was open on it."""
    first, end = span_of(found.day)
    feeds = {poll["feed"] for poll in found.polls}
    of_feed = holds.c.feed.in_(feeds)
    open_then = (holds.c.since < end) & or_(holds.c.ended_at.is_(None), holds.c.ended_at >= first)
    found.holds = list(tx.execute(select(holds).where(of_feed, open_then).order_by(holds.c.id)).mappings())
    then = (silences.c.since < end) & (silences.c.until >= first)
    found.silences = list(tx.execute(select(silences).where(then).order_by(silences.c.id)).mappings())
    then = (releases.c.at >= first) & (releases.c.at < end)
    found.releases = list(tx.execute(select(releases).where(then).order_by(releases.c.id)).mappings())
    opened = (episodes.c.opened_on <= found.day.isoformat()) & (episodes.c.opened_at < end)
    still = or_(episodes.c.ended_at.is_(None), episodes.c.ended_at >= end)
    found.episodes = list(tx.execute(select(episodes).where(episodes.c.feed.in_(feeds), opened, still)).mappings())
    then = (stops.c.at < end) & or_(stops.c.ended_at.is_(None), stops.c.ended_at >= first)
    found.stops = list(tx.execute(select(stops).where(then).order_by(stops.c.id)).mappings())


def _loose(tx: Tx) -> dict[str, Rows]:
    """Rows that name a row which is not there."""
    of_notice, of_message = (notices.c.id, "notice"), (messages.c.id, "message")
    places: tuple[tuple[Table, Any, str, tuple[str, ...]], ...] = (
        (messages, *of_notice, ("id", "notice")),
        (tasks, *of_notice, ("id", "notice")),
        (attempts, *of_message, ("id", "message")),
        (receipts, *of_message, ("id", "message")),
    )
    found = {}
    for table, target, name, names in places:
        there = exists().where(target == table.c[name])
        query = select(*[table.c[n] for n in names]).where(table.c[name].is_not(None), ~there).limit(MOST_LOOSE)
        found[table.name] = list(tx.execute(query).mappings())
    return {name: list(rows) for name, rows in found.items()}


def _of(tx: Tx, table: Table, column: str, wanted: Iterable[object], names: Iterable[str] = ()) -> Rows:
    """The rows of a table whose column is one of these, in order of their keys."""
    columns = [table.c[name] for name in names] or list(table.c)
    found: Rows = []
    for part in chunks(list(wanted)):
        found += tx.execute(select(*columns).where(table.c[column].in_(part))).mappings()
    return found
