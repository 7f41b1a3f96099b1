"""Messages, attempts and receipts in the store: claim, commit `sending`, settle, apply a receipt. Each guarded by a fence.

Every function runs inside the caller's transaction and changes a row only if the row is what the caller believes; a
belief that is no longer true returns None or False (StoreConflict where that means someone else moved on).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from daemon.errors import StoreConflict
from daemon.model.states import TOLD, MessageState, contradicts, may_move, with_receipts
from daemon.store.db import Tx, of
from daemon.store.leases import SECOND, lease_now
from daemon.store.receipts import kinds_of_many
from daemon.store.tables import attempts, feeds, messages, notices, sending_keys

_S = MessageState


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed message: its row and its notice's, as they were when claimed. `fence` is what every settle names; `until`, in the
    claimer's own `elapsed` microseconds, is when its lease is over at the latest."""

    message: RowMapping
    notice: RowMapping
    fence: int
    until: int


def _due(now: int, busy: Collection[str], full: Collection[str]) -> Select[tuple[str]]:
    """What may be claimed; a feed being brought up to date waits."""
    updating = exists().where(feeds.c.feed == messages.c.feed, feeds.c.updating.is_not(None))
    return (
        select(messages.c.id)
        .join(notices, notices.c.id == messages.c.notice)
        .where(
            messages.c.state == _S.QUEUED.value,
            messages.c.due + 0
            <= now,  # not by the index of due times: then the order of claims would have to be sorted
            notices.c.outcome.is_(None),
            notices.c.held.is_(False),
            or_(notices.c.stands != "no", messages.c.ever_in_doubt.is_(True)),
            messages.c.feed.not_in(busy),
            messages.c.channel.not_in(full),
            ~updating,
        )
    )


def is_due(tx: Connection, now: int, busy: Collection[str] = (), full: Collection[str] = ()) -> bool:
    """Whether a claim would take anything: a look without the lock."""
    return tx.execute(_due(now, busy, full).limit(1)).first() is not None


def claim(
    tx: Tx,
    now: int,
    lease: int,
    limit: int,
    busy: Collection[str] = (),
    full: Collection[str] = (),
) -> list[Claim]:
    """Take what is due for `lease` microseconds, first priority and earliest deadline first, but nothing of the feeds in `busy`,
    nor for the channels in `full`, nor what another process is claiming at this moment (FOR UPDATE SKIP LOCKED)."""
    store = of(tx).store
    until = int(store.elapsed() * SECOND) + lease  # read before the database's clock: ours is over no later
    first = messages.c.priority, messages.c.deadline, messages.c.due, messages.c.id
    free = _due(now, busy, full).order_by(*first).limit(limit).with_for_update(of=messages, skip_locked=True)
    ids = tx.execute(free).scalars().all()
    if not ids:
        return []
    taken = {"boot": store.boot, "lease_until": lease_now(tx) + lease}
    tx.execute(
        update(messages)
        .where(messages.c.id.in_(ids), messages.c.state == _S.QUEUED.value)
        .values(state=_S.CLAIMED.value, own=_S.CLAIMED.value, fence=messages.c.fence + 1, **taken)
    )
    claimed = {r["id"]: r for r in tx.execute(select(messages).where(messages.c.id.in_(ids))).mappings()}
    held = {
        r["id"]: r
        for r in tx.execute(select(notices).where(notices.c.id.in_({r["notice"] for r in claimed.values()}))).mappings()
    }
    return [Claim(claimed[i], held[claimed[i]["notice"]], claimed[i]["fence"], until) for i in ids]


def put_back(tx: Connection, message: str, fence: int, *, due: int, why: str) -> bool:
    """Return a claimed message to the queue, nothing has left."""
    done = tx.execute(
        update(messages)
        .where(messages.c.id == message, messages.c.fence == fence, messages.c.state == _S.CLAIMED.value)
        .values(state=_S.QUEUED.value, own=_S.QUEUED.value, due=due, why=why, lease_until=None)
    )
    return done.rowcount == 1


def refuse(tx: Connection, message: str, fence: int, state: MessageState, why: str, record: str) -> bool:
    """End a claimed message that shall not leave (no contact, address taken, cancelled)."""
    done = tx.execute(
        update(messages)
        .where(messages.c.id == message, messages.c.fence == fence, messages.c.state == _S.CLAIMED.value)
        .values(state=state.value, own=state.value, why=why, record=record, lease_until=None)
    )
    return done.rowcount == 1


Place = tuple[str, str, bytes]
"""(notice, channel, address index)."""


def take_addresses(tx: Connection, wanted: Sequence[tuple[str, str, bytes, str]]) -> dict[Place, str]:
    """The first `sending` takes (notice, channel, address); who holds each now. `wanted`: those and the message, in order."""
    if not wanted:
        return {}
    insert = postgresql.insert(sending_keys) if tx.dialect.name == "postgresql" else sqlite.insert(sending_keys)
    names = ("notice", "channel", "address", "message")
    tx.execute(insert.on_conflict_do_nothing(), [dict(zip(names, one, strict=True)) for one in wanted])
    query = select(sending_keys).where(sending_keys.c.notice.in_({one[0] for one in wanted}))
    return {(r["notice"], r["channel"], bytes(r["address"])): r["message"] for r in tx.execute(query).mappings()}


ONE_ADDRESS = "one address, one message"
"""Why a message rests whose address another contact's message of the notice has taken on its channel."""


def leave_address(tx: Connection, notice: str, channel: str, address: bytes, message: str) -> None:
    """Give the row back after a proved refusal before anything could arrive."""
    tx.execute(
        sending_keys.delete().where(
            sending_keys.c.notice == notice,
            sending_keys.c.channel == channel,
            sending_keys.c.address == address,
            sending_keys.c.message == message,
        )
    )
    tx.execute(
        update(messages)
        .where(
            messages.c.notice == notice,
            messages.c.channel == channel,
            messages.c.state == _S.QUEUED.value,
            messages.c.why == ONE_ADDRESS,
        )
        .values(due=0, why="")
    )


_STARTED = ("tries", "gateway", "address", "address_sealed", "body", "terms", "platform_id", "record")
_START = (
    update(messages)
    .where(
        messages.c.id == bindparam("b_id"),
        messages.c.fence == bindparam("b_fence"),
        messages.c.boot == bindparam("b_boot"),
        messages.c.state == _S.CLAIMED.value,
        exists().where(
            notices.c.id == bindparam("b_notice"),
            notices.c.revision == bindparam("b_revision"),
            notices.c.outcome.is_(None),
        ),
    )
    .values(state=_S.SENDING.value, own=_S.SENDING.value, **{name: bindparam(f"v_{name}") for name in _STARTED})
)
_TELL = (
    update(notices)
    .where(notices.c.id == bindparam("b_notice"))
    .values(told_at=bindparam("b_now"), told_terms=bindparam("b_terms"))
)


def _bound(name: str) -> str:
    """A value's parameter: SQLAlchemy keeps a column's own name for itself."""
    return name if name.startswith("b_") else f"v_{name}"


def lock_notices(tx: Connection, ids: Iterable[str]) -> None:
    """Keep notices as they are, until the transaction ends, for who decides on them beside other writers."""
    wanted = sorted(set(ids))
    if wanted and tx.dialect.name == "postgresql":
        tx.execute(select(notices.c.id).where(notices.c.id.in_(wanted)).order_by(notices.c.id).with_for_update())


def is_sending(tx: Connection, records: Mapping[str, str]) -> bool:
    """Whether the `sending` of all these attempts (message -> its record) has been committed."""
    query = select(func.count()).where(messages.c.own == _S.SENDING.value, messages.c.record.in_(records.values()))
    return bool(tx.execute(query).scalar_one() == len(records))


def start_sending(tx: Connection, rows: Sequence[Mapping[str, Any]], *, now: int, boot: str) -> None:
    """Commit `sending` with the attempts, before the first byte. Each row names message (`b_id`), fence, notice and the revision
    that was asked for. Raises StoreConflict, and nothing may be committed, when one of them has moved meanwhile."""
    if not rows:
        return
    done = tx.execute(
        _START, [{"b_boot": boot, **{_bound(name): value for name, value in row.items()}} for row in rows]
    )
    if done.rowcount != len(rows):
        raise StoreConflict(f"{len(rows) - done.rowcount} of {len(rows)} claims moved between asking and sending")
    tx.execute(
        attempts.insert(),
        [
            {
                "message": row["b_id"],
                "number": row["tries"],
                "fence": row["b_fence"],
                "gateway": row["gateway"],
                "started_at": now,
                "record": row["record"],
            }
            for row in rows
        ],
    )
    tx.execute(_TELL, [{"b_notice": row["b_notice"], "b_now": now, "b_terms": row["terms"]} for row in rows])


@dataclass(frozen=True, slots=True)
class Settle:
    """How one attempt ended: our own state, the verdict, its code, when it is looked at again, the record."""

    message: str
    fence: int
    number: int
    own: MessageState
    verdict: str
    code: str
    due: int | None
    record: str


_SETTLED = ("state", "own", "record", "why", "ever_in_doubt", "due", "contradicted", "lease_until")
_SETTLE = (
    update(messages)
    .where(messages.c.id == bindparam("b_id"), messages.c.fence == bindparam("b_fence"))
    .values({name: bindparam(f"v_{name}") for name in _SETTLED})
)
_END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.message == bindparam("b_id"), attempts.c.number == bindparam("b_number"))
    .values(
        ended_at=bindparam("b_now"),
        verdict=bindparam("b_verdict"),
        code=bindparam("b_code"),
        settled=bindparam("b_record"),
    )
)


def settle(tx: Connection, ends: Sequence[Settle], now: int) -> dict[str, dict[str, Any]]:
    """Settle attempts. A receipt that came first is not lowered. Returns the messages as they are now, by id; one whose fence
    is not ours any more is not among them, and nothing of it is written."""
    ids = [one.message for one in ends]
    rows = {r["id"]: r for r in tx.execute(select(messages).where(messages.c.id.in_(ids))).mappings()}
    seen = kinds_of_many(tx, ids)
    after: dict[str, dict[str, Any]] = {}
    done: list[Settle] = []
    for one in ends:
        row = rows[one.message]
        if row["fence"] != one.fence or row["own"] != _S.SENDING.value:
            continue
        if not may_move(_S.SENDING, one.own, ever_in_doubt=row["ever_in_doubt"]):
            raise ValueError(f"message state sending -> {one.own.value}: not a move of ours")
        kinds = seen.get(one.message, [])
        after[one.message] = {
            **row,
            "state": with_receipts(one.own, kinds).value,
            "own": one.own.value,
            "record": one.record,
            "why": one.code,
            "ever_in_doubt": bool(row["ever_in_doubt"]) or one.own is _S.IN_DOUBT,
            "due": row["due"] if one.due is None else one.due,
            "contradicted": contradicts(one.own, kinds),
            "lease_until": None,
        }
        done.append(one)
    _write_settled(tx, done, after, now)
    return after


def _write_settled(tx: Connection, done: Sequence[Settle], after: Mapping[str, Mapping[str, Any]], now: int) -> None:
    if not done:
        return
    tx.execute(
        _SETTLE,
        [{"b_id": s.message, "b_fence": s.fence, **{f"v_{n}": after[s.message][n] for n in _SETTLED}} for s in done],
    )
    ended = [
        {
            "b_id": s.message,
            "b_number": s.number,
            "b_now": now,
            "b_verdict": s.verdict,
            "b_code": s.code,
            "b_record": s.record,
        }
        for s in done
    ]
    tx.execute(_END_ATTEMPT, ended)
    for one in done:
        if MessageState(after[one.message]["state"]) not in TOLD:
            retell(tx, after[one.message]["notice"])


def retell(tx: Connection, notice: str) -> None:
    """Whether and in which terms a notice is told, by its messages: a proved refusal undoes it, a receipt of a refused one
    does it. The newest attempt of a message that may have arrived says the terms."""
    query = (
        select(messages.c.terms, attempts.c.started_at)
        .join(attempts, attempts.c.message == messages.c.id)
        .where(messages.c.notice == notice, messages.c.state.in_([s.value for s in TOLD]))
        .order_by(attempts.c.started_at.desc(), attempts.c.id.desc())
        .limit(1)
    )
    newest = tx.execute(query).first()
    told = (None, None) if newest is None else (newest.started_at, newest.terms)
    tx.execute(update(notices).where(notices.c.id == notice).values(told_at=told[0], told_terms=told[1]))


def of_notice(tx: Connection, notice: str) -> list[RowMapping]:
    """The messages of a notice, in order of creation."""
    return list(
        tx.execute(
            select(messages).where(messages.c.notice == notice).order_by(messages.c.due, messages.c.generation)
        ).mappings()
    )


def of_notices(tx: Connection, ids: Iterable[str]) -> dict[str, list[RowMapping]]:
    """The messages of several notices."""
    found: dict[str, list[RowMapping]] = {}
    for row in tx.execute(select(messages).where(messages.c.notice.in_(list(ids)))).mappings():
        found.setdefault(row["notice"], []).append(row)
    return found


def add(tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert messages; their ids are their identity (notice, role, channel, generation)."""
    if rows:
        tx.execute(messages.insert(), [dict(r) for r in rows])


def is_overtaken(tx: Connection, message: RowMapping, notice: RowMapping) -> bool:
    """Whether the bytes of a message say what is no longer so: its notice is known with other terms by now (a later stage may
    have told them, and then no correction stands), or a correction of it stands. They are never repeated then."""
    return bool(message["terms"] != notice["terms"]) or corrected(tx, notice["id"])


def corrected(tx: Connection, notice: str) -> bool:
    """Whether a standing correction of this notice exists: then its old bytes are never repeated."""
    return (
        tx.execute(
            select(notices.c.id)
            .where(
                notices.c.correction_of == notice,
                or_(notices.c.told_at.is_not(None), and_(notices.c.outcome.is_(None), notices.c.stands == "yes")),
            )
            .limit(1)
        ).first()
        is not None
    )
