"""What is due without any claim: leases that ended, retries, windows, timers, outcomes, messages in doubt, revocations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

from sqlalchemy import RowMapping, func, select, update

from daemon import failpoints
from daemon.channels.channel import Outgoing, Standing, Traits, Verdict, VerdictKind
from daemon.clock import from_micros, micros
from daemon.deliver import rendering
from daemon.deliver.routes import Routes
from daemon.model.states import MessageState
from daemon.notices import passing
from daemon.notices.writer import ACTOR
from daemon.rules.schema import Rule
from daemon.store import doubts, noticebook, outbox, seals, trail, worklist
from daemon.store.db import Store, Tx
from daemon.store.tables import messages, notices
from daemon.world import World

Row: TypeAlias = RowMapping
"""A row of `messages`."""

LATER = timedelta(minutes=10)
ASK_AGAIN = timedelta(seconds=30)
UNASKED = Traits(repeat="unknown", ask="no", revoke=False)
"""A gateway that is not there."""

MOST = 50
"""Rows of one kind in one transaction: it holds the lock for milliseconds, and the next pass goes on."""


class Upkeep:
    """The part of a pass that time alone asks for."""

    def __init__(self, store: Store, routes: Routes, worlds: Callable[[str], World]) -> None:
        self.store, self.routes, self.worlds = store, routes, worlds
        self.askable = [name for name, one in routes.gateways.items() if one.channel.traits.ask == "query"]
        """Gateways whose platform says whether it has a message: a doubt is asked about before anything else is done."""

    def pass_(self, now: datetime) -> int:
        """Do all of it once; returns how many rows moved."""
        steps = (self._leases, self._retries, self._windows, self._timers, self._doubts, self._outcomes)
        with self.store.read() as tx:  # most passes find nothing, and then take no lock
            wanted = [step for step in steps if step(tx, now, look=True)]
        done = 0
        for step in wanted:
            with self.store.write() as tx:
                done += step(tx, now, look=False)
            failpoints.reached("after_upkeep")
        return done

    def _leases(self, tx: Tx, now: datetime, *, look: bool) -> int:
        if look:
            return doubts.leases_over(tx)
        rows = doubts.void_leases(tx)
        for row in rows:
            self._doubt(tx, row, now)
        return len(rows)

    def _retries(self, tx: Tx, now: datetime, *, look: bool) -> int:
        return doubts.retries_due(tx, micros(now)) if look else doubts.wake_retries(tx, micros(now))

    def _rule(self, row: RowMapping) -> Rule:
        return self.worlds(row["rule_set"]).ruleset.rules[row["rule"]]

    def _notice(self, tx: Tx, id: str) -> RowMapping:
        return tx.execute(select(notices).where(notices.c.id == id)).mappings().one()

    def _doubt(self, tx: Tx, row: RowMapping, now: datetime) -> None:
        notice = self._notice(tx, row["notice"])
        record = trail.append(
            tx,
            "attempt",
            t=now,
            cause=row["record"],
            actor=ACTOR,
            client=row["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={
                "message": row["id"],
                "n": row["tries"],
                "notice": row["notice"],
                "verdict": "in_doubt",
                "code": "lease_over",
            },
        )
        wait = self.routes.gateways[row["gateway"]].doubt_wait if row["gateway"] in self.routes.gateways else LATER
        doubts.doubt(tx, row, now=micros(now), due=micros(now + wait), record=record)

    def _windows(self, tx: Tx, now: datetime, *, look: bool) -> int:
        rows = noticebook.due_windows(tx, micros(now), 1 if look else MOST)
        for row in [] if look else rows:
            passing.window_ended(tx, self._rule(row), row, now)
        return len(rows)

    def _timers(self, tx: Tx, now: datetime, *, look: bool) -> int:
        rows = noticebook.due_timers(tx, micros(now), 1 if look else MOST)
        for row in [] if look else rows:
            passing.timer_due(tx, self._rule(row), row, now)
        return len(rows)

    def _outcomes(self, tx: Tx, now: datetime, *, look: bool) -> int:
        done = 0
        for rule_set, name in tx.execute(
            select(notices.c.rule_set, notices.c.rule)
            .distinct()
            .where(notices.c.outcome.is_(None), notices.c.deadline <= micros(now))
        ).all():
            rule = self.worlds(rule_set).ruleset.rules[name]
            window = int(rule.receipt_window / timedelta(microseconds=1))
            rows = noticebook.due_outcomes(tx, name, micros(now), window, 1 if look else MOST)
            for row in [] if look else rows:
                passing.finish(tx, rule, row, now)
            done += len(rows)
        return done

    def _doubts(self, tx: Tx, now: datetime, *, look: bool) -> int:
        rows = doubts.due_doubts(tx, micros(now), 1 if look else MOST, asked=self.askable)
        for row in [] if look else rows:
            self._resolve(tx, row, now)
        return len(rows)

    def _resolve(self, tx: Tx, row: RowMapping, now: datetime) -> None:
        """No receipt came in time: revoke where that proves something, else repeat where the platform honours our id, else the
        rule's choice. A correction that stands, or newer terms, bar a repeat."""
        notice = self._notice(tx, row["notice"])
        rule, gateway = self._rule(notice), self.routes.gateways.get(row["gateway"] or "")
        bound = row["tries"] >= 5 or notice["outcome"] is not None or outbox.is_overtaken(tx, row, notice)
        if gateway is None:  # it is configured no more, or the message was in doubt from the first (restored.py)
            bound, traits = True, UNASKED
        else:
            traits = gateway.channel.traits
        if not bound and (traits.repeat == "yes" or (rule.in_doubt == "repeat" and not traits.revoke)):
            record = self._moved(tx, row, notice, "queued", "repeat with the same id", now)
            doubts.repeat(tx, row, due=micros(now), record=record)
            return
        if not bound and traits.revoke:
            passing.revoke(tx, notice, row, now, cause=row["record"], why="in doubt")
            return
        worklist.open_task(
            tx,
            f"doubt:{row['id']}",
            "in doubt whether it arrived",
            now=now,
            rule=rule.name,
            notice=notice["id"],
            subject=notice["subject"],
            deadline=from_micros(notice["deadline"]),
            cause=row["record"],
        )
        doubts.wait_longer(
            tx, row["id"], notice["deadline"] + int(rule.receipt_window / timedelta(microseconds=1)) + micros(now)
        )

    def _moved(self, tx: Tx, row: RowMapping, notice: RowMapping, state: str, why: str, now: datetime) -> str:
        return trail.append(
            tx,
            "message",
            t=now,
            cause=row["record"],
            actor=ACTOR,
            client=row["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={"message": row["id"], "state": state, "notice": row["notice"], "from": row["state"], "reason": why},
        )

    def revocations(self, now: datetime) -> list[tuple[RowMapping, Outgoing]]:
        """What is to be called back now; no other process is given it meanwhile."""
        query = (
            select(messages)
            .where(
                messages.c.state == MessageState.REVOKING.value,
                messages.c.due <= micros(now),
                messages.c.gateway.in_(self.routes.gateways),
            )
            .limit(MOST)
        )
        return self._given(lambda tx: tx.execute(query).mappings().all(), now)

    def _given(self, find: Callable[[Tx], Sequence[RowMapping]], now: datetime) -> list[tuple[RowMapping, Outgoing]]:
        """The messages found, each with what was sent; a while passes before they are found again."""
        with self.store.read() as tx:  # most passes find nothing, and then take no lock
            if not find(tx):
                return []
        with self.store.write() as tx:
            rows = find(tx)
            ids = [row["id"] for row in rows]
            tx.execute(update(messages).where(messages.c.id.in_(ids)).values(due=micros(now + ASK_AGAIN)))
            return [(row, rendering.unpack(seals.get(tx, row["body"]))) for row in rows]

    def revoked(self, row: RowMapping, verdict: Verdict, now: datetime) -> None:
        """The platform took the request (a receipt will say what came of it), or it did not, which proves nothing."""
        with self.store.write() as tx:
            notice = self._notice(tx, row["notice"])
            again = verdict.kind in (VerdictKind.TRANSIENT, VerdictKind.THROTTLED, VerdictKind.AUTH)
            wait = timedelta(seconds=30) if again else timedelta(days=3650)
            record = self._moved(tx, row, notice, "revoking", f"asked: {verdict.kind.value} {verdict.code}", now)
            tx.execute(
                update(messages)
                .where(messages.c.id == row["id"], messages.c.own == MessageState.REVOKING.value)
                .values(due=micros(now + wait), record=record)
            )

    def doubtful(self, now: datetime) -> list[tuple[RowMapping, str]]:
        """What is to be asked about now, each with its recipient."""
        if not self.askable:
            return []
        find = partial(doubts.due_doubts, now=micros(now), limit=MOST, asked=self.askable, mine=True)
        return [(row, outgoing.recipient) for row, outgoing in self._given(find, now)]

    def answered(self, row: RowMapping, standing: Standing, now: datetime) -> None:
        """It has the message: accepted. It never had: the same bytes again, which doubles nothing, unless newer terms bar them.
        No answer: asked again, until the deadline."""
        with self.store.write() as tx:
            if standing == "unreachable":
                doubts.wait_longer(tx, row["id"], micros(now + ASK_AGAIN))
                return
            notice = self._notice(tx, row["notice"])
            if standing == "taken":
                record = self._moved(tx, row, notice, "accepted", "asked: the platform has it", now)
                doubts.confirm(tx, row, record)
            elif notice["outcome"] is not None or outbox.is_overtaken(tx, row, notice):
                self._resolve(tx, row, now)
            else:
                record = self._moved(tx, row, notice, "queued", "asked: the platform never had it", now)
                doubts.repeat(tx, row, due=micros(now), record=record)

    def next_instant(self, now: datetime) -> datetime | None:
        """The earliest moment after `now` at which something here or a claim falls due."""
        at = micros(now)
        waiting = (
            MessageState.QUEUED.value,
            MessageState.RETRY.value,
            MessageState.IN_DOUBT.value,
            MessageState.REVOKING.value,
        )
        with self.store.read() as tx:
            found = [
                tx.execute(
                    select(func.min(messages.c.due)).where(messages.c.state.in_(waiting), messages.c.due > at)
                ).scalar(),
                tx.execute(
                    select(func.min(notices.c.next_timer)).where(notices.c.outcome.is_(None), notices.c.next_timer > at)
                ).scalar(),
                tx.execute(
                    select(func.min(notices.c.window_end)).where(
                        notices.c.outcome.is_(None), notices.c.told_at.is_(None), notices.c.window_end > at
                    )
                ).scalar(),
            ]
            for rule_set, name, deadline, made in tx.execute(
                select(notices.c.rule_set, notices.c.rule, func.min(notices.c.deadline), func.min(notices.c.made_at))
                .where(notices.c.outcome.is_(None))
                .group_by(notices.c.rule_set, notices.c.rule)
            ):
                window = int(self.worlds(rule_set).ruleset.rules[name].receipt_window / timedelta(microseconds=1))
                found.append(max(deadline, made) + window)
        later = [f for f in found if f is not None and f > at]
        return from_micros(min(later)) if later else None
