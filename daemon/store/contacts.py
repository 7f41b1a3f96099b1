"""Contacts, versioned: which address a client has in a role on a channel, since when, from where. Each change is a
record.

An address lies sealed under its client's key; `address` is its blind index, by which receipts find their message and
two contacts of one address are known to be one. Which contact an attempt uses is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from daemon.clock import from_micros, micros
from daemon.security.envelope import normalise
from daemon.store import seals, trail
from daemon.store.db import Store, Tx, flush, later, of
from daemon.store.rows import chunks
from daemon.store.subjects import keys_of_many
from daemon.store.tables import contacts

ACTOR = "sys:contacts"
MEDIA = {"rcs": "msisdn", "sms": "msisdn", "phone": "msisdn"}
"""Channels whose addresses are one medium's; every other channel is a medium of its own."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A current contact. `address` is the blind index, `sealed` the id of the address itself."""

    client: int
    role: str
    channel: str
    address: bytes
    sealed: str
    origin: str
    since: datetime
    record: str


@dataclass(frozen=True, slots=True)
class Found:
    """A contact as its source gives it: the address in clear."""

    client: int
    role: str
    channel: str
    address: str


def address_index(store: Store, channel: str, address: str) -> bytes:
    """The blind index of an address; the same for all channels of one medium. Raises ValueError for an empty
    address."""
    return store.keyring.index(MEDIA.get(channel, channel), address)


def address_of(tx: Tx, contact: Contact) -> str:
    """The address in clear."""
    return seals.get(tx, contact.sealed).decode()


def contacts_of(tx: Tx, client: int, role: str | None = None, channel: str | None = None) -> list[Contact]:
    """The current contacts of a client, those of a role and channel where given."""
    where = [contacts.c.client == client, contacts.c.until.is_(None)]
    where += [] if role is None else [contacts.c.role == role]
    where += [] if channel is None else [contacts.c.channel == channel]
    return _read(tx, *where)


def contacts_of_many(tx: Tx, clients: Iterable[int]) -> dict[int, list[Contact]]:
    """Client -> current contacts, for those that have any."""
    found: dict[int, list[Contact]] = {}
    for part in chunks(list(dict.fromkeys(clients))):
        for contact in _read(tx, contacts.c.client.in_(part), contacts.c.until.is_(None)):
            found.setdefault(contact.client, []).append(contact)
    return found


def take_over(tx: Tx, found: Sequence[Found], *, origin: str, now: datetime, cause: str | None = None) -> int:
    """Bring contacts up to what a source says, for the (client, role, channel) it names; returns how many changed. An
    equal address changes nothing. What the source does not name stays: `end` is for what it no longer has."""
    keys_of_many(tx, (f.client for f in found))
    current = {
        (contact.client, contact.role, contact.channel): contact
        for several in contacts_of_many(tx, (f.client for f in found)).values()
        for contact in several
    }
    changed = 0
    for contact in found:
        address = address_index(of(tx).store, contact.channel, contact.address)
        before = current.get((contact.client, contact.role, contact.channel))
        if before is not None and before.address == address:
            continue
        if before is not None:
            flush(tx)  # it may be of this very reading and still wait
            _close(tx, before, now)
        made = _insert(tx, contact, address, origin, now, cause, before)
        current[made.client, made.role, made.channel] = made
        changed += 1
    return changed


def end(tx: Tx, contact: Contact, *, origin: str, now: datetime, cause: str | None = None) -> str:
    """The client no longer has this contact. Returns the record."""
    data = {"change": "ended", "contact": contact.role, "channel": contact.channel, "source": origin}
    cause = cause or contact.record
    record = trail.append(tx, "contact", t=now, actor=ACTOR, cause=cause, client=contact.client, data=data)
    _close(tx, contact, now, record)
    return record


def _read(tx: Tx, *where: object) -> list[Contact]:
    flush(tx)
    query = select(contacts).where(*where).order_by(contacts.c.id)  # type: ignore[arg-type]
    return [
        Contact(
            row["client"],
            row["role"],
            row["channel"],
            bytes(row["address"]),
            row["sealed"],
            row["origin"],
            from_micros(row["since"]),
            row["record"],
        )
        for row in tx.execute(query).mappings()
    ]


def _insert(
    tx: Tx, found: Found, address: bytes, origin: str, now: datetime, cause: str | None, before: Contact | None
) -> Contact:
    plain = normalise(MEDIA.get(found.channel, found.channel), found.address)
    sealed = seals.put(tx, found.client, "address", plain.encode(), now)
    change = "made" if before is None else "changed"
    data = {"change": change, "contact": found.role, "channel": found.channel, "source": origin}
    why = cause or (before.record if before else None)
    record = trail.append(
        tx, "contact", t=now, actor=ACTOR, cause=why, client=found.client, data=data, commit={"address": plain}
    )
    names = {"client": found.client, "role": found.role, "channel": found.channel, "address": address}
    row = names | {"sealed": sealed, "origin": origin, "since": micros(now), "until": None, "record": record}
    later(tx, contacts, row)
    return Contact(found.client, found.role, found.channel, address, sealed, origin, now, record)


def _close(tx: Tx, contact: Contact, now: datetime, record: str | None = None) -> None:
    where = (
        (contacts.c.client == contact.client)
        & (contacts.c.role == contact.role)
        & (contacts.c.channel == contact.channel)
        & contacts.c.until.is_(None)
    )
    values = {"until": micros(now)} | ({"record": record} if record else {})
    tx.execute(update(contacts).where(where).values(**values))
