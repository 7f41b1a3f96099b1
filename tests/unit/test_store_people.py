"""Contacts, consents, tasks and pages: kept as versions, changed once, each change with its record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemon.audit.record import commit as commitment
from daemon.errors import StoreConflict
from daemon.store import consents, contacts, pages, subjects, trail, worklist
from daemon.store.consents import Said
from daemon.store.contacts import Found
from daemon.store.db import Store
from tests.builders_store import NOW, at

PHONE, OTHER = "10812345678", "10900000001"


@pytest.fixture
def store(any_store: Store) -> Iterator[Store]:
    with any_store.write() as tx:
        subjects.numbers(tx, "client", ["S1", "S2"], now=NOW)
    yield any_store


def take(store: Store, *found: Found, hours: float = 0) -> int:
    with store.write() as tx:
        return contacts.take_over(tx, found, origin="counter", now=at(hours))


def current(store: Store, client: int = 1) -> list[tuple[str, str, str]]:
    with store.read() as tx:
        return [(c.role, c.channel, contacts.address_of(tx, c)) for c in contacts.contacts_of(tx, client)]


def test_a_contact_is_kept_with_its_record(store: Store) -> None:
    assert take(store, Found(1, "client", "rcs", " +86 " + PHONE)) == 1
    assert current(store) == [("client", "rcs", PHONE)]
    with store.read() as tx:
        ((_, record),) = trail.of_kind(tx, "contact")
        assert record.data == {"change": "made", "contact": "client", "channel": "rcs", "source": "counter"}
        key = subjects.keys_of(tx, 1).commitment_key
        assert record.com == {"address": commitment(key, record.id, "address", PHONE)}
    assert PHONE.encode() not in b"".join(path.read_bytes() for path in store.folder.glob("duenotice.db*"))


def test_an_equal_address_changes_nothing(store: Store) -> None:
    take(store, Found(1, "client", "rcs", PHONE))
    assert take(store, Found(1, "client", "rcs", f"+86{PHONE}"), hours=1) == 0
    with store.read() as tx:
        assert len(trail.of_kind(tx, "contact")) == 1


def test_a_changed_address_ends_the_old_one(store: Store) -> None:
    take(store, Found(1, "client", "rcs", PHONE), Found(1, "client", "sms", PHONE), Found(2, "client", "rcs", OTHER))
    assert take(store, Found(1, "client", "rcs", OTHER), hours=1) == 1
    assert current(store) == [("client", "sms", PHONE), ("client", "rcs", OTHER)]
    with store.read() as tx:
        (one,) = contacts.contacts_of(tx, 1, "client", "rcs")
        assert one.since == at(1)
        records = [r for _, r in trail.of_kind(tx, "contact")]
        assert records[-1].data["change"] == "changed"
        assert records[-1].cause == records[0].id
        assert set(contacts.contacts_of_many(tx, [1, 2, 3])) == {1, 2}


def test_a_client_named_twice_in_one_reading_ends_with_the_last_word(store: Store) -> None:
    assert take(store, Found(1, "client", "rcs", PHONE), Found(1, "client", "rcs", OTHER)) == 2
    assert current(store) == [("client", "rcs", OTHER)]


def test_an_ended_contact_is_gone(store: Store) -> None:
    take(store, Found(1, "client", "rcs", PHONE))
    with store.write() as tx:
        (one,) = contacts.contacts_of(tx, 1)
        contacts.end(tx, one, origin="counter", now=at(1))
    assert current(store) == []
    take(store, Found(1, "client", "rcs", PHONE), hours=2)
    assert current(store) == [("client", "rcs", PHONE)]


def test_channels_of_one_medium_share_the_blind_index(store: Store) -> None:
    rcs, sms, mail = (contacts.address_index(store, channel, PHONE) for channel in ("rcs", "sms", "email"))
    assert rcs == sms != mail
    with pytest.raises(ValueError, match="nothing is left"):
        contacts.address_index(store, "rcs", " ")


def say(store: Store, *found: Said) -> int:
    with store.write() as tx:
        return consents.take_over(tx, found, origin="counter", now=NOW)


def test_a_consent_changes_once_and_is_recorded(store: Store) -> None:
    assert say(store, Said(1, "marketing", "*", "in"), Said(2, "marketing", "sms", "out")) == 2
    assert say(store, Said(1, "marketing", "*", "in")) == 0
    assert say(store, Said(1, "marketing", "*", "out")) == 1
    with store.read() as tx:
        assert consents.consents_of(tx, [1, 2, 3]) == {
            1: {("marketing", "*"): "out"},
            2: {("marketing", "sms"): "out"},
        }
        assert [r.data["given"] for _, r in trail.of_kind(tx, "consent")] == [True, False, False]


def test_an_unknown_state_is_refused_and_nothing_is_kept(store: Store) -> None:
    with pytest.raises(ValueError, match="maybe"):
        say(store, Said(1, "marketing", "*", "in"), Said(2, "marketing", "*", "maybe"))
    with store.read() as tx:
        assert consents.consents_of(tx, [1, 2]) == {}


@pytest.mark.parametrize(
    ("said", "channel", "state"),
    [
        ({}, "sms", "unknown"),
        ({("marketing", "*"): "in"}, "sms", "in"),
        ({("marketing", "*"): "in", ("marketing", "sms"): "out"}, "sms", "out"),
        ({("marketing", "*"): "in", ("marketing", "sms"): "out"}, "rcs", "in"),
        ({("marketing", "*"): "out", ("marketing", "sms"): "in"}, "sms", "out"),
        ({("service", "*"): "in"}, "sms", "unknown"),
    ],
)
def test_a_refusal_beats_every_agreement(said, channel: str, state: str) -> None:
    assert consents.state_of(said, "marketing", channel) == state


def test_one_open_task_for_a_key(store: Store) -> None:
    with store.write() as tx:
        first = worklist.open_task(tx, "call:1", "no receipt", now=NOW, rule="margin", subject=1, deadline=at(5))
        assert worklist.open_task(tx, "call:1", "no receipt", now=at(1)) == first
        worklist.close(tx, first, by="wang", result="reached", now=at(2))
        assert worklist.open_task(tx, "call:1", "again", now=at(3)) != first
    with store.read() as tx:
        found = [(r.data["change"], r.actor, r.client) for _, r in trail.of_kind(tx, "task")]
    assert found == [("opened", "sys:worklist", 1), ("closed", "person:wang", 1), ("opened", "sys:worklist", None)]


def test_a_taken_task_is_one_persons(store: Store) -> None:
    with store.write() as tx:
        id = worklist.open_task(tx, "call:1", "no receipt", now=NOW)
        worklist.take(tx, id, by="wang", now=NOW)
        worklist.take(tx, id, by="wang", now=NOW)
        with pytest.raises(StoreConflict, match="wang"):
            worklist.take(tx, id, by="li", now=NOW)
        assert worklist.close_key(tx, "call:1", by="li", result="reached", now=NOW)
        assert not worklist.close_key(tx, "call:1", by="li", result="reached", now=NOW)
        with pytest.raises(StoreConflict, match="closed"):
            worklist.take(tx, id, by="li", now=NOW)
        with pytest.raises(StoreConflict, match="no such task"):
            worklist.close(tx, 99, by="li", result="x", now=NOW)


def test_tasks_come_by_deadline_then_age(store: Store) -> None:
    with store.write() as tx:
        for key, deadline in (("a", None), ("b", at(5)), ("c", at(1)), ("d", None)):
            worklist.open_task(tx, key, "r", now=NOW, deadline=deadline)
        worklist.close_key(tx, "d", by="li", result="x", now=NOW)
        assert [row["key"] for row in worklist.tasks_of(tx)] == ["c", "b", "a"]
        assert len(worklist.tasks_of(tx, open_only=False)) == 4


def test_a_page_waits_once_until_it_is_acknowledged(store: Store) -> None:
    with store.write() as tx:
        assert pages.page(tx, "late:margin", "urgent", "feed margin is late", now=NOW)
        assert not pages.page(tx, "late:margin", "urgent", "feed margin is late", now=at(1))
        assert [row["key"] for row in pages.pages_of(tx)] == ["late:margin"]
        assert pages.acknowledge(tx, "late:margin", by="wang", now=at(2))
        assert not pages.acknowledge(tx, "late:margin", by="wang", now=at(2))
        assert pages.pages_of(tx) == []
        assert pages.page(tx, "late:margin", "warning", "again", now=at(3))
        assert [row["severity"] for row in pages.pages_of(tx, open_only=False)] == ["warning", "urgent"]
        with pytest.raises(ValueError, match="loud"):
            pages.page(tx, "x", "loud", "x", now=NOW)
