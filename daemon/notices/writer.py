"""Write what the pure parts decided: episodes, notices, their first messages, each with its record, in one transaction.

Identity makes it repeatable: a notice's id is an HMAC of (rule, subject, occurrence, stage) under the client's commitment
key, a message's of (notice, role, channel, generation); what exists is not made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, select

from daemon.clock import micros
from daemon.model.kinds import Value
from daemon.model.notices import (
    CORRECTION,
    Change,
    CloseNotice,
    EndEpisode,
    MakeNotice,
    OpenEpisode,
    RenewNotice,
)
from daemon.model.states import MessageState, Outcome, Stands
from daemon.model.values import canonical, occurrence_text, values_json
from daemon.notices.standing import with_late
from daemon.rules.schema import Rule, Timer
from daemon.security.envelope import hmac_id
from daemon.store import noticebook, outbox, subjects, trail, worklist
from daemon.store.tables import episodes, notices

ACTOR = "sys:duenotice"


@dataclass(frozen=True)
class Book:
    """What all writing of one pass over one rule shares. `cause`: the record that led to it (a poll, an ask, a receipt)."""

    rule: Rule
    rule_set: str
    feed: str
    basis: str
    run: int
    now: datetime
    cause: str | None = None


@dataclass(frozen=True)
class Unit:
    """Whom and what it is about. `inputs` seals what a card needs and returns the id; called at most once a change."""

    subject: int
    client: int
    occurrence: Mapping[str, Value]
    business_date: date
    known_at: datetime
    inputs: Callable[[], str] | None = None
    text: str = ""  # the occurrence's text where the values are not at hand
    made: list[str] = field(default_factory=list)


def notice_id(commitment_key: bytes, rule: str, subject: int, occurrence: str, stage: str) -> str:
    """The identity of an obligation, 64 hexadecimal digits."""
    return hmac_id(commitment_key, "notice", rule, str(subject), occurrence, stage).hex()


def message_id(commitment_key: bytes, notice: str, role: str, channel: str, generation: int) -> str:
    """The identity of a message, 32 hexadecimal digits; the id that goes on the wire."""
    return hmac_id(commitment_key, "message", notice, role, channel, str(generation)).hex()[:32]


def terms_digest(commitment_key: bytes, terms: Mapping[str, Any]) -> str:
    """What the client is told, as a digest that only the client's key can compare."""
    return hmac_id(commitment_key, "terms", canonical(_plain(terms))).hex()


def _plain(terms: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: [values_json(row) for row in value] if isinstance(value, tuple) else values_json({"v": value})["v"]
        for name, value in terms.items()
    }


def timers_of(rule: Rule, stage: str) -> tuple[Timer, ...]:
    """The forward timers of a stage; a correction has those of the rule's last stage."""
    if stage.startswith(CORRECTION):
        return rule.stages[-1].timers
    return next((s.timers for s in rule.stages if s.name == stage), ())


def write(tx: Connection, book: Book, unit: Unit, changes: Sequence[Change]) -> None:
    """Apply the changes in order. Raises StoreConflict never: what moved meanwhile is left as it is."""
    opened: dict[tuple[str, date, int], int] = {}
    for change in changes:
        if isinstance(change, OpenEpisode):
            opened[change.level, change.opened_on, change.number] = _open_episode(tx, book, unit, change)
        elif isinstance(change, EndEpisode):
            _end_episode(tx, book, unit, change)
        elif isinstance(change, MakeNotice):
            _make(tx, book, unit, change, opened)
        elif isinstance(change, RenewNotice):
            _renew(tx, book, unit, change)
        else:
            close(tx, book, unit.client, change)


def _open_episode(tx: Connection, book: Book, unit: Unit, change: OpenEpisode) -> int:
    word = f"{book.rule.name}/{unit.subject}/{book.basis}/{change.level}/{change.opened_on}/{change.number}"
    record = trail.append(
        tx,
        "episode",
        t=book.now,
        cause=book.cause,
        actor=ACTOR,
        client=unit.client,
        rule=book.rule.name,
        rule_set=book.rule_set,
        data={
            "episode": word,
            "change": "opened",
            "subject": unit.subject,
            "basis": book.basis,
            "level": change.level,
            "opened": change.opened_on.isoformat(),
            "n": change.number,
        },
    )
    return noticebook.add_episode(
        tx,
        {
            "rule": book.rule.name,
            "subject": unit.subject,
            "basis": book.basis,
            "level": change.level,
            "opened_on": change.opened_on.isoformat(),
            "number": change.number,
            "feed": book.feed,
            "seen_on": unit.business_date.isoformat(),
            "opened_at": micros(book.now),
            "record": record,
        },
    )


def _end_episode(tx: Connection, book: Book, unit: Unit, change: EndEpisode) -> None:
    record = trail.append(
        tx,
        "episode",
        t=book.now,
        cause=book.cause,
        actor=ACTOR,
        client=unit.client,
        rule=book.rule.name,
        rule_set=book.rule_set,
        data={"episode": str(change.id), "change": "ended", "reason": change.why},
    )
    noticebook.end_episode(tx, change.id, change.why, micros(book.now), record)


def _make(
    tx: Connection, book: Book, unit: Unit, change: MakeNotice, opened: Mapping[tuple[str, date, int], int]
) -> None:
    occurrence: dict[str, Value] = dict(unit.occurrence)
    episode = None
    if change.episode:
        level, opened_on, number = change.episode
        occurrence |= {"level": level, "opened_on": opened_on, "number": str(number)}
        episode = opened.get(change.episode) or _episode_id(tx, book, unit, change.episode)
    text = unit.text or occurrence_text(occurrence)
    keys = subjects.keys_of(tx, unit.client)
    key = notice_id(keys.commitment_key, book.rule.name, unit.subject, text, change.plan.stage)
    if tx.execute(select(notices.c.id).where(notices.c.id == key)).first():
        return
    if unit.inputs is None:
        raise ValueError("a notice is made from a fact, never from its absence")
    plan = change.plan
    marks = with_late(plan, change.marks, book.now)
    data = {
        "notice": key,
        "change": "made",
        "subject": unit.subject,
        "stage": plan.stage,
        "run": book.run,
        "feed": book.feed,
        "stands": change.stands.value,
        "reason": change.why,
        "terms": change.terms if len(change.terms) == 64 else "0" * 64,
        "business_date": unit.business_date.isoformat(),
        "marks": list(marks),
    }
    record = trail.append(
        tx,
        "notice",
        t=book.now,
        cause=book.cause,
        actor=ACTOR,
        client=unit.client,
        rule=book.rule.name,
        rule_set=book.rule_set,
        card=book.rule.card,
        data=data,
        commit={"occurrence": text},
    )
    timers = timers_of(book.rule, plan.stage)
    tx.execute(
        notices.insert().values(
            id=key,
            rule=book.rule.name,
            subject=unit.subject,
            client=unit.client,
            occurrence=text,
            stage=plan.stage,
            episode=episode,
            correction_of=change.correction_of or None,
            correction=change.correction,
            rule_set=book.rule_set,
            run=book.run,
            feed=book.feed,
            business_date=unit.business_date.isoformat(),
            category=book.rule.category,
            priority=book.rule.priority,
            made_at=micros(book.now),
            not_before=micros(plan.at),
            window_end=micros(plan.window_end),
            deadline=micros(plan.deadline),
            late=plan.late,
            marks=json.dumps(marks),
            stands=change.stands.value,
            stands_why=change.why,
            known_at=micros(unit.known_at),
            terms=change.terms,
            inputs=unit.inputs(),
            held=change.held,
            record=record,
            next_timer=micros(max(plan.at, book.now) + timers[0].after) if timers else None,
        )
    )
    unit.made.append(key)
    outbox.add(
        tx, first_messages(book.rule, keys.commitment_key, key, unit.client, plan.at, plan.deadline, book.feed, record)
    )
    if change.stands is Stands.UNKNOWN:
        worklist.open_task(
            tx,
            f"unknown:{key}",
            f"not known whether to tell: {change.why}",
            now=book.now,
            rule=book.rule.name,
            notice=key,
            subject=unit.subject,
            deadline=plan.deadline,
            cause=record,
        )


def _episode_id(tx: Connection, book: Book, unit: Unit, key: tuple[str, date, int]) -> int:
    level, opened_on, number = key
    return int(
        tx.execute(
            select(episodes.c.id).where(
                episodes.c.rule == book.rule.name,
                episodes.c.subject == unit.subject,
                episodes.c.basis == book.basis,
                episodes.c.level == level,
                episodes.c.opened_on == opened_on.isoformat(),
                episodes.c.number == number,
            )
        ).scalar_one()
    )


def first_messages(
    rule: Rule,
    commitment_key: bytes,
    notice: str,
    client: int,
    at: datetime,
    deadline: datetime,
    feed: str,
    record: str,
) -> list[dict[str, Any]]:
    """One message per contact role on the first channel, or on all channels where the rule says `together`."""
    channels = rule.channels if rule.together else rule.channels[:1]
    return [
        message_row(rule, commitment_key, notice, client, role, channel, at, deadline, feed, record)
        for role in rule.contacts
        for channel in channels
    ]


def message_row(
    rule: Rule,
    commitment_key: bytes,
    notice: str,
    client: int,
    role: str,
    channel: str,
    due: datetime,
    deadline: datetime,
    feed: str,
    record: str,
    generation: int = 1,
) -> dict[str, Any]:
    """A new message, queued."""
    return {
        "id": message_id(commitment_key, notice, role, channel, generation),
        "notice": notice,
        "client": client,
        "role": role,
        "channel": channel,
        "generation": generation,
        "state": MessageState.QUEUED.value,
        "own": MessageState.QUEUED.value,
        "due": micros(due),
        "priority": rule.priority,
        "deadline": micros(deadline),
        "feed": feed,
        "record": record,
    }


def _renew(tx: Connection, book: Book, unit: Unit, change: RenewNotice) -> None:
    row = tx.execute(select(notices).where(notices.c.id == change.id)).mappings().one()
    values: dict[str, Any] = {
        "stands": change.stands.value,
        "stands_why": change.why,
        "terms": change.terms,
        "marks": json.dumps(change.marks),
        "not_before": micros(change.not_before),
        "window_end": micros(change.window_end),
        "deadline": micros(change.deadline),
        "known_at": max(micros(unit.known_at), row["known_at"]),
    }
    if change.take_inputs and unit.inputs is not None:
        values["inputs"] = unit.inputs()
        values["run"] = book.run
    told = {"stands", "terms", "marks", "not_before", "window_end", "deadline"}
    if any(row[name] != values[name] for name in told):
        values["record"] = trail.append(
            tx,
            "notice",
            t=book.now,
            cause=book.cause,
            actor=ACTOR,
            client=unit.client,
            rule=book.rule.name,
            rule_set=row["rule_set"],
            card=book.rule.card,
            data={
                "notice": change.id,
                "change": "renewed",
                "stage": row["stage"],
                "stands": change.stands.value,
                "reason": change.why,
                "run": book.run,
                "marks": list(change.marks),
            },
        )
    noticebook.renew_notice(tx, change.id, values)
    noticebook.move_messages(tx, change.id, due=values["not_before"], deadline=values["deadline"])
    if change.stands is Stands.UNKNOWN and row["stands"] != Stands.UNKNOWN.value:
        worklist.open_task(
            tx,
            f"unknown:{change.id}",
            f"not known whether to tell: {change.why}",
            now=book.now,
            rule=book.rule.name,
            notice=change.id,
            subject=unit.subject,
            deadline=change.deadline,
            cause=values.get("record", row["record"]),
        )


def close(tx: Connection, book: Book, client: int, change: CloseNotice) -> None:
    """Give a notice that has not left its outcome and cancel its messages."""
    state = MessageState.EXPIRED if change.outcome is Outcome.EXPIRED else MessageState.CANCELLED
    record = trail.append(
        tx,
        "outcome",
        t=book.now,
        cause=book.cause,
        actor=ACTOR,
        client=client,
        rule=book.rule.name,
        rule_set=book.rule_set,
        data={"notice": change.id, "outcome": change.outcome.value, "served_as_agreed": "no", "reason": change.why},
    )
    if noticebook.close_notice(tx, change.id, change.outcome.value, change.why, micros(book.now), record, "no"):
        noticebook.cancel_messages(tx, change.id, state.value, change.why, record)
        if change.outcome is Outcome.EXPIRED:
            worklist.open_task(
                tx,
                f"expired:{change.id}",
                f"expired without leaving: {change.why}",
                now=book.now,
                rule=book.rule.name,
                notice=change.id,
                cause=record,
            )
