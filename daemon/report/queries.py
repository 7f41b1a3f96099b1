"""The reads of the store that only reports make, each one statement in the caller's snapshot. Nothing is unsealed here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import RowMapping, func, select

from daemon.audit.record import Record, decode
from daemon.clock import SHANGHAI, micros
from daemon.model.states import OPEN, PollState
from daemon.store import ledger, seals
from daemon.store.db import Tx
from daemon.store.rows import chunks
from daemon.store.tables import (
    activations,
    attempts,
    messages,
    notices,
    polls,
    receipts,
    records,
    rejects,
    rule_sets,
    runs,
    sheets,
    subjects,
    tasks,
)


def span_of(day: date) -> tuple[int, int]:
    """The first microsecond of a day in Asia/Shanghai, and of the next one."""
    first = datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    return micros(first), micros(first + timedelta(days=1))


def polls_of(tx: Tx, day: date) -> list[ledger.Poll]:
    """The ledger rows of a business date, by due time."""
    return [poll for poll in ledger.polls_in(tx, PollState) if poll.business_date == day]


def newest_day(tx: Tx, until: date) -> date | None:
    """The newest business date with a ledger row, not after `until`."""
    found = tx.execute(select(func.max(polls.c.business_date)).where(polls.c.business_date <= until.isoformat()))
    text = found.scalar()
    return None if text is None else date.fromisoformat(text)


def runs_with_sheets(tx: Tx, day: date) -> list[tuple[RowMapping, RowMapping]]:
    """(runs row, sheets row) of every sheet of a business date, in order of due time, run and rule."""
    query = select(runs.c.id, sheets.c.rule).join_from(runs, sheets, sheets.c.run == runs.c.id)
    query = query.join(polls, polls.c.id == runs.c.poll).where(polls.c.business_date == day.isoformat())
    pairs = list(tx.execute(query.order_by(polls.c.due, runs.c.number, sheets.c.rule)))
    found_runs = {row["id"]: row for row in _in(tx, runs, "id", {run for run, _ in pairs})}
    found_sheets = {(row["run"], row["rule"]): row for row in _in(tx, sheets, "run", {run for run, _ in pairs})}
    return [(found_runs[run], found_sheets[run, rule]) for run, rule in pairs]


def reject_places(tx: Tx, run: int, limit: int = 1000) -> list[RowMapping]:
    """Where a run's rejects stand, what was expected there and whose each is as far as it says; what was found stays
    sealed."""
    names = ("part", "file", "line", "column", "expected", "subject")
    query = select(*(rejects.c[name] for name in names)).where(rejects.c.run == run).order_by(rejects.c.id)
    return list(tx.execute(query.limit(limit)).mappings())


def rejects_of(tx: Tx, run: int, numbers: Sequence[int]) -> list[RowMapping]:
    """A run's rejects that are these subjects'."""
    query = select(rejects).where(rejects.c.run == run, rejects.c.subject.in_(numbers)).order_by(rejects.c.id)
    return list(tx.execute(query).mappings())


def subjects_of(tx: Tx, client: int) -> list[tuple[int, str]]:
    """(number, kind) of a client itself and of everything that is its, in order of number."""
    query = select(subjects.c.number, subjects.c.kind).where(subjects.c.client == client).order_by(subjects.c.number)
    return [(row.number, row.kind) for row in tx.execute(query)]


def notices_of(
    tx: Tx,
    *,
    day: date | None = None,
    rule: str = "",
    client: int | None = None,
    state: str = "",
    id: str = "",
    limit: int | None = None,
) -> list[RowMapping]:
    """Notices by business date, rule, client, beginning of the id and state: `open` (no outcome), `held`, `told`, or an
    outcome. In order of making."""
    query = select(notices).order_by(notices.c.made_at, notices.c.id)
    if day is not None:
        query = query.where(notices.c.business_date == day.isoformat())
    if rule:
        query = query.where(notices.c.rule == rule)
    if client is not None:
        query = query.where(notices.c.client == client)
    if id:
        query = query.where(notices.c.id.startswith(id, autoescape=True))
    if state == "open":
        query = query.where(notices.c.outcome.is_(None))
    elif state == "held":
        query = query.where(notices.c.held.is_(True), notices.c.outcome.is_(None))
    elif state == "told":
        query = query.where(notices.c.told_at.is_not(None))
    elif state:
        query = query.where(notices.c.outcome == state)
    return list(tx.execute(query if limit is None else query.limit(limit)).mappings())


def noticed(tx: Tx, rule: str, clients: Sequence[int]) -> set[int]:
    """Those of these clients who have any notice of a rule, of whatever date."""
    found: set[int] = set()
    for part in chunks(clients):
        where = (notices.c.rule == rule) & notices.c.client.in_(part)
        found.update(tx.execute(select(notices.c.client).where(where).distinct()).scalars())
    return found


def next_deadlines(tx: Tx, limit: int = 10) -> list[RowMapping]:
    """The open notices not told whose deadlines come first."""
    query = select(notices).where(notices.c.outcome.is_(None), notices.c.told_at.is_(None))
    return list(tx.execute(query.order_by(notices.c.deadline).limit(limit)).mappings())


def outcomes_of(tx: Tx, day: date) -> dict[str, dict[str, int]]:
    """Rule -> outcome -> notices of a business date; `open` are those without one."""
    found: dict[str, dict[str, int]] = {}
    query = select(notices.c.rule, notices.c.outcome, func.count()).where(notices.c.business_date == day.isoformat())
    for rule, outcome, count in tx.execute(query.group_by(notices.c.rule, notices.c.outcome)):
        found.setdefault(rule, {})[outcome or "open"] = count
    return found


def told_of(tx: Tx, day: date) -> dict[str, int]:
    """Rule -> notices of a business date that were told."""
    query = select(notices.c.rule, func.count()).where(
        notices.c.business_date == day.isoformat(), notices.c.told_at.is_not(None)
    )
    return {rule: count for rule, count in tx.execute(query.group_by(notices.c.rule))}  # noqa: C416


def tasks_opened(tx: Tx, day: date) -> dict[str, int]:
    """Rule ('' for those of no rule) -> tasks opened on a day in Asia/Shanghai or about a notice of that business date."""
    first, end = span_of(day)
    about = select(notices.c.id).where(notices.c.business_date == day.isoformat())
    within = (tasks.c.opened_at >= first) & (tasks.c.opened_at < end) & tasks.c.notice.is_(None)
    query = select(tasks.c.rule, func.count()).where(within | tasks.c.notice.in_(about)).group_by(tasks.c.rule)
    return {rule: count for rule, count in tx.execute(query)}  # noqa: C416


def open_tasks(tx: Tx) -> int:
    """How many tasks wait for a person."""
    return int(tx.execute(select(func.count()).select_from(tasks).where(tasks.c.closed_at.is_(None))).scalar_one())


def backlog_of(tx: Tx, now: datetime) -> tuple[int, int, int]:
    """Messages of open notices that have not left: all, those due by now, and those in doubt (which may have)."""
    waiting = messages.c.state.in_([state.value for state in OPEN])
    joined = select(func.count()).join_from(messages, notices, notices.c.id == messages.c.notice)
    base = joined.where(waiting, notices.c.outcome.is_(None))
    total = tx.execute(base).scalar_one()
    due = tx.execute(base.where(messages.c.due <= micros(now), notices.c.held.is_(False), notices.c.stands != "no"))
    doubt = tx.execute(select(func.count()).select_from(messages).where(messages.c.state == "in_doubt")).scalar_one()
    return int(total), int(due.scalar_one()), int(doubt)


def attempts_of(tx: Tx, ids: Iterable[str]) -> dict[str, list[RowMapping]]:
    """Message -> its attempts, in order."""
    rows = sorted(_in(tx, attempts, "message", ids), key=lambda row: row["number"])
    return _grouped(rows, "message")


def receipts_of(tx: Tx, ids: Iterable[str]) -> dict[str, list[RowMapping]]:
    """Message -> its receipts, in order of arrival."""
    rows = sorted(_in(tx, receipts, "message", ids), key=lambda row: (row["received_at"], row["id"]))
    return _grouped(rows, "message")


def newest_text(tx: Tx, notice: str) -> str:
    """The SMS text of a notice's newest message that was rendered, in clear: a reveal, which the caller records. '' where
    none was."""
    query = select(messages.c.body).where(messages.c.notice == notice, messages.c.body.is_not(None))
    body = tx.execute(query.order_by(messages.c.due.desc(), messages.c.id).limit(1)).scalar()
    return "" if body is None else str(json.loads(seals.get(tx, body))["sms_text"])


def newest_records(tx: Tx, *, kind: str = "", client: int | None = None, limit: int = 100) -> list[tuple[int, Record]]:
    """(position, record) of the newest records, newest first; the position is -1 while it is not published."""
    query = select(records.c.position, records.c.leaf).order_by(records.c.row.desc()).limit(limit)
    if kind:
        query = query.where(records.c.kind == kind)
    if client is not None:
        query = query.where(records.c.client == client)
    return [(-1 if row.position is None else row.position, decode(bytes(row.leaf))) for row in tx.execute(query)]


def rule_set_digests(tx: Tx) -> list[str]:
    """Every rule set kept here, the oldest first."""
    return list(tx.execute(select(rule_sets.c.digest).order_by(rule_sets.c.loaded_at)).scalars())


def version_of(tx: Tx, digest: str) -> int:
    """What the signers call a rule set; 0 where nobody signed it."""
    query = select(func.max(activations.c.version)).where(activations.c.digest == digest)
    return int(tx.execute(query).scalar() or 0)


def activation_rows(tx: Tx, limit: int = 10) -> list[RowMapping]:
    """Activations, newest first."""
    return list(tx.execute(select(activations).order_by(activations.c.id.desc()).limit(limit)).mappings())


def sheet_by_hash(tx: Tx, sha256: str) -> RowMapping | None:
    """The sheets row whose plain bytes have this hash."""
    return tx.execute(select(sheets).where(sheets.c.sha256 == sha256)).mappings().first()


def _in(tx: Tx, table: object, column: str, wanted: Iterable[object]) -> list[RowMapping]:
    found: list[RowMapping] = []
    for part in chunks(list(wanted)):
        where = table.c[column].in_(part)  # type: ignore[attr-defined]
        found += tx.execute(select(table).where(where)).mappings()  # type: ignore[call-overload]
    return found


def _grouped(rows: Sequence[RowMapping], name: str) -> dict[str, list[RowMapping]]:
    found: dict[str, list[RowMapping]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def counts_sum(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Facts by bucket of (bucket, reason) -> facts."""
    found: dict[str, int] = {}
    for (bucket, _), facts in counts.items():
        found[bucket] = found.get(bucket, 0) + facts
    return found
