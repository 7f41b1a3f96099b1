"""Kept sheets as what a poll reads: do they hold what a rule set reads, and their lines as facts again.

The sheets of one run have one line per fact in one order, so that what all of them hold of a fact can be put together. A
line names its subject by number; whoever it is and whatever is personal is not in it, and a card shows it masked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import RowMapping

from daemon.clock import from_micros
from daemon.decide.joining import Joined
from daemon.decide.lines import Line, LineMaker
from daemon.decide.reading import FactRows, Tally
from daemon.errors import SealBroken
from daemon.model.decisions import Bucket
from daemon.model.facts import Fact
from daemon.model.kinds import STRINGS, Absence, FactKind, Feed, Type, Value
from daemon.report import queries
from daemon.report.replay import open_sheet
from daemon.rules.gates import GateInputs
from daemon.rules.schema import RuleSet
from daemon.security.masking import HIDDEN
from daemon.store import readings, sheetlines, trail
from daemon.store.db import Store, Tx
from daemon.store.erasure import kept_no_more
from daemon.store.sheets import SheetReader
from daemon.world import World

MOST_REJECTS = 100_000
NUMBER = "#"
"""What a subject's or client's key begins with that is known by number only: `#12`."""


@dataclass(frozen=True, slots=True)
class KeptRun:
    """One run of a poll that has decided: when it read, its row, its sheets by rule."""

    at: datetime
    row: RowMapping
    sheets: Mapping[str, RowMapping]


@dataclass(frozen=True, slots=True)
class KeptPoll:
    """A poll of the ledger with every run of it that has decided, in order."""

    feed: str
    due: datetime
    business_date: date
    runs: tuple[KeptRun, ...]


def kept_polls(store: Store, day: date) -> dict[str, list[KeptPoll]]:
    """Feed -> the polls of a business date that have decided, by due time."""
    found: dict[str, list[KeptPoll]] = {}
    with store.read() as tx:
        for poll in queries.polls_of(tx, day):
            runs = [row for row in readings.runs_of(tx, poll.id) if row["record"] is not None]
            kept = [
                KeptRun(
                    from_micros(row["reading_started"]), row, {s["rule"]: s for s in readings.sheets_of(tx, row["id"])}
                )
                for row in runs
            ]
            kept = [run for run in kept if run.sheets]
            if kept:
                found.setdefault(poll.feed, []).append(KeptPoll(poll.feed, poll.due, poll.business_date, tuple(kept)))
    return found


def why_not(
    store: Store, worlds: Callable[[str], World], polls: Sequence[KeptPoll], wanted: World, kind: FactKind, feed: Feed
) -> str:
    """Why the sheets of a feed's polls do not hold what a rule set reads; '' where they do. Opens every sheet."""
    if not polls:
        return "no poll of it has a sheet"
    for run in (run for poll in polls for run in poll.runs):
        why = _why_not(store, worlds(run.row["rule_set"]).ruleset, run, wanted, kind, feed)
        if why:
            return why
    return ""


def _why_not(store: Store, old: RuleSet, run: KeptRun, wanted: World, kind: FactKind, feed: Feed) -> str:
    why = _other_facts(old, wanted.ruleset, kind, feed)
    if why:
        return why
    held: set[str] = set()
    rows: set[str] = set()
    for rule, sheet in sorted(run.sheets.items()):
        erased = kept_no_more(sheet)
        if erased is not None:
            return f"kept no more since {erased.since:%Y-%m-%d}, by rule {rule} keep {erased.days}d"
        try:
            reader = open_sheet(store, sheet)
        except (SealBroken, OSError) as broken:
            return f"{sheet['path']}: {type(broken).__name__}"
        if reader is None:
            return f"{sheet['path']}: its key is destroyed"
        held.update(name for name, _ in reader.operands)
        rows.update(name for name, _ in reader.items)
    for mine in wanted.ruleset.rules_of(kind.name):
        decider = wanted.deciders[mine.name]
        missing = sorted({n for n, _ in decider.operands} - held | {n for n, _ in decider.row_operands} - rows)
        if missing:
            return f"the sheets do not hold {', '.join(missing)}, which {mine.name} reads"
    return ""


def _other_facts(old: RuleSet, new: RuleSet, kind: FactKind, feed: Feed) -> str:
    """Whether the new set would make other facts of the same sources."""
    before = old.kinds.get(kind.name)
    if before is None or not any(one == feed for one in before.feeds):
        return f"the feed {feed.name} is another one"
    for name in (kind.name, *(lookup.kind for lookup in kind.lookups)):
        if name not in old.kinds or _plain(old.kinds[name]) != _plain(new.kinds[name]):
            return f"the kind {name} is another one"
    if kind.derived and old.calendar.sessions != new.calendar.sessions:
        return "the calendar is another one"
    return ""


def _plain(kind: FactKind) -> FactKind:
    """A kind without what says nothing of its facts: the feeds, which are compared one by one, and places in its file."""
    return replace(kind, feeds=(), derived=tuple(replace(one, line=0) for one in kind.derived))


@dataclass(frozen=True, slots=True)
class KeptFact:
    """A fact out of the sheets: by number, with the gates' inputs of each rule that decided it then."""

    fact: Fact
    members: tuple[Joined, ...]
    gates: Mapping[str, GateInputs]


def kept_facts(store: Store, kind: FactKind, feed: Feed, run: KeptRun) -> tuple[Tally, Iterator[KeptFact]]:
    """What a kept run read. Raises SealBroken or OSError for a sheet that does not open."""
    readers = {}
    for rule, sheet in sorted(run.sheets.items()):
        reader = open_sheet(store, sheet)
        if reader is None:
            raise SealBroken(f"{sheet['path']}: its key is destroyed")
        readers[rule] = reader
    row, tally = run.row, Tally(run.at)
    tally.rows, tally.other, tally.in_facts = row["rows"] or 0, row["other"] or 0, row["rows_in_facts"] or 0
    tally.source_count = row["source_count"]
    tally.counted = tally.rows + tally.other
    tally.torn, tally.untraced = _rejected(store, row)
    return tally, _facts(kind, feed, readers)


def _rejected(store: Store, run: RowMapping) -> tuple[set[str], int]:
    """Whose the rows were that a run could not read, and how many are nobody's: then nobody is taken to be absent."""
    if not run["rejects"]:
        return set(), 0
    with store.read() as tx:
        places = queries.reject_places(tx, run["id"], MOST_REJECTS)
        record = trail.read(tx, run["record"])
    torn = {NUMBER + str(place["subject"]) for place in places if place["subject"] is not None}
    complete = record is not None and record.data.get("complete") is True and len(places) < MOST_REJECTS
    return torn, 0 if complete else run["rejects"]


def _facts(kind: FactKind, feed: Feed, readers: Mapping[str, SheetReader]) -> Iterator[KeptFact]:
    rules = list(readers)
    blank = _blank(kind)
    for lines in zip(*(readers[rule].lines() for rule in rules), strict=True):
        first = lines[0]
        if any((one.subject, one.business_date) != (first.subject, first.business_date) for one in lines):
            raise SealBroken(f"sheets of {', '.join(rules)}: their lines are not of the same facts")
        values: dict[str, Value] = dict(blank)
        for one in lines:
            values.update(one.operands)
        values |= {kind.subject: NUMBER + str(first.subject), kind.client: NUMBER + str(first.client)}
        values[kind.business_date] = first.business_date
        yield KeptFact(
            _fact(kind, feed, first, values, _items(kind, lines)),
            (Joined(feed.parts[0].name, values),),
            {rule: GateInputs.from_json(json.loads(one.gate_inputs)) for rule, one in zip(rules, lines, strict=True)},
        )


def _fact(
    kind: FactKind,
    feed: Feed,
    line: sheetlines.Line,
    values: Mapping[str, Value],
    items: tuple[Mapping[str, Value], ...],
) -> Fact:
    key = tuple(str(values.get(name, "")) for name in (kind.collect.by if kind.collect else kind.key))
    subject, client = NUMBER + str(line.subject), NUMBER + str(line.client)
    return Fact(key, subject, client, line.business_date, feed.basis, values, items, line.as_of, line.rows, line.whole)


def _items(kind: FactKind, lines: Sequence[sheetlines.Line]) -> tuple[Mapping[str, Value], ...]:
    """The collected rows: what any sheet holds of each, texts that none holds hidden."""
    widest = max(lines, key=lambda line: len(line.items))
    names = kind.collect.items if kind.collect else ()
    blank = {name: HIDDEN for name in names if _is_text(kind, name)}
    return tuple(
        {**blank, **{n: v for line in lines if i < len(line.items) for n, v in line.items[i].items()}}
        for i in range(len(widest.items))
    )


def _blank(kind: FactKind) -> dict[str, Value]:
    """What a card shows of a field that no sheet holds: texts hidden, figures missing."""
    return {name: HIDDEN if _is_text(kind, name) else Absence.MISSING for name in kind.fields}


def _is_text(kind: FactKind, name: str) -> bool:
    type_ = kind.fields[name].type
    return type_ in STRINGS and type_ is not Type.ENUM


class KeptLines(LineMaker):
    """Decides facts out of sheets. What the gates read then is read again, but for what depends on the simulated notices:
    whether there is one already, and how many others that day."""

    def __init__(self, world: World, kind: FactKind, remembered: dict[tuple[str, int, str], GateInputs]) -> None:
        super().__init__(world.store, world.ruleset, world.deciders, kind)
        self.remembered = remembered
        self._kept: dict[int, Mapping[str, GateInputs]] = {}  # id of a fact under way -> what the gates read then

    def of_kept(self, facts: Iterable[KeptFact], now: datetime) -> Iterator[Line]:
        """A line for every fact, in order; what the gates of a match read is remembered for its claim."""
        for line in self.lines(self._pairs(facts), now):
            self._remember(line)
            yield line

    def _pairs(self, facts: Iterable[KeptFact]) -> Iterator[FactRows]:
        for kept in facts:
            self._kept[id(kept.fact)] = kept.gates
            yield kept.fact, kept.members

    def _remember(self, line: Line) -> None:
        for rule in self.rules:
            decision = line.decisions[rule.name]
            if decision.bucket is Bucket.NOTIFY:
                self.remembered[rule.name, line.subject, self._occurrence(rule, line.fact)] = line.gates[rule.name]

    def _numbers(self, facts: Sequence[Fact], now: datetime) -> tuple[dict[str, int], dict[str, int]]:
        """Facts known by number need none; those that a source was asked for are looked up."""
        others = [fact for fact in facts if not fact.subject.startswith(NUMBER)]
        subjects, clients = super()._numbers(others, now) if others else ({}, {})
        mine = [fact for fact in facts if fact.subject.startswith(NUMBER)]
        subjects = subjects | {fact.subject: int(fact.subject[1:]) for fact in mine}
        return subjects, clients | {fact.client: int(fact.client[1:]) for fact in mine}

    def _gates(
        self, tx: Tx, batch: Sequence[FactRows], numbers: Mapping[str, int], clients: Mapping[str, int], now: datetime
    ) -> list[dict[str, GateInputs]]:
        """Beside what is known now, what the line of the sheet read: of this fact, or at a claim of its match."""
        found = super()._gates(tx, batch, numbers, clients, now)
        for (fact, _), mine in zip(batch, found, strict=True):
            kept = self._kept.pop(id(fact), None)
            if kept is None and fact.subject.startswith(NUMBER):
                keys = {r.name: (r.name, numbers[fact.subject], self._occurrence(r, fact)) for r in self.rules}
                kept = {rule: self.remembered[key] for rule, key in keys.items() if key in self.remembered}
            for rule, inputs in (kept or {}).items():
                if rule in mine:
                    mine[rule] = replace(inputs, cap_used=mine[rule].cap_used, has_notice=mine[rule].has_notice)
        return found
