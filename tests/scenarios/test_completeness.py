"""The daily proof names any one row that was taken away, put in or changed behind the daemon's back, and any one sheet.

A day is played once; then each row is tampered with by plain SQL, looked for, and put back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from daemon.app_parts import ruleset_of
from daemon.report import queries
from daemon.report.completeness import Completeness, completeness
from daemon.report.replay import open_sheet, sheet_key
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME
from daemon.store.sheets import SheetWriter
from tests.builders_store import keyring
from tests.scenarios.plays import SCENARIOS
from tests.world import DAY, Play, shipped

Row = Mapping[str, Any]
PLAYED = ("an answer lost",)
"""Played in every run of the tests; with those beside it in the slow ones."""
BESIDE = (
    "a source that doubles",
    "a worse level supersedes",
    "terms corrected",
    "a silence ended",
    "a reject before the claim",
)
TABLES = ("polls", "runs", "notices", "messages", "attempts", "receipts", "tasks")


@dataclass
class Lived:
    """A day's installation, proved and tampered with."""

    folder: Path
    store: Store

    def prove(self) -> Completeness:
        """The proof as the command makes it."""
        return completeness(self.store, self._ruleset, DAY)

    def _ruleset(self, digest: str) -> Any:
        made = shipped().ruleset
        return made if made is not None and made.digest == digest else ruleset_of(self.store, digest)

    def named(self) -> set[tuple[str, str]]:
        """(table, row) of every finding."""
        return {(one.table, one.id) for one in self.prove().findings}

    def rows(self, table: str) -> list[Row]:
        with closing(self._db()) as db:
            return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]

    def run(self, statement: str, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> None:
        with closing(self._db()) as db, db:
            assert db.execute(statement, values).rowcount == 1

    def insert(self, table: str, row: Row) -> None:
        names = ", ".join(f'"{name}"' for name in row)
        self.run(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})", row)

    def delete(self, table: str, row: Row) -> None:
        where = " AND ".join(f"{name} = :{name}" for name in KEYS.get(table, ("id",)))
        self.run(f"DELETE FROM {table} WHERE {where}", row)

    def _db(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.folder / "state" / FILE_NAME)
        db.row_factory = sqlite3.Row
        return db


KEYS = {"sheets": ("run", "rule")}


@pytest.fixture(scope="module", params=[*PLAYED, *(pytest.param(name, marks=pytest.mark.slow) for name in BESIDE)])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    play = Play.new(SCENARIOS[request.param], tmp_path_factory.mktemp("day") / "w")
    play.run()
    store = Store.open(play.folder / "state", keyring=keyring(), node="n1")
    yield Lived(play.folder, store)
    store.close()


def test_a_day_as_it_was_lived_is_complete(lived: Lived) -> None:
    found = lived.prove()
    assert found.good
    assert sum(len(one.clients) for one in found.populations) > 0
    assert all(sum(one.buckets.values()) == len(one.clients) for one in found.populations)


def gone_by(table: str, row: Row, lived: Lived) -> Callable[[tuple[str, str]], bool]:
    """What a finding calls a row that is not there any more: its own key, or where that was the store's, what the trail says."""
    text = {
        "polls": lambda: row["feed"],
        "runs": lambda: f"poll {row['poll']} run {row['number']}",
        "attempts": lambda: f"{row['message']} {row['number']}",
        "receipts": lambda: f"record {row['record']}",
        "tasks": lambda: row["key"],
    }.get(table, lambda: row["id"])()
    return lambda named: named[0] == table and named[1].startswith(text)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_was_taken_away_is_named(lived: Lived, table: str) -> None:
    for row in lived.rows(table):
        lived.delete(table, row)
        named = lived.named()
        lived.insert(table, row)
        assert any(map(gone_by(table, row, lived), named)), (row, named)
    assert lived.prove().good


def forged(table: str, row: Row, number: int) -> Row:
    """A copy of a row under a free key, as alike as the table's own unique keys allow."""
    new: dict[str, Any] = {"id": 9_000_000 + number}
    if table in ("notices", "messages"):
        new = {"id": f"{number:x}".rjust(len(row["id"]), "0")}
    if table == "messages":
        new["generation"] = row["generation"] + 1
    elif table == "polls":
        new["due"] = row["due"] + 1
    elif table in ("runs", "attempts"):
        new["number"] = row["number"] + 1000
    elif table == "receipts":
        new["platform_id"] = f"{row['platform_id']}x"
    elif table == "tasks" and row["closed_at"] is None:
        new["key"] = f"{row['key']}x"
    return {**row, **new}


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_was_put_in_is_named(lived: Lived, table: str) -> None:
    for number, row in enumerate(lived.rows(table), 1):
        new = forged(table, row, number)
        lived.insert(table, new)
        named = lived.named()
        lived.delete(table, new)
        assert (table, str(new["id"])) in named, (new, named)


@pytest.mark.parametrize("table", ["messages", "attempts", "receipts", "tasks"])
def test_a_row_of_what_is_not_there_is_named(lived: Lived, table: str) -> None:
    for number, row in enumerate(lived.rows(table), 1):
        name = "notice" if table in ("messages", "tasks") else "message"
        new = {**forged(table, row, number), name: "f" * 64}
        lived.insert(table, new)
        named = lived.named()
        lived.delete(table, new)
        assert (table, str(new["id"])) in named, (new, named)


CHANGES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("polls", "state", lambda old: "skipped" if old != "skipped" else "ran"),
    ("polls", "reason", lambda old: f"{old}x"),
    ("runs", "rows", lambda old: None if old is None else old + 1),
    ("runs", "rejects", lambda old: None if old is None else old + 1),
    ("notices", "outcome", lambda old: "delivered" if old != "delivered" else None),
    ("notices", "served", lambda old: "yes" if old != "yes" else "no"),
    ("notices", "stands", lambda old: "no" if old != "no" else "yes"),
    ("notices", "marks", lambda old: '["forged"]'),
    ("notices", "client", lambda old: old + 1),
    ("notices", "told_at", lambda old: 1 if old is None else None),
    ("messages", "state", lambda old: "delivered" if old != "delivered" else "accepted"),
    ("messages", "own", lambda old: "revoked"),
    ("messages", "tries", lambda old: old + 1),
    ("attempts", "verdict", lambda old: "forged"),
    ("receipts", "kind", lambda old: "forged"),
    ("tasks", "reason", lambda old: f"{old}x"),
    ("tasks", "closed_at", lambda old: 1 if old is None else None),
)


@pytest.mark.parametrize(("table", "column", "change"), CHANGES, ids=[f"{t}.{c}" for t, c, _ in CHANGES])
def test_a_changed_column_is_named(lived: Lived, table: str, column: str, change: Callable[[Any], Any]) -> None:
    for row in lived.rows(table):
        if change(row[column]) == row[column]:
            continue
        statement = f"UPDATE {table} SET {column} = ? WHERE id = ?"
        lived.run(statement, (change(row[column]), row["id"]))
        named = lived.named()
        lived.run(statement, (row[column], row["id"]))
        assert (table, str(row["id"])) in named, (row, column, named)


def test_a_sheet_without_a_row_and_a_row_without_a_sheet_are_named(lived: Lived) -> None:
    for row in lived.rows("sheets"):
        lived.delete("sheets", row)
        named = lived.named()
        lived.insert("sheets", row)
        assert ("sheets", f"run {row['run']} {row['rule']}") in named
        new = {**row, "rule": "forged/rule"}
        lived.insert("sheets", new)
        named = lived.named()
        lived.delete("sheets", new)
        assert ("sheets", f"run {row['run']} forged/rule") in named


@pytest.mark.parametrize(
    "how", ["gone", "cut", "said to be erased", "line away", "line added", "line twice, row and all"]
)
def test_a_sheet_that_was_tampered_with_is_named_with_its_poll(lived: Lived, how: str) -> None:
    with lived.store.read() as tx:
        found = queries.runs_with_sheets(tx, DAY)
    assert found
    for run, sheet in found:
        path = lived.store.folder / sheet["path"]
        kept = path.read_bytes()
        before = next(row for row in lived.rows("sheets") if (row["run"], row["rule"]) == (sheet["run"], sheet["rule"]))
        _tamper(lived, sheet, how, path)
        proof = lived.prove()
        path.write_bytes(kept)
        lived.delete("sheets", before)
        lived.insert("sheets", before)
        mine = [one for one in proof.findings if one.id == f"run {run['id']} {sheet['rule']}"]
        assert mine, proof.findings
        assert any(f"poll {run['poll']}" in one.detail for one in mine) or how == "line twice, row and all"
    assert lived.prove().good


def _tamper(lived: Lived, sheet: Any, how: str, path: Path) -> None:
    if how == "gone":
        path.unlink()
        return
    if how == "said to be erased":
        lived.run(
            "UPDATE sheets SET erased_at = 1, erased = 'x' WHERE run = ? AND rule = ?", (sheet["run"], sheet["rule"])
        )
        return
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
        return
    reader, key = open_sheet(lived.store, sheet), sheet_key(lived.store, sheet)
    assert reader is not None
    assert key is not None
    lines = list(reader.lines())
    path.unlink()
    writer = SheetWriter(path, reader.operands, reader.items, key=key, of=reader.of)
    for line in lines[1:] if how == "line away" else [*lines, replace(lines[0], subject=lines[0].subject + 1)]:
        writer.add(line)
    made = writer.finish()
    if how.endswith("row and all"):
        values = (made.sha256, made.lines, sheet["run"], sheet["rule"])
        lived.run("UPDATE sheets SET sha256 = ?, lines = ? WHERE run = ? AND rule = ?", values)


def test_a_record_that_was_taken_away_is_named_by_its_index(lived: Lived) -> None:
    rows = [row for row in lived.rows("records") if row["position"] is not None]
    for row in (rows[0], rows[len(rows) // 2]):
        lived.run("DELETE FROM records WHERE row = ?", (row["row"],))
        gaps = lived.prove().gaps
        lived.insert("records", row)
        assert gaps == [row["position"]]
