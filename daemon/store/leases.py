"""A feed's lease and fence: one poll of a feed at a time, and nobody writes for it who no longer holds it.

A lease is live while its holder is of this boot and `lease_until` (elapsed microseconds) lies ahead. Whoever takes the
feed raises the fence. Which poll may take it is ledger.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import RowMapping, insert, select, update

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


def is_live(tx: Tx, feed: RowMapping, elapsed: int) -> bool:
    """Whether a feeds row is held: by this boot, and its lease has not ended."""
    return bool(feed["holder"]) and feed["boot"] == of(tx).store.boot and feed["lease_until"] > elapsed


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
