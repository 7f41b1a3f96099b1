"""All that is known of a notice, or of a whole episode, gathered for someone who must prove that a client was told.

Personal values are opened here: the caller records who asked and why. A value is held against the commitment in its record
before it is used; one that no longer matches (a later sending of the same message had other words) is named in `unopened`
and left out. Words, layout and files are left to others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping

from daemon.audit.record import commit, parse_time
from daemon.clock import micros
from daemon.errors import DueNoticeError
from daemon.report import evidence_rows as rows
from daemon.report.explain import Absence, LineStory, NoticeStory, lines_of_notice, notice_story
from daemon.rules.schema import RuleSet
from daemon.store import rulesets, seals, subjects
from daemon.store.db import Store, Tx
from daemon.world import World


class NotPublished(DueNoticeError):
    """Some of the records are not in the signed log yet, so nothing proves them. The daemon publishes within a minute."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A personal value with the record that commits to it under `path`."""

    record: str
    path: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A notice with its lines in the sheet it was made from, decided again, and what of the sheet is not there. `said`: message
    -> what was sealed as sent, decoded."""

    story: NoticeStory
    lines: tuple[LineStory, ...]
    absences: tuple[Absence, ...]
    said: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule set that decided: its files, how it became active, and who signed it."""

    ruleset: RuleSet
    files: Mapping[str, bytes]
    activation: RowMapping | None
    approvals: tuple[RowMapping, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What belongs to the notices `told`. Rows are the store's; `addresses` and `answers` are by row id, opened. `span`: first and
    last moment, microseconds. `records`: every record named, with all that led to it, by index."""

    client: int
    episodes: tuple[RowMapping, ...]
    told: tuple[Told, ...]
    contacts: tuple[RowMapping, ...]
    addresses: Mapping[int, str]
    uplinks: tuple[RowMapping, ...]
    answers: Mapping[int, bytes]
    receipts: Mapping[int, bytes]
    tasks: tuple[RowMapping, ...]
    rules: tuple[Rules, ...]
    polls: tuple[RowMapping, ...]
    pages: tuple[RowMapping, ...]
    system: tuple[rows.Leaf, ...]
    records: tuple[rows.Leaf, ...]
    opened: tuple[Opened, ...]
    unopened: tuple[tuple[str, str], ...]
    commitment_key: bytes
    span: tuple[int, int]


def gather(
    store: Store, worlds: Callable[[str], World], notices: Sequence[RowMapping], episodes: Sequence[RowMapping] = ()
) -> Evidence:
    """The evidence of notices of one client, at least one. Raises NotPublished, Shredded for a client whose keys are destroyed,
    LookupError for a rule set or record that is not kept."""
    client = notices[0]["client"]
    lines = {row["id"]: lines_of_notice(store, worlds, row) for row in notices}
    with store.read() as tx:
        key = subjects.keys_of(tx, client).commitment_key
        told = tuple(_told(tx, row, *lines[row["id"]]) for row in notices)
        messages = [message for one in told for message in one.story.messages]
        ids = {one.message["id"] for one in messages}
        names = {row["id"] for row in notices}
        span = _span(told)
        contacts = tuple(rows.contacts_between(tx, client, *span))
        uplinks = tuple(rows.uplinks_of(tx, ids))
        tasks = tuple(rows.tasks_about(tx, names))
        receipts = [receipt for one in messages for receipt in one.receipts]
        sealed = seals.get_many(tx, [row["sealed"] for row in (*contacts, *uplinks, *receipts)])
        sets = tuple(_rules(tx, worlds(digest).ruleset, span[1]) for digest in sorted({r["rule_set"] for r in notices}))
        named = [row["record"] for row in (*episodes, *contacts, *tasks, *uplinks, *receipts)]
        named += [record for one in sets for record in _records_of(one)]
        said = _of_client(rows.leaves_of_client(tx, client), names, ids, {t["key"] for t in tasks})
        system = rows.system_until(tx, max(leaf.row for leaf in said))
        system = system[_last_start(system, span[0]) :]
        found = rows.with_causes(tx, {*named, *(leaf.said["id"] for leaf in (*said, *system))})
        found_polls = tuple(rows.polls_between(tx, {row["feed"] for row in notices}, *span))
        found_pages = tuple(rows.pages_between(tx, *span))
        values = _values(tx, told, contacts, uplinks, receipts, sealed, found)
    waiting = sum(leaf.index is None for leaf in found.values())
    if waiting:
        raise NotPublished(f"found {waiting} of {len(found)} records not published yet, expected all in the signed log")
    opened, unopened = _opened(key, values, found)
    return Evidence(
        client=client,
        episodes=tuple(episodes),
        told=told,
        contacts=contacts,
        addresses={row["id"]: sealed[row["sealed"]].decode() for row in contacts},
        uplinks=uplinks,
        answers={row["id"]: sealed[row["sealed"]] for row in uplinks},
        receipts={row["id"]: sealed[row["sealed"]] for row in receipts},
        tasks=tasks,
        rules=sets,
        polls=found_polls,
        pages=found_pages,
        system=tuple(system),
        records=tuple(sorted(found.values(), key=lambda leaf: leaf.index or 0)),
        opened=opened,
        unopened=unopened,
        commitment_key=key,
        span=span,
    )


def _told(tx: Tx, row: RowMapping, lines: tuple[LineStory, ...], absences: tuple[Absence, ...]) -> Told:
    story = notice_story(tx, row)
    bodies = [one.message["body"] for one in story.messages if one.message["body"]]
    plain = seals.get_many(tx, bodies)
    said = {one.message["id"]: json.loads(plain[one.message["body"]]) for one in story.messages if one.message["body"]}
    return Told(story, lines, absences, said)


def _span(told: Sequence[Told]) -> tuple[int, int]:
    """From the first poll's due time to the newest thing that is known."""
    first = [micros(line.poll.due) for one in told for line in one.lines]
    moments = [one.story.notice["made_at"] for one in told]
    for one in told:
        notice = one.story.notice
        moments += [notice[name] for name in ("told_at", "outcome_at") if notice[name] is not None]
        for message in one.story.messages:
            moments += [row["ended_at"] or row["started_at"] for row in message.attempts]
            moments += [row["received_at"] for row in message.receipts]
    return min(moments + first), max(moments)


def _rules(tx: Tx, ruleset: RuleSet, until: int) -> Rules:
    digest = ruleset.digest
    signed = tuple(rows.approvals_of(tx, digest))
    return Rules(ruleset, rulesets.files_of(tx, digest), rows.activation_before(tx, digest, until), signed)


def _records_of(one: Rules) -> list[str]:
    first = [] if one.activation is None else [one.activation["record"]]
    return first + [row["record"] for row in one.approvals]


def _of_client(leaves: Sequence[rows.Leaf], notices: set[str], messages: set[str], tasks: set[str]) -> list[rows.Leaf]:
    """Those of a client's records that are about these notices, messages and tasks."""

    def about(data: Mapping[str, Any]) -> bool:
        return data.get("notice") in notices or data.get("message") in messages or data.get("task") in tasks

    return [leaf for leaf in leaves if about(leaf.said["data"])]


def _last_start(system: Sequence[rows.Leaf], first: int) -> int:
    """Where the newest start before the span stands; the system's condition is told from there on."""
    starts = [i for i, leaf in enumerate(system) if leaf.said["kind"] == "start"]
    before = [i for i in starts if micros(parse_time(system[i].said["t"])) <= first]
    return before[-1] if before else 0


def _values(
    tx: Tx,
    told: Sequence[Told],
    contacts: Sequence[RowMapping],
    uplinks: Sequence[RowMapping],
    receipts: Sequence[RowMapping],
    sealed: Mapping[str, bytes],
    found: Mapping[str, rows.Leaf],
) -> dict[tuple[str, str], bytes]:
    """(record, path) -> the value that the store holds for it."""
    values = {(row["record"], "address"): sealed[row["sealed"]] for row in contacts}
    values |= {(row["record"], "raw"): sealed[row["sealed"]] for row in (*uplinks, *receipts)}
    bodies = {row["body"] for one in told for row in (m.message for m in one.story.messages) if row["body"]}
    plain = seals.get_many(tx, sorted(bodies))
    for one in told:
        values |= {(ask["record"], "answer"): seals.get(tx, ask["sealed"]) for ask in one.story.asks}
        for message in one.story.messages:
            body = message.message["body"]
            for attempt in message.attempts if body else ():
                values[attempt["record"], "body"] = plain[body]
                values[attempt["record"], "address"] = one.said[message.message["id"]]["recipient"].encode()
    occurrences = {one.story.notice["id"]: one.story.notice["occurrence"].encode() for one in told}
    for id, leaf in found.items():
        if leaf.said["kind"] == "notice" and "occurrence" in leaf.said.get("com", {}):
            notice = leaf.said["data"]["notice"]
            values |= {(id, "occurrence"): occurrences[notice]} if notice in occurrences else {}
    return values


def _opened(
    key: bytes, values: Mapping[tuple[str, str], bytes], found: Mapping[str, rows.Leaf]
) -> tuple[tuple[Opened, ...], tuple[tuple[str, str], ...]]:
    """The values that their records commit to, and the commitments of these records for which no such value is kept."""
    opened: list[Opened] = []
    unopened: list[tuple[str, str]] = []
    for id, leaf in sorted(found.items()):
        for path, committed in sorted(leaf.said.get("com", {}).items()):
            value = values.get((id, path))
            if value is not None and commit(key, id, path, value) == committed:
                opened.append(Opened(id, path, value))
            else:
                unopened.append((id, path))
    return tuple(opened), tuple(unopened)
