"""A scratch store holds what stood at a moment, and nothing that came after it; the store it is of is only read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from daemon.clock import micros
from daemon.errors import DueNoticeError
from daemon.simulate.reading import faults_of, holds_of
from daemon.store import pages, seals, subjects
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME
from daemon.store.scratch import name_by_number, open_scratch, rewind
from daemon.store.tables import episodes, messages, notices, polls, records
from tests.builders_store import DAY, NOW, SET, at, new_store

RULE = "margin/maintenance"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Store]:
    """A store with one client and one contract."""
    store = new_store(tmp_path / "live")
    with store.write() as tx:
        subjects.number_of(tx, "contract", "9000000001", "S1", now=NOW)
    yield store
    store.close()


@pytest.fixture
def scratch(live: Store, tmp_path: Path) -> Iterator[Store]:
    store = open_scratch(tmp_path / "scratch", keyring=live.keyring, live=live.folder)
    yield store
    store.close()


def episode(level: str, opened: float, ended: float | None) -> dict[str, object]:
    return {
        "rule": RULE, "subject": 2, "basis": "intraday", "level": level, "opened_on": DAY.isoformat(), "number": 1,
        "feed": "margin_intraday", "seen_on": "2024-02-09", "opened_at": micros(at(opened)),
        "ended_at": None if ended is None else micros(at(ended)), "ended_why": None if ended is None else "rearm",
        "record": "r",
    }  # fmt: skip


def notice(id: str, made: float, told: float | None, inputs: str) -> dict[str, object]:
    texts = dict.fromkeys(("category", "occurrence", "record", "stage", "stands", "stands_why", "terms"), "x")
    numbers = dict.fromkeys(("deadline", "known_at", "not_before", "window_end"), micros(at(50)))
    return {
        **texts, **numbers, "id": id, "rule": RULE, "subject": 2, "client": 1, "run": 1, "feed": "margin_intraday",
        "rule_set": SET, "business_date": DAY.isoformat(), "priority": 1, "late": "drop", "last": True, "inputs": inputs,
        "made_at": micros(at(made)), "told_at": None if told is None else micros(at(told)), "next_timer": micros(at(60)),
    }  # fmt: skip


def fill(live: Store) -> None:
    with live.write() as tx:
        sealed = seals.put(tx, 1, "inputs", b"{}", NOW)
        tx.execute(insert(episodes), [episode("warning", 1, 10), episode("call", 1, 2), episode("urgent", 6, None)])
        rows = [notice("told", 1, 2, sealed), notice("later", 1, 7, sealed), notice("waits", 1, None, sealed)]
        tx.execute(insert(notices), rows)
        for due, state in ((1, "ran"), (2, "missed"), (6, "ran")):
            tx.execute(
                insert(polls).values(
                    feed="margin_intraday", due=micros(at(due)), business_date=DAY.isoformat(), state=state, record="r"
                )
            )


def test_at_a_moment_stands_what_was_open_and_told_by_then(live: Store, scratch: Store) -> None:
    fill(live)
    rewind(scratch, live.folder, at(5), date(2024, 2, 2))
    with scratch.read() as tx:
        (open_,) = tx.execute(select(episodes)).mappings().all()
        (told,) = tx.execute(select(notices)).mappings().all()
        (ran,) = tx.execute(select(polls)).mappings().all()
        assert seals.get(tx, told["inputs"]) == b"{}"
    assert (open_["level"], open_["ended_at"], open_["seen_on"]) == ("warning", None, DAY.isoformat())
    assert (told["id"], told["outcome"], told["next_timer"]) == ("told", "delivered", None)
    assert ran["due"] == micros(at(1))


def test_whoever_is_known_keeps_number_and_keys_and_new_ones_survive_a_rewind(live: Store, scratch: Store) -> None:
    with live.read() as tx:
        keys = subjects.keys_of(tx, 1)
    with scratch.write() as tx:
        assert subjects.numbers(tx, "contract", ["9000000001"], ["S1"], now=NOW) == {"9000000001": 2}
        assert subjects.keys_of(tx, 1).commitment_key == keys.commitment_key
        assert subjects.keys_of(tx, 1).data_key.id == keys.data_key.id
        new = subjects.number_of(tx, "client", "S2", now=NOW)
    rewind(scratch, live.folder, at(5), DAY)
    with scratch.read() as tx:
        assert subjects.find(tx, "client", "S2") == new
    with live.read() as tx:
        assert subjects.find(tx, "client", "S2") is None


def test_what_was_simulated_is_gone_and_the_store_is_as_it_was(live: Store, scratch: Store) -> None:
    fill(live)
    live.close()
    before = hashlib.sha256((live.folder / FILE_NAME).read_bytes()).hexdigest()
    rewind(scratch, live.folder, at(5), DAY)
    with scratch.write() as tx:
        tx.execute(update(notices).values(outcome="expired"))
        pages.page(tx, "render:x", "urgent", "rule x: card y cannot be rendered", now=NOW)
    (scratch.folder / "sheets").mkdir()
    with scratch.read() as tx:
        assert faults_of(tx) == ("rule x: card y cannot be rendered",)
    rewind(scratch, live.folder, at(5), DAY)
    assert not (scratch.folder / "sheets").exists()
    with scratch.read() as tx:
        assert faults_of(tx) == holds_of(tx) == ()
        assert tx.execute(select(notices.c.outcome)).scalar_one() == "delivered"
        for table in (messages, records):
            assert tx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert hashlib.sha256((live.folder / FILE_NAME).read_bytes()).hexdigest() == before


def test_a_simulation_whose_delivery_broke_gives_no_result(scratch: Store) -> None:
    with scratch.write() as tx:
        pages.page(tx, "deliver:margin", "urgent", "feed margin: delivery breaks on KeyError", now=NOW)
    with scratch.read() as tx, pytest.raises(DueNoticeError, match="breaks on KeyError"):
        faults_of(tx)


def test_a_number_leads_to_its_subject(scratch: Store) -> None:
    for _ in range(2):
        with scratch.write() as tx:
            name_by_number(tx, "contract", ["#2"])
    with scratch.read() as tx:
        assert subjects.look_up(tx, "contract", ["#2", "#3"]) == {"#2": 2}
