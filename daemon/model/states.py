"""Message states and notice outcomes: one table of our own moves, one rank of receipts (DESIGN section 6). Pure.

A message's state is a function of our last own move and of the *set* of receipts seen; so receipts in any order, any
number of times, end the same. A set that contradicts itself (or our own move) is flagged, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class MessageState(StrEnum):
    """Where a message is. The first seven and the last three are ours, the rest come from receipts."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENDING = "sending"
    RETRY = "retry"
    IN_DOUBT = "in_doubt"
    REJECTED = "rejected"
    REVOKING = "revoking"
    ACCEPTED = "accepted"
    REVOKE_FAILED = "revoke_failed"
    REVOKED = "revoked"
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


_S = MessageState

OUR_MOVES: dict[MessageState, frozenset[MessageState]] = {
    _S.QUEUED: frozenset({_S.CLAIMED, _S.EXPIRED, _S.CANCELLED}),
    _S.CLAIMED: frozenset({_S.SENDING, _S.QUEUED, _S.REJECTED, _S.IN_DOUBT, _S.EXPIRED, _S.CANCELLED}),
    _S.SENDING: frozenset({_S.ACCEPTED, _S.IN_DOUBT, _S.RETRY, _S.REJECTED}),
    _S.RETRY: frozenset({_S.QUEUED, _S.EXPIRED, _S.CANCELLED}),
    _S.IN_DOUBT: frozenset({_S.ACCEPTED, _S.QUEUED, _S.REVOKING}),
    _S.ACCEPTED: frozenset({_S.REVOKING}),
    _S.REJECTED: frozenset(),
    _S.REVOKING: frozenset(),
    _S.REVOKE_FAILED: frozenset(),
    _S.REVOKED: frozenset(),
    _S.UNDELIVERED: frozenset(),
    _S.DELIVERED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.CANCELLED: frozenset(),
}
"""Our own moves, complete. `claimed -> rejected`: nothing can leave (no contact, no card); `claimed -> in_doubt`: a repeat that a
correction bars. `expired` and `cancelled` are barred to a message that has ever been in doubt."""

RECEIPT_RANK: dict[MessageState, int] = {
    _S.ACCEPTED: 1,
    _S.REVOKE_FAILED: 2,
    _S.REVOKED: 3,
    _S.UNDELIVERED: 4,
    _S.DELIVERED: 5,
}
"""Receipts only raise."""

TOLD = frozenset(
    {_S.SENDING, _S.ACCEPTED, _S.IN_DOUBT, _S.REVOKING, _S.REVOKE_FAILED, _S.REVOKED, _S.UNDELIVERED, _S.DELIVERED}
)
"""A message in one of these may have reached its recipient: the notice is told. A proved refusal (rejected) undoes it."""

OPEN = frozenset({_S.QUEUED, _S.CLAIMED, _S.RETRY})
"""Nothing has left, or provably nothing arrived: may still be cancelled."""

PROVED_NOT_ARRIVED = frozenset({_S.REJECTED, _S.REVOKED, _S.UNDELIVERED, _S.EXPIRED, _S.CANCELLED})
"""What lets a fallback or another gateway take over."""

CONTRADICTIONS: tuple[frozenset[MessageState], ...] = (
    frozenset({_S.DELIVERED, _S.UNDELIVERED}),
    frozenset({_S.DELIVERED, _S.REVOKED}),
    frozenset({_S.REVOKED, _S.REVOKE_FAILED}),
)
"""Receipts that cannot both be true."""

NOTHING_LEFT = frozenset({_S.REJECTED, _S.RETRY, _S.EXPIRED, _S.CANCELLED})
"""Last own moves that hold every attempt to have been refused: any receipt contradicts them."""


def may_move(old: MessageState, new: MessageState, *, ever_in_doubt: bool) -> bool:
    """Whether our own move `old -> new` is allowed."""
    if new in (_S.EXPIRED, _S.CANCELLED) and ever_in_doubt:
        return False
    return new in OUR_MOVES[old]


def with_receipts(own: MessageState, receipts: Iterable[MessageState]) -> MessageState:
    """The state of a message whose last own move is `own` (after a first `sending`) and that has seen these receipts.

    A revocation asked for stands above an acceptance: that one it follows, whenever its receipt comes.
    """
    best, rank = own, RECEIPT_RANK[_S.ACCEPTED] if own is _S.REVOKING else RECEIPT_RANK.get(own, 0)
    for receipt in receipts:
        if RECEIPT_RANK[receipt] > rank:
            best, rank = receipt, RECEIPT_RANK[receipt]
    return best


def contradicts(own: MessageState, receipts: Iterable[MessageState]) -> bool:
    """Whether the receipts, and the refusal that our own move rests on, cannot all be true."""
    seen = frozenset(receipts)
    return bool(seen and own in NOTHING_LEFT) or any(pair <= seen for pair in CONTRADICTIONS)


def as_known(state: MessageState, *, ever_in_doubt: bool) -> MessageState:
    """What is known of a message for its notice's outcome: one that waits for the repeat of a doubtful attempt is in doubt."""
    return _S.IN_DOUBT if ever_in_doubt and state in OPEN else state


class Outcome(StrEnum):
    """What became of a notice; exactly one, final."""

    DELIVERED = "delivered"
    HANDED_TO_SMS = "handed_to_sms"
    ACCEPTED_UNCONFIRMED = "accepted_unconfirmed"
    IN_DOUBT = "in_doubt"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


_OUTCOME_OF = {
    _S.DELIVERED: Outcome.DELIVERED,
    _S.ACCEPTED: Outcome.ACCEPTED_UNCONFIRMED,
    _S.REVOKE_FAILED: Outcome.ACCEPTED_UNCONFIRMED,
    _S.REVOKING: Outcome.IN_DOUBT,
    _S.SENDING: Outcome.IN_DOUBT,
    _S.IN_DOUBT: Outcome.IN_DOUBT,
    _S.REJECTED: Outcome.UNDELIVERABLE,
    _S.REVOKED: Outcome.UNDELIVERABLE,
    _S.UNDELIVERED: Outcome.UNDELIVERABLE,
    _S.QUEUED: Outcome.EXPIRED,
    _S.CLAIMED: Outcome.EXPIRED,
    _S.RETRY: Outcome.EXPIRED,
    _S.EXPIRED: Outcome.EXPIRED,
    _S.CANCELLED: Outcome.EXPIRED,
}

_BEST = (
    Outcome.DELIVERED,
    Outcome.HANDED_TO_SMS,
    Outcome.ACCEPTED_UNCONFIRMED,
    Outcome.IN_DOUBT,
    Outcome.UNDELIVERABLE,
    Outcome.EXPIRED,
)


def outcome_of(messages: Iterable[tuple[MessageState, bool]]) -> Outcome:
    """The best message's outcome. Each message is (state by `as_known`, handed to the SMS network). No message at all:
    undeliverable. A hand-over that a later receipt disproves counts for nothing."""
    found = set()
    for state, handed in messages:
        handed_on = handed and state not in PROVED_NOT_ARRIVED and state is not _S.DELIVERED
        found.add(Outcome.HANDED_TO_SMS if handed_on else _OUTCOME_OF[state])
    return next((o for o in _BEST if o in found), Outcome.UNDELIVERABLE)


class Stands(StrEnum):
    """Whether a notice still holds by what is known of its subject."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class PollState(StrEnum):
    """A ledger row's state: `running -> ran | late | failed | held`, `held | late -> running`; else missed or skipped."""

    DUE = "due"
    RUNNING = "running"
    RAN = "ran"
    LATE = "late"
    FAILED = "failed"
    HELD = "held"
    MISSED = "missed"
    SKIPPED = "skipped"


POLL_MOVES: dict[PollState, frozenset[PollState]] = {
    PollState.DUE: frozenset({PollState.RUNNING, PollState.MISSED, PollState.SKIPPED, PollState.LATE}),
    PollState.RUNNING: frozenset({PollState.RAN, PollState.LATE, PollState.FAILED, PollState.HELD}),
    PollState.LATE: frozenset({PollState.RUNNING, PollState.MISSED}),
    PollState.HELD: frozenset({PollState.RUNNING}),
    PollState.FAILED: frozenset({PollState.RUNNING}),
    PollState.RAN: frozenset(),
    PollState.MISSED: frozenset(),
    PollState.SKIPPED: frozenset(),
}
