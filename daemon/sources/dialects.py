"""What differs between database products when one only reads: snapshot, time-outs, and which error means what. Tables.

An unlisted dialect reads at SERIALIZABLE with no statement time-out; the poll's own time-out still bounds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from daemon.clock import RealClock
from daemon.errors import DueNoticeError, SourceChanged, SourceUnavailable
from daemon.sources.config import SourceConfig

ISOLATION: Mapping[str, str | None] = {
    "sqlite": None,  # BEGIN and the first SELECT fix the snapshot
    "postgresql": "REPEATABLE READ",
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "mssql": "SNAPSHOT",
    "oracle": "SERIALIZABLE",
}
"""The level at which every query of one transaction sees the same rows."""

CONNECT_TIMEOUT: Mapping[str, str] = {
    "sqlite": "timeout",
    "postgresql": "connect_timeout",
    "mysql": "connect_timeout",
    "mariadb": "connect_timeout",
    "oracle": "tcp_connect_timeout",
    "mssql": "timeout",
}
"""The driver's own argument for the seconds it may take to connect (SQLite: to wait for a writer)."""

FIRST: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("SET LOCAL statement_timeout = {ms}",),
    "mysql": ("SET SESSION max_execution_time = {ms}",),
    "mariadb": ("SET SESSION max_statement_time = {s}",),
}
"""Statements at the start of a transaction; a time-out counts for each statement."""

CHANGED = re.compile(
    r"no such (column|table)|\b42703\b|\b42P01\b|ORA-00904|ORA-00942|\(1054,|\(1146,|Invalid (column|object) name"
)
"""Error texts and codes that say a column or table is not there: SQLite, PostgreSQL, Oracle, MySQL, SQL Server."""

UNDECODABLE = "Could not decode to UTF-8"
"""How sqlite3 refuses a row with text that is no UTF-8."""


def read_only_url(url: URL, config: SourceConfig) -> URL:
    """SQLite by its read-only URI form, so that an absent file is an error instead of a new empty database."""
    if url.get_backend_name() != "sqlite" or not config.read_only or url.database in (None, "", ":memory:"):
        return url
    if str(url.database).startswith("file:"):
        return url
    return url.set(database=f"file:{quote(str(url.database))}", query={"mode": "ro", "uri": "true"})


def connect_args(dialect: str, config: SourceConfig) -> dict[str, Any]:
    """The driver's arguments for a new connection."""
    name = CONNECT_TIMEOUT.get(dialect)
    return {name: config.connect_timeout} if name else {}


def options(dialect: str, config: SourceConfig) -> dict[str, Any]:
    """Execution options of a connection: streaming, snapshot level, read-only where the dialect has it."""
    chosen: dict[str, Any] = {"stream_results": True, "yield_per": config.batch}
    level = ISOLATION.get(dialect, "SERIALIZABLE")
    if level is not None:
        chosen["isolation_level"] = level
    if dialect == "postgresql" and config.read_only:
        chosen["postgresql_readonly"] = True
    return chosen


def start(connection: Connection, config: SourceConfig) -> None:
    """Begin the transaction that all queries of a reading share, with the time-out of each of its statements."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        bound_sqlite(connection, config.query_timeout)
        connection.exec_driver_sql("BEGIN")
    if dialect == "oracle":
        driver: Any = connection.connection.dbapi_connection
        driver.call_timeout = config.query_timeout * 1000
    for statement in FIRST.get(dialect, ()):
        connection.exec_driver_sql(statement.format(ms=config.query_timeout * 1000, s=config.query_timeout))


def bound_sqlite(connection: Connection, seconds: int) -> None:
    """SQLite has no time-out of its own: its progress handler interrupts the reading `seconds` from now."""
    clock = RealClock()
    end = clock.elapsed() + seconds
    driver: Any = connection.connection.dbapi_connection
    driver.isolation_level = None
    driver.set_progress_handler(lambda: clock.elapsed() > end, 50_000)


def is_undecodable(error: SQLAlchemyError) -> bool:
    """True for the row that sqlite3 could not decode as UTF-8."""
    return UNDECODABLE in str(getattr(error, "orig", ""))


def refusal(source: str, error: SQLAlchemyError) -> DueNoticeError:
    """The error of ours for an error of the driver; it names codes and, unless values may be in it, the first line."""
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or ""
    text = f"{code} {type(cause or error).__name__}".strip()
    if isinstance(error, DBAPIError) and not isinstance(error, DataError) and not is_undecodable(error):
        text = f"{text}: {cause}".splitlines()[0][:200]
        if CHANGED.search(text):
            return SourceChanged(f"source {source}: {text}, expected the tables and columns of its query")
    return SourceUnavailable(f"source {source}: {text}, expected an answer")
