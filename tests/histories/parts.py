"""The pure parts under test, a message, what is sealed with a notice, and the platform that loses answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from daemon.model.notices import (
    Change,
)
from daemon.model.states import (
    OPEN,
    MessageState,
    contradicts,
    may_move,
    outcome_of,
    with_receipts,
)
from daemon.notices.corrections import correct
from daemon.notices.levels import end_absent, renew_levels
from daemon.notices.standing import renew, sweep
from tests.histories.generate import Word

S = MessageState
RAISES = {
    "sent": S.ACCEPTED,
    "delivered": S.DELIVERED,
    "failed": S.UNDELIVERED,
    "revoked": S.REVOKED,
    "revoke_failed": S.REVOKE_FAILED,
    "handed": S.ACCEPTED,
}


@dataclass(frozen=True, slots=True)
class Flow:
    """The program's pure parts; a test of the oracle plants faults here."""

    renew: Callable[..., list[Change]] = renew
    correct: Callable[..., list[Change]] = correct
    renew_levels: Callable[..., list[Change]] = renew_levels
    end_absent: Callable[..., list[Change]] = end_absent
    sweep: Callable[..., Change | None] = sweep
    with_receipts: Callable[..., MessageState] = with_receipts
    outcome_of: Callable[..., Any] = outcome_of


@dataclass(slots=True)
class Message:
    """One message of a notice."""

    notice: str
    channel: str
    due: int
    state: MessageState = S.QUEUED
    own: MessageState = S.QUEUED
    ever_in_doubt: bool = False
    tries: int = 0
    started: int = -1
    says: str = ""
    marks: tuple[str, ...] = ()
    receipts: list[str] = field(default_factory=list)
    contradicted: bool = False
    raise_: Callable[..., MessageState] = with_receipts

    @property
    def id(self) -> str:
        return f"{self.notice}/{self.channel}/1"

    @property
    def raised(self) -> list[MessageState]:
        return [RAISES[k] for k in self.receipts]

    def move(self, new: MessageState) -> None:
        """Our own move, by the table; receipts that came first are not lowered."""
        assert may_move(self.own, new, ever_in_doubt=self.ever_in_doubt), f"{self.id}: {self.own} -> {new}"
        self.own = new
        self.ever_in_doubt = self.ever_in_doubt or new is S.IN_DOUBT
        self.state = self.raise_(new, self.raised) if self.tries and new not in OPEN else new
        self.contradicted = contradicts(new, self.raised)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is sealed with a notice: the word it was last made or renewed from."""

    word: Word
    started: int


@dataclass(slots=True)
class Carrier:
    """The platform: what arrived, and the receipts under way."""

    rng: random.Random
    honours_ids: bool
    seen: set[str] = field(default_factory=set)
    arrived: list[str] = field(default_factory=list)
    under_way: list[tuple[int, float, str, str]] = field(default_factory=list)

    def take(self, message: str, now: int) -> None:
        """A request is taken: one that repeats an id is the same message where ids are honoured."""
        if message in self.seen and self.honours_ids:
            return
        self.seen.add(message)
        rng, kinds = self.rng, ["sent"] if self.rng.random() < 0.7 else []
        end = rng.choice(("delivered", "delivered", "failed", "handed", ""))
        kinds += [end] if end else []
        if end == "handed" and rng.random() < 0.4:
            kinds.append("failed")
        if end == "delivered" or rng.random() < 0.05:
            self.arrived.append(message)
        if end == "failed" and rng.random() < 0.1:
            kinds.append("delivered")
        self.post(message, kinds, now)

    def revoke(self, message: str, now: int) -> None:
        if message not in self.seen:
            self.post(message, ["revoked"], now)  # nothing is there and nothing will be
            self.seen.add(message)
        elif self.rng.random() < 0.8:
            self.post(message, ["revoked" if message not in self.arrived else "revoke_failed"], now)

    def post(self, message: str, kinds: Sequence[str], now: int) -> None:
        """Receipts, late, doubled and out of order."""
        for kind in kinds:
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                wait = self.rng.choice((0, 1, 3, 15, 90, 400))
                self.under_way.append((now + wait, self.rng.random(), message, kind))

    def due(self, now: int) -> list[tuple[str, str]]:
        ready = sorted(r for r in self.under_way if r[0] <= now)
        self.under_way = [r for r in self.under_way if r[0] > now]
        return [(message, kind) for _, _, message, kind in ready]
