"""Makes the SQLAlchemy engine of a store, and knows what differs between SQLite and PostgreSQL.

SQLite: WAL, `synchronous=FULL` (a commit that returned survives a power cut), 5 s busy time-out, `secure_delete`,
temporary tables in memory; every writing transaction begins IMMEDIATE, because one that reads first and writes later
fails at once when another writer has committed in between (deps.md, traps). PostgreSQL: psycopg 3; a writing transaction
first takes the turn (`take_turn`), and the server ends one whose process has stopped in it.
Statement parameters never stand in an exception's text: they may be personal.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from daemon.errors import ConfigError

BUSY_MS = 5_000
FILE_NAME = "duenotice.db"
WRITE = "duenotice_write"
"""Execution option that makes a SQLite transaction begin IMMEDIATE."""

REFUSED = frozenset({8, 10, 11, 13, 14, 26})
"""SQLite's primary result codes READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB (sqlite.org/rescode.html)."""
REFUSED_STATES = ("25006", "53100", "58", "XX001", "XX002")
"""PostgreSQL: read only, disk full, class 58 (I/O errors), damaged data and index (its appendix A)."""

LOST_STATES = ("08", "57P", "25P03", "40001", "40P01", "55P03")
"""PostgreSQL: connection lost, server shut down or connection ended by it, idle in a transaction for too long, serialization
failure, deadlock, lock not had in time: the transaction was rolled back (its appendix A)."""

KEYS_LOCK, TURN_LOCK, PEOPLE_LOCK = 4_011_001, 4_011_002, 4_011_003
"""Advisory locks (PostgreSQL): on keys, on the turn to write, on pages and tasks."""

SESSION = "-c idle_in_transaction_session_timeout=5s -c lock_timeout=15s"
"""Settings of a PostgreSQL session: a process that is stopped in a transaction keeps others waiting no longer than so."""

PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_MS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA foreign_keys=ON",
)


def make_engine(folder: Path, url: str = "") -> Engine:
    """The engine of `url` (`postgresql+psycopg://…`), or, where it is empty, of the SQLite file in `folder`, made with
    mode 0600 if it is not there; in a folder that may not be written it can only be read. Raises ConfigError for any other
    kind of database, and for one that cannot be read there as it stands."""
    if not url:
        path = folder / FILE_NAME
        if not os.access(folder, os.W_OK):
            return _read_only(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = create_engine(f"sqlite+pysqlite:///{path}", hide_parameters=True, pool_size=4, max_overflow=4)
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine
    if not url.startswith("postgresql+psycopg://"):
        kind = url.split(":", 1)[0]
        raise ConfigError(f"store url of kind {kind!r}: expected nothing (SQLite) or postgresql+psycopg://")
    return create_engine(
        url, hide_parameters=True, pool_size=4, max_overflow=4, pool_pre_ping=True, connect_args={"options": SESSION}
    )


def _read_only(path: Path) -> Engine:
    """The engine of a file that nobody changes while it is read. What waits in a write-ahead log would be passed over."""
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise ConfigError(
            f"{path.parent}: may not be written, and {log.name} holds changes: copy both to a folder that may"
        )
    address = f"sqlite+pysqlite:///file:{quote(str(path))}?mode=ro&immutable=1&uri=true"
    engine = create_engine(address, hide_parameters=True)
    event.listen(engine, "begin", _on_begin_reading)
    return engine


def storage_refuses(reason: DBAPIError) -> bool:
    """Whether the storage under the database is why: full, read only, damaged, or an I/O error."""
    code, state = getattr(reason.orig, "sqlite_errorcode", None), getattr(reason.orig, "sqlstate", None)
    return (code is not None and code & 0xFF in REFUSED) or (state or "").startswith(REFUSED_STATES)


def was_rolled_back(reason: DBAPIError) -> bool:
    """Whether a statement that failed has taken its transaction with it and the same may well work a moment later."""
    state = getattr(reason.orig, "sqlstate", None)
    return reason.connection_invalidated or (state or "").startswith(LOST_STATES)


def rewrite(engine: Engine) -> None:
    """Write the whole database anew, so that no page keeps what a change has left beside its rows (a b-tree that is balanced leaves
    copies that `secure_delete` does not reach; PostgreSQL keeps rows that are no more), and empty SQLite's write-ahead log. Needs
    the room of a second copy; writers wait meanwhile. Raises what the database raises, and TimeoutError where others write or read
    for too long; then the database says what it said, and the same may be done again."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (FULL)"))
        return
    raw = engine.raw_connection()
    try:
        assert raw.driver_connection is not None
        run = raw.driver_connection.execute
        run("PRAGMA temp_store=FILE").close()  # a copy of the database does not belong into memory
        try:
            run("VACUUM").close()
        except sqlite3.OperationalError as reason:
            if reason.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            raise TimeoutError("the database is being written, expected nobody to write for a moment") from None
        finally:
            run("PRAGMA temp_store=MEMORY").close()
        if run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise TimeoutError("the write-ahead log is in use, expected nobody to read for a moment")
    finally:
        raw.close()


def begin_options(engine: Engine, *, writing: bool) -> dict[str, Any]:
    """Execution options with which a transaction of this kind begins. A SQLite reader has one snapshot anyway."""
    if engine.dialect.name == "sqlite":
        return {WRITE: writing}
    return {"isolation_level": "READ COMMITTED" if writing else "REPEATABLE READ"}


def take_turn(tx: Connection, *, alone: bool) -> None:
    """Wait for the turn to write and keep it until the transaction ends: `alone`, as every writer of SQLite is, or beside others
    that take it so too, whose rows are claimed or locked one by one (delivery). Readers never wait."""
    _lock(tx, TURN_LOCK, alone=alone)


def hold_people(tx: Connection) -> None:
    """Keep pages and tasks as they are until the transaction ends: of two that open the same one, the second finds the first's."""
    _lock(tx, PEOPLE_LOCK, alone=True)


def _lock(tx: Connection, number: int, *, alone: bool) -> None:
    if tx.engine.dialect.name == "postgresql":
        tx.execute(text(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({number})"))


def hold_keys(tx: Connection, *, alone: bool) -> None:
    """Keep the keys as they are until this writing transaction ends, or, `alone`, change them while no other one seals. On SQLite
    there is one writer anyway."""
    _lock(tx, KEYS_LOCK, alone=alone)


def private_folder(folder: Path) -> Path:
    """Make `folder` if need be and let nobody but its owner into it (mode 0700)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077 and os.access(folder, os.W_OK):
        folder.chmod(0o700)
    return folder


def _on_connect(raw: Any, _record: Any) -> None:
    # The driver's own transaction control would begin DEFERRED; ours begins in `_on_begin`.
    raw.isolation_level = None
    for pragma in PRAGMAS:
        raw.execute(pragma).close()


def _on_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _on_begin_reading(connection: Connection) -> None:
    connection.connection.driver_connection.isolation_level = None  # type: ignore[union-attr]
    connection.exec_driver_sql("BEGIN")
