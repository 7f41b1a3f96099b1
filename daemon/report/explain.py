"""Why a client was told on a day, or was not: read from sheets, notices, attempts and receipts, decided again to show how.

A client's line is shown for each poll in which it changed; what made it so is the first condition or gate that did. Where the
client has no line, that is said, with the polls that saw none and the rejects that could be anybody's: a reject is
sealed and is no longer anybody's once it is one. No name, address or key is read: whom it is about is the caller's word.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import RowMapping

from daemon.decide.inputs import unpack
from daemon.decide.lines import subject_kind
from daemon.errors import SealBroken
from daemon.model.decisions import Bucket
from daemon.model.kinds import FactKind
from daemon.report import queries
from daemon.report.replay import gate_inputs, open_sheet, word_of, word_of_line
from daemon.rules.evaluate import Trace
from daemon.rules.explaining import ConditionNote, Explanation, gate_key
from daemon.store import asks, ledger, outbox, readings, seals, subjects, trail
from daemon.store.db import Store, Tx
from daemon.store.erasure import Erased, kept_no_more
from daemon.store.ledger import Poll
from daemon.store.sheetlines import Line
from daemon.store.sheets import SheetReader
from daemon.world import World

FactKey: TypeAlias = tuple[tuple[str, str], ...]
_Place: TypeAlias = tuple[str, str, int, FactKey]
"""(rule, feed, subject, fact): whose lines of one day are held against each other."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The first thing that made a decision what it is. `kind`: condition, gate, level, whole, date, absent (no row of the
    subject); `key`: which one in the rule's file; `trace`: the condition taken apart, None for a gate."""

    kind: str
    key: str
    detail: str = ""
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class LineStory:
    """A client's line in one poll under one rule, decided again. `as_recorded`: the same came out. `held`: why the poll made
    no notices of this rule, or ''. `unchanged`: polls right after it in which the line was the same. `fact`: what tells the
    subject's facts apart (a fund, a date), as far as a sheet holds it; `rejects`: rows of the subject that the poll rejected;
    `version`: what the signers call the rule set, 0 for one that nobody signed."""

    poll: Poll
    run: int
    rule: str
    rule_set: str
    line: Line
    explanation: Explanation
    cause: Cause | None
    as_recorded: bool
    held: str = ""
    unchanged: tuple[Poll, ...] = ()
    fact: FactKey = ()
    rejects: tuple[RowMapping, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Absence:
    """A poll in which the client has no line under a rule. `why`: no_line, no_sheet (it has not decided), kept_no_more (then
    `erased` says since when and by which `keep:`), gone, changed. `rejects`: the poll's, `mine` those that say they are the
    client's."""

    poll: Poll
    rule: str
    why: str
    rejects: tuple[RowMapping, ...] = ()
    erased: Erased | None = None
    mine: tuple[RowMapping, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageStory:
    """A message with its attempts and receipts, rows of the store."""

    message: RowMapping
    attempts: tuple[RowMapping, ...]
    receipts: tuple[RowMapping, ...]


@dataclass(frozen=True, slots=True)
class NoticeStory:
    """A notice, what asking again gave, and its messages."""

    notice: RowMapping
    asks: tuple[RowMapping, ...]
    messages: tuple[MessageStory, ...]


@dataclass(frozen=True, slots=True)
class ClientDay:
    """A client's day. `client` is None where the store has never seen the key."""

    day: date
    client: int | None
    subjects: tuple[int, ...] = ()
    lines: tuple[LineStory, ...] = ()
    absences: tuple[Absence, ...] = ()
    notices: tuple[NoticeStory, ...] = ()

    @property
    def told(self) -> bool:
        """Whether a notice of the day has reached `sending`, as far as is known."""
        return any(story.notice["told_at"] is not None for story in self.notices)


def find_client(tx: Tx, world: World | None, key: str) -> tuple[int, tuple[int, ...]] | None:
    """(client's number, numbers of what the key is about) by the blind index: of a client key all that is its, of a
    contract's that one. None where the store has never seen the key."""
    number = subjects.find(tx, subjects.CLIENT, key)
    if number is not None:
        return number, tuple(n for n, _ in queries.subjects_of(tx, number))
    kinds = sorted({subject_kind(kind) for kind in world.ruleset.kinds.values()}) if world else []
    for kind in kinds:
        number = None if kind == subjects.CLIENT else subjects.find(tx, kind, key)
        if number is not None:
            return subjects.client_of(tx, number), (number,)
    return None


def explain(
    store: Store, worlds: Callable[[str], World], digest: str, key: str, day: date, rule: str = ""
) -> ClientDay:
    """A client's day. `digest`: the active rule set, which says what kinds of keys there are. Raises SealBroken for a
    sheet that does not hash as recorded, LookupError for a rule set that is not kept."""
    with store.read() as tx:
        found = find_client(tx, worlds(digest) if digest else None, key)
        if found is None:
            return ClientDay(day, None)
        client, numbers = found
        polls = queries.polls_of(tx, day)
    teller = _Teller(store, worlds, numbers, rule)
    for poll in polls:
        teller.poll(poll)
    with store.read() as tx:
        rows = queries.notices_of(tx, day=day, rule=rule, client=client)
        notices = tuple(notice_story(tx, row) for row in rows if row["subject"] in numbers)
    return ClientDay(day, client, numbers, tuple(teller.told()), tuple(teller.absences), notices)


def notice_story(tx: Tx, row: RowMapping) -> NoticeStory:
    """A notice with all that followed."""
    rows = outbox.of_notice(tx, row["id"])
    ids = [message["id"] for message in rows]
    tries, came = queries.attempts_of(tx, ids), queries.receipts_of(tx, ids)
    stories = [MessageStory(m, tuple(tries.get(m["id"], ())), tuple(came.get(m["id"], ()))) for m in rows]
    return NoticeStory(row, tuple(asks.of_notice(tx, row["id"])), tuple(stories))


class _Teller:
    """Goes through the polls of a day and keeps the lines that changed."""

    def __init__(self, store: Store, worlds: Callable[[str], World], numbers: Sequence[int], rule: str) -> None:
        self._store, self._worlds, self._numbers, self._rule = store, worlds, numbers, rule
        self._last: dict[_Place, dict[str, str]] = {}
        self._same: dict[_Place, list[Poll]] = {}
        self._stories: list[tuple[LineStory, list[Poll]]] = []
        self.absences: list[Absence] = []

    def told(self) -> Iterator[LineStory]:
        """The stories by rule, subject and fact, in order of due time; each with the polls in which nothing changed."""
        order = sorted(self._stories, key=lambda pair: (pair[0].rule, pair[0].line.subject, pair[0].fact))
        return (replace(story, unchanged=tuple(same)) for story, same in order)

    def poll(self, poll: Poll) -> None:
        """One poll: its newest run that has decided."""
        with self._store.read() as tx:
            decided = [row for row in readings.runs_of(tx, poll.id) if row["record"] is not None]
        if not decided:
            self.absences.append(Absence(poll, "", "no_sheet"))
            return
        self.run(poll, decided[-1])

    def run(self, poll: Poll, run: RowMapping) -> None:
        """One run of a poll, which has decided."""
        with self._store.read() as tx:
            sheets, held = readings.sheets_of(tx, run["id"]), _held(tx, run)
        for sheet in sheets:
            if not self._rule or sheet["rule"] == self._rule:
                self._sheet(poll, run, sheet, held.get(sheet["rule"], ""))

    def _sheet(self, poll: Poll, run: RowMapping, sheet: RowMapping, held: str) -> None:
        try:
            reader = open_sheet(self._store, sheet)
        except FileNotFoundError:
            self.absences.append(Absence(poll, sheet["rule"], "gone"))
            return
        except (SealBroken, OSError):
            self.absences.append(Absence(poll, sheet["rule"], "changed"))
            return
        if reader is None:
            self.absences.append(Absence(poll, sheet["rule"], "kept_no_more", erased=kept_no_more(sheet)))
            return
        lines = [line for number in self._numbers for line in reader.find(number)]
        for line in lines:
            self._line(poll, run, sheet["rule"], line, held)
        if not lines:
            with self._store.read() as tx:
                places = tuple(queries.reject_places(tx, run["id"]))
                mine = tuple(queries.rejects_of(tx, run["id"], self._numbers))
            self.absences.append(Absence(poll, sheet["rule"], "no_line", places, mine=mine))

    def _line(self, poll: Poll, run: RowMapping, rule: str, line: Line, held: str) -> None:
        world = self._worlds(run["rule_set"])
        fact = fact_key(world.ruleset.kinds[world.ruleset.rules[rule].kind], line)
        key = rule, poll.feed, line.subject, fact
        given = {"operands": repr(sorted(line.operands.items())), "rows": repr(line.items), "held": held}
        word = word_of_line(line) | given
        if self._last.get(key) == word:
            self._same[key].append(poll)
            return
        self._last[key], self._same[key] = word, []
        self._stories.append((self._story(world, poll, run, rule, line, held, fact), self._same[key]))

    def _story(
        self, world: World, poll: Poll, run: RowMapping, rule: str, line: Line, held: str, fact: FactKey
    ) -> LineStory:
        decider, env = world.deciders[rule], world.env(line.business_date)
        found = decider.explain(line.operands, line.items, line.whole, gate_inputs(line), env)
        same = word_of(found.decision) == word_of_line(line)
        cause = cause_of(found, decider.rule.levels)
        with self._store.read() as tx:
            mine = tuple(queries.rejects_of(tx, run["id"], [line.subject])) if not line.whole else ()
            version = queries.version_of(tx, run["rule_set"])
        story = LineStory(poll, run["number"], rule, run["rule_set"], line, found, cause, same, held, fact=fact)
        return replace(story, rejects=mine, version=version)


def lines_of_notice(
    store: Store, worlds: Callable[[str], World], notice: RowMapping
) -> tuple[tuple[LineStory, ...], tuple[Absence, ...]]:
    """The lines of the notice's subject in the sheet that it was made from, decided again; what of it is not there."""
    with store.read() as tx:
        run = readings.run_of(tx, notice["run"])
        poll = ledger.poll_of(tx, run["poll"])
    teller = _Teller(store, worlds, (notice["subject"],), notice["rule"])
    teller.run(poll, run)
    return tuple(teller.told()), tuple(teller.absences)


def asked_cause(store: Store, worlds: Callable[[str], World], story: NoticeStory) -> Cause | None:
    """The cause that the newest answer of asking again about a notice shows, decided again from what is sealed; None where
    nobody asked, or the answer says to notify."""
    if not story.asks:
        return None
    with store.read() as tx:
        raw = seals.get(tx, story.asks[-1]["sealed"])
    if not raw:
        return Cause("absent", "absent")
    named = json.loads(raw)
    world = worlds(named["set"])
    rule = world.ruleset.rules[named["rule"]]
    inputs = unpack(raw, world.ruleset.kinds[rule.kind])
    fact, env = inputs.fact, world.env(inputs.fact.business_date)
    found = world.deciders[rule.name].explain(fact.values, fact.items, fact.whole, inputs.gates, env)
    return stage_cause(found, story.notice["stage"]) or (
        None if found.decision.bucket is Bucket.NOTIFY else cause_of(found, rule.levels)
    )


def stage_cause(found: Explanation, stage: str) -> Cause | None:
    """The condition of a stage, where it does not hold on a fact that asks to notify."""
    key = f"stages.{stage.rpartition('/')[2]}.if"
    traced = _trace(found.conditions, key)
    unmet = found.decision.bucket is Bucket.NOTIFY and traced is not None and traced.value is not True
    return Cause("condition", key, "", traced) if unmet else None


def fact_key(kind: FactKind, line: Line) -> FactKey:
    """What tells a line from others of its subject: the key of the kind's facts, as far as the sheet holds it. Business
    dates are left out: every line has its own."""
    names = kind.collect.by if kind.collect else kind.key
    return tuple((n, str(line.operands[n])) for n in names if n in line.operands and n != kind.business_date)


def _held(tx: Tx, run: RowMapping) -> dict[str, str]:
    """Rule -> why the run made no notices of it: the verdict in its poll's record."""
    record = trail.read(tx, run["record"])
    assert record is not None, f"run {run['id']} names a record that is not there"
    return {sheet["rule"]: "hold" for sheet in record.data.get("sheets", ()) if sheet.get("verdict") == "hold"}


def cause_of(found: Explanation, levels: Sequence[Any]) -> Cause | None:
    """The first condition or gate that made the decision so; None where there is nothing to point at."""
    decision = found.decision
    if decision.reason == "not_effective":
        return Cause("date", "effective", found.business_date.isoformat())
    if decision.reason == "not_whole":
        return Cause("whole", "whole")
    if decision.bucket is not Bucket.NOTIFY:
        gate = next((g for g in decision.gates if not g.passes), None)
        if gate is not None and decision.reason.startswith(("gate:", "declared:")):
            return Cause("gate", gate.gate, gate.reason, _trace(found.conditions, gate_key(gate.gate, gate.reason)))
    for note in found.conditions:
        if note.decided:
            return Cause("condition", note.key, "", note.trace)
    if decision.reason == "condition" and levels:
        mildest = f"levels.{levels[-1].name}.when"
        return Cause("level", mildest, "", _trace(found.conditions, mildest))
    return None


def _trace(notes: Sequence[ConditionNote], key: str) -> Trace | None:
    return next((note.trace for note in notes if note.key == key), None)


def sheet_of(store: Store, poll: int, rule: str) -> tuple[RowMapping, SheetReader | None]:
    """The sheet of a poll's newest run that has decided, and its reader (None past its time). Raises LookupError."""
    with store.read() as tx:
        decided = [row for row in readings.runs_of(tx, poll) if row["record"] is not None]
        rows = readings.sheets_of(tx, decided[-1]["id"]) if decided else []
    sheet = next((row for row in rows if row["rule"] == rule), None)
    if sheet is None:
        known = ", ".join(row["rule"] for row in rows) or "none"
        raise LookupError(f"poll {poll}: no sheet of rule {rule}, expected one of: {known}")
    return sheet, open_sheet(store, sheet)
