"""SQL: binds, one snapshot, streaming, keyed queries, what each failure becomes. On SQLite files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import ConfigError, SourceChanged, SourceUnavailable
from daemon.model.facts import Row
from daemon.model.kinds import Column, Part
from daemon.sources import NotAskable, NotReady, SourceConfig, open_source
from daemon.sources.reading import Source
from daemon.sources.sql import binds

DAY = date(2024, 2, 1)
NOW = datetime(2024, 2, 1, 0, 0, tzinfo=UTC)
COLUMNS = (Column("client", "client_id"), Column("cash", "cash"))
PART = Part(
    "cash",
    "counter",
    query="select client_id, cash from balance where day = :business_date order by client_id",
    keyed="select client_id, cash from balance where day = :business_date and client_id in :keys order by client_id",
    key_columns=("client_id",),
    count="select count(*) as rows, '1' as settled, '2024-02-01T07:00:00' as as_of "
    "from balance where day = :business_date",
    columns=COLUMNS,
    max_age=timedelta(hours=1),
)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "counter.sqlite", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table balance (client_id text, day text, cash text, fund text)")
    rows = [(f"S{i:03d}", "2024-02-01", f"{i}.50", f"F{i % 3}") for i in range(10)]
    connection.executemany("insert into balance values (?, ?, ?, ?)", [*rows, ("S999", "2024-01-31", "1", "F0")])
    yield connection
    connection.close()


def source(tmp_path: Path, **settings: Any) -> Source:
    url = f"sqlite:///{tmp_path / 'counter.sqlite'}"
    return open_source(
        "counter", SourceConfig("sql", url_file="counter_url", **settings), {"counter_url": url}.__getitem__
    )


def part(**changes: Any) -> Part:
    fields = {name: getattr(PART, name) for name in Part.__dataclass_fields__}
    return Part(**{**fields, "max_age": None, "count": "", **changes})


def values(tmp_path: Path, of: Part, **settings: Any) -> list[tuple[Any, ...]]:
    with source(tmp_path, **settings).read(of, business_date=DAY, now=NOW) as reading:
        return [r.values for r in reading.rows if isinstance(r, Row)]


def test_a_whole_reading_has_count_header_as_of_and_numbered_rows(base: sqlite3.Connection, tmp_path: Path) -> None:
    with source(tmp_path, batch=3).read(PART, business_date=DAY, now=NOW) as reading:
        rows = list(reading.rows)
        assert (reading.part, reading.source, reading.started, reading.count) == ("cash", "counter", NOW, 10)
        assert reading.columns == ("client_id", "cash") and reading.digest is None
        assert reading.as_of == datetime(2024, 1, 31, 23, tzinfo=UTC)
        assert reading.header["settled"] is True and reading.header["rows"] == Decimal(10)
    assert [r.where.line for r in rows] == list(range(1, 11)) and rows[0].where.file == "counter/cash"
    assert isinstance(rows[3], Row) and rows[3].values == ("S003", "3.50")


def test_count_and_rows_are_of_one_snapshot(base: sqlite3.Connection, tmp_path: Path) -> None:
    with source(tmp_path, batch=1).read(PART, business_date=DAY, now=NOW) as reading:
        first = next(reading.rows)
        base.execute("delete from balance")
        assert isinstance(first, Row) and 1 + len(list(reading.rows)) == reading.count == 10


def test_every_bind_is_bound() -> None:
    assert binds(DAY, NOW) == {
        "business_date": "2024-02-01",
        "business_ymd": "20240201",
        "business_number": 20240201,
        "business_day": DAY,
        "now": "2024-02-01T08:00:00+08:00",
        "now_utc": NOW,
    }


def test_queries_may_name_any_of_the_binds(base: sqlite3.Connection, tmp_path: Path) -> None:
    query = "select :business_ymd as client_id, :now as cash, :business_number as n"
    assert values(tmp_path, part(query=query)) == [("20240201", "2024-02-01T08:00:00+08:00", 20240201)]


@pytest.mark.parametrize("name", ["query", "count"])
def test_an_unknown_bind_is_a_mistake_of_the_kind(base: sqlite3.Connection, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="today"):
        values(tmp_path, part(**{name: "select 1 as client_id, 2 as cash where :today"}))


def test_asking_gives_the_rows_of_the_keys_only(base: sqlite3.Connection, tmp_path: Path) -> None:
    keys = [("S003",), ("S007",), ("S999",), ("' or 1=1",)]
    with source(tmp_path).ask(PART, keys, business_date=DAY, now=NOW) as reading:
        assert reading.count is None and reading.header == {"due_date": DAY}
        assert [r.values for r in reading.rows if isinstance(r, Row)] == [("S003", "3.50"), ("S007", "7.50")]


def test_asking_by_two_columns_takes_tuples(base: sqlite3.Connection, tmp_path: Path) -> None:
    keyed = "select client_id, cash from balance where (client_id, fund) in (:keys) order by client_id"
    two = part(keyed=keyed.replace("(:keys)", ":keys"), key_columns=("client_id", "fund"))
    with source(tmp_path).ask(two, [("S003", "F0"), ("S004", "F0")], business_date=DAY, now=NOW) as reading:
        assert [r.values for r in reading.rows if isinstance(r, Row)] == [("S003", "3.50")]


def test_asking_wrongly_is_refused(base: sqlite3.Connection, tmp_path: Path) -> None:
    asked = source(tmp_path)
    with pytest.raises(NotAskable):
        asked.ask(part(keyed=""), [("S003",)], business_date=DAY, now=NOW)
    for keys in ([], [("a", "b")], [("a",)] * 1001):
        with pytest.raises(ValueError, match="expected"):
            asked.ask(PART, keys, business_date=DAY, now=NOW)
    whole = part(keyed="select client_id, cash from balance")
    with pytest.raises(ConfigError, match="keys"), asked.ask(whole, [("S1",)], business_date=DAY, now=NOW):
        pass


@pytest.mark.parametrize(
    "query",
    [
        "select client_id from balance",
        "select client_id, cash, cash from balance",
        "select client_id, cash from balances",
        "select client_id, csh as cash from balance",
    ],
)
def test_another_shape_stops_the_feed(base: sqlite3.Connection, tmp_path: Path, query: str) -> None:
    with pytest.raises(SourceChanged):
        values(tmp_path, part(query=query))
    with pytest.raises(SourceChanged):
        source(tmp_path).fingerprint(part(query=query))


@pytest.mark.parametrize(
    "count",
    ["select 1 where 0", "select 1 union select 2", "select 'many'", "select 1 as rows, 2 as other", "select 1.5"],
)
def test_a_count_query_of_another_shape_stops_the_feed(base: sqlite3.Connection, tmp_path: Path, count: str) -> None:
    with pytest.raises(SourceChanged):
        values(tmp_path, part(count=count))


def test_an_absent_database_is_unavailable_and_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="counter"):
        values(tmp_path, PART)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "counter.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(SourceUnavailable):
        values(tmp_path, PART)


def test_a_slow_statement_is_cut_off(base: sqlite3.Connection, tmp_path: Path) -> None:
    endless = (
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as client_id, 1 as cash from n"
    )
    with pytest.raises(SourceUnavailable, match="interrupt"):
        values(tmp_path, part(query=endless), query_timeout=1)


def test_the_database_is_opened_read_only(base: sqlite3.Connection, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="readonly"):
        values(tmp_path, part(query="delete from balance returning client_id, cash"))


def test_content_too_old_or_of_unknown_age_is_refused(base: sqlite3.Connection, tmp_path: Path) -> None:
    late = NOW + timedelta(seconds=1)
    with pytest.raises(NotReady, match="not older"), source(tmp_path).read(PART, business_date=DAY, now=late):
        pass
    with pytest.raises(SourceChanged, match="as_of"):
        values(tmp_path, part(max_age=timedelta(hours=1)))


def test_text_that_is_no_utf8_spoils_its_own_cell_only(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("update balance set cash = cast(x'ff31' as text) where client_id = 'S004'")
    found = dict(values(tmp_path, part(), batch=2))
    assert len(found) == 10 and found["S004"] == "\udcff1" and found["S005"] == "5.50"


def test_errors_name_no_value(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("update balance set cash = cast(x'5345435245540aff' as text)")
    with pytest.raises(SourceUnavailable) as refused:
        values(tmp_path, part(count="select cash from balance limit 1"))
    assert "SECRET" not in str(refused.value)


def test_the_callers_own_errors_pass_unchanged(base: sqlite3.Connection, tmp_path: Path) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), source(tmp_path).read(PART, business_date=DAY, now=NOW):
        raise IntegrityError("insert", {}, Exception("of the store"))


def test_the_fingerprint_changes_with_the_columns(base: sqlite3.Connection, tmp_path: Path) -> None:
    first = source(tmp_path).fingerprint(PART)
    assert first == source(tmp_path).fingerprint(PART)
    assert first != source(tmp_path).fingerprint(part(query="select client_id, cash, fund from balance"))


@pytest.mark.parametrize("url", ["", "nonsense", "nosuchdb://x/y"])
def test_a_bad_url_is_a_config_error_without_the_url(url: str) -> None:
    with pytest.raises(ConfigError, match="SQLAlchemy url") as refused:
        open_source("counter", SourceConfig("sql", url_file="f"), lambda name: url)
    assert not url or url not in str(refused.value)
