"""Messages, attempts and receipts in the store: claim, commit `sending`, settle, apply a receipt. Each guarded by a fence.

Every function runs inside the caller's transaction and changes a row only if the row is what the caller believes; a
belief that is no longer true returns None or False (StoreConflict where that means someone else moved on).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, exists, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from daemon.model.states import RECEIPT_RANK, TOLD, MessageState, contradicts, may_move, with_receipts
from daemon.store.tables import attempts, feeds, messages, notices, receipts, sending_keys

_S = MessageState


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed message: its row and its notice's, as they were when claimed. `fence` is what every settle names."""

    message: RowMapping
    notice: RowMapping
    fence: int


def claim(tx: Connection, now: int, boot: str, lease_until: int, limit: int) -> list[Claim]:
    """Take what is due, first priority and earliest deadline first; a feed being brought up to date waits."""
    busy = exists().where(feeds.c.feed == messages.c.feed, feeds.c.updating.is_not(None))
    ids = (
        tx.execute(
            select(messages.c.id)
            .join(notices, notices.c.id == messages.c.notice)
            .where(
                messages.c.state == _S.QUEUED.value,
                messages.c.due <= now,
                notices.c.outcome.is_(None),
                notices.c.held.is_(False),
                or_(notices.c.stands != "no", messages.c.ever_in_doubt.is_(True)),
                ~busy,
            )
            .order_by(messages.c.priority, messages.c.deadline, messages.c.due, messages.c.id)
            .limit(limit)
        )
        .scalars()
        .all()
    )
    if not ids:
        return []
    tx.execute(
        update(messages)
        .where(messages.c.id.in_(ids), messages.c.state == _S.QUEUED.value)
        .values(
            state=_S.CLAIMED.value, own=_S.CLAIMED.value, fence=messages.c.fence + 1, boot=boot, lease_until=lease_until
        )
    )
    claimed = {r["id"]: r for r in tx.execute(select(messages).where(messages.c.id.in_(ids))).mappings()}
    held = {
        r["id"]: r
        for r in tx.execute(select(notices).where(notices.c.id.in_({r["notice"] for r in claimed.values()}))).mappings()
    }
    return [Claim(claimed[i], held[claimed[i]["notice"]], claimed[i]["fence"]) for i in ids]


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


def take_address(tx: Connection, notice: str, channel: str, address: bytes, message: str) -> bool:
    """The first `sending` takes (notice, channel, address); True if it is ours."""
    insert = postgresql.insert(sending_keys) if tx.dialect.name == "postgresql" else sqlite.insert(sending_keys)
    tx.execute(insert.values(notice=notice, channel=channel, address=address, message=message).on_conflict_do_nothing())
    holder = tx.execute(
        select(sending_keys.c.message).where(
            sending_keys.c.notice == notice, sending_keys.c.channel == channel, sending_keys.c.address == address
        )
    ).scalar_one()
    return bool(holder == message)


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


def start_sending(
    tx: Connection,
    claim: Claim,
    *,
    now: int,
    boot: str,
    gateway: str,
    address: bytes,
    address_sealed: str,
    body: str,
    terms: str,
    platform_id: str,
    record: str,
) -> int | None:
    """Commit `sending` with its attempt, before the first byte. Names the notice's revision that was asked for: None if the
    notice, the lease or the fence has moved, and then nothing is written."""
    fresh = exists().where(
        notices.c.id == claim.notice["id"], notices.c.revision == claim.notice["revision"], notices.c.outcome.is_(None)
    )
    number: int = claim.message["tries"] + 1
    done = tx.execute(
        update(messages)
        .where(
            messages.c.id == claim.message["id"],
            messages.c.fence == claim.fence,
            messages.c.boot == boot,
            messages.c.state == _S.CLAIMED.value,
            fresh,
        )
        .values(
            state=_S.SENDING.value,
            own=_S.SENDING.value,
            tries=number,
            gateway=gateway,
            address=address,
            address_sealed=address_sealed,
            body=body,
            terms=terms,
            platform_id=platform_id,
            record=record,
        )
    )
    if done.rowcount != 1:
        return None
    tx.execute(
        attempts.insert().values(
            message=claim.message["id"],
            number=number,
            fence=claim.fence,
            gateway=gateway,
            started_at=now,
            record=record,
        )
    )
    tx.execute(update(notices).where(notices.c.id == claim.notice["id"]).values(told_at=now, told_terms=terms))
    return number


def settle(
    tx: Connection,
    message: str,
    fence: int,
    number: int,
    *,
    own: MessageState,
    verdict: str,
    code: str,
    now: int,
    due: int | None,
    record: str,
) -> MessageState | None:
    """Settle one attempt. A receipt that came first is not lowered. None: the fence is not ours any more."""
    row = (
        tx.execute(select(messages).where(messages.c.id == message, messages.c.fence == fence)).mappings().one_or_none()
    )
    if row is None or row["own"] != _S.SENDING.value:
        return None
    if not may_move(_S.SENDING, own, ever_in_doubt=row["ever_in_doubt"]):
        raise ValueError(f"message state sending -> {own.value}: not a move of ours")
    seen = kinds_of(tx, message)
    state = with_receipts(own, seen)
    values: dict[str, Any] = {
        "state": state.value,
        "own": own.value,
        "record": record,
        "lease_until": None,
        "why": code,
    }
    if own is _S.IN_DOUBT:
        values["ever_in_doubt"] = True
    if due is not None:
        values["due"] = due
    values["contradicted"] = contradicts(own, seen)
    tx.execute(update(messages).where(messages.c.id == message, messages.c.fence == fence).values(**values))
    tx.execute(
        update(attempts)
        .where(attempts.c.message == message, attempts.c.number == number)
        .values(ended_at=now, verdict=verdict, code=code, settled=record)
    )
    if state not in TOLD:
        untell(tx, row["notice"])
    return state


def untell(tx: Connection, notice: str) -> None:
    """A proved refusal: if no other message of the notice may have reached anyone, it is not told."""
    other = tx.execute(
        select(messages.c.id).where(messages.c.notice == notice, messages.c.state.in_([s.value for s in TOLD])).limit(1)
    ).scalar()
    if other is None:
        tx.execute(update(notices).where(notices.c.id == notice).values(told_at=None, told_terms=None))


def kinds_of(tx: Connection, message: str) -> list[MessageState]:
    """The states that the receipts seen of a message raise it to."""
    rows = tx.execute(select(receipts.c.kind).where(receipts.c.message == message)).scalars()
    return [RAISES[k] for k in rows if k in RAISES]


RAISES: Mapping[str, MessageState] = {
    "sent": _S.ACCEPTED,
    "handed_to_sms": _S.ACCEPTED,
    "read": _S.DELIVERED,
    "delivered": _S.DELIVERED,
    "failed": _S.UNDELIVERED,
    "revoked": _S.REVOKED,
    "revoke_failed": _S.REVOKE_FAILED,
}
"""What a receipt raises a message to. Handed to the SMS network is a time of its own: it says that nothing failed."""


def add_receipt(tx: Connection, values: Mapping[str, Any]) -> bool:
    """Store a receipt raw, once: False if the same one is there (gateway, platform id, address, kind)."""
    insert = postgresql.insert(receipts) if tx.dialect.name == "postgresql" else sqlite.insert(receipts)
    return bool(tx.execute(insert.values(**values).on_conflict_do_nothing()).rowcount == 1)


def has_receipt(tx: Connection, gateway: str, platform_id: str, address: bytes, kind: str) -> bool:
    """Whether this very receipt is stored."""
    return (
        tx.execute(
            select(receipts.c.id).where(
                receipts.c.gateway == gateway,
                receipts.c.platform_id == platform_id,
                receipts.c.address == address,
                receipts.c.kind == kind,
            )
        ).first()
        is not None
    )


def find_by_platform(tx: Connection, gateway: str, platform_id: str, address: bytes) -> RowMapping | None:
    """Our message behind a gateway's id, for that recipient only."""
    return (
        tx.execute(
            select(messages).where(
                messages.c.platform_id == platform_id, messages.c.gateway == gateway, messages.c.address == address
            )
        )
        .mappings()
        .first()
    )


def apply_receipts(tx: Connection, message: RowMapping, *, record: str, times: Mapping[str, int]) -> MessageState:
    """Raise a message by all receipts seen of it. `times`: handed_to_sms_at, read_at, acknowledged_at where new."""
    own, seen = MessageState(message["own"]), kinds_of(tx, message["id"])
    state = with_receipts(own, seen) if own is not _S.QUEUED or message["tries"] else own
    values: dict[str, Any] = {"contradicted": contradicts(own, seen), "record": record}
    if RECEIPT_RANK.get(state, 0) > RECEIPT_RANK.get(MessageState(message["state"]), 0):
        values["state"] = state.value
        if own in (_S.QUEUED, _S.CLAIMED, _S.RETRY):  # a repeat of one in doubt that a receipt made needless
            values["own"], values["fence"] = _S.IN_DOUBT.value, messages.c.fence + 1
    values.update({k: v for k, v in times.items() if message[k] is None})
    tx.execute(update(messages).where(messages.c.id == message["id"]).values(**values))
    return MessageState(values.get("state", message["state"]))


def wake_retries(tx: Connection, now: int) -> int:
    """`retry -> queued` for what is due."""
    done = tx.execute(
        update(messages)
        .where(messages.c.state == _S.RETRY.value, messages.c.due <= now)
        .values(state=_S.QUEUED.value, own=_S.QUEUED.value)
    )
    return done.rowcount


def leases_over(tx: Connection, boot: str, elapsed: int) -> int:
    """1 where a lease of an earlier boot, or one that has ended, is still on a message."""
    over = or_(messages.c.boot != boot, messages.c.lease_until <= elapsed)
    held = messages.c.own.in_((_S.CLAIMED.value, _S.SENDING.value)) & messages.c.lease_until.is_not(None)
    return 0 if tx.execute(select(messages.c.id).where(held, over).limit(1)).first() is None else 1


def retries_due(tx: Connection, now: int) -> int:
    """1 where a retry is due."""
    query = select(messages.c.id).where(messages.c.state == _S.RETRY.value, messages.c.due <= now).limit(1)
    return 0 if tx.execute(query).first() is None else 1


def void_leases(tx: Connection, boot: str, elapsed: int) -> list[RowMapping]:
    """Leases of earlier boots, and expired ones: `claimed` is queued again; the returned `sending` ones are in doubt."""
    gone = or_(messages.c.boot != boot, messages.c.lease_until <= elapsed)
    tx.execute(
        update(messages)
        .where(messages.c.state == _S.CLAIMED.value, gone)
        .values(state=_S.QUEUED.value, own=_S.QUEUED.value, fence=messages.c.fence + 1, lease_until=None)
    )
    return list(
        tx.execute(
            select(messages).where(messages.c.own == _S.SENDING.value, gone, messages.c.lease_until.is_not(None))
        ).mappings()
    )


def doubt(tx: Connection, row: RowMapping, *, now: int, due: int, record: str) -> None:
    """A `sending` whose lease is gone: in doubt, under a new fence, so that the stale sender can settle nothing."""
    seen = kinds_of(tx, row["id"])
    tx.execute(
        update(messages)
        .where(messages.c.id == row["id"], messages.c.fence == row["fence"], messages.c.own == _S.SENDING.value)
        .values(
            state=with_receipts(_S.IN_DOUBT, seen).value,
            own=_S.IN_DOUBT.value,
            ever_in_doubt=True,
            due=due,
            fence=messages.c.fence + 1,
            lease_until=None,
            record=record,
            why="lease expired while sending",
        )
    )
    tx.execute(
        update(attempts)
        .where(attempts.c.message == row["id"], attempts.c.ended_at.is_(None))
        .values(ended_at=now, verdict="in_doubt", code="lease expired", settled=record)
    )


def due_doubts(tx: Connection, now: int, limit: int = 200) -> list[RowMapping]:
    """Messages in doubt that have waited for a receipt long enough."""
    query = select(messages).where(messages.c.state == _S.IN_DOUBT.value, messages.c.due <= now).limit(limit)
    return list(tx.execute(query).mappings())


def repeat(tx: Connection, row: RowMapping, *, due: int, record: str) -> bool:
    """`in_doubt -> queued`, the same id and bytes; barred when a correction of the notice stands."""
    done = tx.execute(
        update(messages)
        .where(messages.c.id == row["id"], messages.c.state == _S.IN_DOUBT.value, messages.c.fence == row["fence"])
        .values(state=_S.QUEUED.value, own=_S.QUEUED.value, due=due, record=record)
    )
    return done.rowcount == 1


def wait_longer(tx: Connection, message: str, due: int) -> None:
    """Leave a message in doubt and look again at `due`."""
    tx.execute(update(messages).where(messages.c.id == message, messages.c.state == _S.IN_DOUBT.value).values(due=due))


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
