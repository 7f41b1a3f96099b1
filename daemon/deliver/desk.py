"""What one preparation works with, read in bulk: claims as they are now, contacts, consents, opened values, letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import RowMapping, select

from daemon.channels.channel import Outgoing
from daemon.decide.inputs import Inputs
from daemon.decide.inputs import unpack as unpack_inputs
from daemon.model.kinds import FactKind
from daemon.model.states import MessageState
from daemon.store import acts, consents, contacts, outbox, seals, subjects
from daemon.store.contacts import Contact
from daemon.store.db import Tx
from daemon.store.outbox import Claim
from daemon.store.tables import messages, notices


@dataclass(frozen=True, slots=True)
class Letter:
    """A claim ready to leave: by which gateway, to which address, the sealed body, and its bytes."""

    claim: Claim
    gateway: str
    address: bytes
    address_sealed: str
    body: str
    terms: str
    outgoing: Outgoing
    plain: bytes


@dataclass
class Desk:
    """What one pass works with, read once: claims as they are now, contacts, consents, opened values."""

    claims: list[Claim]
    contacts: dict[int, list[Contact]]
    said: dict[int, dict[tuple[str, str], str]]
    plain: dict[str, bytes]
    opened: Mapping[str, Inputs]
    stopped: frozenset[str] = frozenset()
    letters: list[Letter] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, tx: Tx, claims: Sequence[Claim], opened: Mapping[str, Inputs], now: datetime) -> Desk:
        """Claims whose fence has not moved, and the rules that are stopped now. `opened` are sealed inputs that were read
        already, by their id."""
        about = {c.notice["id"] for c in claims}
        outbox.lock_notices(tx, about)
        held = {r["id"]: r for r in tx.execute(select(notices).where(notices.c.id.in_(about))).mappings()}
        wanted = [c.message["id"] for c in claims]
        rows = {r["id"]: r for r in tx.execute(select(messages).where(messages.c.id.in_(wanted))).mappings()}
        as_now = [Claim(rows[c.message["id"]], held[c.notice["id"]], c.fence, c.until) for c in claims]
        mine = [c for c in as_now if c.message["fence"] == c.fence and c.message["state"] == MessageState.CLAIMED.value]
        clients = {c.notice["client"] for c in mine}
        subjects.keys_of_many(tx, clients)
        found = contacts.contacts_of_many(tx, clients)
        ids = [c.message["body"] if c.message["ever_in_doubt"] else c.notice["inputs"] for c in mine]
        ids = [id for id in ids if id not in opened]
        ids += [one.sealed for several in found.values() for one in several]
        plain, said = seals.get_many(tx, ids), consents.consents_of(tx, clients)
        return cls(mine, found, said, plain, opened, acts.stopped_rules(tx, now))

    def inputs(self, notice: RowMapping, kind: FactKind) -> Inputs:
        """The opened inputs of a notice."""
        known = self.opened.get(notice["inputs"])
        return known or unpack_inputs(self.plain[notice["inputs"]], kind)

    def contact(self, claim: Claim) -> Contact | None:
        """The contact of a claim's client, role and channel."""
        wanted = claim.message["role"], claim.message["channel"]
        several = self.contacts.get(claim.notice["client"], [])
        return next((c for c in several if (c.role, c.channel) == wanted), None)

    def refuses(self, claim: Claim) -> bool:
        """Whether the client refused this channel for the notice's category."""
        said = self.said.get(claim.notice["client"], {})
        return consents.state_of(said, claim.notice["category"], claim.message["channel"]) == consents.OUT
