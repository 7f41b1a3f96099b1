"""What a run read and decided, committed as one: the poll's record with counts and hashes, the sheets' rows, the
rejects.

From this commit on every decision can be shown, replayed and counted; until it nothing of the run is on disk but sealed
files that no row names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update

from daemon.clock import SHANGHAI, from_micros, micros
from daemon.model.facts import Reject
from daemon.store import seals, trail
from daemon.store.db import Tx, of
from daemon.store.erasure import days_of
from daemon.store.leases import Lease, require_fence
from daemon.store.rows import chunks, one
from daemon.store.sheetlines import SheetFile
from daemon.store.tables import feeds, poll_counts, polls, rejects, runs, sheets

ACTOR = "sys:poll"
LIKE_DAYS = 5
"""Business dates over which a day's first reading is held against the largest one."""

LIKE_POLLS = 250
"""At most so many polls are looked at for them."""


@dataclass(frozen=True, slots=True)
class RuleReading:
    """One rule's part: its sheet and how long that is kept, how many facts in each (bucket, reason), and the verdict: `go`
    or `hold`."""

    sheet: SheetFile
    counts: Mapping[tuple[str, str], int]
    verdict: str = "go"
    keep: timedelta = timedelta(days=400)

    @property
    def buckets(self) -> dict[str, int]:
        """Facts by bucket alone."""
        total: dict[str, int] = {}
        for (bucket, _), facts in self.counts.items():
            total[bucket] = total.get(bucket, 0) + facts
        return total


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows read = rejects + rows in facts, rows of other business beside; `source_count` is the source's own, if it has
    one. `more` stands in the record alone."""

    started: datetime
    rows: int
    rejects: int
    facts: int
    rows_in_facts: int
    other: int = 0
    source_count: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def commit_reading(tx: Tx, lease: Lease, totals: Totals, rules: Mapping[str, RuleReading], *, now: datetime) -> str:
    """Write the poll's record with what it stands for, and have the feed's claims wait until `updated`. The sheets'
    files are sealed and synced before. Returns the record, the cause of everything that the run makes."""
    require_fence(tx, lease.feed, lease.fence)
    folder = of(tx).store.folder
    row = one(tx, runs, id=lease.run)
    assert row is not None
    record = trail.append(
        tx, "poll", t=now, actor=ACTOR, cause=lease.record, rule_set=row["rule_set"], data=_data(lease, totals, rules)
    )
    for name, rule in sorted(rules.items()):
        counts = [
            {"run": lease.run, "rule": name, "bucket": bucket, "reason": reason, "facts": facts}
            for (bucket, reason), facts in sorted(rule.counts.items())
        ]
        if counts:
            tx.execute(insert(poll_counts), counts)
        path = str(rule.sheet.path.relative_to(folder))
        kept = {"path": path, "sha256": rule.sheet.sha256, "lines": rule.sheet.lines, "key": rule.sheet.key}
        kept["keep_days"] = days_of(rule.keep)
        tx.execute(insert(sheets).values(run=lease.run, rule=name, **kept))
    values = {
        "rows": totals.rows,
        "rejects": totals.rejects,
        "facts": totals.facts,
        "rows_in_facts": totals.rows_in_facts,
        "other": totals.other,
        "source_count": totals.source_count,
    }
    tx.execute(update(runs).where(runs.c.id == lease.run).values(step="updating", record=record, **values))
    known = {"updating": lease.run, "known_through": micros(totals.started)}
    tx.execute(update(feeds).where(feeds.c.feed == lease.feed).values(**known))
    return record


def updated(tx: Tx, lease: Lease) -> None:
    """Every notice of the feed is up to date with the sheets: its claims may go on, making notices begins."""
    require_fence(tx, lease.feed, lease.fence)
    tx.execute(update(feeds).where(feeds.c.feed == lease.feed).values(updating=None))
    tx.execute(update(runs).where(runs.c.id == lease.run).values(step="making"))


def add_rejects(
    tx: Tx, lease: Lease, found: Sequence[Reject], *, now: datetime, subjects: Mapping[str, int] = MappingProxyType({})
) -> None:
    """Keep rejects: where, what was expected and whose it is (by number, where `subjects` has its key) in clear, what was
    found sealed under the intake key."""
    require_fence(tx, lease.feed, lease.fence)
    for reject in found:
        sealed = seals.put(tx, None, "reject", reject.found.encode(), now)
        place = {"part": reject.part, "file": reject.where.file, "line": reject.where.line, "column": reject.column}
        whose = subjects.get(reject.subject or "")
        row = {"run": lease.run, **place, "expected": reject.expected, "sealed": sealed, "subject": whose}
        tx.execute(insert(rejects).values(**row))


def run_of(tx: Tx, id: int) -> RowMapping:
    """A runs row. Raises LookupError."""
    row = one(tx, runs, id=id)
    if row is None:
        raise LookupError(f"run {id}: no such row")
    return row


def runs_of(tx: Tx, poll: int) -> list[RowMapping]:
    """The runs of a poll, in order."""
    return list(tx.execute(select(runs).where(runs.c.poll == poll).order_by(runs.c.number)).mappings())


def sheets_of(tx: Tx, run: int) -> list[RowMapping]:
    """The sheets rows of a run, by rule."""
    return list(tx.execute(select(sheets).where(sheets.c.run == run).order_by(sheets.c.rule)).mappings())


def counts_of(tx: Tx, run: int) -> dict[str, dict[tuple[str, str], int]]:
    """Rule -> (bucket, reason) -> facts of a run."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    query = select(poll_counts).where(poll_counts.c.run == run)
    for row in tx.execute(query).mappings():
        found.setdefault(row["rule"], {})[row["bucket"], row["reason"]] = row["facts"]
    return found


def like_before(tx: Tx, lease: Lease, rule: str) -> tuple[int, int, str] | None:
    """(rows, facts to notify, which reading) that a reading is held against: the newest poll of its business date that ran,
    else the most of each over the polls of the five business dates before; None where there is none."""
    query = (
        select(polls.c.business_date, polls.c.due, runs.c.rows, func.coalesce(func.sum(poll_counts.c.facts), 0))
        .join(runs, (runs.c.poll == polls.c.id) & (runs.c.number == polls.c.run))
        .outerjoin(
            poll_counts,
            (poll_counts.c.run == runs.c.id) & (poll_counts.c.rule == rule) & (poll_counts.c.bucket == "notify"),
        )
        .where(
            polls.c.feed == lease.feed,
            polls.c.state == "ran",
            polls.c.due < micros(lease.due),
            polls.c.business_date <= lease.business_date.isoformat(),
        )
        .group_by(polls.c.id, polls.c.business_date, polls.c.due, runs.c.rows)
        .order_by(polls.c.due.desc())
        .limit(LIKE_POLLS)
    )
    found = [(day, due, rows or 0, int(notify)) for day, due, rows, notify in tx.execute(query)]
    today = [one for one in found if one[0] == lease.business_date.isoformat()]
    if today:
        _, due, rows, notify = today[0]
        return rows, notify, f"the poll of {from_micros(due).astimezone(SHANGHAI):%H:%M}"
    days = sorted({one[0] for one in found}, reverse=True)[:LIKE_DAYS]
    past = [one for one in found if one[0] in days]
    if not past:
        return None
    which = f"the largest poll since {days[-1]}"
    return max(one[2] for one in past), max(one[3] for one in past), which


def rejects_of(tx: Tx, run: int) -> list[tuple[RowMapping, str]]:
    """(row, what was found, in clear) of a run's rejects: a reveal, which the caller records."""
    rows = list(tx.execute(select(rejects).where(rejects.c.run == run).order_by(rejects.c.id)).mappings())
    found: dict[str, bytes] = {}
    for part in chunks([row["sealed"] for row in rows]):
        found |= seals.get_many(tx, list(part))
    return [(row, found[row["sealed"]].decode()) for row in rows]


def _data(lease: Lease, totals: Totals, rules: Mapping[str, RuleReading]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "feed": lease.feed,
        "due": trail.format_time(lease.due),
        "business_date": lease.business_date.isoformat(),
        "run": lease.number,
        "state": "running",
        "started": trail.format_time(totals.started),
        "rows": totals.rows,
        "rejects": totals.rejects,
        "facts": totals.facts,
        "rows_in_facts": totals.rows_in_facts,
        "other": totals.other,
        "sheets": [
            {
                "rule": name,
                "sha256": rule.sheet.sha256,
                "file": rule.sheet.path.name,
                "lines": rule.sheet.lines,
                "counts": rule.buckets,
                "verdict": rule.verdict,
            }
            for name, rule in sorted(rules.items())
        ],
        **totals.more,
    }
    if totals.source_count is not None:
        data["source_count"] = totals.source_count
    return data
