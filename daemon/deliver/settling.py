"""Verdicts to states: settle an attempt with its record, and what follows from where the message came to rest."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import select

from daemon.channels.channel import Verdict, VerdictKind
from daemon.clock import micros
from daemon.deliver.preparing import Sending
from daemon.deliver.routes import Gateway, Routes
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


class Settler:
    """Settles the attempts of one pass."""

    def __init__(self, store: Store, routes: Routes, worlds: Callable[[str], World], rng: random.Random) -> None:
        self.store, self.routes, self.worlds, self.rng = store, routes, worlds, rng

    def settle(self, tx: Tx, sending: Sending, verdict: Verdict, now: datetime) -> None:
        """One attempt. A fence that is not ours any more settles nothing: the message is someone else's by now."""
        row = tx.execute(select(messages).where(messages.c.id == sending.message)).mappings().one()
        notice = tx.execute(select(notices).where(notices.c.id == sending.notice)).mappings().one()
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
        state = outbox.settle(
            tx,
            sending.message,
            sending.fence,
            sending.number,
            own=own,
            verdict=verdict.kind.value,
            code=verdict.code,
            now=micros(now),
            due=self._due(own, row["tries"], verdict, sending.gateway, now),
            record=record,
        )
        if verdict.kind in PAGED:
            pages.page(
                tx,
                f"gateway:{sending.gateway}:{verdict.code}",
                PAGED[verdict.kind],
                f"gateway {sending.gateway}: {verdict.code} {verdict.text}",
                now=now,
            )
        if state is None:
            return
        if state is MessageState.REJECTED:
            outbox.leave_address(tx, sending.notice, row["channel"], row["address"], sending.message)
        world = self.worlds(notice["rule_set"])
        settled = tx.execute(select(messages).where(messages.c.id == sending.message)).mappings().one()
        after_message(tx, world.ruleset.rules[notice["rule"]], notice, settled, now)

    def _due(self, own: MessageState, tries: int, verdict: Verdict, gateway: str, now: datetime) -> int | None:
        settings = self.routes.gateways[gateway]
        if own is MessageState.RETRY:
            return micros(now + self._wait(tries, verdict, settings))
        if own is MessageState.IN_DOUBT:
            return micros(now + settings.doubt_wait)
        return None

    def _wait(self, tries: int, verdict: Verdict, gateway: Gateway) -> timedelta:
        if verdict.retry_after is not None:
            return timedelta(seconds=verdict.retry_after)
        base, cap = gateway.retry_base.total_seconds(), gateway.retry_cap.total_seconds()
        return timedelta(seconds=max(0.05, backoff(tries, base, cap, self.rng)))
