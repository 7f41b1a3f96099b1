"""What a run found is committed as one, and claims of its feed wait until its notices are up to date."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from daemon.errors import StoreConflict
from daemon.model.facts import Reject, Where
from daemon.model.states import PollState
from daemon.store import ledger, readings, trail
from daemon.store.db import Store
from daemon.store.ledger import Lease
from daemon.store.readings import RuleReading, Totals
from daemon.store.rows import one
from daemon.store.sheetlines import SheetFile
from daemon.store.tables import feeds
from tests.builders_store import DAY, NOW, SET, at


@pytest.fixture
def store(any_store: Store) -> Store:
    return any_store


@pytest.fixture
def lease(store: Store) -> Lease:
    with store.write() as tx:
        poll = ledger.open_due(tx, "allotments", NOW, DAY, now=NOW)
        return ledger.claim(tx, poll.id, holder="c", rule_set=SET, now=NOW, elapsed=0)


def reading(store: Store) -> RuleReading:
    sheet = SheetFile(store.folder / "sheets" / "2024-02" / "1-ipo.payment.sheet", "ab" * 32, 12, b"k" * 16)
    counts = {("notify", "condition"): 2, ("suppressed", "gate:silence"): 1, ("suppressed", "gate:status"): 3}
    return RuleReading(sheet, counts | {("no_match", "condition"): 6})


TOTALS = Totals(at(0.5), rows=15, rejects=1, facts=12, rows_in_facts=13, other=1, source_count=15)


def test_the_record_has_counts_and_hashes(store: Store, lease: Lease) -> None:
    with store.write() as tx:
        record = readings.commit_reading(tx, lease, TOTALS, {"ipo/payment": reading(store)}, now=NOW)
    with store.read() as tx:
        found = trail.read(tx, record)
        assert found is not None
        assert (found.cause, found.rule_set) == (lease.record, SET)
        assert found.data["sheets"] == [
            {
                "rule": "ipo/payment",
                "sha256": "ab" * 32,
                "file": "1-ipo.payment.sheet",
                "lines": 12,
                "counts": {"notify": 2, "no_match": 6, "suppressed": 4},
                "verdict": "go",
            }
        ]
        assert {k: found.data[k] for k in ("rows", "rejects", "facts", "rows_in_facts", "other", "source_count")} == {
            "rows": 15, "rejects": 1, "facts": 12, "rows_in_facts": 13, "other": 1, "source_count": 15,
        }  # fmt: skip
        assert readings.counts_of(tx, lease.run) == {"ipo/payment": dict(reading(store).counts)}
        (sheet,) = readings.sheets_of(tx, lease.run)
        assert sheet["path"] == "sheets/2024-02/1-ipo.payment.sheet"
        assert readings.run_of(tx, lease.run)["record"] == record


def test_claims_of_the_feed_wait_until_its_notices_are_up_to_date(store: Store, lease: Lease) -> None:
    def updating() -> int | None:
        with store.read() as tx:
            row = one(tx, feeds, feed="allotments")
            assert row is not None
            return row["updating"]

    assert updating() is None
    with store.write() as tx:
        readings.commit_reading(tx, lease, TOTALS, {}, now=NOW)
    assert updating() == lease.run
    with store.write() as tx:
        readings.updated(tx, lease)
    assert updating() is None


def test_a_failed_run_lets_claims_go_on(store: Store, lease: Lease) -> None:
    with store.write() as tx:
        readings.commit_reading(tx, lease, TOTALS, {}, now=NOW)
        ledger.finish(tx, lease, PollState.FAILED, "broken", now=NOW)
        row = one(tx, feeds, feed="allotments")
        assert row is not None
        assert row["updating"] is None


def test_rejects_keep_what_was_found_sealed(store: Store, lease: Lease) -> None:
    found = Reject("SZ", Where("sjsfx.dbf", 7), "FXFSRQ", "10812345678", "a date")
    with store.write() as tx:
        readings.add_rejects(tx, lease, [found], now=NOW)
    with store.read() as tx:
        ((row, plain),) = readings.rejects_of(tx, lease.run)
        assert (row["file"], row["line"], row["column"], row["expected"]) == ("sjsfx.dbf", 7, "FXFSRQ", "a date")
        assert plain == "10812345678"
    raw = b"".join(path.read_bytes() for path in store.folder.glob("duenotice.db*"))
    assert b"10812345678" not in raw


def test_an_overtaken_run_commits_nothing(store: Store, lease: Lease) -> None:
    with store.write() as tx:
        ledger.fail(tx, "allotments", "time-out", now=NOW)
    for write in (
        lambda tx: readings.commit_reading(tx, lease, TOTALS, {"ipo/payment": reading(store)}, now=NOW),
        lambda tx: readings.updated(tx, lease),
        lambda tx: readings.add_rejects(tx, lease, [], now=NOW),
    ):
        with pytest.raises(StoreConflict), store.write() as tx:
            write(tx)
    with store.read() as tx:
        assert readings.sheets_of(tx, lease.run) == []


def ran(store: Store, day: date, clock: int, notify: int, rows: int, state: PollState = PollState.RAN) -> Lease:
    """A poll of a business date, `clock` hours after midnight, to its end."""
    due = datetime.combine(day, time(clock), UTC)
    with store.write() as tx:
        poll = ledger.open_due(tx, "allotments", due, day, now=due)
        made = ledger.claim(tx, poll.id, holder="c", rule_set=SET, now=due, elapsed=0)
        rule = replace(reading(store), counts={("notify", "condition"): notify, ("no_match", "condition"): 3})
        totals = Totals(due, rows=rows, rejects=0, facts=notify, rows_in_facts=rows)
        readings.commit_reading(tx, made, totals, {"ipo/payment": rule}, now=due)
        ledger.finish(tx, made, state, now=due)
    return made


def like(store: Store, day: date, clock: int) -> tuple[int, int, str] | None:
    """What a poll due then is held against."""
    lease = Lease(99, "allotments", datetime.combine(day, time(clock), UTC), day, 99, 1, 1, "")
    with store.read() as tx:
        return readings.like_before(tx, lease, "ipo/payment")


def test_the_first_reading_of_a_feed_has_none_before_it(store: Store) -> None:
    assert like(store, DAY, 1) is None
    ran(store, DAY, 1, 5, 10, PollState.HELD)
    assert like(store, DAY, 2) is None, "one that is held was never believed"


def test_a_reading_is_held_against_the_newest_of_its_day(store: Store) -> None:
    ran(store, DAY - timedelta(days=1), 1, 500, 900)
    ran(store, DAY, 1, 5, 10)
    ran(store, DAY, 2, 7, 12)
    assert like(store, DAY, 3) == (12, 7, "the poll of 10:00")
    assert like(store, DAY, 2) == (10, 5, "the poll of 09:00")


def test_the_first_of_a_day_is_held_against_the_largest_of_five_business_dates(store: Store) -> None:
    for back, notify, rows in ((6, 900, 900), (5, 40, 50), (4, 10, 70), (3, 20, 20), (2, 1, 1), (1, 0, 0)):
        ran(store, DAY - timedelta(days=back), 1, notify, rows)
    assert like(store, DAY, 1) == (70, 40, f"the largest poll since {DAY - timedelta(days=5)}")
