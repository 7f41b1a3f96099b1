"""The rows and records that an evidence is made of, each read in the caller's snapshot. Nothing is unsealed here."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, or_, select

from daemon.store.db import Tx
from daemon.store.rows import chunks, one
from daemon.store.tables import (
    activations,
    approvals,
    contacts,
    episodes,
    messages,
    notices,
    pages,
    polls,
    records,
    rule_sets,
    tasks,
    uplinks,
)

SYSTEM = ("start", "stop", "heartbeat", "clock", "rules.stopped", "rules.started", "silence")
"""Kinds that say in what condition the system was."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A record with its index in the log, None while it is not published."""

    index: int | None
    row: int
    said: dict[str, Any]


def notices_of_episodes(tx: Tx, ids: Collection[int]) -> list[RowMapping]:
    """The notices of episodes, in order of making."""
    query = select(notices).where(notices.c.episode.in_(ids)).order_by(notices.c.made_at, notices.c.id)
    return list(tx.execute(query).mappings())


def episodes_with(tx: Tx, id: int) -> list[RowMapping]:
    """An episode and those of the same rule and subject that touch it in time or touch one that does: the levels through which
    an account fell and recovered, in order of opening. Empty where there is none of that id."""
    first = one(tx, episodes, id=id)
    if first is None:
        return []
    where = (episodes.c.rule == first["rule"]) & (episodes.c.subject == first["subject"])
    several = list(tx.execute(select(episodes).where(where).order_by(episodes.c.opened_at, episodes.c.id)).mappings())
    found, start, end = {id}, first["opened_at"], _end(first)
    while joined := [r for r in several if r["id"] not in found and r["opened_at"] <= end and _end(r) >= start]:
        found |= {row["id"] for row in joined}
        start = min(start, *(row["opened_at"] for row in joined))
        end = max(end, *(_end(row) for row in joined))
    return [row for row in several if row["id"] in found]


def _end(episode: RowMapping) -> float:
    return math.inf if episode["ended_at"] is None else float(episode["ended_at"])


def messages_of(tx: Tx, about: Collection[str]) -> list[RowMapping]:
    """The messages of notices."""
    return list(tx.execute(select(messages).where(messages.c.notice.in_(about)).order_by(messages.c.id)).mappings())


def contacts_between(tx: Tx, client: int, first: int, last: int) -> list[RowMapping]:
    """The contacts of a client that were in force at some moment of [first, last] (microseconds), in order of since when."""
    over = or_(contacts.c.until.is_(None), contacts.c.until >= first)
    query = select(contacts).where(contacts.c.client == client, contacts.c.since <= last, over)
    return list(tx.execute(query.order_by(contacts.c.since, contacts.c.id)).mappings())


def tasks_about(tx: Tx, about: Collection[str]) -> list[RowMapping]:
    """The tasks of notices, in order of opening."""
    return list(tx.execute(select(tasks).where(tasks.c.notice.in_(about)).order_by(tasks.c.id)).mappings())


def uplinks_of(tx: Tx, ids: Collection[str]) -> list[RowMapping]:
    """What clients answered to messages, in order of arrival."""
    return list(tx.execute(select(uplinks).where(uplinks.c.message.in_(ids)).order_by(uplinks.c.id)).mappings())


def rule_set_row(tx: Tx, digest: str) -> RowMapping | None:
    """Since when a rule set is kept here."""
    return one(tx, rule_sets, digest=digest)


def activation_before(tx: Tx, digest: str, moment: int) -> RowMapping | None:
    """The newest activation of a rule set not after `moment` (microseconds)."""
    query = select(activations).where(activations.c.digest == digest, activations.c.at <= moment)
    return tx.execute(query.order_by(activations.c.id.desc()).limit(1)).mappings().first()


def approvals_of(tx: Tx, digest: str) -> list[RowMapping]:
    """The signatures over a rule set, in order."""
    return list(tx.execute(select(approvals).where(approvals.c.digest == digest).order_by(approvals.c.id)).mappings())


def pages_between(tx: Tx, first: int, last: int) -> list[RowMapping]:
    """The pages to people raised in a span."""
    query = select(pages).where(pages.c.at >= first, pages.c.at <= last).order_by(pages.c.id)
    return list(tx.execute(query).mappings())


def polls_between(tx: Tx, feeds: Collection[str], first: int, last: int) -> list[RowMapping]:
    """The ledger rows of feeds that were due in a span."""
    where = polls.c.feed.in_(feeds), polls.c.due >= first, polls.c.due <= last
    return list(tx.execute(select(polls).where(*where).order_by(polls.c.due, polls.c.feed)).mappings())


def leaves_of_client(tx: Tx, client: int) -> list[Leaf]:
    """Every record that names a client, oldest first."""
    return _leaves(tx, records.c.client == client)


def with_causes(tx: Tx, ids: Iterable[str]) -> dict[str, Leaf]:
    """These records and all that led to them, by id. Raises LookupError for one that is not there."""
    found: dict[str, Leaf] = {}
    wanted = set(ids)
    while wanted:
        for part in chunks(sorted(wanted)):
            found |= {leaf.said["id"]: leaf for leaf in _leaves(tx, records.c.id.in_(part))}
        if absent := wanted - found.keys():
            raise LookupError(f"record {min(absent)}: not in this store")
        wanted = {found[id].said["cause"] for id in wanted if "cause" in found[id].said} - found.keys()
    return found


def system_until(tx: Tx, row: int) -> list[Leaf]:
    """The records of the system's condition up to a row, oldest first, from the newest start before them all on."""
    return _leaves(tx, (records.c.kind.in_(SYSTEM)) & (records.c.row <= row))


def _leaves(tx: Tx, where: Any) -> list[Leaf]:
    query = select(records.c.row, records.c.position, records.c.leaf).where(where).order_by(records.c.row)
    return [Leaf(position, row, json.loads(leaf)) for row, position, leaf in tx.execute(query)]
