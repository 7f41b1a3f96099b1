"""The SQL source: one read transaction a reading, SQLAlchemy Core over any dialect, rows streamed in key order.

Binds a query may name: `:business_date` (text 2024-02-01), `:business_ymd` (text 20240201), `:business_number`
(integer 20240201), `:business_day` (a date), `:now` (text 2024-02-01T08:00:00+08:00, Asia/Shanghai), `:now_utc` (a
moment), and in a keyed query `:keys`, expanded to a list of texts or of tuples. Values pass as the driver gives them;
a money column must come as text, integer or decimal: a binary float is invalid to the mapping, so SQLite keeps money
as text or fen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, bindparam, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from daemon.clock import SHANGHAI
from daemon.errors import ConfigError, SourceChanged
from daemon.model.facts import Row, Where
from daemon.model.kinds import Part
from daemon.sources import dialects
from daemon.sources.config import SourceConfig
from daemon.sources.header import header_of
from daemon.sources.reading import NotAskable, Reading, Secrets, check_age, check_columns

MAX_KEYS = 1000
"""Keys in one keyed query; a claim asks for at most 200."""


class SqlSource:
    """Reads parts of format 'sql'. A connection is opened for each reading and closed with it."""

    def __init__(self, name: str, config: SourceConfig, secrets: Secrets) -> None:
        self.name = name
        self._config = config
        self._engine = _engine(name, config, secrets)

    def read(self, part: Part, *, business_date: date, now: datetime) -> AbstractContextManager[Reading]:
        """The whole query, and before it, in the same snapshot, the count query with its header fields."""
        return self._reading(part, part.query, binds(business_date, now), part.count)

    def ask(
        self, part: Part, keys: Sequence[tuple[str, ...]], *, business_date: date, now: datetime
    ) -> AbstractContextManager[Reading]:
        """The keyed query for 1 to MAX_KEYS keys, each with one text per key column. It has no count."""
        if not part.keyed:
            raise NotAskable(f"part {part.name} of source {self.name} has no keyed query")
        if not 1 <= len(keys) <= MAX_KEYS:
            raise ValueError(f"part {part.name}: found {len(keys)} keys, expected 1..{MAX_KEYS}")
        width = len(part.key_columns) or 1
        if any(len(key) != width for key in keys):
            raise ValueError(f"part {part.name}: expected keys of {width} texts")
        listed = [key[0] for key in keys] if width == 1 else list(keys)
        return self._reading(part, part.keyed, {**binds(business_date, now), "keys": listed}, "")

    def fingerprint(self, part: Part) -> str:
        """Names and driver types of the query's columns, in their order; asks for no row."""
        moment = datetime(2000, 1, 1, tzinfo=UTC)
        given = binds(moment.date(), moment)
        with self._snapshot() as connection, closing(self._run(connection, part, part.query, given)) as rows:
            check_columns(part, tuple(rows.keys()), self._place(part))
            shape = "".join(f"{c[0]} {c[1]}\n" for c in rows.cursor.description) if rows.cursor else ""
        return hashlib.sha256(shape.encode()).hexdigest()

    def _place(self, part: Part) -> str:
        return f"{self.name}/{part.name}"

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """A connection in its read transaction. Errors of the caller's own work inside pass unchanged."""
        with closing(self._connect()) as connection:
            with self._refusals():
                dialects.start(connection, self._config)
            yield connection

    def _connect(self) -> Connection:
        with self._refusals():
            connection = self._engine.connect()
            return connection.execution_options(**dialects.options(self._engine.dialect.name, self._config))

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except ArgumentError as error:
            raise ConfigError(f"source {self.name}: {error}") from error
        except SQLAlchemyError as error:
            raise dialects.refusal(self.name, error) from error

    def _run(self, connection: Connection, part: Part, query: str, given: Mapping[str, Any]) -> CursorResult[Any]:
        statement = text(query)
        named = set(statement.compile().params)
        unknown = sorted(named - set(given)) + sorted({"keys"} & set(given) - named)
        if unknown:
            raise ConfigError(f"part {self._place(part)}: binds {unknown} unknown or missing, allowed {sorted(given)}")
        if "keys" in given:
            statement = statement.bindparams(bindparam("keys", expanding=True))
        with self._refusals():
            return connection.execute(statement, {name: given[name] for name in named})

    @contextmanager
    def _reading(self, part: Part, query: str, given: Mapping[str, Any], count: str) -> Iterator[Reading]:
        place, started = self._place(part), given["now_utc"]
        with self._snapshot() as connection:
            header = header_of(given["business_day"], self._said(connection, part, count, given), place)
            as_of = header.get("as_of")
            moment = as_of if isinstance(as_of, datetime) else None
            if "keys" not in given:
                check_age(part, moment, started, place)
            with closing(self._run(connection, part, query, given)) as result:
                columns = tuple(result.keys())
                check_columns(part, columns, place)
                yield Reading(
                    part=part.name,
                    source=self.name,
                    started=started,
                    as_of=moment,
                    columns=columns,
                    header=header,
                    count=int(str(header["rows"])) if "rows" in header else None,
                    rows=self._rows(connection, part, result, query, given),
                )

    def _said(self, connection: Connection, part: Part, count: str, given: Mapping[str, Any]) -> Mapping[str, object]:
        """The one row of the count query: a lone column is `rows`, else columns are header fields by their names."""
        if not count:
            return {}
        with closing(self._run(connection, part, count, given)) as result, self._refusals():
            names, found = tuple(result.keys()), result.fetchmany(2)
        if len(found) != 1:
            raise SourceChanged(f"{self._place(part)}: count query gives {len(found)} rows, expected exactly one")
        return dict(zip(names if len(names) > 1 else ("rows",), found[0], strict=True))

    def _rows(
        self, connection: Connection, part: Part, first: CursorResult[Any], query: str, given: Mapping[str, Any]
    ) -> Iterator[Row]:
        """All rows. From text that is no UTF-8 (SQLite only) the query runs again in its snapshot, leaving escapes
        in.
        """
        place, line = self._place(part), 0
        try:
            for row in _numbered(first, place, 0):
                line = row.where.line
                yield row
            return
        except SQLAlchemyError as error:
            if not dialects.is_undecodable(error):
                raise dialects.refusal(self.name, error) from error
        driver: Any = connection.connection.dbapi_connection
        driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        with closing(self._run(connection, part, query, given)) as again, self._refusals():
            yield from _numbered(again, place, line)


def _numbered(result: CursorResult[Any], place: str, skip: int) -> Iterator[Row]:
    """Rows with their record number from 1, those after the first `skip`."""
    line = 0
    for batch in result.partitions():
        for values in batch:
            line += 1
            if line > skip:
                yield Row(Where(place, line), tuple(values))


def binds(business_date: date, now: datetime) -> dict[str, Any]:
    """The values of the closed list of binds for one reading."""
    return {
        "business_date": business_date.isoformat(),
        "business_ymd": business_date.strftime("%Y%m%d"),
        "business_number": int(business_date.strftime("%Y%m%d")),
        "business_day": business_date,
        "now": now.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "now_utc": now,
    }


def _engine(name: str, config: SourceConfig, secrets: Secrets) -> Engine:
    try:
        url = dialects.read_only_url(make_url(config.url or secrets(config.url_file).strip()), config)
        return create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args=dialects.connect_args(url.get_backend_name(), config),
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        found = type(error).__name__
        raise ConfigError(f"source {name}: url: {found}, expected a SQLAlchemy url of an installed driver") from error
