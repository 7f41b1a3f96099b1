"""Rows, facts, lines and buckets reconciled by readers that are not ours: sqlite3, csv, byte counting, DuckDB.

What the back office holds is counted here with the conditions of the fact kinds written by hand, so that a reader, a mapping or
a query that loses rows shows as a difference.
"""

from __future__ import annotations

import csv
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.acceptance.played import DAYS, WHO, Played

CHINA = timedelta(hours=8)
RULE_OF = {
    "allotments": "ipo/payment",
    "fund_follows": "fund/followers",
    "fund_holdings": "fund/open_window",
    "fund_limits": "fund/limit_change",
    "fund_lots": "fund/lot_open",
    "margin_day_end": "margin/maintenance",
    "margin_intraday": "margin/maintenance",
}


@dataclass(frozen=True)
class Poll:
    """A ledger row with the figures of its newest run, read with sqlite3."""

    id: int
    run: int
    feed: str
    day: str
    now: str  # as the counter writes instants
    rows: int
    rejects: int
    facts: int
    in_facts: int
    other: int


def polls_of(played: Played) -> list[Poll]:
    query = """SELECT p.id, r.id, p.feed, p.business_date, r.reading_started, r.rows, r.rejects, r.facts, r.rows_in_facts, r.other
               FROM polls p JOIN runs r ON r.poll = p.id AND r.number = p.run WHERE p.state = 'ran' ORDER BY p.id"""
    with played.store() as db:
        return [Poll(*row[:4], _instant(row[4]), *row[5:]) for row in db.execute(query)]


def _instant(micros: int) -> str:
    local = datetime.fromtimestamp(micros / 1_000_000, UTC) + CHINA
    return local.strftime("%Y-%m-%dT%H:%M:%S+08:00")


def dbf_records(path: Path) -> Iterator[dict[str, str]]:
    """dBase III by its bytes: header, 32 bytes a field, records of fixed width after a deletion flag."""
    raw = path.read_bytes()
    count, head, size = struct.unpack_from("<LHH", raw, 4)
    fields, offset = [], 1
    for at in range(32, head - 1, 32):
        name, width = raw[at : at + 11].rstrip(b"\0").decode("ascii"), raw[at + 16]
        fields.append((name, offset, width))
        offset += width
    assert offset == size
    assert len(raw) - head in (count * size, count * size + 1)
    for start in range(head, head + count * size, size):
        record = raw[start : start + size]
        if record[:1] == b" ":
            yield {name: record[at : at + width].decode("gbk") for name, at, width in fields}


def ofd_lines(path: Path) -> list[bytes]:
    """The records of an OFD file: after ten lines of header, the names and the count, up to the end mark."""
    lines = path.read_bytes().split(b"\r\n")
    fields = int(lines[9])
    count = int(lines[10 + fields])
    assert lines[11 + fields + count] == b"OFDCFEND"
    return lines[11 + fields : 11 + fields + count]


def one(db: sqlite3.Connection, query: str, *values: str) -> int:
    found: int = db.execute(query, values).fetchone()[0]
    return found


def source_rows(played: Played, poll: Poll) -> int:
    """How many rows the back office had for a poll, other business included."""
    with played.counter() as db:
        match poll.feed:
            case "contacts":
                return one(db, "SELECT count(*) FROM contact WHERE since <= ?", poll.now)
            case "consents":
                newest = "SELECT DISTINCT client_id, category, channel FROM consent WHERE at <= ?"
                return one(db, f"SELECT count(*) FROM ({newest})", poll.now)
            case "allotments":
                return len(list(dbf_records(_dbf(played, poll)))) + len(shanghai(db, poll))
            case "fund_holdings":
                return one(
                    db, "SELECT count(*) FROM fund_holding WHERE init_date <= ? AND ? < end_date", poll.day, poll.day
                )
            case "fund_follows":
                return one(
                    db, "SELECT count(*) FROM fund_follow WHERE init_date <= ? AND ? < end_date", poll.day, poll.day
                )
            case "fund_lots":
                query = "SELECT count(*) FROM fund_lot WHERE confirm_date <= ? AND valid_from <= ? AND ? < valid_to"
                return one(db, query, poll.day, poll.now, poll.now)
            case "fund_limits":
                return limits(db, poll)
            case _:
                return len(margin_rows(db, poll))


def limits(db: sqlite3.Connection, poll: Poll) -> int:
    """A row for each holder of a fund whose limit changes on the day or later, as announced by then."""
    query = "SELECT fund_code FROM fund_limit_change WHERE limit_from >= ? AND valid_from <= ? AND ? < valid_to"
    codes = [code for (code,) in db.execute(query, (poll.day, poll.now, poll.now))]
    holders = "SELECT count(*) FROM fund_holding WHERE fund_code = ? AND init_date <= ? AND ? < end_date"
    return sum(one(db, holders, code, poll.day, poll.day) for code in codes)


def _dbf(played: Played, poll: Poll) -> Path:
    return played.folder / "backoffice" / f"sjsfx_{poll.day.replace('-', '')}.dbf"


def shanghai(db: sqlite3.Connection, poll: Poll) -> list[tuple[str, ...]]:
    query = """SELECT exchange_type, stock_account, stock_code FROM sh_allotment
               WHERE business_date = ? AND valid_from <= ? AND valid_to > ?"""
    return db.execute(query, (poll.day, poll.now, poll.now)).fetchall()


def margin_rows(db: sqlite3.Connection, poll: Poll) -> list[tuple[str, ...]]:
    basis = poll.feed.removeprefix("margin_")
    query = "SELECT valuation_time, credit_account FROM margin_assets WHERE init_date = ? AND basis = ?"
    rows = db.execute(query, (poll.day, basis)).fetchall()
    if basis == "day_end":
        return rows
    newest = max(at for at, _ in rows if at <= poll.now)
    return [row for row in rows if row[0] == newest]


@dataclass(frozen=True)
class Expected:
    """What hand-written conditions make of the rows of one poll."""

    facts: int
    in_facts: int
    rejects: int
    other: int


def expected(played: Played, poll: Poll) -> Expected:
    with played.counter() as db:
        if poll.feed == "allotments":
            return _allotments(db, list(dbf_records(_dbf(played, poll))), poll)
        count = source_rows(played, poll)
        return Expected(count, count, 0, 0)  # of one row each; their keys are unique by the counter's own constraint


def _allotments(db: sqlite3.Connection, records: list[dict[str, str]], poll: Poll) -> Expected:
    """Winning numbers and counter rows by client. A row is bad with a date of zeros or a key that was there
    before; all of a client are one fact, prepaid ones apart."""
    owner = dict(db.execute("SELECT stock_account, client_id FROM stock_account").fetchall())
    prepaid = {c for c, r in db.execute("SELECT stock_code, regime FROM new_issue") if r != "credit_apply"}
    winning = [r for r in records if r["FXYWLB"].strip() == "A3"]
    seen: set[tuple[str, ...]] = set()
    good: list[tuple[str, str]] = []
    for r in winning:
        key = ("2", r["FXZQZH"].strip(), r["FXZQDM"].strip(), r["FXDDBH"].strip())
        if r["FXFSRQ"].strip() != "00000000" and key not in seen:
            seen.add(key)
            good.append((key[1], key[2]))
    for row in shanghai(db, poll):
        if row not in seen:
            seen.add(row)
            good.append((row[1], row[2]))
    facts = {(owner.get(account, account), code in prepaid) for account, code in good}
    total = len(winning) + len(shanghai(db, poll))
    return Expected(len(facts), len(good), total - len(good), len(records) - len(winning))


def test_the_demo_has_polls_of_every_feed_on_its_days(demo: Played) -> None:
    assert {p.feed for p in polls_of(demo)} == {*RULE_OF, "contacts", "consents"}
    assert {p.day for p in polls_of(demo)} == set(DAYS)


def test_every_row_of_the_back_office_is_a_reject_or_part_of_a_fact_or_other_business(demo: Played) -> None:
    for poll in polls_of(demo):
        counted = source_rows(demo, poll)
        assert counted > 0 or poll.feed == "fund_limits", poll  # no fund of the sample changes its limit on these days
        assert counted == poll.rows + poll.other, poll
        if poll.feed in RULE_OF:
            assert poll.rows == poll.rejects + poll.in_facts, poll


def test_facts_and_rejects_are_those_that_hand_written_conditions_find(demo: Played) -> None:
    found = {p: Expected(p.facts, p.in_facts, p.rejects, p.other) for p in polls_of(demo) if p.feed in RULE_OF}
    assert found == {poll: expected(demo, poll) for poll in found}
    assert {p.feed: p.rejects > 0 and p.other > 0 for p in found}["allotments"], "the sample spoils rows on purpose"


def test_every_reject_of_the_ledger_has_file_line_column_and_what_was_expected(demo: Played) -> None:
    with demo.store() as db:
        rows = db.execute('SELECT run, part, file, line, "column", expected FROM rejects').fetchall()
    kept = Counter(row["run"] for row in rows if row["part"] in ("sz", "sh"))
    assert kept == {p.run: p.rejects for p in polls_of(demo) if p.rejects}
    assert all(row["file"] and row["line"] > 0 and row["column"] and row["expected"] for row in rows)


def test_reference_files_hold_the_rows_that_their_flags_announce(demo: Played) -> None:
    for flag in sorted((demo.folder / "backoffice").glob("*.flg")):
        said = int(dict(line.split("=", 1) for line in flag.read_text().splitlines())["rows"])
        path = next(p for p in flag.parent.glob(f"{flag.stem}.*") if p.suffix != ".flg")
        if path.suffix == ".dbf":
            counted = len(list(dbf_records(path)))
        elif path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as lines:
                counted = len(list(csv.DictReader(lines)))
        else:
            counted = len(ofd_lines(path))
        assert counted == said, path.name


@pytest.fixture(scope="module")
def sheets(changed: Played, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Run -> its sheet in clear, as a named person gets it."""
    folder = tmp_path_factory.mktemp("sheets")
    made = {}
    for poll in polls_of(changed):
        if poll.feed in RULE_OF:
            made[poll.run] = folder / f"{poll.id}.parquet"
            argv = (
                "report",
                "sheet",
                "--poll",
                str(poll.id),
                "--rule",
                RULE_OF[poll.feed],
                "--out",
                str(made[poll.run]),
            )
            changed.run(*argv, *WHO)
    return made


def test_facts_are_the_lines_of_the_sheet_and_its_buckets_the_counts_of_the_ledger(
    changed: Played, sheets: dict[int, Path]
) -> None:
    for poll in polls_of(changed):
        if poll.feed not in RULE_OF:
            continue
        query = "SELECT bucket, reason, count(*) FROM read_parquet(?) GROUP BY ALL"
        read = {(b, r): n for b, r, n in duckdb.execute(query, [str(sheets[poll.run])]).fetchall()}
        with changed.store() as db:
            counts = db.execute(
                "SELECT rule, bucket, reason, facts FROM poll_counts WHERE run = ?", (poll.run,)
            ).fetchall()
        assert {row["rule"] for row in counts} == ({RULE_OF[poll.feed]} if poll.facts else set())
        assert read == {(row["bucket"], row["reason"]): row["facts"] for row in counts}
        assert sum(read.values()) == poll.facts


def test_lines_of_a_sheet_hold_the_rows_in_facts_(changed: Played, sheets: dict[int, Path]) -> None:
    for poll in polls_of(changed):
        if poll.feed in RULE_OF:
            lines = duckdb.execute(
                "SELECT coalesce(sum(rows), 0), count(*) FROM read_parquet(?)", [str(sheets[poll.run])]
            ).fetchall()
            assert lines == [(poll.in_facts, poll.facts)], poll


@pytest.mark.parametrize("day", DAYS)
def test_a_day_decided_again_is_the_same_line_by_line(changed: Played, day: str) -> None:
    replayed = changed.found("rules", "replay", "--day", day)
    assert replayed["differences"] == []
    assert sum(one["lines"] for one in replayed["rules"]) == sum(p.facts for p in polls_of(changed) if p.day == day)
    assert {one["different"] for one in replayed["rules"]} == {0}
    assert "all identical" in changed.run("rules", "replay", "--day", day)
