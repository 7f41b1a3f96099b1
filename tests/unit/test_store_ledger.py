"""The ledger: one poll of a feed at a time, in order of due time, through crashes, with a record for each move."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.errors import StoreConflict
from daemon.model.states import POLL_MOVES, PollState
from daemon.store import ledger, trail
from daemon.store.db import Store
from daemon.store.ledger import Lease
from daemon.store.readings import runs_of
from tests.builders_store import DAY, NOW, SET, at, new_store, reopen

P = PollState
FEED = "margin_intraday"


@pytest.fixture
def store(any_store: Store) -> Iterator[Store]:
    with any_store.lock():
        yield any_store


def due(store: Store, *hours: float, day=DAY) -> list[int]:
    with store.write() as tx:
        return [ledger.open_due(tx, FEED, at(h), day, now=NOW).id for h in hours]


def claim(store: Store, poll: int, *, hours: float = 9, elapsed: int = 0) -> Lease:
    with store.write() as tx:
        return ledger.claim(tx, poll, holder="child-1", rule_set=SET, now=at(hours), elapsed=elapsed)


def finish(store: Store, lease: Lease, state: PollState = P.RAN, reason: str = "", hours: float = 9) -> None:
    with store.write() as tx:
        ledger.finish(tx, lease, state, reason, now=at(hours))


def states(store: Store) -> list[tuple[PollState, str]]:
    with store.read() as tx:
        return [(poll.state, poll.reason) for poll in ledger.polls_in(tx, P)]


def claimable(store: Store, hours: float, *, elapsed: int = 0, retry=()) -> list[int]:
    with store.read() as tx:
        return [poll.id for poll in ledger.claimable(tx, now=at(hours), elapsed=elapsed, retry=retry)]


def test_a_due_time_has_one_row(store: Store) -> None:
    first, again = due(store, 1)[0], due(store, 1)[0]
    assert first == again
    assert states(store) == [(P.DUE, "")]


def test_the_calendar_leaves_a_row_too(store: Store) -> None:
    with store.write() as tx:
        ledger.open_due(tx, FEED, at(1), DAY, now=NOW, skip="no session")
    assert states(store) == [(P.SKIPPED, "no session")]
    assert claimable(store, 5) == []


def test_nothing_can_be_claimed_before_it_is_due(store: Store) -> None:
    ids = due(store, 1, 2)
    assert claimable(store, 0.5) == []
    assert claimable(store, 1) == ids[:1]


def test_after_a_gap_the_newest_due_time_of_a_day_runs_and_the_older_are_missed(store: Store) -> None:
    ids = due(store, 1, 2, 3)
    assert claimable(store, 9) == [ids[2]]
    finish(store, claim(store, ids[2]))
    assert states(store) == [(P.MISSED, "a newer due time runs"), (P.MISSED, "a newer due time runs"), (P.RAN, "")]


def test_after_a_gap_of_days_the_earlier_day_runs_first(store: Store) -> None:
    earlier = due(store, 1, 2)
    later = due(store, 25, day=DAY + timedelta(days=1))
    assert claimable(store, 30) == [earlier[1]]
    finish(store, claim(store, earlier[1]))
    assert claimable(store, 30) == later


def test_one_poll_of_a_feed_at_a_time(store: Store) -> None:
    ids = due(store, 1, 25)
    lease = claim(store, ids[0])
    assert claimable(store, 30) == []
    with pytest.raises(StoreConflict, match="child-1"):
        claim(store, ids[1])
    finish(store, lease)
    assert claim(store, ids[1]).fence == lease.fence + 1


def test_an_expired_lease_can_be_taken_and_its_holder_is_refused(store: Store) -> None:
    poll = due(store, 1)[0]
    old = claim(store, poll)
    later = ledger.LEASE + 1
    assert claimable(store, 9, elapsed=later) == [poll]
    new = claim(store, poll, elapsed=later)
    assert (new.number, new.fence) == (2, 2)
    for write in (lambda: finish(store, old), lambda: _renew(store, old)):
        with pytest.raises(StoreConflict, match="fence"):
            write()
    with store.read() as tx:
        assert [run["step"] for run in runs_of(tx, poll)] == ["broken", "reading"]
    finish(store, new)
    assert states(store) == [(P.RAN, "")]


def _renew(store: Store, lease: Lease) -> None:
    with store.write() as tx:
        ledger.renew(tx, lease, elapsed=5)


def test_a_renewed_lease_holds(store: Store) -> None:
    poll = due(store, 1)[0]
    lease = claim(store, poll)
    with store.write() as tx:
        ledger.renew(tx, lease, elapsed=ledger.LEASE)
    assert claimable(store, 9, elapsed=ledger.LEASE + 1) == []


def test_a_new_parent_voids_the_leases_of_earlier_boots(store: Store) -> None:
    poll = due(store, 1)[0]
    old = claim(store, poll)
    parent = reopen(store)
    parent.boot = f"{parent.node}/all/another"
    with parent.write() as tx:
        crashed = ledger.void_leases(tx)
    assert [(p.id, p.state) for p in crashed] == [(poll, P.RUNNING)]
    with pytest.raises(StoreConflict):
        finish(store, old)
    again = claim(parent, poll)
    assert (again.number, again.fence) == (2, old.fence + 2)
    finish(parent, again)
    assert states(parent) == [(P.RAN, "")]


def test_a_crashed_poll_that_was_overtaken_is_failed(store: Store) -> None:
    ids = due(store, 1, 2)
    claim(store, ids[0])
    newer = claim(store, ids[1], elapsed=ledger.LEASE + 1)
    assert states(store) == [(P.FAILED, "overtaken"), (P.RUNNING, "")]
    finish(store, newer)
    with pytest.raises(StoreConflict, match="newer"):
        claim(store, ids[0])


def test_a_late_poll_runs_when_its_input_lands(store: Store) -> None:
    poll = due(store, 1)[0]
    finish(store, claim(store, poll), P.LATE, "not settled")
    assert claimable(store, 9) == []
    assert claimable(store, 9, retry=(P.LATE,)) == [poll]
    finish(store, claim(store, poll))
    assert states(store) == [(P.RAN, "")]


def test_a_late_poll_that_still_waits_bars_no_later_poll(store: Store) -> None:
    (first,) = due(store, 8)
    finish(store, claim(store, first), P.LATE, "not settled")
    (second,) = due(store, 8 + 24, day=DAY + timedelta(days=1))
    with store.read() as tx:
        waits = ledger.claimable(tx, now=at(33), elapsed=0, retry=(P.LATE,), ripe=lambda poll: False)
        ripe = ledger.claimable(tx, now=at(33), elapsed=0, retry=(P.LATE,))
    assert [poll.id for poll in waits] == [second]
    assert [poll.id for poll in ripe] == [first]


def test_a_late_poll_is_missed_when_a_newer_one_ran(store: Store) -> None:
    late = due(store, 1)[0]
    finish(store, claim(store, late), P.LATE, "not settled")
    newer = due(store, 25, day=DAY + timedelta(days=1))[0]
    finish(store, claim(store, newer))
    assert states(store) == [(P.MISSED, "a newer poll has run"), (P.RAN, "")]
    assert due(store, 2) and states(store)[1] == (P.MISSED, "a newer poll has run")


def test_the_parent_fails_a_poll_whose_child_is_dead(store: Store) -> None:
    poll = due(store, 1)[0]
    lease = claim(store, poll)
    with store.write() as tx:
        failed = ledger.fail(tx, FEED, "child ended", now=at(9))
        assert ledger.fail(tx, "another", "x", now=at(9)) is None
    assert failed is not None
    assert (failed.id, failed.state) == (poll, P.FAILED)
    with pytest.raises(StoreConflict):
        finish(store, lease)
    assert claimable(store, 9, retry=(P.FAILED,)) == [poll]


def test_a_move_that_the_table_does_not_have_is_refused(store: Store) -> None:
    poll = due(store, 1)[0]
    lease = claim(store, poll)
    with pytest.raises(StoreConflict, match="no ledger move"):
        finish(store, lease, P.SKIPPED)
    assert states(store) == [(P.RUNNING, "")]


def test_each_move_is_a_record_caused_by_the_one_before(store: Store) -> None:
    poll = due(store, 1)[0]
    finish(store, claim(store, poll), P.FAILED, "source down")
    finish(store, claim(store, poll))
    with store.read() as tx:
        found = [record for _, record in trail.of_kind(tx, "poll")]
    assert [(r.data["state"], r.data["run"]) for r in found] == [
        ("due", 1),
        ("running", 1),
        ("failed", 1),
        ("running", 2),
        ("ran", 2),
    ]
    assert [r.cause for r in found[1:]] == [r.id for r in found[:-1]]


class Ledger(RuleBasedStateMachine):
    """Due times, claims by two children, ends, dead children and new parents, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = new_store(Path(self.folder.name))
        self.store.boot = "n1/all/0"
        self.boots, self.elapsed, self.hours = 0, 0, 0
        self.leases: list[Lease] = []
        self.ran: list[datetime] = []

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(ahead=st.integers(-3, 3))
    def falls_due(self, ahead: int) -> None:
        self.hours += 1
        moment = at(self.hours + ahead)
        with self.store.write() as tx:
            ledger.open_due(tx, FEED, moment, moment.date(), now=at(self.hours))

    @rule(retry=st.booleans())
    def a_child_claims(self, retry: bool) -> None:
        again = (P.LATE, P.FAILED, P.HELD) if retry else ()
        with self.store.write() as tx:
            for poll in ledger.claimable(tx, now=at(self.hours), elapsed=self.elapsed, retry=again):
                lease = ledger.claim(
                    tx, poll.id, holder="c", rule_set=SET, now=at(self.hours), elapsed=self.elapsed, lease=10
                )
                self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), state=st.sampled_from([P.RAN, P.LATE, P.FAILED, P.HELD]))
    def a_run_ends(self, data: st.DataObject, state: PollState) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        newest = lease.fence == self._fence()
        try:
            with self.store.write() as tx:
                ledger.finish(tx, lease, state, now=at(self.hours))
        except StoreConflict:
            assert not newest or lease is not self.leases[-1] or self._holder() == ""
            return
        assert newest
        if state is P.RAN:
            self.ran.append(lease.due)

    @rule()
    def time_passes(self) -> None:
        self.elapsed += 11

    @rule()
    def a_child_dies(self) -> None:
        with self.store.write() as tx:
            ledger.fail(tx, FEED, "child ended", now=at(self.hours))

    @rule()
    def the_parent_starts_again(self) -> None:
        self.boots += 1
        self.store.boot = f"n1/all/{self.boots}"
        with self.store.write() as tx:
            ledger.void_leases(tx)

    def _row(self):
        with self.store.read() as tx:
            return ledger.one(tx, ledger.feeds, feed=FEED)

    def _fence(self) -> int:
        row = self._row()
        return 0 if row is None else row["fence"]

    def _holder(self) -> str:
        row = self._row()
        return "" if row is None else row["holder"]

    @invariant()
    def polls_ran_in_order_of_due_time(self) -> None:
        assert self.ran == sorted(set(self.ran))

    @invariant()
    def at_most_one_runs(self) -> None:
        with self.store.read() as tx:
            assert len(ledger.polls_in(tx, (P.RUNNING,))) <= 1

    @invariant()
    def the_records_tell_every_state(self) -> None:
        with self.store.read() as tx:
            last: dict[str, str] = {}
            for _, record in trail.of_kind(tx, "poll"):
                due_, new = record.data["due"], PollState(record.data["state"])
                if due_ in last and not (last[due_] == new == P.RUNNING):
                    assert new in POLL_MOVES[PollState(last[due_])]
                last[due_] = new.value
            assert {trail.format_time(p.due): p.state.value for p in ledger.polls_in(tx, P)} == last


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
