"""Verdicts to states: settle an attempt with its record, and what follows from where the message came to rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, select

from daemon.channels.channel import Verdict, VerdictKind
from daemon.clock import micros
from daemon.deliver.health import Health
from daemon.deliver.preparing import Sending
from daemon.deliver.routes import Gateway, Routes
from daemon.log import logger
from daemon.model.states import MessageState
from daemon.notices.passing import after_message
from daemon.retry import backoff
from daemon.store import outbox, pages, trail
from daemon.store.db import Store, Tx
from daemon.store.tables import messages, notices
from daemon.world import World

OWN = {
    VerdictKind.ACCEPTED: MessageState.ACCEPTED,
    VerdictKind.PERMANENT: MessageState.REJECTED,
    VerdictKind.OURS: MessageState.REJECTED,
    VerdictKind.TRANSIENT: MessageState.RETRY,
    VerdictKind.THROTTLED: MessageState.RETRY,
    VerdictKind.AUTH: MessageState.RETRY,
    VerdictKind.IN_DOUBT: MessageState.IN_DOUBT,
}
"""Verdict -> our own state. A refused repeat of one in doubt proves nothing of the first and leaves it in doubt."""

PAGED = {VerdictKind.AUTH: "urgent", VerdictKind.OURS: "urgent"}


def _is_open(row: RowMapping, sending: Sending) -> bool:
    """Whether nobody has settled the attempt, neither we nor the end of its lease."""
    return bool(row["own"] == MessageState.SENDING.value and row["fence"] == sending.fence)


class Settler:
    """Settles the attempts of one pass."""

    def __init__(
        self, store: Store, routes: Routes, worlds: Callable[[str], World], rng: random.Random, health: Health
    ) -> None:
        self.store, self.routes, self.worlds, self.rng, self.health = store, routes, worlds, rng, health

    def settle(self, tx: Tx, answers: Sequence[tuple[Sending, Verdict]], now: datetime, *, again: bool = False) -> None:
        """Settle attempts, and what follows. A fence that is not ours any more settles nothing: the message is someone else's, and
        the answer is kept as a record alone. `again`: the commit of a first try may have happened."""
        about = {sending.notice for sending, _ in answers}
        outbox.lock_notices(tx, about)
        ids = {sending.message for sending, _ in answers}
        rows = {r["id"]: r for r in tx.execute(select(messages).where(messages.c.id.in_(ids))).mappings()}
        if again:
            answers = [(sending, verdict) for sending, verdict in answers if _is_open(rows[sending.message], sending)]
        for sending, verdict in answers:
            self._hear(tx, sending.gateway, verdict, now)
        held = {r["id"]: r for r in tx.execute(select(notices).where(notices.c.id.in_(about))).mappings()}
        ends = [
            self._end(tx, sending, verdict, rows[sending.message], held[sending.notice], now)
            for sending, verdict in answers
        ]
        after = outbox.settle(tx, ends, micros(now))
        for sending, verdict in answers:
            if verdict.kind in PAGED:
                key, sentence = (
                    f"gateway:{sending.gateway}:{verdict.code}",
                    f"gateway {sending.gateway}: {verdict.code}",
                )
                pages.page(tx, key, PAGED[verdict.kind], sentence, now=now)
            settled, notice = after.get(sending.message), held[sending.notice]
            if settled is None:
                logger.warning("an answer came after its lease was over", action="settle", message=sending.message)
                continue
            if settled["state"] == MessageState.REJECTED.value:
                outbox.leave_address(tx, sending.notice, settled["channel"], settled["address"], sending.message)
            after_message(tx, self.worlds(notice["rule_set"]).ruleset.rules[notice["rule"]], notice, settled, now)

    def _hear(self, tx: Tx, gateway: str, verdict: Verdict, now: datetime) -> None:
        """A gateway that closes pages a person, and its opening again ends that page."""
        changed, key = self.health.heard(gateway, verdict, now), f"closed:{gateway}"
        if changed == "closed":
            sentence = f"gateway {gateway} takes no messages for now: {verdict.code}; what can goes by another one"
            pages.page(tx, key, "urgent", sentence, now=now)
        elif changed == "opened":
            pages.acknowledge(tx, key, by="sys:deliver", now=now)

    def _end(
        self, tx: Tx, sending: Sending, verdict: Verdict, row: RowMapping, notice: RowMapping, now: datetime
    ) -> outbox.Settle:
        own = OWN[verdict.kind]
        if row["ever_in_doubt"] and own in (MessageState.REJECTED, MessageState.RETRY):
            own = MessageState.IN_DOUBT
        record = trail.append(
            tx,
            "attempt",
            t=now,
            cause=sending.record,
            actor=f"gateway:{sending.gateway}",
            client=sending.client,
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={
                "message": sending.message,
                "n": sending.number,
                "notice": sending.notice,
                "verdict": verdict.kind.value,
                "code": verdict.code[:128] or "none",
                "fence": sending.fence,
            },
        )
        due = self._due(own, row, verdict, sending.gateway, now)
        return outbox.Settle(
            sending.message, sending.fence, sending.number, own, verdict.kind.value, verdict.code, due, record
        )

    def _due(self, own: MessageState, row: RowMapping, verdict: Verdict, gateway: str, now: datetime) -> int | None:
        settings = self.routes.gateways[gateway]
        if own is MessageState.RETRY:
            others = [name for name in self.routes.carriers(row["channel"]) if name != gateway]
            moves = self.health.barred_until(gateway, now) is not None and bool(others)
            if moves and self.health.reopens(others, now) is None:
                return micros(now)
            return micros(now + self._wait(row["tries"], verdict, settings))
        if own is MessageState.IN_DOUBT:
            return micros(now + settings.doubt_wait)
        return None

    def _wait(self, tries: int, verdict: Verdict, gateway: Gateway) -> timedelta:
        if verdict.retry_after is not None:
            return timedelta(seconds=verdict.retry_after)
        base, cap = gateway.retry_base.total_seconds(), gateway.retry_cap.total_seconds()
        return timedelta(seconds=max(0.05, backoff(tries, base, cap, self.rng)))
