"""One whole reading of a feed, or of some keys of it: sources to joined rows to facts, with every row accounted for.

Rows = rejects + rows in facts. Reference kinds are read whole first. What is not ready raises NotReady, what cannot be
reached SourceUnavailable, what has another shape SourceChanged: no reading ever ends as "nobody" for such a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from daemon.decide.joining import Joined, Key, Rows, collect_facts, is_key, one_fact
from daemon.model.facts import BadRow, Fact, Reject
from daemon.model.kinds import Absence, FactKind, Feed, Lookup, Part, Value
from daemon.rules.evaluate import evaluate
from daemon.rules.expressions import parse
from daemon.rules.folding import Values, deriver
from daemon.rules.functions import Env
from daemon.rules.mapping import REPEATED, Keys, MappedRow, map_row, reject_of, unique
from daemon.rules.schema import RuleSet
from daemon.sources.reading import NotAskable, NotReady, Reading, Source


@dataclass(slots=True)
class Tally:
    """What a reading counted. `rows`, `rejects` and `in_facts` are over the feed's own parts, `reference_rejects` beside.

    `other`: rows of other business by the part's `where`, in no other count; `counted`: all rows of the parts whose source
    counts itself. `torn`: the subjects of which a row was a reject; `untraced`: rejects that cannot be traced to a subject.
    """

    started: datetime
    rows: int = 0
    other: int = 0
    counted: int = 0
    in_facts: int = 0
    source_count: int | None = None
    rejects: list[Reject] = field(default_factory=list)
    reference_rejects: list[Reject] = field(default_factory=list)
    as_of: dict[str, datetime] = field(default_factory=dict)
    torn: set[str] = field(default_factory=set)
    untraced: int = 0

    @property
    def complete(self) -> bool:
        """Whether a subject that is not in it is certainly absent: no row is missing, none is a reject of unknown subject."""
        return not self.short and self.untraced == 0

    @property
    def short(self) -> bool:
        """Whether the source's own count says that rows are missing or too many."""
        return self.source_count is not None and self.source_count != self.counted


@dataclass(frozen=True, slots=True)
class Known:
    """What a fact's notice was made from: its rows as they were joined, by part; what asking again takes for a file's part."""

    subject: str
    rows: tuple[Joined, ...]
    business_date: date


FactRows = tuple[Fact, tuple[Joined, ...]]


class FeedReader:
    """Reads the feeds of one rule set from the configured sources."""

    def __init__(self, ruleset: RuleSet, sources: Mapping[str, Source]) -> None:
        self.ruleset, self.sources = ruleset, sources

    def rows(self, feed: Feed, *, business_date: date, now: datetime) -> tuple[Tally, Iterator[Joined]]:
        """The typed rows of a feed that makes no facts (contacts, consents), counted like any other."""
        kind, tally = self.ruleset.kinds[feed.kind], Tally(now)
        found = (row for part in feed.parts for row in self._part(kind, part, (), tally, business_date, now))
        return tally, found

    def read(self, feed: Feed, *, business_date: date, now: datetime) -> tuple[Tally, Iterator[FactRows]]:
        """The tally fills while the facts are run through; it is whole when they are exhausted."""
        kind = self.ruleset.kinds[feed.kind]
        tally = Tally(now)
        lookups = [self._reference(lookup, tally, business_date, now) for lookup in kind.lookups]
        return tally, self._facts(kind, feed, lookups, tally, business_date, now)

    def _env(self, day: date) -> Env:
        return Env(self.ruleset.calendar, day)

    def _source(self, part: Part) -> Source:
        return self.sources[part.source]

    def _facts(
        self, kind: FactKind, feed: Feed, lookups: Sequence[Rows], tally: Tally, day: date, now: datetime
    ) -> Iterator[FactRows]:
        rows = (row for part in feed.parts for row in self._part(kind, part, lookups, tally, day, now))
        yield from self._assemble(kind, feed.basis, rows, tally)

    def _assemble(self, kind: FactKind, basis: str, rows: Iterator[Joined], tally: Tally) -> Iterator[FactRows]:
        derive = deriver(kind, "fact", self.ruleset.calendar)
        if kind.collect is None:
            found = ((one_fact(kind, row, basis, tally.as_of), [row]) for row in rows)
        else:
            found = ((f, m) for f, m in collect_facts(kind, rows, tally.torn, basis, tally.as_of, whole=True))
        for fact, members in found:
            if fact is None:
                tally.rejects.extend(_unknown(kind, row) for row in members)
                tally.untraced += len(members)
                continue
            tally.in_facts += fact.rows
            if derive is not None:
                values = dict(fact.values)
                derive(values, fact.business_date)
                fact = replace(fact, values=values)
            yield fact, tuple(members)

    def _part(
        self, kind: FactKind, part: Part, lookups: Sequence[Rows], tally: Tally, day: date, now: datetime
    ) -> Iterator[Joined]:
        with self._source(part).read(part, business_date=day, now=now) as reading:
            self._ready(part, reading, day)
            if reading.count is not None:
                tally.source_count = (tally.source_count or 0) + reading.count
            yield from self._joined(kind, part, reading, lookups, tally, day)

    def _joined(
        self, kind: FactKind, part: Part, reading: Reading, lookups: Sequence[Rows], tally: Tally, day: date
    ) -> Iterator[Joined]:
        derive = deriver(kind, "row", self.ruleset.calendar)
        for row in _good_rows(kind, part, reading, tally, lookups, self._env(day)):
            values: Values = dict(row.values)
            for rows in lookups:
                rows.join(values)
            if derive is not None:
                found = values.get(kind.business_date)
                derive(values, found if isinstance(found, date) else day)
            yield Joined(part.name, values, row.where)

    def _reference(
        self, lookup: Lookup, tally: Tally, day: date, now: datetime, keys: Sequence[Key] | None = None
    ) -> Rows:
        kind, found = self.ruleset.kinds[lookup.kind], Rows(lookup)
        for part in kind.feeds[0].parts:
            source = self._source(part)
            if keys is None:
                opened = source.read(part, business_date=day, now=now)
            else:
                opened = source.ask(part, [tuple(map(str, k)) for k in keys], business_date=day, now=now)
            with opened as reading:
                self._ready(part, reading, day)
                if reading.as_of is not None:
                    tally.as_of[f"{kind.name}/{part.name}"] = reading.as_of
                self._fill(kind, part, reading, found, tally, self._env(day))
        return found

    def _fill(self, kind: FactKind, part: Part, reading: Reading, found: Rows, tally: Tally, env: Env) -> None:
        seen, mapped = Keys(part, kind), map_row(part, kind, reading.columns, now=tally.started)
        where = parse(part.where) if part.where else None
        doubted: dict[tuple[str, ...], Values] = {}
        for row in unique(
            (reject_of(part, raw) if isinstance(raw, BadRow) else mapped(raw) for raw in reading.rows), seen
        ):
            if isinstance(row, Reject):
                tally.reference_rejects.append(row)
                if row.found != REPEATED:
                    found.refuse(row.known)
                continue
            if where is not None and evaluate(where, row.values, env) is False:
                continue  # of other business
            found.add(row.values)
            doubted[row.key] = row.values
        for (
            key
        ) in seen.conflicted:  # which of two rows is right is not known: both count, so that a look-up is ambiguous
            if key in doubted:
                found.add(doubted[key])

    def _ready(self, part: Part, reading: Reading, day: date) -> None:
        if not part.ready_when:
            return
        header: dict[str, Value] = dict.fromkeys(
            ("business_date", "file_date", "settled", "rows", "as_of"), Absence.MISSING
        )
        header.update(reading.header)
        header.setdefault("due_date", day)
        if evaluate(parse(part.ready_when), header, Env(self.ruleset.calendar, day)) is not True:
            raise NotReady(f"{part.source}/{part.name}: found {_shown(reading.header)}, expected {part.ready_when}")

    def ask(
        self, feed: Feed, known: Sequence[Known], *, business_date: date, now: datetime
    ) -> tuple[Tally, dict[str, list[FactRows]]]:
        """What is known now of some subjects: SQL parts and look-ups by key, a file's part from `known`. By subject key; a
        subject with no row is not in the answer. Raises as a whole reading does; NotAskable when no part can be asked."""
        kind = self.ruleset.kinds[feed.kind]
        tally = Tally(now)
        rows = list(self._asked_rows(kind, feed, known, tally, business_date, now))
        answer: dict[str, list[FactRows]] = {}
        for fact, members in self._assemble(kind, feed.basis, iter(rows), tally):
            answer.setdefault(fact.subject, []).append((fact, members))
        return tally, answer

    def _asked_rows(
        self, kind: FactKind, feed: Feed, known: Sequence[Known], tally: Tally, day: date, now: datetime
    ) -> Iterator[Joined]:
        sealed = {(row.part, _row_key(kind, row.values)): row.values for k in known for row in k.rows}
        rows: list[Joined] = []
        asked = 0
        for part in feed.parts:
            try:
                rows.extend(self._asked_part(kind, part, known, tally, day, now))
                asked += 1
            except NotAskable:
                kept = [row for k in known for row in k.rows if row.part == part.name]
                tally.rows += len(kept)
                rows.extend(Joined(row.part, dict(row.values), row.where) for row in kept)
        for lookup in kind.lookups:
            asked += self._join_asked(kind, lookup, rows, sealed, tally, day, now)
        if not asked:
            raise NotAskable(f"feed {feed.name}: no part and no look-up can be asked by key")
        derive = deriver(kind, "row", self.ruleset.calendar)
        for row in rows:
            if derive is not None:
                found = row.values.get(kind.business_date)
                derive(row.values, found if isinstance(found, date) else day)
            yield row

    def _asked_part(
        self, kind: FactKind, part: Part, known: Sequence[Known], tally: Tally, day: date, now: datetime
    ) -> list[Joined]:
        found = []
        with self._source(part).ask(part, self._keys(kind, part, known), business_date=day, now=now) as reading:
            for row in _good_rows(kind, part, reading, tally, (), self._env(day)):
                found.append(Joined(part.name, dict(row.values), row.where))
        return found

    def _join_asked(
        self,
        kind: FactKind,
        lookup: Lookup,
        rows: Sequence[Joined],
        sealed: Mapping[tuple[str, tuple[str, ...]], Values],
        tally: Tally,
        day: date,
        now: datetime,
    ) -> int:
        """Join one look-up asked by key; where it cannot be asked its values stay as they were sealed. How many were asked."""
        keys = {tuple(row.values.get(ours, Absence.MISSING) for ours in lookup.on) for row in rows}
        whole = sorted((k for k in keys if not any(isinstance(v, Absence) for v in k)), key=str)
        try:
            # no row, or none whose key is known: there is nothing to ask for, and every look-up finds what no key can
            found = self._reference(lookup, tally, day, now, whole) if whole else Rows(lookup)
        except NotAskable:
            for row in rows:
                old = sealed.get((row.part, _row_key(kind, row.values)), row.values)
                row.values.update({ours: old.get(ours, Absence.MISSING) for ours in lookup.take})
            return 0
        for row in rows:
            found.join(row.values)
        return 1 if whole else 0

    def _keys(self, kind: FactKind, part: Part, known: Sequence[Known]) -> list[tuple[str, ...]]:
        names = part.key_columns or (kind.subject,)
        found = {tuple(str(row.values.get(n, "")) for n in names) for k in known for row in k.rows}
        return sorted(found)


def _row_key(kind: FactKind, values: Mapping[str, Value]) -> tuple[str, ...]:
    return tuple(str(values.get(name, "")) for name in kind.key)


def _good_rows(
    kind: FactKind, part: Part, reading: Reading, tally: Tally, lookups: Sequence[Rows], env: Env
) -> Iterator[MappedRow]:
    """The typed rows of a reading; rejects go to the tally and tear the fact they would have been part of."""
    if reading.as_of is not None:
        tally.as_of[part.name] = reading.as_of
    seen, mapped = Keys(part, kind), map_row(part, kind, reading.columns, now=tally.started)

    read = 0

    def counted() -> Iterator[MappedRow | Reject]:
        nonlocal read
        for raw in reading.rows:
            read += 1
            tally.rows += 1
            yield reject_of(part, raw) if isinstance(raw, BadRow) else mapped(raw)

    where = parse(part.where) if part.where else None
    for row in unique(counted(), seen):
        if isinstance(row, Reject):
            tally.rejects.append(_torn(kind, part, row, tally, lookups))
        elif where is not None and evaluate(where, row.values, env) is False:
            tally.rows -= 1
            tally.other += 1
        else:
            yield row
    if reading.count is not None:
        tally.counted += read


def _torn(kind: FactKind, part: Part, reject: Reject, tally: Tally, lookups: Sequence[Rows]) -> Reject:
    """A reject makes its subject's fact not whole. Whose it is says its subject, or by way of the look-ups what of it could be
    read, or the very value that was refused for the white space around it. Returns it with its subject, where that is known."""
    if reject.found == REPEATED:
        return reject
    subject: Value | None = reject.subject
    if subject is None:
        named: Values = dict(reject.known)
        refused = [c.field for c in part.columns if c.field and c.column == reject.column]
        named |= {name: reject.found.strip() for name in refused if name in kind.key}
        for rows in lookups:
            rows.join(named)
        subject = named.get(kind.subject)
    if is_key(subject):
        tally.torn.add(subject)
        return replace(reject, subject=subject)
    tally.untraced += 1
    return reject


def _shown(header: Mapping[str, object]) -> str:
    """What a source says of itself, for a person."""
    words = {True: "yes", False: "no"}
    return ", ".join(f"{name} {words[v] if isinstance(v, bool) else v}" for name, v in header.items()) or "nothing"


def _unknown(kind: FactKind, row: Joined) -> Reject:
    missing = next(
        (n for n in (kind.subject, kind.client) if not is_key(row.values.get(n))),
        kind.business_date,
    )
    assert row.where is not None
    found = str(row.values.get(missing, Absence.MISSING))
    return Reject(row.part, row.where, missing, found, f"a known {missing}, so that somebody can be told")
