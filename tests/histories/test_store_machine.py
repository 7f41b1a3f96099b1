"""Messages on a real store, real deliverer and intake, in any order of passes, answers, receipts, revocations, time and restarts.

Where the state of a message must be, is computed here from its last own move and the set of receipts that were given, apart
from what the store computed on its way. `test_histories.py` does the same for polls and notices.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select

from daemon.channels.channel import Outgoing, ReceiptIn, ReceiptKind
from daemon.clock import SteppedClock
from daemon.deliver import Deliverer
from daemon.deliver.routes import Gateway, Routes
from daemon.intake import Intake
from daemon.model.states import RECEIPT_RANK, MessageState, Outcome, contradicts, with_receipts
from daemon.store.tables import attempts, messages, notices
from tests.bench import delivering
from tests.fakes import Answer, Course, FakeChannel

BEGIN = datetime(2024, 2, 1, 1, 0, tzinfo=UTC)
CLIENTS = 2
STATE_OF = {
    ReceiptKind.DELIVERED: MessageState.DELIVERED,
    ReceiptKind.FAILED: MessageState.UNDELIVERED,
    ReceiptKind.REVOKED: MessageState.REVOKED,
    ReceiptKind.REVOKE_FAILED: MessageState.REVOKE_FAILED,
    ReceiptKind.SENT: MessageState.ACCEPTED,
}
ANSWERS: tuple[Answer, ...] = ("taken", "lost", "cut", "busy", "refused")


def silent(outgoing: Outgoing) -> Course:
    """Receipts come by the machine's rules alone."""
    return ()


class Messages(RuleBasedStateMachine):
    """Two clients, a card each, an SMS each behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="duenotice-machine-"))
        self.clock = SteppedClock(BEGIN)
        self.store, self.world = delivering.stocked(self.folder, CLIENTS, BEGIN)
        self.lock = self.store.lock()
        delivering.make_notices(self.store, self.world, BEGIN)
        self.channel = FakeChannel(course=silent, revokes=True)
        self.given: dict[str, set[ReceiptKind]] = defaultdict(set)
        self.outcomes: dict[str, str] = {}
        self._open()

    def _open(self) -> None:
        gateway = Gateway(self.channel, doubt_wait=timedelta(seconds=60))
        routes = Routes({"fake": gateway}, {"rcs": ("fake",), "sms": ("fake",)})
        self.deliverer = Deliverer(self.store, routes, lambda digest: self.world, self.clock, rng=random.Random(7))
        self.intake = Intake(self.store, lambda digest: self.world)

    def _until_quiet(self) -> None:
        async def passes() -> None:
            for _ in range(60):
                if not await self.deliverer.pass_(self.clock.now()) and not self.deliverer.busy:
                    return
            raise AssertionError("the deliverer finds something to do for ever")

        asyncio.run(passes())
        for receipt in self.channel.due(self.clock.now()):  # what a revocation brought
            self._give(receipt.platform_id, receipt.recipient, receipt.kind)
        self.channel.far.pending.clear()

    def _give(self, platform_id: str, recipient: str, kind: ReceiptKind) -> None:
        receipt = ReceiptIn(platform_id, recipient, kind, "0", self.clock.now(), b"{}")
        self.intake.keep("fake", [receipt], self.clock.now())
        self.given[platform_id].add(kind)

    def _rows(self) -> list[Any]:
        with self.store.read() as tx:
            return list(tx.execute(select(messages)).mappings())

    @rule(answer=st.sampled_from(ANSWERS))
    def deliver(self, answer: Answer) -> None:
        self.channel.answers = lambda outgoing, request: answer
        self._until_quiet()

    @rule(seconds=st.sampled_from((1, 31, 61, 601, 3_600)))
    def wait(self, seconds: int) -> None:
        self.clock.set(self.clock.now() + timedelta(seconds=seconds))

    @rule(which=st.integers(0, 3), kind=st.sampled_from(sorted(STATE_OF)), times=st.integers(1, 2))
    def receipt(self, which: int, kind: ReceiptKind, times: int) -> None:
        taken = list(self.channel.far.taken.items())
        for _ in range(times if taken else 0):
            id, arrival = taken[which % len(taken)]
            self._give(id, arrival.recipient, kind)

    @rule(kind=st.sampled_from(sorted(STATE_OF)))
    def receipt_of_a_stranger(self, kind: ReceiptKind) -> None:
        before = [(row["id"], row["state"]) for row in self._rows()]
        self.intake.keep(
            "fake", [ReceiptIn("nobody", "13900000099", kind, "0", self.clock.now(), b"{}")], self.clock.now()
        )
        assert [(row["id"], row["state"]) for row in self._rows()] == before

    @rule()
    def restart(self) -> None:
        self.deliverer.close()
        self.lock.release()
        self.lock = self.store.lock()
        self._open()

    @invariant()
    def the_state_is_that_of_the_last_move_and_the_set_of_receipts(self) -> None:
        for row in self._rows():
            seen = {STATE_OF[kind] for kind in self.given[row["platform_id"] or ""]}
            own = MessageState(row["own"])
            if row["tries"] and own not in (MessageState.QUEUED, MessageState.CLAIMED):
                assert MessageState(row["state"]) is with_receipts(own, seen), (own, seen, row["state"])
                assert row["contradicted"] == contradicts(own, seen)
            if row["ever_in_doubt"]:
                assert row["state"] not in ("expired", "cancelled")
            assert seen <= set(RECEIPT_RANK)

    @invariant()
    def no_handset_has_a_message_twice_and_every_request_has_its_attempt(self) -> None:
        assert all(one.times == 1 for one in self.channel.far.taken.values())
        with self.store.read() as tx:
            made = tx.execute(select(func.count()).select_from(attempts)).scalar() or 0
        assert self.channel.far.requests <= made

    @invariant()
    def an_outcome_is_for_ever(self) -> None:
        with self.store.read() as tx:
            for id, outcome in tx.execute(
                select(notices.c.id, notices.c.outcome).where(notices.c.outcome.is_not(None))
            ):
                assert self.outcomes.setdefault(id, outcome) == outcome

    def teardown(self) -> None:
        try:
            self.channel.answers = lambda outgoing, request: "taken"
            self._until_quiet()
            self.clock.set(BEGIN + timedelta(days=3))
            self._until_quiet()
            with self.store.read() as tx:
                found = tx.execute(select(notices.c.outcome)).scalars().all()
            assert len(found) == CLIENTS and set(found) <= set(Outcome)
        finally:
            self.deliverer.close()
            self.lock.release()
            self.store.close()
            shutil.rmtree(self.folder)


TestMessages = Messages.TestCase
TestMessages.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
