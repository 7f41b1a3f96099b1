"""Sheets past their rule's `keep:` go, with a record that names them, and none that is younger or still spoken of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from daemon.clock import micros
from daemon.keeping import Keeping
from daemon.report.sheets_live import sheets_of_store
from daemon.rules.schema import RuleSet
from daemon.store import erasure, ledger, readings, trail
from daemon.store.db import Store
from daemon.store.month_keys import SHEETS, key_by_id, month_key, month_of
from daemon.store.readings import RuleReading, Totals
from daemon.store.rows import one
from daemon.store.sheetlines import Line
from daemon.store.sheets import SheetWriter, sheet_path
from daemon.store.tables import notices, records, sheets
from tests.builders_store import DAY, NOW, SET, new_store
from tests.world import shipped

RULE = "margin/maintenance"
KEEP = timedelta(days=400)
OVER = NOW + timedelta(days=401)
"""The first moment of the day on which a sheet of DAY is past 400 days."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "state")
    yield store
    store.close()


def decided(store: Store, day: date = DAY, *, keep: timedelta = KEEP, rule: str = RULE) -> tuple[int, Path]:
    """A poll of a business date with a sheet of one line; its run and its file."""
    now = NOW + (day - DAY)
    with store.write() as tx:
        poll = ledger.open_due(tx, "margin_day_end", now, day, now=now)
        lease = ledger.claim(tx, poll.id, holder="c", rule_set=SET, now=now, elapsed=0)
        key = month_key(tx, SHEETS, now)
    writer = SheetWriter(sheet_path(store.folder, month_of(now), lease.run, rule), (), key=key, of={"run": lease.run})
    writer.add(Line(1, 1, day, "no_match", "condition", {}))
    found = RuleReading(writer.finish(), {("no_match", "condition"): 1}, keep=keep)
    with store.write() as tx:
        readings.commit_reading(tx, lease, Totals(now, 1, 0, 1, 1), {rule: found}, now=now)
        ledger.finish(tx, lease, ledger.PollState.RAN, now=now)
    return lease.run, found.sheet.path


def active(keep: timedelta = KEEP) -> RuleSet:
    made = shipped().required()
    return replace(made, rules={RULE: replace(made.rules[RULE], keep=keep)})


def keeping(store: Store, keep: timedelta = KEEP) -> Keeping:
    return Keeping(store, lambda: active(keep))


def erased(store: Store) -> list[dict[str, object]]:
    with store.read() as tx:
        ids = list(tx.execute(select(records.c.id).where(records.c.kind == "erase.sheets")).scalars())
        return [dict(sheet) for id in ids if (found := trail.read(tx, id)) for sheet in found.data["sheets"]]


def test_a_sheet_goes_on_the_day_after_its_time_with_a_record_that_names_it(store: Store) -> None:
    run, path = decided(store)
    assert keeping(store).pass_(OVER - timedelta(days=1)) == 0
    assert path.exists()
    assert keeping(store).pass_(OVER) == 1
    assert not path.exists()
    (named,) = erased(store)
    assert (named["run"], named["rule"], named["business_date"], named["keep_days"]) == (run, RULE, "2024-02-01", 400)
    with store.read() as tx:
        (row,) = readings.sheets_of(tx, run)
    found = erasure.kept_no_more(row)
    assert found is not None
    assert (found.since, found.days) == (OVER, 400)
    assert sheets_of_store(store)({"sha256": row["sha256"]}) is None


def test_a_younger_sheet_stays_and_so_does_its_months_key(store: Store) -> None:
    old, new = decided(store), decided(store, DAY + timedelta(days=1))
    assert keeping(store).pass_(OVER) == 1
    assert (old[1].exists(), new[1].exists()) == (False, True)
    with store.read() as tx:
        (row,) = readings.sheets_of(tx, new[0])
        assert key_by_id(tx, bytes(row["key"]))


def test_the_months_key_is_destroyed_with_its_last_sheet(store: Store) -> None:
    run, _ = decided(store)
    with store.read() as tx:
        key = bytes(readings.sheets_of(tx, run)[0]["key"])
    keeping(store).pass_(OVER)
    with store.read() as tx, pytest.raises(LookupError, match="destroyed"):
        key_by_id(tx, key)
    with store.read() as tx:
        kinds = list(tx.execute(select(records.c.kind)).scalars())
    assert kinds.count("key.destroyed") == 1


@pytest.mark.parametrize(("written", "now"), [(10, 400), (400, 10)])
def test_the_longer_of_two_keeps_holds(store: Store, written: int, now: int) -> None:
    _, path = decided(store, keep=timedelta(days=written))
    assert keeping(store, timedelta(days=now)).pass_(NOW + timedelta(days=300)) == 0
    assert path.exists()


def test_a_shorter_keep_of_the_rule_is_obeyed(store: Store) -> None:
    _, path = decided(store, keep=timedelta(days=10))
    assert keeping(store, timedelta(days=10)).pass_(NOW + timedelta(days=11)) == 1
    assert not path.exists()


def test_a_sheet_of_which_a_notice_is_open_stays_until_that_has_its_outcome(store: Store) -> None:
    run, path = decided(store)
    with store.write() as tx:
        tx.execute(insert(notices).values(**open_notice(run)))
    assert keeping(store).pass_(OVER) == 0
    assert path.exists()
    with store.write() as tx:
        tx.execute(update(notices).values(outcome="delivered", outcome_at=micros(OVER)))
    assert keeping(store).pass_(OVER) == 1


def open_notice(run: int) -> dict[str, object]:
    texts = dict.fromkeys(
        ("category", "feed", "inputs", "occurrence", "record", "stage", "stands", "stands_why", "terms"), ""
    )
    numbers = dict.fromkeys(("client", "deadline", "known_at", "made_at", "not_before", "subject", "window_end"), 1)
    return {
        **texts, **numbers, "id": "a" * 64, "rule": RULE, "run": run, "rule_set": SET, "business_date": "2024-02-01",
        "priority": 1, "late": "drop", "last": True,
    }  # fmt: skip


def test_what_a_crash_left_between_record_and_file_goes_the_next_day(store: Store) -> None:
    _, path = decided(store)
    with store.write() as tx:
        erasure.erase(tx, erasure.due(tx, (OVER).date(), {}), now=OVER)
    assert path.exists()
    assert keeping(store).pass_(OVER + timedelta(days=1)) == 0
    assert not path.exists()
    assert len(erased(store)) == 1


def test_it_looks_once_a_day(store: Store) -> None:
    task = keeping(store)
    assert task.pass_(OVER) == 0
    decided(store)
    assert task.pass_(OVER + timedelta(hours=1)) == 0
    assert task.pass_(OVER + timedelta(days=1)) == 1


def test_a_month_that_still_runs_keeps_its_key(store: Store) -> None:
    run, _ = decided(store, keep=timedelta(days=0))
    keeping(store, timedelta(days=0)).pass_(NOW + timedelta(days=1))
    with store.read() as tx:
        row = one(tx, sheets, run=run, rule=RULE)
        assert row is not None
        assert row["erased_at"] is not None
        assert key_by_id(tx, bytes(row["key"]))
