"""Opens the store and gives out its transactions; the rest of this package says what happens in them.

    store = Store.open(folder, keyring=keyring, node="n1")
    with store.write() as tx:          # BEGIN IMMEDIATE … COMMIT
        trail.append(tx, "start", ...)
    with store.read() as tx:           # one snapshot
        ledger.polls_of(tx, ...)

`tx` is a SQLAlchemy connection inside its transaction; `of(tx)` gives the state that belongs to it. Exceptions:

- `StoreUnusable`: the storage refuses (full, read only, I/O error, damaged); nothing happened, and nothing can be recorded
  until a person has looked: the daemon stops. From a commit it is `CommitLost`, which is `CommitUnknown` too.
- `StoreBusy`: the write lock could not be had in time, the database cannot be reached, or it has ended the connection or
  the transaction; nothing happened.
- any exception from the body, or from `before_commit`: rolled back, nothing happened.
- `CommitUnknown`: the commit itself failed, so it may or may not have happened (measured: 42 of 108 had).
  The connection is dropped; the caller reads again by key and goes on from what it finds.

A `boot` is one start of a process on this database, `node/role/` and a random word.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Table, event, insert, select, text
from sqlalchemy.exc import DBAPIError

from daemon.clock import RealClock
from daemon.errors import ConfigError, DueNoticeError, StoreConflict
from daemon.security.envelope import Key
from daemon.security.keyring import ClientKeys, Keyring
from daemon.store.engine import (
    begin_options,
    make_engine,
    private_folder,
    storage_refuses,
    take_turn,
    was_rolled_back,
)
from daemon.store.known import Known
from daemon.store.rows import get_meta, put_meta, revision
from daemon.store.tables import meta

Tx: TypeAlias = Connection
"""A connection in its transaction."""

SCHEMA = "0012"
"""Revision of the newest migration; a store of another one is migrated when it is opened."""

LOCK_NAME = "lock"
KEY_CHECK = "key_check:"
KEK_HELD = "kek_held"
"""The meta row of the primary key-encryption key that the parent holds from a credential; '' where it can read its file again."""

UNRECONCILED = "unreconciled"
"""The meta row of a store that was restored (`restored.py`); '' once it has been held against the log."""

RECONCILE = (
    "the store was restored from a backup and not yet held against the published log; nothing is sent before "
    "`duenotice restore --reconcile --by NAME --reason TEXT`"
)

_STATE = "duenotice"


class StoreBusy(DueNoticeError):
    """The store gave no transaction; nothing happened. Try again later (`sysexits.h` EX_TEMPFAIL)."""

    exit_code = 75


class StoreUnusable(DueNoticeError):
    """The database is damaged or its storage full, or its folder may not be read or written: a person must look (`sysexits.h`
    EX_IOERR)."""

    exit_code = 74


class CommitUnknown(DueNoticeError):
    """A commit failed: whether it happened must be read back by key."""


class CommitLost(CommitUnknown, StoreUnusable):
    """A commit failed because the storage refuses: nothing can be read back and gone on from either."""


@dataclass(slots=True)
class TxState:
    """What belongs to one transaction: its store, rows not yet inserted, what to do once it is committed. `keys` and
    `months` are keys read or made in it: remembered beyond it only once it is committed."""

    store: Store
    writing: bool
    pending: dict[Table, list[dict[str, Any]]] = field(default_factory=dict)
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    keys: dict[int, ClientKeys] = field(default_factory=dict)
    months: dict[tuple[str, str], Key] = field(default_factory=dict)
    epoch_seen: bool = False


def of(tx: Tx) -> TxState:
    """The state of a transaction given out by a store."""
    state: TxState = tx.info[_STATE]
    return state


class Store:
    """One database with its folder. Threads may share it; processes open their own."""

    def __init__(self, folder: Path, engine: Engine, keyring: Keyring, node: str, boot: str = "") -> None:
        self.folder = folder
        self.engine = engine
        self.keyring = keyring
        self.node = node
        self.boot = boot
        self.known = Known()
        self.before_commit: Callable[[], None] | None = None
        self._turn: AbstractContextManager[object] = Lock() if engine.dialect.name == "sqlite" else nullcontext()
        """Threads of one process wait here for SQLite's one writer: its own wait is a sleep that grows to 100 ms."""
        self.elapsed: Callable[[], float] = RealClock().elapsed
        self.rest: Callable[[float], None] = time.sleep
        self.hold: Callable[[], None] | None = None
        """Called before the first writing transaction after a connection was made: a new one may lead to another database, a
        standby that has taken over. What it raises, that transaction and all after it raise too."""
        self._made = self._held = 0
        event.listen(engine, "connect", self._count)

    @classmethod
    def open(cls, folder: Path, *, keyring: Keyring, node: str, url: str = "", boot: str = "") -> Store:
        """Open or make the store in `folder`: migrate it, compare the key check values.

        `boot` is the parent's, handed to its children; without it the newest boot of this store is taken. Raises
        KeyUnusable when a key that the store knows is absent or another one, ConfigError when the store is of a newer
        program, StoreBusy when it cannot be reached.
        """
        private_folder(folder)
        store = cls(folder, make_engine(folder, url), keyring, node, boot)
        try:
            store._migrate()
            store._compare_keys()
            if not boot:
                with store.read() as tx:
                    store.boot = get_meta(tx, "boot") or ""
        except BaseException:
            store.close()
            raise
        return store

    def _count(self, *_: object) -> None:
        self._made += 1

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()

    @contextmanager
    def write(self, *, yield_lock: bool = False, beside: bool = False) -> Iterator[Tx]:
        """A writing transaction, one at a time in all processes. With `yield_lock` (poll children) the lock is then left as long
        as it was held, so that bulk work never starves sending. `beside`: on PostgreSQL at the same time as others of this
        kind, whose body claims or locks each row that it decides on. `before_commit` comes last; what it raises rolls back."""
        with self._turn, self._begun(writing=True, alone=not beside) as tx:
            started = self.elapsed()
            state = of(tx)
            yield tx
            flush(tx)
            if self.before_commit is not None:
                self.before_commit()
            self._commit(tx)
            held = self.elapsed() - started
        for done in state.after_commit:
            done()
        for client, keys in state.keys.items():
            self.known.add_keys(client, keys)
        self.known.months.update(state.months)
        if yield_lock:
            self.rest(held)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A reading transaction: one snapshot, never waits for a writer. Ends with a rollback."""
        with self._begun(writing=False) as tx:
            yield tx

    @contextmanager
    def _begun(self, *, writing: bool, alone: bool = True) -> Iterator[Tx]:
        try:
            tx = self.engine.connect().execution_options(**begin_options(self.engine, writing=writing))
        except DBAPIError as reason:
            raise _refused(reason) or StoreBusy(f"store: no connection could be made ({reason.orig})") from reason
        try:
            try:
                tx.begin()
                if writing:
                    take_turn(tx, alone=alone)
                if writing and self.hold is not None and self._made != self._held:
                    self.hold()
                    self._held = self._made
            except DBAPIError as reason:
                raise _refused(reason) or StoreBusy(f"store: no transaction could begin ({reason.orig})") from reason
            tx.info[_STATE] = TxState(self, writing)
            try:
                yield tx
            except DBAPIError as reason:
                raise _refused(reason) or _lost(reason) or reason from reason.__cause__
            finally:
                if not tx.invalidated:
                    tx.info.pop(_STATE, None)
                    _roll_back(tx)
        finally:
            tx.close()

    def _commit(self, tx: Tx) -> None:
        try:
            tx.commit()
        except DBAPIError as reason:
            tx.invalidate(reason)
            kind = CommitLost if storage_refuses(reason) else CommitUnknown
            raise kind(f"commit failed ({reason.orig}); whether it happened is unknown") from reason

    def lock(self, role: str = "all", *, restoring: bool = False) -> StateLock:
        """Take the state folder's exclusive lock, as the one parent (on PostgreSQL: the one of this node and role), and start a new
        boot: its earlier leases are void.

        Raises StoreConflict when another parent holds it; ConfigError, unless this is for `restoring`, on a store that was
        restored and not reconciled. The lock ends with `release()` or with the process.
        """
        where = self.folder / (LOCK_NAME if role == "all" else f"{LOCK_NAME}-{self.node}-{role}")
        descriptor = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StoreConflict(f"{where}: another parent holds it, expected to be the only one") from None
        boot = f"{self.node}/{role}/{os.urandom(8).hex()}"
        with self.write() as tx:
            if not restoring and get_meta(tx, UNRECONCILED):
                os.close(descriptor)
                raise ConfigError(RECONCILE)
            put_meta(tx, "boot", boot)
            put_meta(tx, KEK_HELD, self.keyring.primary.id.hex() if self.keyring.fixed else "")
        self.boot = boot
        return StateLock(descriptor)

    def quick_check(self) -> None:
        """Have SQLite look over its file. Raises ConfigError with what it finds."""
        if self.engine.dialect.name == "sqlite":
            with self.read() as tx:
                found = [str(row[0]) for row in tx.execute(text("PRAGMA quick_check(5)"))]
            if found != ["ok"]:
                raise ConfigError(f"{self.folder}: the database is damaged: {'; '.join(found)}")

    def _migrate(self) -> None:
        with self.read() as tx:
            found = revision(tx)
        if found == SCHEMA:
            return
        # Alembic takes most of a second to import; only a store that must change pays it.
        from daemon.store.migrate import migrate

        with self.write() as tx:
            migrate(tx)

    def _compare_keys(self) -> None:
        """Check the keys against the values kept in the store, and keep those of new keys."""
        with self.read() as tx:
            rows = tx.execute(select(meta).where(meta.c.key.startswith(KEY_CHECK))).all()
        stored = {bytes.fromhex(key[len(KEY_CHECK) :]): bytes.fromhex(value) for key, value in rows}
        self.keyring.compare(stored)
        new = {id: value for id, value in self.keyring.check_values().items() if id not in stored}
        if new:
            with self.write() as tx:
                for id, value in new.items():
                    put_meta(tx, KEY_CHECK + id.hex(), value.hex())


def _roll_back(tx: Tx) -> None:
    try:
        tx.rollback()
    except DBAPIError as reason:  # the server has done so with the connection's end
        tx.invalidate(reason)


def _lost(reason: DBAPIError) -> StoreBusy | None:
    said = str(reason.orig).partition("\n")[0]
    return StoreBusy(f"store: the transaction was rolled back ({said})") if was_rolled_back(reason) else None


def _refused(reason: DBAPIError) -> StoreUnusable | None:
    return StoreUnusable(f"store: its storage refuses ({reason.orig})") if storage_refuses(reason) else None


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """For commands: what the database or the folder refuses becomes StoreUnusable, in one sentence that holds no value."""
    try:
        yield
    except DBAPIError as reason:
        said = str(reason.orig).partition("\n")[0]
        raise StoreUnusable(
            f"{folder}: the database cannot be used: {said}; restore it, or see `duenotice check`"
        ) from reason


class StateLock:
    """The parent's lock on the state folder."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def must_write(tx: Tx) -> TxState:
    """The state of a writing transaction. Raises TypeError in a reading one: what it made would silently be rolled back."""
    state = of(tx)
    if not state.writing:
        raise TypeError("a reading transaction was given, expected one of Store.write()")
    return state


def later(tx: Tx, table: Table, row: dict[str, Any]) -> None:
    """Insert `row` (every column named) with the commit: a thousand appended rows of a table are one statement."""
    must_write(tx).pending.setdefault(table, []).append(row)


def flush(tx: Tx) -> None:
    """Insert what waits: done by every commit, needed before reading those tables in the same transaction."""
    state = of(tx)
    pending, state.pending = state.pending, {}
    for table, rows in pending.items():
        tx.execute(insert(table), rows)
