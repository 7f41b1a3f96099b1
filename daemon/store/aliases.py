"""Renumbered accounts: the back office calls a client, or a contract, by a new key; both keys lead to one number from then on.

One person proposes a list, another confirms the very same list: the store keeps only an HMAC of it, no key. Every pair that
takes effect is a record of its client, with the new key committed to under the client's commitment key. A list is taken
whole or not at all, and again without effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import exists, insert, select, update

from daemon.clock import micros
from daemon.errors import DueNoticeError, StoreConflict
from daemon.rules.signers import folded
from daemon.security.envelope import normalise
from daemon.store import contacts, subjects, trail
from daemon.store.db import Tx, of
from daemon.store.rows import put_meta
from daemon.store.tables import aliases, episodes, notices, subject_index
from daemon.store.tables import subjects as subjects_

LIVES = timedelta(days=7)
"""How long a proposal waits for a second person."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One renumbering: what the old key of a kind ('client', 'contract') is called now. `line`: where it stands."""

    kind: str
    old: str
    new: str
    line: int


class BadPairs(DueNoticeError):
    """Pairs that cannot be taken, each with its line and the reason; nothing is changed. No key stands in the text."""


def propose(tx: Tx, pairs: Sequence[Pair], *, by: str, reason: str, now: datetime) -> str:
    """Note that a person asks for these pairs. Returns the record. Raises BadPairs; StoreConflict where that is proposed
    already."""
    _check(tx, pairs)
    seal = _sum(tx, pairs)
    if _open(tx, seal, now) is not None:
        raise StoreConflict("this list is proposed already, expected another person to confirm it")
    data = {"change": "proposed", "pairs": len(pairs), "list": seal.hex(), "by": by, "reason": reason}
    record = trail.append(tx, "alias", t=now, actor=f"person:{by}", data=data)
    row = {"sum": seal, "pairs": len(pairs), "proposed_by": by, "proposed_at": micros(now), "record": record}
    tx.execute(insert(aliases).values(**row))
    return record


def confirm(tx: Tx, pairs: Sequence[Pair], *, by: str, reason: str, now: datetime) -> tuple[str, int]:
    """Let both keys of each pair lead to one number. Returns (record, how many were new). Raises BadPairs; StoreConflict
    where nobody proposed this list, or the same person did."""
    seal = _sum(tx, pairs)
    row = _open(tx, seal, now)
    if row is None:
        raise StoreConflict("nobody has proposed exactly this list in the last 7 days, expected a proposal to confirm")
    id, proposer, proposed = row
    if folded(proposer) == folded(by):
        raise StoreConflict(f"{by} has proposed this list, expected another person to confirm it")
    _check(tx, pairs)
    data = {"change": "confirmed", "pairs": len(pairs), "list": seal.hex(), "by": by, "reason": reason}
    record = trail.append(tx, "alias", t=now, actor=f"person:{by}", cause=proposed, data=data)
    made = sum(_take(tx, pair, record, by, now) for pair in pairs)
    values = {"confirmed_by": by, "confirmed_at": micros(now), "record": record}
    tx.execute(update(aliases).where(aliases.c.id == id).values(**values))
    put_meta(tx, subjects.EPOCH, record)
    return record, made


def _take(tx: Tx, pair: Pair, cause: str, by: str, now: datetime) -> bool:
    known = subjects.look_up(tx, pair.kind, [pair.old, pair.new])
    number, stray = known[pair.old], known.get(pair.new)
    if stray == number:
        return False
    blind = of(tx).store.keyring.index(pair.kind, pair.new)
    if stray is None:
        tx.execute(insert(subject_index).values(kind=pair.kind, blind=blind, number=number))
    else:
        tx.execute(update(subject_index).where(subject_index.c.number == stray).values(number=number))
        owned = (subjects_.c.client == stray) & (subjects_.c.number != stray)
        tx.execute(update(subjects_).where(owned).values(client=number))
        for contact in contacts.contacts_of(tx, stray):
            contacts.end(tx, contact, origin="alias", now=now, cause=cause)
    data = {"change": "made", "subject": number, "kind": pair.kind, "by": by}
    if stray is not None:
        data["instead"] = stray
    client = subjects.client_of(tx, number)
    trail.append(
        tx, "alias", t=now, actor=f"person:{by}", cause=cause, client=client, data=data, commit={"key": pair.new}
    )
    return True


def _check(tx: Tx, pairs: Sequence[Pair]) -> None:
    """Every mistake at once."""
    wrong: list[str] = []
    if not pairs:
        wrong.append("no pair at all")
    olds = {(p.kind, normalise(p.kind, p.old)) for p in pairs}
    seen: set[tuple[str, str]] = set()
    for kind in sorted({p.kind for p in pairs}):
        mine = [p for p in pairs if p.kind == kind]
        known = subjects.look_up(tx, kind, [key for p in mine for key in (p.old, p.new)])
        for pair in mine:
            new = (kind, normalise(kind, pair.new))
            why = _why_not(tx, known.get(pair.old), known.get(pair.new))
            if normalise(kind, pair.old) == new[1]:
                why = "old and new are one key"
            elif new in seen:
                why = "the new key stands in the list twice"
            elif new in olds:
                why = "the new key is another pair's old one"
            seen.add(new)
            if why:
                wrong.append(f"line {pair.line}: {why}")
    if wrong:
        raise BadPairs("; ".join(wrong))


def _why_not(tx: Tx, old: int | None, new: int | None) -> str:
    if old is None:
        return "the old key is not known here"
    if new is None or new == old:
        return ""
    for column in (notices.c.subject, notices.c.client, episodes.c.subject):
        if tx.execute(select(exists().where(column == new))).scalar():
            return "the new key has notices of its own already, and nothing joins two histories"
    return ""


def _sum(tx: Tx, pairs: Sequence[Pair]) -> bytes:
    """An HMAC of the list, whatever its order."""
    lines = sorted(f"{p.kind}\t{p.old}\t{p.new}" for p in pairs)
    return of(tx).store.keyring.index("alias list", "\n".join(["aliases", *lines]))


def _open(tx: Tx, seal: bytes, now: datetime) -> tuple[int, str, str] | None:
    query = select(aliases.c.id, aliases.c.proposed_by, aliases.c.record).where(
        aliases.c.sum == seal, aliases.c.confirmed_at.is_(None), aliases.c.proposed_at > micros(now - LIVES)
    )
    row = tx.execute(query.order_by(aliases.c.id.desc()).limit(1)).first()
    return None if row is None else (row.id, row.proposed_by, row.record)
