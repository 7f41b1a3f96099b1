"""Messages whose sender is gone or whose answer is lost: leases that end, retries that fall due, messages in doubt."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, func, not_, select, update

from daemon.model.states import MessageState, with_receipts
from daemon.store.db import Tx
from daemon.store.leases import is_over
from daemon.store.receipts import kinds_of_many
from daemon.store.tables import attempts, messages

_S = MessageState


def wake_retries(tx: Connection, now: int) -> int:
    """`retry -> queued` for what is due."""
    done = tx.execute(
        update(messages)
        .where(messages.c.state == _S.RETRY.value, messages.c.due <= now)
        .values(state=_S.QUEUED.value, own=_S.QUEUED.value)
    )
    return done.rowcount


def leases_over(tx: Tx) -> int:
    """1 where a lease of an earlier boot, or one that has ended, is still on a message."""
    over = is_over(tx, messages.c.boot, messages.c.lease_until)
    held = messages.c.own.in_((_S.CLAIMED.value, _S.SENDING.value)) & messages.c.lease_until.is_not(None)
    return 0 if tx.execute(select(messages.c.id).where(held, over).limit(1)).first() is None else 1


def retries_due(tx: Connection, now: int) -> int:
    """1 where a retry is due."""
    query = select(messages.c.id).where(messages.c.state == _S.RETRY.value, messages.c.due <= now).limit(1)
    return 0 if tx.execute(query).first() is None else 1


def void_leases(tx: Tx) -> list[RowMapping]:
    """Leases of earlier boots, and expired ones: `claimed` is queued again; the returned `sending` ones are in doubt."""
    gone = is_over(tx, messages.c.boot, messages.c.lease_until)
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
    seen = kinds_of_many(tx, [row["id"]]).get(row["id"], [])
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


def due_doubts(
    tx: Connection, now: int, limit: int = 200, *, asked: Collection[str] = (), mine: bool = False
) -> list[RowMapping]:
    """Messages in doubt that have waited for a receipt long enough: those whose gateway, one of `asked`, can say whether it has
    them and whose deadline is not over (`mine`), or all others."""
    askable = func.coalesce(messages.c.gateway, "").in_(asked) & (messages.c.deadline > now)
    where = messages.c.state == _S.IN_DOUBT.value, messages.c.due <= now, askable if mine else not_(askable)
    return list(tx.execute(select(messages).where(*where).limit(limit)).mappings())


def confirm(tx: Connection, row: RowMapping, record: str) -> bool:
    """`in_doubt -> accepted`: the platform says that it has the message."""
    seen = kinds_of_many(tx, [row["id"]]).get(row["id"], [])
    done = tx.execute(
        update(messages)
        .where(messages.c.id == row["id"], messages.c.state == _S.IN_DOUBT.value, messages.c.fence == row["fence"])
        .values(state=with_receipts(_S.ACCEPTED, seen).value, own=_S.ACCEPTED.value, record=record, why="")
    )
    return done.rowcount == 1


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


def stay_in_doubt(tx: Connection, message: str, fence: int, *, due: int) -> None:
    """A claimed repeat that must not leave: in doubt again, under a new fence, looked at again at `due`."""
    tx.execute(
        update(messages)
        .where(messages.c.id == message, messages.c.fence == fence, messages.c.state == _S.CLAIMED.value)
        .values(state=_S.IN_DOUBT.value, own=_S.IN_DOUBT.value, due=due, lease_until=None, fence=messages.c.fence + 1)
    )
