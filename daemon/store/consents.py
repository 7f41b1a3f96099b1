"""The consent ledger: what a client agreed to or refused, by category and channel (`*` for all). Each change is a
record.

Reading it against a rule's need is gates.py's; here nothing is inferred: what was never said is absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import RowMapping, select, update

from daemon.clock import micros
from daemon.store import trail
from daemon.store.db import Tx, flush, later
from daemon.store.rows import chunks
from daemon.store.tables import consents

ACTOR = "sys:consents"
IN, OUT = "in", "out"
ANY = "*"

Consents: TypeAlias = Mapping[tuple[str, str], str]
"""(category, channel) -> `in` | `out`."""


@dataclass(frozen=True, slots=True)
class Said:
    """One consent as its source, or an uplink, says it."""

    client: int
    category: str
    channel: str
    state: str


def consents_of(tx: Tx, clients: Iterable[int]) -> dict[int, dict[tuple[str, str], str]]:
    """Client -> current consents, for those that said anything."""
    found: dict[int, dict[tuple[str, str], str]] = {}
    flush(tx)
    for part in chunks(list(dict.fromkeys(clients))):
        where = consents.c.client.in_(part) & consents.c.until.is_(None)
        for row in tx.execute(select(consents).where(where)).mappings():
            found.setdefault(row["client"], {})[row["category"], row["channel"]] = row["state"]
    return found


def rows_of(tx: Tx, client: int) -> list[RowMapping]:
    """What a client says now, with where and when it was said, by category and channel."""
    query = select(consents).where(consents.c.client == client, consents.c.until.is_(None))
    return list(tx.execute(query.order_by(consents.c.category, consents.c.channel)).mappings())


def state_of(said: Consents, category: str, channel: str = ANY) -> str:
    """`in`, `out` or `unknown` for one category and channel. A refusal of the channel or of all channels beats every
    agreement."""
    words = {said.get((category, channel)), said.get((category, ANY))}
    return OUT if OUT in words else IN if IN in words else "unknown"


def take_over(
    tx: Tx, found: Sequence[Said], *, origin: str, now: datetime, actor: str = ACTOR, cause: str | None = None
) -> int:
    """Bring the ledger up to what was said; returns how many changed. Raises ValueError for a state that is neither."""
    current = consents_of(tx, (said.client for said in found))
    changed = 0
    for said in found:
        if said.state not in (IN, OUT):
            raise ValueError(f"consent to {said.category}: state {said.state!r}, expected {IN} or {OUT}")
        place = (said.category, said.channel)
        mine = current.setdefault(said.client, {})
        if mine.get(place) != said.state:
            _change(tx, said, origin, now, actor, cause, first=place not in mine)
            mine[place] = said.state
            changed += 1
    return changed


def _change(tx: Tx, said: Said, origin: str, now: datetime, actor: str, cause: str | None, *, first: bool) -> None:
    given = said.state == IN
    data = {"category": said.category, "given": given, "channel": said.channel, "source": origin}
    record = trail.append(tx, "consent", t=now, actor=actor, cause=cause, client=said.client, data=data)
    names = {"client": said.client, "category": said.category, "channel": said.channel}
    if not first:
        flush(tx)  # what is closed may be of this very reading and still wait
        where = [consents.c[name] == value for name, value in names.items()]
        tx.execute(update(consents).where(*where, consents.c.until.is_(None)).values(until=micros(now)))
    later(
        tx,
        consents,
        {**names, "state": said.state, "origin": origin, "since": micros(now), "until": None, "record": record},
    )
