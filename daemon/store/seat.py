"""Seats on PostgreSQL: what one process at a time does for all, taken over when it is not renewed. `LEAD` is that of the process
that leads an installation; `token:NAME` of the one that fetches a gateway's token.

On SQLite the parent's lock on the state folder is all the seat there is.
"""

from __future__ import annotations

from daemon.store.db import Store, Tx, of
from daemon.store.leases import SECOND, lease_now
from daemon.store.rows import get_meta, put_meta

HOLD = 15 * SECOND
"""Microseconds of the database's clock for which a process has the seat once it has taken or renewed it."""

RENEW = 5.0
"""Seconds after which it is renewed."""

LEAD = "lead"
_PREFIX = "seat:"


def is_shared(store: Store) -> bool:
    """Whether several processes may want the seat."""
    return store.engine.dialect.name == "postgresql"


def take(tx: Tx, name: str, hold: int = HOLD) -> bool:
    """Take a seat, or keep it, for `hold` microseconds; False where another process has it. The seat of an earlier boot of this
    node and role is free at once."""
    now, mine = lease_now(tx), of(tx).store.boot
    until, _, boot = (get_meta(tx, _PREFIX + name) or "0 ").partition(" ")
    if int(until) > now and boot.rpartition("/")[0] != mine.rpartition("/")[0]:
        return False
    put_meta(tx, _PREFIX + name, f"{now + hold} {mine}")
    return True


def leave(tx: Tx, name: str) -> None:
    """Give a seat up, so that a process that waits takes it at once."""
    if (get_meta(tx, _PREFIX + name) or "").partition(" ")[2] == of(tx).store.boot:
        put_meta(tx, _PREFIX + name, "0 ")
