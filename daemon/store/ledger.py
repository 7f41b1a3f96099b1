"""The ledger of polls: one row per (feed, due time), the feed's lease and fence, runs (DESIGN section 3, *A poll*).

States move by `model.states.POLL_MOVES` alone, each move with a `poll` record; `run` in it is the run concerned, or,
for a poll that never ran, the one that did not take place. A feed has one lease: one poll at a time, in order of due
time; `require_fence`, called first in every transaction of a poll, refuses who no longer holds it. What a run found is
readings.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, insert, select, update

from daemon.clock import from_micros, micros
from daemon.errors import StoreConflict
from daemon.model.states import POLL_MOVES, PollState
from daemon.store import trail
from daemon.store.db import Tx
from daemon.store.leases import LEASE, Lease, feed_row, is_live, is_of_earlier_boot, renew, require_fence, take
from daemon.store.rows import one
from daemon.store.tables import feeds, polls, runs

__all__ = [
    "Lease",
    "Poll",
    "claim",
    "claimable",
    "fail",
    "finish",
    "is_live",
    "open_due",
    "poll_of",
    "polls_in",
    "renew",
    "require_fence",
    "void_leases",
]

ACTOR = "sys:poll"
_P = PollState
_OPEN = (_P.DUE.value, _P.LATE.value)
_UNFINISHED = ("reading", "sheet", "updating", "making")


@dataclass(frozen=True, slots=True)
class Poll:
    """A ledger row. `run` is the number of its newest run, 0 before the first."""

    id: int
    feed: str
    due: datetime
    business_date: date
    state: PollState
    run: int
    reason: str
    record: str


def open_due(tx: Tx, feed: str, due: datetime, business_date: date, *, now: datetime, skip: str = "") -> Poll:
    """The ledger row of a due time, made if it is not there. With `skip` (why the calendar leaves it out) it is made
    `skipped`; one that a newer poll has already overtaken is made `missed`."""
    row = one(tx, polls, feed=feed, due=micros(due))
    if row is not None:
        return _poll(row)
    lease = feed_row(tx, feed)
    state, reason = (_P.SKIPPED, skip) if skip else (_P.DUE, "")
    if not skip and micros(due) <= lease["through"]:
        state, reason = _P.MISSED, "a newer poll has run"
    record = _record(tx, feed, due, business_date, 1, state, reason, now)
    tx.execute(
        insert(polls).values(
            feed=feed,
            due=micros(due),
            business_date=business_date.isoformat(),
            state=state.value,
            reason=reason,
            record=record,
        )
    )
    row = one(tx, polls, feed=feed, due=micros(due))
    assert row is not None
    return _poll(row)


def poll_of(tx: Tx, id: int) -> Poll:
    """One ledger row. Raises LookupError."""
    row = one(tx, polls, id=id)
    if row is None:
        raise LookupError(f"poll {id}: no such ledger row")
    return _poll(row)


def polls_in(tx: Tx, states: Iterable[PollState], *, feed: str | None = None) -> list[Poll]:
    """Ledger rows in these states, by due time."""
    query = select(polls).where(polls.c.state.in_([s.value for s in states])).order_by(polls.c.due, polls.c.id)
    if feed is not None:
        query = query.where(polls.c.feed == feed)
    return [_poll(row) for row in tx.execute(query).mappings()]


def has_run(tx: Tx, feed: str) -> bool:
    """Whether a poll of the feed ever ran to its end."""
    return (
        tx.execute(select(polls.c.id).where(polls.c.feed == feed, polls.c.state == _P.RAN.value).limit(1)).first()
        is not None
    )


def claimable(
    tx: Tx,
    *,
    now: datetime,
    elapsed: int,
    retry: Sequence[PollState] = (),
    ripe: Callable[[Poll], bool] = lambda poll: True,
) -> list[Poll]:
    """What could be claimed now, at most one poll of each free feed, by due time: of the earliest business date with an
    open poll the newest due one. Open are `due`, `running` whose run crashed, and those in `retry` that are `ripe`: one that
    waits for its input or for a release never bars the polls after it."""
    busy: dict[str, bool] = {}
    through: dict[str, int] = {}
    for row in tx.execute(select(feeds)).mappings():
        busy[row["feed"]], through[row["feed"]] = is_live(tx, row, elapsed), row["through"]
    chosen: dict[str, Poll] = {}
    for poll in polls_in(tx, (_P.DUE, _P.RUNNING, *retry)):
        if poll.due > now or busy.get(poll.feed, False) or micros(poll.due) <= through.get(poll.feed, -1):
            continue
        if poll.state in retry and not ripe(poll):
            continue
        first = chosen.get(poll.feed)
        if first is None or first.business_date == poll.business_date:
            chosen[poll.feed] = poll
    return sorted(chosen.values(), key=lambda poll: (poll.due, poll.feed))


def claim(tx: Tx, poll: int, *, holder: str, rule_set: str, now: datetime, elapsed: int, lease: int = LEASE) -> Lease:
    """Take a poll's feed for `lease` microseconds and start a new run of it.

    1. Refuse (StoreConflict) when someone else's lease is live, the poll may not run, or a newer one has run.
    2. Older open polls of the same business date are `missed`; a crashed one of the feed is `failed`: overtaken.
    3. Unfinished runs of the feed are `broken`; the fence rises.
    """
    row = one(tx, polls, id=poll)
    if row is None:
        raise LookupError(f"poll {poll}: no such ledger row")
    found = feed_row(tx, row["feed"])
    if is_live(tx, found, elapsed):
        raise StoreConflict(f"feed {row['feed']}: {found['holder']} holds its lease, expected it to be free")
    if row["due"] <= found["through"]:
        raise StoreConflict(f"poll {poll} of feed {row['feed']}: a newer poll has run, expected none")
    _overtake(tx, row, now)
    number = row["run"] + 1
    why = "run again after a crash" if row["state"] == _P.RUNNING.value else ""
    record = _move(tx, row, _P.RUNNING, why, now, number=number, again=bool(why))
    tx.execute(update(polls).where(polls.c.id == poll).values(started_at=micros(now), finished_at=None))
    run = tx.execute(
        insert(runs).values(poll=poll, number=number, rule_set=rule_set, step="reading", reading_started=micros(now))
    ).inserted_primary_key
    assert run is not None
    take(tx, row["feed"], found["fence"] + 1, holder, elapsed + lease)
    taken = _poll(row)
    return Lease(poll, taken.feed, taken.due, taken.business_date, run[0], number, found["fence"] + 1, record)


def finish(tx: Tx, lease: Lease, state: PollState, reason: str = "", *, now: datetime) -> str:
    """End a run: the poll's state, the feed free again, claims of the feed no longer waiting. `ran` overtakes every
    older open poll of the feed. Returns the record."""
    require_fence(tx, lease.feed, lease.fence)
    row = one(tx, polls, id=lease.poll)
    assert row is not None
    record = _move(tx, row, state, reason, now, number=lease.number)
    tx.execute(update(polls).where(polls.c.id == lease.poll).values(finished_at=micros(now)))
    done = state in (_P.RAN, _P.HELD)
    tx.execute(update(runs).where(runs.c.id == lease.run).values(step="done" if done else "broken"))
    free: dict[str, Any] = {"holder": "", "updating": None}
    if state is _P.RAN:
        free["through"] = micros(lease.due)
        _miss(tx, polls.c.feed == lease.feed, polls.c.due < micros(lease.due), why="a newer poll has run", now=now)
    tx.execute(update(feeds).where(feeds.c.feed == lease.feed).values(**free))
    return record


def fail(tx: Tx, feed: str, reason: str, *, now: datetime) -> Poll | None:
    """The parent's verdict on a poll whose child is dead or past its time-out: `failed`, the fence raised, the feed
    free. None when no poll of the feed runs."""
    row = tx.execute(select(polls).where(polls.c.feed == feed, polls.c.state == _P.RUNNING.value)).mappings().first()
    if row is None:
        return None
    _break_runs(tx, row["id"])
    _move(tx, row, _P.FAILED, reason, now, number=max(1, row["run"]))
    tx.execute(update(polls).where(polls.c.id == row["id"]).values(finished_at=micros(now)))
    tx.execute(update(feeds).where(feeds.c.feed == feed).values(holder="", updating=None, fence=feeds.c.fence + 1))
    return poll_of(tx, row["id"])


def void_leases(tx: Tx) -> list[Poll]:
    """At a parent's start: free every feed that an earlier boot held, raise its fence, break its runs. Their polls stay
    `running` and can be claimed again as a new run; a feed's `updating` stays, so its claims wait for that run."""
    gone = is_of_earlier_boot(tx, feeds.c.boot) & (feeds.c.holder != "")
    names = list(tx.execute(select(feeds.c.feed).where(gone)).scalars())
    tx.execute(update(feeds).where(gone).values(holder="", fence=feeds.c.fence + 1))
    crashed = [poll for name in names for poll in polls_in(tx, (_P.RUNNING,), feed=name)]
    for poll in crashed:
        _break_runs(tx, poll.id)
    return crashed


def _overtake(tx: Tx, row: RowMapping, now: datetime) -> None:
    """What a claim of `row` does to the other polls of its feed."""
    same_day = polls.c.business_date == row["business_date"]
    _miss(tx, polls.c.feed == row["feed"], same_day, polls.c.due < row["due"], why="a newer due time runs", now=now)
    for crashed in polls_in(tx, (_P.RUNNING,), feed=row["feed"]):
        _break_runs(tx, crashed.id)
        if crashed.id != row["id"]:
            other = one(tx, polls, id=crashed.id)
            assert other is not None
            _move(tx, other, _P.FAILED, "overtaken", now, number=max(1, crashed.run))


def _miss(tx: Tx, *where: ColumnElement[bool], why: str, now: datetime) -> None:
    for row in tx.execute(select(polls).where(*where, polls.c.state.in_(_OPEN))).mappings().all():
        _move(tx, row, _P.MISSED, why, now, number=row["run"] + 1)


def _break_runs(tx: Tx, poll: int) -> None:
    tx.execute(update(runs).where(runs.c.poll == poll, runs.c.step.in_(_UNFINISHED)).values(step="broken"))


def _move(tx: Tx, row: RowMapping, new: PollState, why: str, now: datetime, *, number: int, again: bool = False) -> str:
    old = PollState(row["state"])
    if new not in POLL_MOVES[old] and not again:
        raise StoreConflict(f"poll {row['id']} of feed {row['feed']}: {old.value} -> {new.value} is no ledger move")
    poll = _poll(row)
    record = _record(tx, poll.feed, poll.due, poll.business_date, number, new, why, now, cause=poll.record)
    values = {"state": new.value, "reason": why, "record": record} | ({"run": number} if new is _P.RUNNING else {})
    tx.execute(update(polls).where(polls.c.id == row["id"]).values(**values))
    return record


def _record(
    tx: Tx,
    feed: str,
    due: datetime,
    day: date,
    run: int,
    state: PollState,
    why: str,
    now: datetime,
    cause: str | None = None,
) -> str:
    data = {
        "feed": feed,
        "due": trail.format_time(due),
        "business_date": day.isoformat(),
        "run": run,
        "state": state.value,
        "reason": why,
    }
    return trail.append(tx, "poll", t=now, actor=ACTOR, cause=cause, data=data)


def _poll(row: RowMapping) -> Poll:
    return Poll(
        row["id"],
        row["feed"],
        from_micros(row["due"]),
        date.fromisoformat(row["business_date"]),
        PollState(row["state"]),
        row["run"],
        row["reason"],
        row["record"],
    )
