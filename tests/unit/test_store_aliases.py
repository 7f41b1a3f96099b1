"""Renumbered accounts: two people, one number, whole or not at all, again without effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from daemon.errors import StoreConflict
from daemon.store import aliases, contacts, subjects, trail
from daemon.store.aliases import BadPairs, Pair
from daemon.store.contacts import Found
from daemon.store.db import Store
from daemon.store.tables import episodes
from tests.builders_store import NOW, at

PAIRS = (Pair("client", "S1", "T1", 2),)


@pytest.fixture
def store(any_store: Store) -> Iterator[Store]:
    with any_store.write() as tx:
        subjects.numbers(tx, "client", ["S1", "S2"], now=NOW)
    yield any_store


def propose(store: Store, pairs: Sequence[Pair] = PAIRS, by: str = "wang", hours: float = 0) -> None:
    with store.write() as tx:
        aliases.propose(tx, pairs, by=by, reason="renumbered", now=at(hours))


def confirm(store: Store, pairs: Sequence[Pair] = PAIRS, by: str = "li", hours: float = 1) -> int:
    with store.write() as tx:
        return aliases.confirm(tx, pairs, by=by, reason="checked", now=at(hours))[1]


def number(store: Store, key: str, kind: str = "client") -> int | None:
    with store.read() as tx:
        return subjects.find(tx, kind, key)


def test_both_keys_lead_to_one_number_in_every_process(store: Store) -> None:
    assert number(store, "T1") is None
    propose(store)
    assert number(store, "T1") is None, "a proposal changes nothing"
    assert confirm(store) == 1
    assert number(store, "T1") == number(store, "S1") == 1


def test_again_it_has_no_effect(store: Store) -> None:
    for hours in (0.0, 2.0):
        propose(store, hours=hours)
        made = confirm(store, hours=hours + 1)
    assert made == 0
    with store.read() as tx:
        changes = [record.data["change"] for _, record in trail.of_kind(tx, "alias")]
    assert sorted(changes) == ["confirmed", "confirmed", "made", "proposed", "proposed"]


def test_nobody_confirms_his_own_list(store: Store) -> None:
    propose(store)
    for name in ("wang", "WANG", "ｗａｎｇ"):
        with pytest.raises(StoreConflict, match="another person"):
            confirm(store, by=name)
    assert number(store, "T1") is None


def test_only_the_very_list_that_was_proposed_is_confirmed_and_only_for_a_week(store: Store) -> None:
    propose(store)
    with pytest.raises(StoreConflict, match="nobody has proposed"):
        confirm(store, (*PAIRS, Pair("client", "S2", "T2", 3)))
    with pytest.raises(StoreConflict, match="nobody has proposed"):
        confirm(store, hours=7 * 24)
    assert number(store, "T2") is None


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ((), "no pair at all"),
        ((Pair("client", "S9", "T1", 2),), "line 2: the old key is not known"),
        ((Pair("client", "S1", " S1 ", 2),), "line 2: old and new are one key"),
        ((*PAIRS, Pair("client", "S2", "T1", 3)), "line 3: the new key stands in the list twice"),
        (
            (Pair("client", "S1", "S2", 2), Pair("client", "S2", "T2", 3)),
            "line 2: the new key is another pair's old one",
        ),
    ],
)
def test_a_list_with_a_mistake_is_not_taken_and_names_no_key(store: Store, pairs: Sequence[Pair], why: str) -> None:
    with pytest.raises(BadPairs, match=why) as told:
        propose(store, pairs)
    assert not any(key in str(told.value) for key in ("S1", "S2", "T1", "S9"))
    assert number(store, "T1") is None


def test_a_new_key_that_was_seen_but_never_told_joins_with_what_it_owns(store: Store) -> None:
    with store.write() as tx:
        subjects.numbers(tx, "contract", ["C1"], ["T1"], now=NOW)
        stray = subjects.find(tx, "client", "T1")
        assert stray is not None
        contacts.take_over(tx, [Found(stray, "client", "sms", "10812345678")], origin="counter", now=NOW)
    propose(store)
    assert confirm(store) == 1
    with store.read() as tx:
        assert subjects.find(tx, "client", "T1") == 1
        contract = subjects.find(tx, "contract", "C1")
        assert contract is not None
        assert subjects.client_of(tx, contract) == 1
        assert contacts.contacts_of(tx, stray) == []


def test_a_new_key_with_notices_of_its_own_is_refused(store: Store) -> None:
    with store.write() as tx:
        stray = subjects.number_of(tx, "client", "T1", now=NOW)
        tx.execute(
            episodes.insert().values(
                rule="margin/maintenance",
                subject=stray,
                basis="day_end",
                level="call",
                opened_on="2024-02-01",
                number=1,
                feed="margin_day_end",
                seen_on="2024-02-01",
                opened_at=0,
                record="r",
            )
        )
    with pytest.raises(BadPairs, match="has notices of its own"):
        propose(store)


def test_the_trail_commits_to_the_new_key_and_shows_none(store: Store) -> None:
    propose(store)
    confirm(store)
    with store.read() as tx:
        made = next(record for _, record in trail.of_kind(tx, "alias") if record.data["change"] == "made")
    assert made.client is not None
    assert set(made.com) == {"key"}
    assert made.data == {"change": "made", "subject": 1, "kind": "client", "by": "li"}
