"""What gateways call back with, on a real store: every part of what a client says is kept once, and what cannot be read, too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from daemon.channels.channel import ReceiptIn, ReceiptKind, Uplink
from daemon.clock import SteppedClock
from daemon.deliver import Deliverer
from daemon.deliver.rendering import unpack
from daemon.deliver.routes import Gateway, Routes
from daemon.intake import Intake
from daemon.store import seals
from daemon.store.db import Store
from daemon.store.tables import consents, messages, receipts, tasks, uplinks
from tests.bench import delivering
from tests.fakes import FakeChannel

BEGIN = datetime(2024, 2, 1, 1, 0, tzinfo=UTC)
ONE = "13900000001"
"""The mobile of the first client."""


@pytest.fixture
async def store(tmp_path: Path) -> Iterator[Store]:
    """Two clients who owe, a card sent to each."""
    made, world = delivering.stocked(tmp_path, 2, BEGIN)
    with made.lock():
        delivering.make_notices(made, world, BEGIN)
        routes = Routes(
            {"fake": Gateway(FakeChannel(course=lambda outgoing: ()))}, {"rcs": ("fake",), "sms": ("fake",)}
        )
        deliverer = Deliverer(made, routes, lambda digest: world, SteppedClock(BEGIN))
        while await deliverer.pass_(BEGIN) or deliverer.busy:
            pass
        deliverer.close()
        yield made
    made.close()


@pytest.fixture
def intake(store: Store) -> Intake:
    def no_rule_is_asked(digest: str) -> Any:
        raise AssertionError("what moves no message asks no rule")

    return Intake(store, no_rule_is_asked)


def rows(store: Store, table: Table) -> list[Any]:
    with store.read() as tx:
        return list(tx.execute(select(table)).mappings())


def uplink(text: str, id: str = "u1", raw: bytes = b"{}", in_reply_to: str = "") -> Uplink:
    return Uplink(id, ONE, "text", text, "", in_reply_to, "", BEGIN, raw)


def test_uplinks_without_an_id_are_all_kept_and_each_only_once(store: Store, intake: Intake) -> None:
    first, second = uplink("what is this", "", b"1"), uplink("call me", "", b"2")
    assert intake.keep("fake", [first, second], BEGIN) == 2
    assert intake.keep("fake", [second, first], BEGIN) == 0
    assert len(rows(store, uplinks)) == len(rows(store, tasks)) == 2


def test_every_part_of_an_uplink_of_several_parts_is_read(store: Store, intake: Intake) -> None:
    parts = [uplink("hello"), uplink("TD")]
    assert intake.keep("fake", parts, BEGIN) == 2
    assert intake.keep("fake", parts, BEGIN) == 0
    assert [row["kind"] for row in rows(store, uplinks)] == ["other", "opt_out"]
    assert [(row["category"], row["state"]) for row in rows(store, consents)] == [("marketing", "out")]


def test_receipts_that_cannot_be_read_are_all_kept(store: Store, intake: Intake) -> None:
    broken = [ReceiptIn("", "", ReceiptKind.UNKNOWN, "", BEGIN, raw) for raw in (b"one", b"two", b"one")]
    assert intake.keep("fake", broken, BEGIN) == 2
    assert intake.keep("fake", broken, BEGIN) == 0
    with store.read() as tx:
        kept = {seals.get(tx, row["sealed"]) for row in rows(store, receipts)}
    assert kept == {b"one", b"two"}


def test_what_a_platform_says_without_a_number_is_kept_for_a_person(store: Store, intake: Intake) -> None:
    complaint = Uplink("c1", "", "complaint", "spam", "", "", "", BEGIN, b"{}")
    assert intake.keep("fake", [complaint], BEGIN) == 1
    assert [row["kind"] for row in rows(store, uplinks)] == ["other"]
    assert len(rows(store, tasks)) == 1


def test_an_acknowledgement_goes_to_the_message_that_it_answers_and_not_to_a_newer_one(
    store: Store, intake: Intake
) -> None:
    older = next(row for row in rows(store, messages) if row["address"] == intake._address(ONE))
    with store.write() as tx:
        card = unpack(seals.get(tx, older["body"]))
        newer = {**older, "id": "n" * 32, "platform_id": "n" * 32, "generation": 2, "due": older["due"] + 1}
        tx.execute(messages.insert().values(**newer))
    intake.keep("fake", [uplink("已知晓", in_reply_to=card.contribution_id)], BEGIN)
    acknowledged = [row["id"] for row in rows(store, messages) if row["acknowledged_at"] is not None]
    assert acknowledged == [older["id"]]
