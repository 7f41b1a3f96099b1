"""Message states and notice outcomes: our moves, receipts in any order, contradictions, the one outcome."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.states import (
    OPEN,
    OUR_MOVES,
    POLL_MOVES,
    PROVED_NOT_ARRIVED,
    RECEIPT_RANK,
    TOLD,
    MessageState,
    Outcome,
    PollState,
    as_known,
    contradicts,
    may_move,
    outcome_of,
    with_receipts,
)

S = MessageState
RECEIPTS = tuple(RECEIPT_RANK)
STARTED = tuple(s for s in MessageState if s not in RECEIPT_RANK or s is S.ACCEPTED)
"""What a last own move can be once something may have left."""

# DESIGN section 6, "Message, ours", written out move by move
DESIGNED = {
    "queued": {"claimed", "expired", "cancelled"},
    # and two more: nothing can leave (no contact, no card); a repeat that a correction bars
    "claimed": {"sending", "queued", "rejected", "in_doubt", "expired", "cancelled"},
    "sending": {"accepted", "in_doubt", "retry", "rejected"},
    "retry": {"queued", "expired", "cancelled"},
    "in_doubt": {"accepted", "queued", "revoking"},
    "accepted": {"revoking"},
}

own_states = st.sampled_from(STARTED)
receipt_lists = st.lists(st.sampled_from(RECEIPTS), max_size=8)


def test_our_moves_are_those_of_the_design_and_no_others() -> None:
    found = {old.value: {new.value for new in moves} for old, moves in OUR_MOVES.items() if moves}
    assert found == DESIGNED
    assert set(OUR_MOVES) == set(MessageState)


@pytest.mark.parametrize("doubted", [False, True])
def test_a_move_is_allowed_exactly_by_the_table_and_the_bar_of_doubt(doubted: bool) -> None:
    for old in MessageState:
        for new in MessageState:
            barred = doubted and new in (S.EXPIRED, S.CANCELLED)
            assert may_move(old, new, ever_in_doubt=doubted) is (new in OUR_MOVES[old] and not barred)


def test_every_state_is_reached_and_what_is_final_has_no_move_out() -> None:
    reached, todo = {S.QUEUED}, [S.QUEUED]
    while todo:
        for new in OUR_MOVES[todo.pop()] - reached:
            reached.add(new)
            todo.append(new)
    assert reached | set(RECEIPT_RANK) == set(MessageState)
    assert all(not OUR_MOVES[s] for s in (S.REJECTED, S.DELIVERED, S.UNDELIVERED, S.REVOKED, S.EXPIRED, S.CANCELLED))


@given(own_states, receipt_lists, st.randoms(use_true_random=False))
def test_receipts_in_any_order_and_number_end_the_same(
    own: MessageState, receipts: list[MessageState], rng: object
) -> None:
    end = with_receipts(own, receipts)
    again = [*receipts, *receipts]
    rng.shuffle(again)  # type: ignore[attr-defined]
    assert with_receipts(own, again) is end
    assert with_receipts(own, set(receipts)) is end
    assert contradicts(own, again) is contradicts(own, receipts)


@given(own_states, receipt_lists)
def test_receipts_only_raise(own: MessageState, receipts: list[MessageState]) -> None:
    state = own
    for n in range(len(receipts) + 1):
        after = with_receipts(own, receipts[:n])
        assert RECEIPT_RANK.get(after, 0) >= RECEIPT_RANK.get(state, 0)
        state = after
    assert state is own or state in receipts


def test_the_order_of_receipts_is_the_one_of_the_design() -> None:
    order = [S.ACCEPTED, S.REVOKE_FAILED, S.REVOKED, S.UNDELIVERED, S.DELIVERED]
    assert sorted(RECEIPT_RANK, key=RECEIPT_RANK.__getitem__) == order
    for low, high in combinations(order, 2):
        for pair in permutations((low, high)):
            assert with_receipts(S.SENDING, pair) is high


def test_a_late_receipt_of_acceptance_does_not_undo_a_revocation_asked_for() -> None:
    assert with_receipts(S.REVOKING, [S.ACCEPTED]) is S.REVOKING
    assert with_receipts(S.REVOKING, [S.ACCEPTED, S.REVOKED]) is S.REVOKED
    assert with_receipts(S.IN_DOUBT, [S.ACCEPTED]) is S.ACCEPTED


@pytest.mark.parametrize(
    "pair",
    [
        (S.DELIVERED, S.UNDELIVERED),
        (S.DELIVERED, S.REVOKED),
        (S.REVOKED, S.REVOKE_FAILED),
    ],
)
def test_receipts_that_cannot_all_be_true_are_flagged(pair: tuple[MessageState, MessageState]) -> None:
    assert contradicts(S.ACCEPTED, pair)
    assert contradicts(S.ACCEPTED, [S.ACCEPTED, *pair[::-1]])
    assert not contradicts(S.ACCEPTED, pair[:1])


@pytest.mark.parametrize("own", [S.REJECTED, S.RETRY, S.EXPIRED, S.CANCELLED])
@pytest.mark.parametrize("receipt", RECEIPTS)
def test_any_receipt_of_what_is_held_to_have_been_refused_is_flagged(own: MessageState, receipt: MessageState) -> None:
    assert contradicts(own, [receipt])
    assert not contradicts(own, [])


def test_a_plain_life_contradicts_nothing() -> None:
    for own in (S.ACCEPTED, S.SENDING, S.IN_DOUBT):
        for last in (S.DELIVERED, S.UNDELIVERED, S.REVOKED):
            assert not contradicts(own, [S.ACCEPTED, last])
    assert not contradicts(S.REVOKING, [S.ACCEPTED, S.REVOKE_FAILED, S.DELIVERED])


def test_told_open_and_not_arrived_cover_every_state() -> None:
    assert set(MessageState) == OPEN | TOLD | PROVED_NOT_ARRIVED
    assert not OPEN & TOLD
    assert {S.REVOKED, S.UNDELIVERED} == PROVED_NOT_ARRIVED & TOLD


any_messages = st.lists(st.tuples(st.sampled_from(list(MessageState)), st.booleans()), max_size=5)
ORDER = [
    Outcome.DELIVERED,
    Outcome.HANDED_TO_SMS,
    Outcome.ACCEPTED_UNCONFIRMED,
    Outcome.IN_DOUBT,
    Outcome.UNDELIVERABLE,
    Outcome.EXPIRED,
]


@given(any_messages, st.randoms(use_true_random=False))
def test_a_notice_has_exactly_one_outcome_whatever_the_order_of_its_messages(
    messages: list[tuple[MessageState, bool]], rng: object
) -> None:
    found = outcome_of(messages)
    assert found in ORDER
    rng.shuffle(messages)  # type: ignore[attr-defined]
    assert outcome_of(messages) is found


@given(any_messages, any_messages)
def test_the_outcome_is_the_best_messages(
    left: list[tuple[MessageState, bool]], right: list[tuple[MessageState, bool]]
) -> None:
    if left and right:
        assert ORDER.index(outcome_of(left + right)) == min(
            ORDER.index(outcome_of(left)), ORDER.index(outcome_of(right))
        )


@pytest.mark.parametrize(
    ("state", "handed", "outcome"),
    [
        (S.DELIVERED, False, Outcome.DELIVERED),
        (S.DELIVERED, True, Outcome.DELIVERED),
        (S.ACCEPTED, False, Outcome.ACCEPTED_UNCONFIRMED),
        (S.ACCEPTED, True, Outcome.HANDED_TO_SMS),
        (S.IN_DOUBT, False, Outcome.IN_DOUBT),
        (S.SENDING, False, Outcome.IN_DOUBT),
        (S.REVOKING, False, Outcome.IN_DOUBT),
        (S.REVOKE_FAILED, False, Outcome.ACCEPTED_UNCONFIRMED),
        (S.REJECTED, False, Outcome.UNDELIVERABLE),
        (S.QUEUED, False, Outcome.EXPIRED),
        (S.RETRY, False, Outcome.EXPIRED),
    ],
)
def test_one_messages_outcome(state: MessageState, handed: bool, outcome: Outcome) -> None:
    assert outcome_of([(state, handed)]) is outcome


@pytest.mark.parametrize("state", sorted(PROVED_NOT_ARRIVED))
def test_what_provably_did_not_arrive_is_not_handed_to_the_sms_network(state: MessageState) -> None:
    assert outcome_of([(state, True)]) is outcome_of([(state, False)])


def test_no_message_at_all_is_undeliverable() -> None:
    assert outcome_of([]) is Outcome.UNDELIVERABLE


@pytest.mark.parametrize("state", sorted(MessageState))
def test_what_was_in_doubt_and_waits_for_its_repeat_is_still_in_doubt(state: MessageState) -> None:
    assert as_known(state, ever_in_doubt=False) is state
    known = as_known(state, ever_in_doubt=True)
    assert known is (S.IN_DOUBT if state in OPEN else state)
    if state in OPEN:
        assert outcome_of([(known, False)]) is Outcome.IN_DOUBT


def test_a_polls_ledger_row_moves_as_the_design_says() -> None:
    P = PollState
    assert {s for s, to in POLL_MOVES.items() if not to} == {P.RAN, P.MISSED, P.SKIPPED}
    assert POLL_MOVES[P.RUNNING] == {P.RAN, P.LATE, P.FAILED, P.HELD}
    assert all(P.RUNNING in POLL_MOVES[s] for s in (P.DUE, P.LATE, P.HELD, P.FAILED))
    assert set(POLL_MOVES) == set(PollState)
