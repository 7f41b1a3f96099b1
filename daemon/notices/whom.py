"""Whom a notice goes to: the rule's contacts, or those that the client's status names; and what follows when that changes.

A notice keeps its contacts as text, '' for the rule's own. What has told is never told again to somebody else because of a
status: only fallbacks and later notices follow it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.model.states import MessageState
from daemon.rules.passage import first_channels
from daemon.rules.schema import Rule
from daemon.store import noticebook, outbox, subjects
from daemon.store.db import Tx
from daemon.store.identity import message_id


def as_text(rule: Rule, contacts: Sequence[str]) -> str:
    """Contacts by role as a notice keeps them."""
    return "" if tuple(contacts) == rule.contacts else ",".join(contacts)


def contacts_of(rule: Rule, text: str) -> tuple[str, ...]:
    """The inverse of `as_text`."""
    return tuple(text.split(",")) if text else rule.contacts


Place = tuple[str, str, int]
"""(role, channel, generation) of a message of a notice."""


def first_places(rule: Rule, contacts: Sequence[str]) -> list[Place]:
    """The messages a new notice begins with."""
    return [(role, channel, 1) for role in contacts for channel in first_channels(rule)]


def redirected(tx: Tx, rule: Rule, notice: str, contacts: Sequence[str]) -> list[Place]:
    """The messages that a notice which has not told needs for other contacts: first ones for those that have none under way."""
    rows = outbox.of_notice(tx, notice)
    served = {m["role"] for m in rows if m["state"] not in (MessageState.CANCELLED.value, MessageState.EXPIRED.value)}
    made = []
    for role in contacts:
        for channel in () if role in served else first_channels(rule):
            mine = [m["generation"] for m in rows if (m["role"], m["channel"]) == (role, channel)]
            made.append((role, channel, 1 + max(mine, default=0)))
    return made


def cancel_others(tx: Tx, notice: str, contacts: Sequence[str], record: str) -> None:
    """Cancel what of a notice waits for contacts other than these."""
    why = "the client's status names other contacts"
    noticebook.cancel_messages(tx, notice, MessageState.CANCELLED.value, why, record, but=contacts)


def ids_of(tx: Tx, client: int, notice: str, places: Sequence[Place]) -> list[str]:
    """What the messages of a notice are called: the record that makes them names them all."""
    key = subjects.keys_of(tx, client).commitment_key
    return [message_id(key, notice, *place) for place in places]


def message_row(
    rule: Rule,
    tx: Tx,
    notice: Mapping[str, Any],
    role: str,
    channel: str,
    due: int,
    deadline: int,
    record: str,
    generation: int = 1,
) -> dict[str, Any]:
    """A new message of a notice, queued. `due`, `deadline`: microseconds."""
    key = subjects.keys_of(tx, notice["client"]).commitment_key
    return {
        "id": message_id(key, notice["id"], role, channel, generation),
        "notice": notice["id"],
        "client": notice["client"],
        "role": role,
        "channel": channel,
        "generation": generation,
        "state": MessageState.QUEUED.value,
        "own": MessageState.QUEUED.value,
        "due": due,
        "priority": rule.priority,
        "deadline": deadline,
        "feed": notice["feed"],
        "record": record,
    }
