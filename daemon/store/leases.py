"""Leases: who holds a feed or a message, until when; a feed's fence, so that nobody writes for it who no longer holds it.

A lease is live while `lease_until` lies ahead. On SQLite that is in `elapsed` microseconds of the one parent, and means
something only within its boot: every other boot's lease is over. On PostgreSQL, where many processes hold leases, it is in
microseconds of the database's clock, and a process that starts ends at once those of its own node's and role's earlier boots.
Whoever takes a feed raises its fence. Which poll may take it is ledger.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Column, ColumnElement, RowMapping, and_, insert, or_, select, text, update

from daemon.errors import StoreConflict
from daemon.store.db import Tx, of
from daemon.store.tables import feeds

SECOND = 1_000_000
LEASE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Lease:
    """A claimed poll: what every transaction of it names. `run` is the id of its runs row, `number` counts within the
    poll, `record` is the record of its start, the cause of what follows."""

    poll: int
    feed: str
    due: datetime
    business_date: date
    run: int
    number: int
    fence: int
    record: str


def lease_now(tx: Tx) -> int:
    """The moment to which `lease_until` compares, in microseconds."""
    if tx.engine.dialect.name == "postgresql":
        return int(tx.execute(text("SELECT extract(epoch FROM clock_timestamp()) * 1000000")).scalar_one())
    return int(of(tx).store.elapsed() * SECOND)


def is_over(tx: Tx, boot: Column[str], until: Column[int]) -> ColumnElement[bool]:
    """The condition that a lease, by its columns, is over."""
    return or_(is_of_earlier_boot(tx, boot), until <= lease_now(tx))


def is_of_earlier_boot(tx: Tx, boot: Column[str]) -> ColumnElement[bool]:
    """The condition that a lease was taken by a process that is no more, whatever its end says."""
    mine = of(tx).store.boot
    if tx.engine.dialect.name != "postgresql":
        return boot != mine
    return and_(boot.startswith(f"{mine.rpartition('/')[0]}/", autoescape=True), boot != mine)


def is_live(tx: Tx, feed: RowMapping, now: int) -> bool:
    """Whether a feeds row is held: its lease has not ended (`now` as `lease_now` gives it), and, on SQLite, is of this boot."""
    mine = tx.engine.dialect.name == "postgresql" or feed["boot"] == of(tx).store.boot
    return bool(feed["holder"]) and mine and feed["lease_until"] > now


def require_fence(tx: Tx, feed: str, fence: int) -> None:
    """Raise StoreConflict unless the feed is still held under this fence. Comes first in a poll's transaction."""
    query = select(feeds.c.fence, feeds.c.holder).where(feeds.c.feed == feed).with_for_update()
    row = tx.execute(query).first()
    if row is None or row.fence != fence or not row.holder:
        found = "no lease" if row is None or not row.holder else f"fence {row.fence}"
        raise StoreConflict(f"feed {feed}: {found}, expected fence {fence}: another run has taken over")


def renew(tx: Tx, lease: Lease, *, elapsed: int, lease_for: int = LEASE) -> None:
    """Hold the feed for `lease_for` microseconds from now."""
    require_fence(tx, lease.feed, lease.fence)
    tx.execute(update(feeds).where(feeds.c.feed == lease.feed).values(lease_until=elapsed + lease_for))


def feed_row(tx: Tx, feed: str) -> RowMapping:
    """The feeds row, locked for this transaction, made if it is not there."""
    query = select(feeds).where(feeds.c.feed == feed).with_for_update()
    row = tx.execute(query).mappings().first()
    if row is None:
        tx.execute(
            insert(feeds).values(feed=feed, fence=0, boot="", holder="", lease_until=0, through=-1, known_through=-1)
        )
        row = tx.execute(query).mappings().one()
    return row


def take(tx: Tx, feed: str, fence: int, holder: str, until: int) -> None:
    """Give the feed to a holder of this boot until `until`, under a new fence."""
    values = {"fence": fence, "boot": of(tx).store.boot, "holder": holder, "lease_until": until}
    tx.execute(update(feeds).where(feeds.c.feed == feed).values(**values))
