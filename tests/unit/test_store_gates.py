"""What gates and polls read: silences that end, releases, holds that open once and end with what they allow; rule sets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemon.errors import ConfigError, StoreConflict
from daemon.store import gates_rows, rulesets, subjects, trail
from daemon.store.db import Store
from daemon.store.rulesets import NOBODY, Act
from tests.builders_store import NOW, at

COUNTS = {"notify": 900, "known": 100}
ONE, TWO = "1a" * 32, "2b" * 32


@pytest.fixture
def store(any_store: Store) -> Iterator[Store]:
    with any_store.write() as tx:
        subjects.numbers(tx, "client", ["S1", "S2"], now=NOW)
    yield any_store


def test_a_silence_holds_until_its_end(store: Store) -> None:
    with store.write() as tx:
        gates_rows.silence(tx, "margin", 1, until=at(2), reason="in court", by="wang", now=NOW)
        gates_rows.silence(tx, "*", None, until=at(1), reason="drill", by="wang", now=NOW)
    with store.read() as tx:
        found = gates_rows.silences_of(tx, "margin", at(0.5))
        assert (found.reason(1, 9), found.reason(2, 9)) == ("in court", "drill")
        assert gates_rows.silences_of(tx, "ipo", at(0.5)).reason(1, 9) == "drill"
        later = gates_rows.silences_of(tx, "margin", at(1))
        assert (later.reason(1, 9), later.reason(2, 9)) == ("in court", "")
        assert gates_rows.silences_of(tx, "margin", at(2)).reason(1, 9) == ""
        assert found.reason(2, 1) == "in court", "what a silenced client owns is silenced"


def test_a_silence_ends_before_its_time_by_a_person(store: Store) -> None:
    with store.write() as tx:
        id, first = gates_rows.silence(tx, "margin", 1, until=at(2), reason="x", by="wang", now=NOW)
        gates_rows.end_silence(tx, id, by="li", reason="over", now=at(1))
        with pytest.raises(StoreConflict, match="over"):
            gates_rows.end_silence(tx, id, by="li", reason="over", now=at(1))
        assert gates_rows.silences_of(tx, "margin", at(1)).reason(1, 9) == ""
    with store.read() as tx:
        (_, opened), (_, ended) = trail.of_kind(tx, "silence")
        assert (ended.cause, ended.client, ended.actor, ended.data["ended"]) == (first, 1, "person:li", True)
        assert opened.data["until"] == trail.format_time(at(2))


def test_a_silence_without_an_end_ahead_is_refused(store: Store) -> None:
    with store.write() as tx, pytest.raises(ValueError, match="ahead"):
        gates_rows.silence(tx, "margin", 1, until=NOW, reason="x", by="wang", now=NOW)


def test_a_release_is_of_one_subject_and_occurrence(store: Store) -> None:
    with store.write() as tx:
        record = gates_rows.release(tx, "client", "ipo", 1, "{}", by="wang", reason="checked", now=NOW)
        gates_rows.release(tx, "correction", "ipo", 2, "{}", by="wang", reason="checked", now=NOW)
        assert gates_rows.releases_of(tx, "ipo") == {(1, "{}"): record}
        assert set(gates_rows.releases_of(tx, "ipo", "correction")) == {(2, "{}")}
        assert gates_rows.releases_of(tx, "margin") == {}
        with pytest.raises(ValueError, match="scope"):
            gates_rows.release(tx, "everyone", "ipo", 1, "{}", by="wang", reason="x", now=NOW)


def hold(store: Store, **more):
    with store.write() as tx:
        record = trail.append(tx, "heartbeat", t=NOW, actor="sys:test", data={})
        return gates_rows.open_hold(
            tx, "allotments", "ipo", **{"reason": "too many", "counts": COUNTS, "now": NOW, "record": record} | more
        )


def test_a_hold_opens_once(store: Store) -> None:
    first, opened = hold(store)
    again, reopened = hold(store, reason="other", now=at(1))
    assert (opened, reopened) == (True, False)
    assert first == again
    assert (first.counts, first.since, first.open) == (COUNTS, NOW, True)
    with store.read() as tx:
        assert gates_rows.holds_of(tx, feed="allotments") == [first]
        assert gates_rows.holds_of(tx, feed="another") == []


def test_a_release_ends_a_hold_and_names_what_it_allows(store: Store) -> None:
    first, _ = hold(store)
    with store.write() as tx:
        gates_rows.end_hold(tx, first.id, by="wang", reason="checked", allowed={"notify": 1000}, now=at(1))
        with pytest.raises(StoreConflict, match="ended"):
            gates_rows.end_hold(tx, first.id, by="wang", reason="x", allowed=None, now=at(1))
        newest = gates_rows.newest_hold(tx, "allotments", "ipo")
        assert newest is not None
        assert (newest.open, newest.allowed, newest.gone) == (False, {"notify": 1000}, False)
        assert gates_rows.holds_of(tx) == []
        assert gates_rows.newest_hold(tx, "allotments", "other") is None
    with store.read() as tx:
        ((_, record),) = trail.of_kind(tx, "release")
        assert (record.cause, record.actor) == (first.record, "person:wang")
        assert record.data["counts"] == {"notify": 1000}
    assert hold(store, now=at(2))[1]


def test_a_hold_that_ends_itself_names_no_person(store: Store) -> None:
    first, _ = hold(store)
    with store.write() as tx:
        gates_rows.end_hold(tx, first.id, by="sys:rule", reason="30m", allowed=None, now=at(1), person=False)
        ((_, record),) = trail.of_kind(tx, "release")
        assert record.actor == "sys:rule"


FILES = {"rules/ipo/payment.yaml": b"rule: payment\n", "templates/ipo/payment.card.yaml": "标题\n".encode()}


def keep(store: Store, digest: str = ONE) -> None:
    with store.write() as tx:
        rulesets.keep(tx, digest, FILES, now=NOW)


def activate(store: Store, digest: str = ONE, *, hours: float = 0, act: Act = NOBODY) -> str | None:
    with store.write() as tx:
        return rulesets.activate(tx, digest, actor="person:wang", now=at(hours), act=act)


def test_a_kept_set_gives_its_bytes_back(store: Store) -> None:
    keep(store)
    keep(store)
    with store.read() as tx:
        assert rulesets.files_of(tx, ONE) == FILES
        with pytest.raises(LookupError, match="not kept"):
            rulesets.files_of(tx, TWO)
        assert rulesets.active(tx) is None


def test_activation_is_recorded_once(store: Store) -> None:
    keep(store)
    keep(store, TWO)
    first = activate(store)
    assert first is not None
    assert activate(store) is None
    second = activate(store, TWO, hours=1)
    with store.read() as tx:
        active = rulesets.active(tx)
        assert active is not None
        assert (active.digest, active.signed, active.at, active.record) == (TWO, False, at(1), second)
        found = trail.read(tx, active.record)
        assert found is not None
        assert (found.cause, found.data["previous"]) == (first, ONE)


def test_a_set_that_is_not_kept_cannot_be_active(store: Store) -> None:
    with pytest.raises(LookupError):
        activate(store)


def test_once_signed_never_unsigned_again(store: Store) -> None:
    keep(store)
    keep(store, TWO)
    activate(store)
    activate(store, TWO, act=Act("signed", 1))
    with pytest.raises(ConfigError, match="unsigned"):
        activate(store)
    with store.read() as tx:
        active = rulesets.active(tx)
        assert active is not None
        assert (active.digest, active.signed) == (TWO, True)
    assert activate(store, act=Act("signed", 2)) is not None
