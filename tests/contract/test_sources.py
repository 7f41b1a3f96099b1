"""What every source owes, run on each: the same population out of a database, an HTTP service, a DBF, an OFD and a CSV file.

A source of another make joins by one more entry in `MAKERS`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from daemon.errors import SourceChanged, SourceUnavailable
from daemon.model.facts import BadRow, Reject
from daemon.model.kinds import Column, FactKind, Field, Part, Type
from daemon.rules.mapping import Keys, MappedRow, map_row, reject_of, unique
from daemon.sources import NotAskable, NotReady, SourceConfig, open_source
from daemon.sources.http import HttpSource
from daemon.sources.reading import HEADER, Source
from tests.backoffice_http import Service
from tests.builders_files import csv_text, dbf, ofd

DAY = date(2024, 2, 1)
NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)

FIELDS = (
    Field("fund", Type.CODE, "基金代码", required=True),
    Field("name", Type.NAME, "基金名称"),
    Field("nav", Type.PRICE, "单位净值", minimum=Decimal("0.0001")),
    Field("opens", Type.DATE, "下一开放日", required=True),
    Field("state", Type.ENUM, "基金状态", values=("open", "closed")),
)
KIND = FactKind("fund", "基金", {f.name: f for f in FIELDS}, ("fund",), "fund", "", "", ())
COLUMNS = (
    Column("fund", "FundCode"),
    Column("name", "FundName"),
    Column("nav", "NAV"),
    Column("opens", "NextTradeDate"),
    Column("state", "FundStatus", values={"0": "open", "9": "closed"}),
)
SPEC = (
    ("FundCode", "C", 6, 0),
    ("FundName", "C", 40, 0),
    ("NAV", "N", 7, 4),
    ("NextTradeDate", "A", 8, 0),
    ("FundStatus", "C", 1, 0),
)
ROWS: tuple[dict[str, Any], ...] = (
    {
        "FundCode": "012742",
        "FundName": "华夏成长",
        "NAV": Decimal("1.0234"),
        "NextTradeDate": "20240328",
        "FundStatus": "0",
    },
    {"FundCode": "012743", "FundName": None, "NAV": None, "NextTradeDate": "20240328", "FundStatus": "9"},
    {"FundCode": "012744", "FundName": "大成", "NAV": Decimal("0.9"), "NextTradeDate": "20240329", "FundStatus": "0"},
)

Rows: TypeAlias = Sequence[dict[str, Any]]
Maker: TypeAlias = Callable[[Path, Rows], tuple[Source, Part]]


def of_sql(folder: Path, rows: Rows) -> tuple[Source, Part]:
    path = folder / "counter.sqlite"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as base:
        base.execute(f"create table fund ({', '.join(name for name, *_ in SPEC)})")
        cells = [tuple(None if r.get(n) is None else str(r[n]) for n, *_ in SPEC) for r in rows]
        base.executemany(f"insert into fund values ({', '.join('?' * len(SPEC))})", cells)
    base.close()
    query = f"select {', '.join(name for name, *_ in SPEC)} from fund"
    part = Part(
        "funds",
        "made",
        query=f"{query} order by FundCode",
        keyed=f"{query} where FundCode in :keys order by FundCode",
        key_columns=("FundCode",),
        count="select count(*) as rows, '2024-02-01T20:00:00' as as_of from fund",
        columns=COLUMNS,
    )
    return open_source("made", SourceConfig("sql", url=f"sqlite:///{path}"), lambda name: ""), part


def of_file(format_: str, write: Callable[[Rows], bytes]) -> Maker:
    def make(folder: Path, rows: Rows) -> tuple[Source, Part]:
        name = f"funds_20240201.{format_}"
        (folder / name).write_bytes(write(rows))
        (folder / "funds_20240201.flg").write_text(f"rows={len(rows)}\nas_of=2024-02-01T20:00:00\n")
        part = Part("funds", "made", file=f"funds_{{date:%Y%m%d}}.{format_}", format=format_, columns=COLUMNS)
        config = SourceConfig("files", folder=str(folder), flag="{stem}.flg", encoding="gb18030")
        return open_source("made", config, lambda secret: ""), part

    return make


def of_http(folder: Path, rows: Rows) -> tuple[Source, Part]:
    """The service answers from the folder, two rows a page, so that what is not there cannot be answered."""
    kept = folder / "funds.json"
    cells = [{n: None if r.get(n) is None else str(r[n]) for n, *_ in SPEC} for r in rows]
    kept.write_text(json.dumps(cells))
    service = Service(kept)
    part = Part(
        "funds",
        "made",
        query="/funds?date=:business_date",
        keyed="/funds?date=:business_date&codes=:keys",
        key_columns=("FundCode",),
        format="http",
        columns=COLUMNS,
    )
    config = SourceConfig(
        "http", url=service.url, rows="data.items", next="data.next", said="data.whole", max_bytes=10_000
    )
    return HttpSource("made", config, lambda name: "", wait=lambda seconds: None), part


MAKERS: dict[str, Maker] = {
    "sql": of_sql,
    "http": of_http,
    "dbf": of_file(
        "dbf",
        lambda rows: dbf(
            [(n, t.replace("A", "C"), w, d) for n, t, w, d in DBF_SPEC], dbf_rows(rows), encoding="gb18030"
        ),
    ),
    "ofd": of_file("ofd", lambda rows: ofd(SPEC, rows)),
    "csv": of_file("csv", lambda rows: csv_text([n for n, *_ in SPEC], rows).encode("gb18030")),
}
ASKABLE = ("sql", "http")
SHORT = {"NextTradeDate": "NEXTDATE"}
DBF_SPEC = tuple((SHORT.get(n, n), t, w, d) for n, t, w, d in SPEC)


def dbf_rows(rows: Rows) -> Rows:
    return [{SHORT.get(k, k): v for k, v in row.items()} for row in rows]


@dataclass(frozen=True)
class Made:
    """One make of source over a folder, and the part that reads its funds."""

    name: str
    maker: Maker
    folder: Path

    def open(self, rows: Rows = ROWS, **changes: Any) -> tuple[Source, Part]:
        source, part = self.maker(self.folder, rows)
        if self.name == "dbf":  # a DBF field name has at most ten characters
            part = replace(part, columns=tuple(replace(c, column=SHORT.get(c.column, c.column)) for c in part.columns))
        return source, replace(part, **changes)


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    return Made(request.param, MAKERS[request.param], tmp_path)


def facts(source: Source, part: Part, keys: Keys | None = None) -> list[MappedRow | Reject]:
    with source.read(part, business_date=DAY, now=NOW) as reading:
        to = map_row(part, KIND, reading.columns)
        rows = (reject_of(part, r) if isinstance(r, BadRow) else to(r) for r in reading.rows)
        return list(unique(rows, keys or Keys(part, KIND)))


def test_one_population_reads_the_same_from_every_source(made: Made) -> None:
    values = [r.values for r in facts(*made.open()) if isinstance(r, MappedRow)]
    assert [(v["fund"], v["name"], v["nav"], v["opens"], v["state"]) for v in values] == [
        ("012742", "华夏成长", Decimal("1.0234"), date(2024, 3, 28), "open"),
        ("012743", "empty", "empty", date(2024, 3, 28), "closed"),
        ("012744", "大成", Decimal("0.9"), date(2024, 3, 29), "open"),
    ]


def test_a_reading_says_who_when_how_many_and_as_of(made: Made) -> None:
    source, part = made.open()
    with source.read(part, business_date=DAY, now=NOW) as reading:
        assert (reading.part, reading.source, reading.started, reading.count) == ("funds", "made", NOW, 3)
        assert reading.as_of == NOW and reading.header["due_date"] == DAY and reading.header["rows"] == 3
        assert set(reading.header) <= set(HEADER)
        assert (reading.digest is None) == (made.name in ASKABLE)
        assert len(list(reading.rows)) == 3 and list(reading.rows) == []


def test_an_empty_population_is_whole_and_counted(made: Made) -> None:
    source, part = made.open([])
    with source.read(part, business_date=DAY, now=NOW) as reading:
        assert reading.count == 0 and list(reading.rows) == []


def test_an_absent_source_is_unavailable_never_empty(made: Made) -> None:
    source, part = made.open()
    for path in made.folder.iterdir():
        path.unlink()
    with pytest.raises(SourceUnavailable), source.read(part, business_date=DAY, now=NOW):
        pass
    with pytest.raises(SourceUnavailable):
        source.fingerprint(part)


def test_content_too_old_is_not_ready(made: Made) -> None:
    source, part = made.open(max_age=timedelta(hours=1))
    with source.read(part, business_date=DAY, now=NOW + timedelta(hours=1)):
        pass
    with pytest.raises(NotReady), source.read(part, business_date=DAY, now=NOW + timedelta(hours=1, seconds=1)):
        pass


def test_a_missing_column_is_another_shape(made: Made) -> None:
    source, part = made.open()
    part = replace(part, columns=(*part.columns, Column("", "RiskLevel")))
    with pytest.raises(SourceChanged, match="RiskLevel"), source.read(part, business_date=DAY, now=NOW):
        pass
    with pytest.raises(SourceChanged, match="RiskLevel"):
        source.fingerprint(part)


def test_a_fingerprint_is_of_the_shape_not_of_the_rows(made: Made) -> None:
    source, part = made.open()
    first = source.fingerprint(part)
    assert len(first) == 64 and made.open(ROWS[:1])[0].fingerprint(part) == first


def test_asking_by_key_answers_or_says_that_it_cannot(made: Made) -> None:
    source, part = made.open()
    if made.name not in ASKABLE:
        with pytest.raises(NotAskable):
            source.ask(part, [("012744",)], business_date=DAY, now=NOW)
        return
    with source.ask(part, [("012744",), ("999999",)], business_date=DAY, now=NOW) as reading:
        to = map_row(part, KIND, reading.columns)
        rows = [to(r) for r in reading.rows if not isinstance(r, BadRow)]
    assert [r.key for r in rows] == [("012744",)]


DIRTY: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("a date of zeros", {"NextTradeDate": "00000000"}, "reject"),
    ("an account with a blank inside", {"FundCode": "01 746"}, "reject"),
    ("no key", {"FundCode": None}, "reject"),
    ("a state nobody knows", {"FundStatus": "a"}, "state invalid"),
    ("a value of nought where none can be", {"NAV": Decimal(0)}, "nav invalid"),
    ("a rare character of four bytes", {"FundName": "𠮷野基金"}, "fine"),
)


@pytest.mark.parametrize(("what", "changes", "outcome"), DIRTY, ids=[d[0] for d in DIRTY])
def test_dirty_rows_stop_nothing_and_none_is_lost(made: Made, what: str, changes: Any, outcome: str) -> None:
    spoilt = {**ROWS[2], "FundCode": "012746", **changes}
    found = facts(*made.open([ROWS[0], spoilt, ROWS[1]]))
    assert len(found) == 3
    rejects = [r for r in found if isinstance(r, Reject)]
    assert len(rejects) == (outcome == "reject")
    if "invalid" in outcome:
        row = next(r for r in found if isinstance(r, MappedRow) and r.key == ("012746",))
        assert row.values[outcome.split()[0]] == "invalid"


def test_a_repeated_row_is_one_fact_and_a_corrected_one_none(made: Made) -> None:
    source, part = made.open([*ROWS, ROWS[2]])
    found = facts(source, part)
    assert len(found) == 4 and [r.key for r in found if isinstance(r, Reject)] == [None]
    source, part = made.open([*ROWS, {**ROWS[2], "NAV": Decimal("0.8")}])
    keys = Keys(part, KIND)
    found = facts(source, part, keys)
    assert [r.key for r in found if isinstance(r, Reject)] == [("012744",)] * 2
    assert keys.conflicted == {("012744",)}
