"""Write what the pure parts decided: episodes, notices, their first messages, each with its record, in one transaction.

Identity makes it repeatable: a notice's id says which obligation it is, so that what exists is not made again. Rows of one
kind wait and go in with one statement at `flush`, because a poll makes thousands of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping

from daemon.clock import from_micros, micros
from daemon.model.kinds import Value
from daemon.model.notices import CORRECTION, Change, CloseNotice, EndEpisode, MakeNotice, OpenEpisode, RenewNotice
from daemon.model.states import MessageState, Outcome, Stands
from daemon.model.values import occurrence_text
from daemon.notices.standing import with_late
from daemon.notices.whom import (
    Place,
    as_text,
    cancel_others,
    contacts_of,
    first_places,
    ids_of,
    message_row,
    redirected,
)
from daemon.rules.schema import Rule, Timer
from daemon.store import noticebook, outbox, restored, subjects, trail, worklist
from daemon.store.identity import notice_id

ACTOR = "sys:duenotice"
NO_TERMS = "0" * 64
Rows = Mapping[str, RowMapping]


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
    """Whom and what it is about. `inputs` seals what a card needs and returns the id; called at most once a change. `cause`:
    the record that led to these changes, where it is not the book's. `contacts`, `call`: whom the client's status sends a
    notice to, and the status for which a call is wanted as well; None where what was read does not say."""

    subject: int
    client: int
    occurrence: Mapping[str, Value]
    business_date: date
    known_at: datetime
    inputs: Callable[[], str] | None = None
    text: str = ""  # the occurrence's text where the values are not at hand
    cause: str | None = None
    contacts: tuple[str, ...] | None = None
    call: str = ""
    made: list[str] = field(default_factory=list)


def timers_of(rule: Rule, stage: str) -> tuple[Timer, ...]:
    """The forward timers of a stage; a correction has those of the rule's last stage."""
    if stage.startswith(CORRECTION):
        return rule.stages[-1].timers
    return next((s.timers for s in rule.stages if s.name == stage), ())


class Writer:
    """Writes in one transaction for one rule. `flush` must be called before anything that was written is read."""

    def __init__(self, tx: Connection, book: Book) -> None:
        self.tx, self.book = tx, book
        self._notices: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []
        self._renewals: list[dict[str, Any]] = []
        self._moves: list[dict[str, Any]] = []
        self._doubtful: list[dict[str, Any]] = []
        self._after = restored.After(tx)

    def write(self, unit: Unit, changes: Sequence[Change], rows: Rows) -> None:
        """Take the changes of one unit, in order. `rows`: the unit's notices as they are in this transaction."""
        opened: dict[tuple[str, date, int], int] = {}
        for change in changes:
            if isinstance(change, OpenEpisode):
                opened[change.level, change.opened_on, change.number] = self._open_episode(unit, change)
            elif isinstance(change, EndEpisode):
                self._end_episode(unit, change)
            elif isinstance(change, MakeNotice):
                self._make(unit, change, opened, rows)
            elif isinstance(change, RenewNotice):
                self._renew(unit, change, rows[change.id])
            else:
                close(self.tx, self.book, unit.client, change, unit.cause)

    def flush(self) -> None:
        """Insert and update what waits."""
        noticebook.add_notices(self.tx, self._notices)
        outbox.add(self.tx, self._messages)
        outbox.add(self.tx, self._doubtful)
        noticebook.renew_notices(self.tx, self._renewals)
        noticebook.move_messages(self.tx, self._moves)
        self._notices, self._messages, self._doubtful, self._renewals, self._moves = [], [], [], [], []

    def _append(self, kind: str, unit: Unit, data: Mapping[str, Any], **more: Any) -> str:
        book = self.book
        named = {"rule": book.rule.name, "rule_set": book.rule_set, **more}
        return trail.append(
            self.tx,
            kind,
            t=book.now,
            cause=unit.cause or book.cause,
            actor=ACTOR,
            client=unit.client,
            data=data,
            **named,
        )

    def _open_episode(self, unit: Unit, change: OpenEpisode) -> int:
        book, day = self.book, change.opened_on.isoformat()
        word = f"{book.rule.name}/{unit.subject}/{book.basis}/{change.level}/{day}/{change.number}"
        data = {
            "episode": word,
            "change": "opened",
            "subject": unit.subject,
            "basis": book.basis,
            "level": change.level,
        }
        record = self._append("episode", unit, {**data, "opened": day, "n": change.number})
        row = {"rule": book.rule.name, "subject": unit.subject, "basis": book.basis, "level": change.level}
        row |= {"opened_on": day, "number": change.number, "feed": book.feed, "seen_on": unit.business_date.isoformat()}
        return noticebook.add_episode(self.tx, {**row, "opened_at": micros(book.now), "record": record})

    def _end_episode(self, unit: Unit, change: EndEpisode) -> None:
        record = self._append("episode", unit, {"episode": str(change.id), "change": "ended", "reason": change.why})
        noticebook.end_episode(self.tx, change.id, change.why, micros(self.book.now), record)

    def _make(self, unit: Unit, change: MakeNotice, opened: Mapping[tuple[str, date, int], int], rows: Rows) -> None:
        book, plan = self.book, change.plan
        occurrence: dict[str, Value] = dict(unit.occurrence)
        episode = None
        if change.episode:
            level, opened_on, number = change.episode
            occurrence |= {"level": level, "opened_on": opened_on, "number": str(number)}
            episode = opened.get(change.episode)
            if episode is None:
                episode = noticebook.episode_id(self.tx, book.rule.name, unit.subject, book.basis, change.episode)
        text = unit.text or occurrence_text(occurrence)
        keys = subjects.keys_of(self.tx, unit.client)
        key = notice_id(keys.commitment_key, book.rule.name, unit.subject, text, plan.stage)
        if key in rows or key in unit.made:
            return
        if unit.inputs is None:
            raise ValueError("a notice is made from a fact, never from its absence")
        last = max(rows.values(), key=lambda r: r["made_at"], default=None)
        contacts = _contacts(book.rule, unit, last)
        call = unit.call if unit.contacts is not None or last is None else last["call"]
        places = first_places(book.rule, contacts_of(book.rule, contacts))
        data = self._made(unit, change, key) | _whom(book.rule, contacts, call)
        data["messages"] = ids_of(self.tx, unit.client, key, places)
        record = self._append("notice", unit, data, card=book.rule.card, commit={"occurrence": text})
        row = self._row(unit, change, key, text, episode, unit.inputs(), record) | {"contacts": contacts, "call": call}
        doubtful = self._after.is_doubtful(key, row["not_before"])
        row |= {"next_timer": None} if doubtful else {}
        self._notices.append(row)
        unit.made.append(key)
        self._add_messages(row, places, row["not_before"], row["deadline"], record)
        if doubtful:
            self._put_in_doubt(row, len(places))
        if change.stands is Stands.UNKNOWN:
            self._unknown(unit, key, change.why, plan.deadline, record)
        if change.held:
            self._wait_for_release(unit, key, record)

    def _put_in_doubt(self, notice: Mapping[str, Any], count: int) -> None:
        """Its messages, the last `count` that wait, may have been sent before a restore: they never leave, a person has them."""
        for _ in range(count):
            row = self._messages.pop()
            self._doubtful.append(self._after.in_doubt(row, notice, ACTOR, self.book.now))

    def _wait_for_release(self, unit: Unit, notice: str, cause: str) -> None:
        """A correction that its rule holds waits for a person: `notices release --notice`."""
        worklist.open_task(
            self.tx,
            f"correction:{notice}",
            "what was told has changed: the correction waits for a release",
            now=self.book.now,
            rule=self.book.rule.name,
            notice=notice,
            subject=unit.subject,
            detail=f"notices release --notice {notice[:16]}",
            cause=cause,
        )

    def _made(self, unit: Unit, change: MakeNotice, key: str) -> dict[str, Any]:
        return {
            "notice": key,
            "change": "made",
            "subject": unit.subject,
            "stage": change.plan.stage,
            "run": self.book.run,
            "feed": self.book.feed,
            "stands": change.stands.value,
            "reason": change.why,
            "terms": change.terms if len(change.terms) == 64 else NO_TERMS,
            "business_date": unit.business_date.isoformat(),
            "not_before": trail.format_time(change.plan.at),
            "deadline": trail.format_time(change.plan.deadline),
            "marks": list(with_late(change.plan, change.marks, self.book.now)),
        }

    def _add_messages(
        self, notice: Mapping[str, Any], places: Sequence[Place], due: int, deadline: int, record: str
    ) -> None:
        rule = self.book.rule
        self._messages += [
            message_row(rule, self.tx, notice, role, channel, due, deadline, record, generation)
            for role, channel, generation in places
        ]

    def _row(
        self, unit: Unit, change: MakeNotice, key: str, text: str, episode: int | None, inputs: str, record: str
    ) -> dict[str, Any]:
        book, plan = self.book, change.plan
        timers = timers_of(book.rule, plan.stage)
        return {
            "id": key,
            "rule": book.rule.name,
            "subject": unit.subject,
            "client": unit.client,
            "occurrence": text,
            "stage": plan.stage,
            "episode": episode,
            "correction_of": change.correction_of or None,
            "correction": change.correction,
            "rule_set": book.rule_set,
            "run": book.run,
            "feed": book.feed,
            "business_date": unit.business_date.isoformat(),
            "category": book.rule.category,
            "priority": book.rule.priority,
            "made_at": micros(book.now),
            "not_before": micros(plan.at),
            "window_end": micros(plan.window_end),
            "deadline": micros(plan.deadline),
            "late": plan.late,
            "last": plan.last,
            "marks": json.dumps(with_late(plan, change.marks, book.now)),
            "stands": change.stands.value,
            "stands_why": change.why,
            "known_at": micros(unit.known_at),
            "terms": change.terms,
            "inputs": inputs,
            "held": change.held,
            "record": record,
            "next_timer": micros(max(plan.at, book.now) + timers[0].after) if timers else None,
        }

    def _renew(self, unit: Unit, change: RenewNotice, row: RowMapping) -> None:
        values: dict[str, Any] = {
            "stands": change.stands.value,
            "terms": change.terms,
            "marks": json.dumps(change.marks),
            "not_before": micros(change.not_before),
            "window_end": micros(change.window_end),
            "deadline": micros(change.deadline),
        }
        values["contacts"] = _contacts(self.book.rule, unit, row)
        values["call"] = row["call"] if unit.contacts is None else unit.call
        take = change.take_inputs and unit.inputs is not None
        differs = any(row[name] != value for name, value in values.items())
        record: str = row["record"]
        contacts = contacts_of(self.book.rule, values["contacts"])
        moves = row["contacts"] != values["contacts"] and row["told_at"] is None
        places = redirected(self.tx, self.book.rule, change.id, contacts) if moves else []
        if differs:
            data = {"notice": change.id, "change": "renewed", "stage": row["stage"], "stands": change.stands.value}
            data |= {"reason": change.why, "run": self.book.run, "marks": list(change.marks)}
            data |= _whom(self.book.rule, values["contacts"], values["call"])
            data |= {"messages": ids_of(self.tx, unit.client, change.id, places)} if places else {}
            record = self._append("notice", unit, data, rule_set=row["rule_set"], card=self.book.rule.card)
        values |= {
            "b_id": change.id,
            "stands_why": change.why,
            "known_at": max(micros(unit.known_at), row["known_at"]),
            "inputs": unit.inputs() if take and unit.inputs is not None else row["inputs"],
            "run": self.book.run if take else row["run"],
            "record": record,
            "timer": row["timer"],
            "next_timer": row["next_timer"],
        }
        stood_up = change.stands is Stands.YES and row["stands"] == Stands.NO.value
        if row["told_at"] is None and (stood_up or row["not_before"] != values["not_before"]):
            start = max(change.not_before, self.book.now) if stood_up else change.not_before
            values |= self._timers_from(start, change.window_end, row)
        self._renewals.append(values)
        if moves:
            cancel_others(self.tx, change.id, contacts, record)
            self._add_messages(dict(row), places, values["not_before"], values["deadline"], record)
        if row["not_before"] != values["not_before"] or row["deadline"] != values["deadline"]:
            self._moves.append({"b_notice": change.id, "due": values["not_before"], "deadline": values["deadline"]})
        if change.stands is Stands.UNKNOWN and row["stands"] != Stands.UNKNOWN.value and row["told_at"] is None:
            self._unknown(unit, change.id, change.why, change.deadline, record)

    def _timers_from(self, instant: datetime, window_end: datetime, row: RowMapping) -> dict[str, int | None]:
        """The forward timers begin again with a stage's instant that moved, or when it stands after all: while it rested they
        ran out. Past the window's end the next stage speaks."""
        timers = timers_of(self.book.rule, row["stage"])
        due = max(instant, from_micros(row["made_at"])) + timers[0].after if timers else window_end
        return {"timer": 0, "next_timer": micros(due) if due < window_end else None}

    def _unknown(self, unit: Unit, notice: str, why: str, deadline: datetime, cause: str) -> None:
        worklist.open_task(
            self.tx,
            f"unknown:{notice}",
            f"not known whether to tell: {why}",
            now=self.book.now,
            rule=self.book.rule.name,
            notice=notice,
            subject=unit.subject,
            deadline=deadline,
            cause=cause,
        )


def _contacts(rule: Rule, unit: Unit, known: RowMapping | None) -> str:
    """The contacts of a unit's notice, as it keeps them: by what was read, else as they were."""
    if unit.contacts is not None:
        return as_text(rule, unit.contacts)
    return known["contacts"] if known is not None else ""


def _whom(rule: Rule, contacts: str, call: str) -> dict[str, Any]:
    """What a record says of them, where there is something to say."""
    found: dict[str, Any] = {"contacts": list(contacts_of(rule, contacts))} if contacts else {}
    return found | ({"call": call} if call else {})


def close(tx: Connection, book: Book, client: int, change: CloseNotice, cause: str | None = None) -> None:
    """Give a notice that has not left its outcome and cancel its messages."""
    state = MessageState.EXPIRED if change.outcome is Outcome.EXPIRED else MessageState.CANCELLED
    record = trail.append(
        tx,
        "outcome",
        t=book.now,
        cause=cause or book.cause,
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
