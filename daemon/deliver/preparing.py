"""From claims that were asked to `sending`: does each still go, to whom, in which words; then commit, before the first byte.

All claims of a pass are prepared in one transaction: rows, contacts, consents and sealed values are read in bulk, the
`sending` of all is written at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, select

from daemon.cards.template import RenderError
from daemon.channels.channel import Outgoing, Unsendable
from daemon.clock import micros
from daemon.decide.inputs import Inputs
from daemon.deliver import rendering
from daemon.deliver.desk import Desk, Letter
from daemon.deliver.health import Health
from daemon.deliver.routes import Routes
from daemon.deliver.slots import Slots
from daemon.log import logger
from daemon.model.states import MessageState, Stands
from daemon.notices.passing import after_message, open_call
from daemon.notices.writer import ACTOR
from daemon.rules.schema import Rule
from daemon.store import doubts, ledger, outbox, pages, seals, subjects, trail, worklist
from daemon.store.db import CommitLost, CommitUnknown, Store, Tx
from daemon.store.outbox import Claim
from daemon.store.tables import messages
from daemon.world import World

LATER = timedelta(seconds=1)
NO_WAY = "every gateway of the channel is closed"
FULL = "no connection of the gateway is free"
SOON = timedelta(seconds=30)
AT_REST = timedelta(days=3650)
"""How far ahead a message is put that rests until something else wakes it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message whose `sending` is committed: what a settle must name."""

    message: str
    notice: str
    fence: int
    number: int
    gateway: str
    outgoing: Outgoing
    lease_until: int
    record: str
    client: int


def is_over(notice: RowMapping, rule: Rule, now: datetime) -> bool:
    """Whether a notice may no longer leave: its window has ended untold, or its deadline has and it is not sent late."""
    if '"late"' in notice["marks"]:
        return False
    end = notice["window_end"] if notice["told_at"] is None else notice["deadline"]
    return bool(end <= micros(now)) and (notice["told_at"] is None or notice["late"] == "drop")


class Preparer:
    """Commits `sending` for the claims of one pass."""

    def __init__(
        self, store: Store, routes: Routes, worlds: Callable[[str], World], health: Health, slots: Slots
    ) -> None:
        self.store, self.routes, self.worlds, self.health, self.slots = store, routes, worlds, health, slots
        self.card_of = rendering.card_of

    def prepare(
        self, claims: Sequence[Claim], unasked: Collection[str], opened: Mapping[str, Inputs], now: datetime
    ) -> tuple[list[Sending], int]:
        """The messages that leave now, each with a slot of its gateway, and how many claims were ended otherwise."""
        slots: list[str] = []
        sendings: list[Sending] = []
        try:
            try:
                self._prepare(claims, unasked, opened, slots, sendings, now)
            except CommitLost:
                raise
            except CommitUnknown:
                if not self._is_committed(sendings):
                    raise
        except BaseException:  # nothing of it leaves
            for gateway in slots:
                self.slots.give(gateway)
            raise
        return sendings, len(claims) - len(sendings)

    def _is_committed(self, sendings: Sequence[Sending]) -> bool:
        """Read back by key whether a commit that failed has happened after all. Raises StoreBusy where that cannot be read."""
        with self.store.read() as tx:
            return bool(sendings) and outbox.is_sending(tx, {one.message: one.record for one in sendings})

    def _prepare(
        self,
        claims: Sequence[Claim],
        unasked: Collection[str],
        opened: Mapping[str, Inputs],
        slots: list[str],
        sendings: list[Sending],
        now: datetime,
    ) -> None:
        with self.store.write(beside=True) as tx:
            desk = Desk.open(tx, claims, opened, now)
            desk.slots = slots
            going = [c for c in desk.claims if not c.message["ever_in_doubt"] and self._goes(tx, desk, c, unasked, now)]
            for claim in self._with_address(tx, desk, going, now):
                self._first(tx, desk, claim, claim.notice["id"] in unasked, now)
            doubtful = [c for c in desk.claims if c.message["ever_in_doubt"]]
            for claim in doubtful:
                if self._may_repeat(tx, claim, now) and self._has_slot(tx, desk, claim, claim.message["gateway"], now):
                    desk.letters.append(self._repeat(desk, claim))
            sendings += self._commit(tx, desk.letters, now)

    def _has_slot(self, tx: Tx, desk: Desk, claim: Claim, gateway: str, now: datetime) -> bool:
        """Whether a connection of the gateway is free, which is then this message's; else the claim rests for a moment."""
        if self.slots.take(gateway):
            desk.slots.append(gateway)
            return True
        outbox.put_back(tx, claim.message["id"], claim.fence, due=micros(now + LATER), why=FULL)
        return False

    def _rule(self, notice: RowMapping) -> tuple[World, Rule]:
        world = self.worlds(notice["rule_set"])
        return world, world.ruleset.rules[notice["rule"]]

    def _goes(self, tx: Tx, desk: Desk, claim: Claim, unasked: Collection[str], now: datetime) -> bool:
        """Whether the notice still goes by what is known now, and somebody can be written to; else the claim rests or ends."""
        notice, message, fence = claim.notice, claim.message, claim.fence
        _, rule = self._rule(notice)
        due = max(micros(now), notice["not_before"])
        if notice["outcome"] is not None or notice["held"] or notice["stands"] == Stands.NO.value or due > micros(now):
            outbox.put_back(tx, message["id"], fence, due=due, why=notice["stands_why"])
            return False
        if rule.name in desk.stopped:  # the next pass cancels it
            outbox.put_back(tx, message["id"], fence, due=micros(now + LATER), why="its rule is stopped")
            return False
        if is_over(notice, rule, now):  # the ask has moved its window; the next look at windows gives it its end
            outbox.put_back(tx, message["id"], fence, due=micros(now + LATER), why="its window is over")
            return False
        if not self._known(tx, claim, rule, notice["id"] in unasked, now):
            return False
        carriers = self.routes.carriers(message["channel"])
        if (reopens := self.health.reopens(carriers, now)) is not None and reopens > now:
            outbox.put_back(tx, message["id"], fence, due=micros(reopens), why=NO_WAY)
            return False
        why = "" if carriers else "no gateway for the channel"
        if not why and desk.contact(claim) is None and not self._contacts_known(tx, notice):
            outbox.put_back(tx, message["id"], fence, due=micros(now + SOON), why="contacts were never read yet")
            return False
        why = why or ("no contact" if desk.contact(claim) is None else "")
        why = why or ("the client refused this channel" if rule.gates.consent != "none" and desk.refuses(claim) else "")
        if why:
            self._refuse(tx, claim, rule, why, now)
        return not why

    def _contacts_known(self, tx: Tx, notice: RowMapping) -> bool:
        """Whether contacts, and consents where the rule asks for them, have been read since the store was made."""
        world, rule = self._rule(notice)
        uses = ("contacts", "consents") if rule.gates.consent != "none" else ("contacts",)
        kinds = [kind for kind in world.ruleset.kinds.values() if kind.use in uses]
        return all(ledger.has_run(tx, feed.name) for kind in kinds for feed in kind.feeds)

    def _known(self, tx: Tx, claim: Claim, rule: Rule, unasked: bool, now: datetime) -> bool:
        """What is not known goes by the rule's choice: sent, marked, with a task; or held until it can be asked."""
        notice = claim.notice
        if not unasked and notice["stands"] != Stands.UNKNOWN.value:
            return True
        why = "the source could not be asked" if unasked else notice["stands_why"]
        worklist.open_task(
            tx,
            f"unknown:{notice['id']}",
            f"not known whether to tell: {why}",
            now=now,
            rule=rule.name,
            notice=notice["id"],
            subject=notice["subject"],
            cause=notice["record"],
        )
        if rule.if_unasked == "send":
            return True
        outbox.put_back(tx, claim.message["id"], claim.fence, due=micros(now + rule.fresh), why=why)
        return False

    def _with_address(self, tx: Tx, desk: Desk, going: Sequence[Claim], now: datetime) -> list[Claim]:
        """The claims whose message holds its (notice, channel, address); the others rest: one address, one message."""
        wanted = [(c, contact) for c in going if (contact := desk.contact(c)) is not None]
        holders = outbox.take_addresses(
            tx, [(c.notice["id"], c.message["channel"], contact.address, c.message["id"]) for c, contact in wanted]
        )
        found = []
        for claim, contact in wanted:
            if holders[claim.notice["id"], claim.message["channel"], contact.address] == claim.message["id"]:
                found.append(claim)
            else:
                at_rest = micros(now + AT_REST)
                outbox.put_back(tx, claim.message["id"], claim.fence, due=at_rest, why=outbox.ONE_ADDRESS)
        return found

    def _first(self, tx: Tx, desk: Desk, claim: Claim, unasked: bool, now: datetime) -> None:
        """Render, or end the message where that cannot be done."""
        message, notice = claim.message, claim.notice
        world, rule = self._rule(notice)
        contact = desk.contact(claim)
        assert contact is not None
        carriers = self.routes.carriers(message["channel"])
        name = next((name for name in carriers if self.health.admits(name, now)), None)
        if name is None:  # another message probes the gateway that may open again
            outbox.put_back(tx, message["id"], claim.fence, due=micros(now + LATER), why=NO_WAY)
            return
        gateway = self.routes.gateways[name]
        stale = unasked or notice["stands"] == Stands.UNKNOWN.value
        inputs = desk.inputs(notice, world.ruleset.kinds[rule.kind])
        key = subjects.keys_of(tx, notice["client"]).commitment_key
        try:
            rendered = self.card_of(world, rule, inputs, notice, signature=gateway.signature, stale=stale)
            recipient = desk.plain[contact.sealed].decode()
            outgoing, plain = rendering.letter(rendered, message, gateway, key, recipient, notice["category"])
        except (RenderError, Unsendable) as reason:
            logger.error(
                "a message cannot be rendered", action="render", rule=rule.name, card=rule.card, why=str(reason)
            )
            sentence = f"rule {rule.name}: card {rule.card} cannot be rendered"
            pages.page(tx, f"render:{rule.name}", "urgent", sentence, now=now)
            self._refuse(tx, claim, rule, "card cannot be rendered", now)
            return
        if not self._has_slot(tx, desk, claim, name, now):
            return
        if notice["call"]:
            open_call(tx, rule, notice, now, f"client status {notice['call']}: a call as well")
        body = seals.put(tx, notice["client"], "body", plain, now)
        terms = notice["terms"]
        desk.letters.append(Letter(claim, name, contact.address, contact.sealed, body, terms, outgoing, plain))

    @staticmethod
    def _may_repeat(tx: Tx, claim: Claim, now: datetime) -> bool:
        """Once a correction stands, or newer terms are known, the old bytes are never repeated: it stays in doubt."""
        if not outbox.is_overtaken(tx, claim.message, claim.notice):
            return True
        doubts.stay_in_doubt(tx, claim.message["id"], claim.fence, due=micros(now))
        return False

    def _repeat(self, desk: Desk, claim: Claim) -> Letter:
        """The exact bytes again, to the same address by the same gateway."""
        message = claim.message
        plain = desk.plain[message["body"]]
        place = message["gateway"], message["address"], message["address_sealed"], message["body"], message["terms"]
        return Letter(claim, *place, rendering.unpack(plain), plain)

    def _commit(self, tx: Tx, letters: Sequence[Letter], now: datetime) -> list[Sending]:
        rows: list[dict[str, Any]] = []
        sendings = []
        for one in letters:
            message, notice = one.claim.message, one.claim.notice
            record = self._record(tx, one, now)
            number = message["tries"] + 1
            rows.append(
                {
                    "b_id": message["id"],
                    "b_fence": one.claim.fence,
                    "b_notice": notice["id"],
                    "b_revision": notice["revision"],
                    "tries": number,
                    "gateway": one.gateway,
                    "address": one.address,
                    "address_sealed": one.address_sealed,
                    "body": one.body,
                    "terms": one.terms,
                    "platform_id": one.outgoing.platform_id,
                    "record": record,
                }
            )
            sendings.append(
                Sending(
                    message["id"],
                    notice["id"],
                    one.claim.fence,
                    number,
                    one.gateway,
                    one.outgoing,
                    one.claim.until,
                    record,
                    notice["client"],
                )
            )
        outbox.start_sending(tx, rows, now=micros(now), boot=self.store.boot)
        return sendings

    @staticmethod
    def _record(tx: Tx, one: Letter, now: datetime) -> str:
        message, notice = one.claim.message, one.claim.notice
        data = {
            "message": message["id"],
            "n": message["tries"] + 1,
            "notice": notice["id"],
            "gateway": one.gateway,
            "channel": message["channel"],
            "generation": message["generation"],
            "fence": one.claim.fence,
            "revision": notice["revision"],
            "repeat": bool(message["ever_in_doubt"]),
        }
        return trail.append(
            tx,
            "attempt",
            t=now,
            cause=notice["record"],
            actor=ACTOR,
            client=notice["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data=data,
            commit={"body": one.plain, "address": one.outgoing.recipient},
        )

    def _refuse(self, tx: Tx, claim: Claim, rule: Rule, why: str, now: datetime) -> None:
        """Nothing can leave on this channel: the message is a dead letter here, the next channel takes over."""
        message, notice = claim.message, claim.notice
        record = trail.append(
            tx,
            "message",
            t=now,
            cause=notice["record"],
            actor=ACTOR,
            client=notice["client"],
            rule=rule.name,
            rule_set=notice["rule_set"],
            data={"message": message["id"], "state": "rejected", "notice": notice["id"], "reason": why},
        )
        outbox.refuse(tx, message["id"], claim.fence, MessageState.REJECTED, why, record)
        ended = tx.execute(select(messages).where(messages.c.id == message["id"])).mappings().one()
        after_message(tx, rule, notice, dict(ended), now)
