"""What a person decided about one client's data: restricted (to be shredded from a day on), a legal hold, shredded.

Restricting is the first of two steps by two people. From then on no message of education or marketing is sent (the consent
ledger says `out`) and no command reveals the client; what the law or a contract asks for is sent as before. Shredding destroys
the client's two keys, empties its sealed values, and replaces every blind index that leads to it, of keys and of addresses, by
random bytes: rows, records and sheets stay, with a number that means nothing. Notices and what was said are kept for 20 years
(证券期货投资者适当性管理办法 art. 32); sooner only by a signed waiver, whose hash stands in the record. A client that the back
office still lists is a new one to the next poll: it must be gone there first. Copies in backups end when the key-encryption
key that wrapped the client's keys is destroyed (`rotation.retire`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date, datetime

from sqlalchemy import ColumnElement, RowMapping, Table, bindparam, func, insert, select, update

from daemon.clock import SHANGHAI, from_micros, micros
from daemon.errors import StoreConflict
from daemon.store import consents, trail
from daemon.store.db import Tx, flush
from daemon.store.rows import put_meta
from daemon.store.subjects import EPOCH
from daemon.store.tables import (
    contacts,
    episodes,
    messages,
    notices,
    receipts,
    restrictions,
    sealed,
    sending_keys,
    subject_index,
    subjects,
    uplinks,
)

RESTRICTED, LEGAL_HOLD = "restricted", "legal hold"
KEPT_YEARS = 20
SILENCED = ("education", "marketing")


def open_of(tx: Tx, client: int) -> dict[str, RowMapping]:
    """Kind -> what is in force for a client."""
    query = select(restrictions).where(restrictions.c.client == client, restrictions.c.ended_at.is_(None))
    return {row["kind"]: row for row in tx.execute(query).mappings()}


def restricted(tx: Tx, clients: Iterable[int]) -> set[int]:
    """Those of `clients` that no command reveals."""
    wanted = list(clients)
    query = select(restrictions.c.client).where(restrictions.c.kind == RESTRICTED, restrictions.c.ended_at.is_(None))
    return set(tx.execute(query).scalars()) & set(wanted)


def restrict(tx: Tx, client: int, *, until: date, by: str, reason: str, now: datetime) -> str:
    """Restrict a client until its data is shredded, at the earliest on the day `until`. Raises StoreConflict where it is
    restricted already. Returns the record."""
    if RESTRICTED in open_of(tx, client):
        raise StoreConflict(f"client {client} is restricted already, expected one that is not")
    data = {"until": until.isoformat(), "change": "restricted", "reason": reason}
    record = trail.append(tx, "erase.restricted", t=now, actor=f"person:{by}", client=client, data=data)
    _open(tx, client, RESTRICTED, until, by, reason, record, now)
    said = [consents.Said(client, category, consents.ANY, consents.OUT) for category in SILENCED]
    consents.take_over(tx, said, origin="restricted", now=now, actor=f"person:{by}", cause=record)
    return record


def hold(tx: Tx, client: int, *, by: str, reason: str, now: datetime) -> str:
    """Put a legal hold on a client: it is not shredded until the hold ends. Raises StoreConflict where there is one."""
    if LEGAL_HOLD in open_of(tx, client):
        raise StoreConflict(f"client {client} is under a legal hold already, expected one that is not")
    data = {"change": "held", "reason": reason}
    record = trail.append(tx, "erase.restricted", t=now, actor=f"person:{by}", client=client, data=data)
    _open(tx, client, LEGAL_HOLD, None, by, reason, record, now)
    return record


def _open(tx: Tx, client: int, kind: str, until: date | None, by: str, reason: str, record: str, now: datetime) -> None:
    row = {"client": client, "kind": kind, "until": until and until.isoformat(), "by": by, "reason": reason}
    tx.execute(insert(restrictions).values(**row, since=micros(now), record=record))


def end(tx: Tx, client: int, kind: str, *, by: str, reason: str, now: datetime) -> str:
    """End a restriction or a legal hold. What the consent ledger says stays: the client is asked anew. Raises StoreConflict where
    there is none."""
    found = open_of(tx, client).get(kind)
    if found is None:
        raise StoreConflict(f"client {client}: found no {kind}, expected one in force")
    data = {"change": f"{kind} ended", "reason": reason}
    record = trail.append(tx, "erase.restricted", t=now, actor=f"person:{by}", client=client, data=data)
    _close(tx, found["id"], by, now)
    return record


def _close(tx: Tx, id: int, by: str, now: datetime) -> None:
    tx.execute(update(restrictions).where(restrictions.c.id == id).values(ended_at=micros(now), ended_by=by))


def shred(tx: Tx, client: int, *, by: str, reason: str, waiver: str, now: datetime) -> str:
    """Destroy everything by which a client's data could be read or found. `waiver` is the hash of the signed paper that allows it
    before the time of keeping is over, or ''. Returns the record. Raises StoreConflict, and changes nothing, where the client is
    not restricted by another person, its day has not come, a legal hold stands, an obligation is open, or the time of keeping
    is not over and there is no waiver."""
    reasons = list(_against(tx, client, by, waiver, now))
    if reasons:
        raise StoreConflict(f"client {client} is not shredded: {'; '.join(reasons)}")
    values = tx.execute(select(func.count()).select_from(sealed).where(sealed.c.client == client)).scalar() or 0
    data = {"entries": values, "reason": reason} | ({"waiver": waiver} if waiver else {})
    record = trail.append(tx, "erase.shredded", t=now, actor=f"person:{by}", client=client, data=data)
    _destroy(tx, client, by, record, now)
    return record


def shred_again(tx: Tx, client: int, *, by: str, now: datetime) -> str:
    """Destroy anew what a restore has brought back of a client that was shredded before it. Returns the record."""
    values = tx.execute(select(func.count()).select_from(sealed).where(sealed.c.client == client)).scalar() or 0
    data = {"entries": values, "reason": "shredded before a restore brought it back"}
    record = trail.append(tx, "erase.shredded", t=now, actor=f"person:{by}", client=client, data=data)
    _destroy(tx, client, by, record, now)
    return record


def _destroy(tx: Tx, client: int, by: str, record: str, now: datetime) -> None:
    flush(tx)
    numbers = list(tx.execute(select(subjects.c.number).where(subjects.c.client == client)).scalars())
    tx.execute(update(sealed).where(sealed.c.client == client).values(bytes=b""))
    _blind(tx, client, numbers)
    gone = {"data_key": None, "commitment_key": None, "shredded_at": micros(now)}
    tx.execute(update(subjects).where(subjects.c.number == client).values(**gone))
    for row in open_of(tx, client).values():
        _close(tx, row["id"], by, now)
    put_meta(tx, EPOCH, record)


def _against(tx: Tx, client: int, by: str, waiver: str, now: datetime) -> Iterable[str]:
    in_force = open_of(tx, client)
    today = now.astimezone(SHANGHAI).date()
    mine = in_force.get(RESTRICTED)
    if mine is None:
        yield "it is not restricted"
    else:
        if mine["by"].strip().casefold() == by.strip().casefold():
            yield f"{by} restricted it, another person must shred it"
        if today.isoformat() < mine["until"]:
            yield f"its day is {mine['until']}"
    if LEGAL_HOLD in in_force:
        yield f"a legal hold stands since {from_micros(in_force[LEGAL_HOLD]['since']).astimezone(SHANGHAI):%Y-%m-%d}"
    waiting = select(func.count()).select_from(notices).where(notices.c.client == client, notices.c.outcome.is_(None))
    if found := tx.execute(waiting).scalar():
        yield f"{found} notices have no outcome yet"
    mine_too = select(subjects.c.number).where(subjects.c.client == client)
    episode = select(func.count()).select_from(episodes)
    if found := tx.execute(episode.where(episodes.c.subject.in_(mine_too), episodes.c.ended_at.is_(None))).scalar():
        yield f"{found} episodes are open"
    last = tx.execute(select(func.max(notices.c.deadline)).where(notices.c.client == client)).scalar()
    if last is not None and not waiver:
        told = from_micros(last).astimezone(SHANGHAI).date()
        over = date(told.year + KEPT_YEARS, told.month, 28 if told.month == 2 else told.day)
        if today <= over:
            yield f"its notices are kept until {over}, sooner only by a signed waiver"


def _blind(tx: Tx, client: int, numbers: list[int]) -> None:
    """Random bytes in place of every blind index by which the client, or one of its addresses, could be found."""
    tx.execute(subject_index.delete().where(subject_index.c.number.in_(numbers)))
    mine = select(messages.c.id).where(messages.c.client == client)
    addressed: tuple[tuple[Table, ColumnElement[bool]], ...] = (
        (contacts, contacts.c.client == client),
        (messages, (messages.c.client == client) & messages.c.address.is_not(None)),
        (sending_keys, sending_keys.c.message.in_(mine)),
        (receipts, receipts.c.message.in_(mine)),
        (uplinks, uplinks.c.message.in_(mine)),
    )
    for table, where in addressed:
        keys = list(table.primary_key.columns)
        rows = [
            {f"{column.name}_": row[column.name] for column in keys} | {"blind": os.urandom(16)}
            for row in tx.execute(select(*keys).where(where)).mappings()
        ]
        if rows:
            place = [column == bindparam(f"{column.name}_") for column in keys]
            tx.execute(update(table).where(*place).values(address=bindparam("blind")), rows)
