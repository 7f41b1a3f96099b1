"""From a claim that was asked to `sending`: does it still go, to whom, in which words; then commit, before the first byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, select

from daemon.cards.template import RenderError
from daemon.channels.channel import Outgoing, Unsendable
from daemon.clock import micros
from daemon.decide.inputs import unpack as unpack_inputs
from daemon.deliver import rendering
from daemon.deliver.routes import Routes
from daemon.log import logger
from daemon.model.states import MessageState, Stands
from daemon.notices.passing import after_message
from daemon.notices.writer import ACTOR
from daemon.rules.schema import Rule
from daemon.store import consents, contacts, outbox, pages, seals, subjects, trail, worklist
from daemon.store.db import Store, Tx
from daemon.store.outbox import Claim
from daemon.store.tables import messages, notices
from daemon.world import World

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


class Preparer:
    """Commits `sending` for the claims of one pass."""

    def __init__(self, store: Store, routes: Routes, worlds: Callable[[str], World]) -> None:
        self.store, self.routes, self.worlds = store, routes, worlds

    def prepare(
        self, claims: Sequence[Claim], unasked: Collection[str], now: datetime, elapsed: int
    ) -> tuple[list[Sending], int]:
        """The messages that leave now, and how many claims were ended otherwise."""
        sendings: list[Sending] = []
        with self.store.write() as tx:
            for claim in claims:
                found = self._one(tx, claim, claim.notice["id"] in unasked, now)
                if found is not None:
                    sendings.append(found)
        return sendings, len(claims) - len(sendings)

    def _one(self, tx: Tx, claim: Claim, unasked: bool, now: datetime) -> Sending | None:
        notice = tx.execute(select(notices).where(notices.c.id == claim.notice["id"])).mappings().one()
        message = tx.execute(select(messages).where(messages.c.id == claim.message["id"])).mappings().one()
        if message["fence"] != claim.fence or message["state"] != MessageState.CLAIMED.value:
            return None
        world = self.worlds(notice["rule_set"])
        rule = world.ruleset.rules[notice["rule"]]
        current = Claim(message, notice, claim.fence)
        if message["ever_in_doubt"]:
            return self._repeat(tx, current, now)
        if not self._goes(tx, current, rule, unasked, now):
            return None
        return self._first(tx, current, world, rule, now, stale=unasked or notice["stands"] == Stands.UNKNOWN.value)

    def _goes(self, tx: Tx, claim: Claim, rule: Rule, unasked: bool, now: datetime) -> bool:
        """Whether the notice still goes by what is known now; else the claim is put back and rests."""
        notice, fence = claim.notice, claim.fence
        due = max(micros(now), notice["not_before"])
        if notice["outcome"] is not None or notice["held"] or notice["stands"] == Stands.NO.value or due > micros(now):
            outbox.put_back(tx, claim.message["id"], fence, due=due, why=notice["stands_why"])
            return False
        unsure = unasked or notice["stands"] == Stands.UNKNOWN.value
        if not unsure:
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
        outbox.put_back(tx, claim.message["id"], fence, due=micros(now + rule.fresh), why=why)
        return False

    def _first(self, tx: Tx, claim: Claim, world: World, rule: Rule, now: datetime, *, stale: bool) -> Sending | None:
        message, notice = claim.message, claim.notice
        route = self.routes.first(message["channel"])
        contact = next(iter(contacts.contacts_of(tx, notice["client"], message["role"], message["channel"])), None)
        if route is None or contact is None:
            self._refuse(tx, claim, rule, "no gateway for the channel" if route is None else "no contact", now)
            return None
        if rule.gates.consent != "none" and self._refused(tx, notice, message["channel"]):
            self._refuse(tx, claim, rule, "the client refused this channel", now)
            return None
        name, gateway = route
        if not outbox.take_address(tx, notice["id"], message["channel"], contact.address, message["id"]):
            outbox.put_back(
                tx, message["id"], claim.fence, due=micros(now + AT_REST), why=outbox.ONE_ADDRESS
            )
            return None
        inputs = unpack_inputs(seals.get(tx, notice["inputs"]), world.ruleset.kinds[rule.kind])
        keys = subjects.keys_of(tx, notice["client"])
        try:
            rendered = rendering.card_of(world, rule, inputs, notice, signature=gateway.signature, stale=stale)
            made = rendering.letter(
                rendered, message, gateway, keys.commitment_key, contacts.address_of(tx, contact), notice["category"]
            )
        except (RenderError, Unsendable) as reason:
            logger.error(
                "a message cannot be rendered", action="render", rule=rule.name, card=rule.card, why=str(reason)
            )
            pages.page(
                tx, f"render:{rule.name}", "urgent", f"rule {rule.name}: card {rule.card} cannot be rendered", now=now
            )
            self._refuse(tx, claim, rule, "card cannot be rendered", now)
            return None
        body = seals.put(tx, notice["client"], "body", made.plain, now)
        return self._commit(
            tx, claim, name, contact.address, contact.sealed, body, made.outgoing, made.plain, notice["terms"], now
        )

    @staticmethod
    def _refused(tx: Tx, notice: RowMapping, channel: str) -> bool:
        """Whether the client refused this channel for the notice's category."""
        said = consents.consents_of(tx, [notice["client"]]).get(notice["client"], {})
        return consents.state_of(said, notice["category"], channel) == consents.OUT

    def _repeat(self, tx: Tx, claim: Claim, now: datetime) -> Sending | None:
        """The exact bytes again, to the same address by the same gateway."""
        message = claim.message
        plain = seals.get(tx, message["body"])
        outgoing = rendering.unpack(plain)
        return self._commit(
            tx,
            claim,
            message["gateway"],
            message["address"],
            message["address_sealed"],
            message["body"],
            outgoing,
            plain,
            message["terms"],
            now,
        )

    def _commit(
        self,
        tx: Tx,
        claim: Claim,
        gateway: str,
        address: bytes,
        address_sealed: str,
        body: str,
        outgoing: Outgoing,
        plain: bytes,
        terms: str,
        now: datetime,
    ) -> Sending | None:
        message, notice = claim.message, claim.notice
        record = trail.append(
            tx,
            "attempt",
            t=now,
            cause=notice["record"],
            actor=ACTOR,
            client=notice["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={
                "message": message["id"],
                "n": message["tries"] + 1,
                "notice": notice["id"],
                "gateway": gateway,
                "channel": message["channel"],
                "generation": message["generation"],
                "fence": claim.fence,
                "revision": notice["revision"],
                "repeat": bool(message["ever_in_doubt"]),
            },
            commit={"body": plain, "address": outgoing.recipient},
        )
        number = outbox.start_sending(
            tx,
            claim,
            now=micros(now),
            boot=self.store.boot,
            gateway=gateway,
            address=address,
            address_sealed=address_sealed,
            body=body,
            terms=terms,
            platform_id=outgoing.platform_id,
            record=record,
        )
        if number is None:
            raise RuntimeError(f"message {message['id']}: its claim moved inside one transaction")
        return Sending(
            message["id"],
            notice["id"],
            claim.fence,
            number,
            gateway,
            outgoing,
            message["lease_until"],
            record,
            notice["client"],
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
        now_row = tx.execute(select(messages).where(messages.c.id == message["id"])).mappings().one()
        after_message(tx, rule, notice, now_row, now)
