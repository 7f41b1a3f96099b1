"""Tables of a back office in memory, and what the product makes of them: every row ends in exactly one place.

`Office` is a source as the readers see one: raw cells by part, counted, settled. `outcomes` runs the product's own path,
rows to facts to decisions, with every gate open, and says for each row where it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from daemon.decide.reading import FeedReader, Tally
from daemon.model.facts import BadRow, Row, Where
from daemon.model.kinds import Part
from daemon.rules.decider import Decider
from daemon.rules.functions import Env
from daemon.rules.gates import GateInputs
from daemon.rules.schema import RuleSet
from daemon.sources.reading import NotAskable, Reading

OPEN = GateInputs()
TORN = "torn"
"""In the place of a row's cells: a record that the reader could not cut."""

Cells = Mapping[str, Any]


@dataclass
class Table:
    """The rows of one part, in order; a row's number counts from 1."""

    columns: Sequence[str]
    rows: list[Any] = field(default_factory=list)

    def add(self, cells: Cells | str) -> int:
        """Its number."""
        self.rows.append(cells if cells == TORN else tuple(cells[name] for name in self.columns))  # type: ignore[index]
        return len(self.rows)


class Office:
    """A source of every part, by (kind, part); a part without a table has no rows. A column that a mapping asks for and its
    table lacks is another shape, so the tables here have to follow the kinds."""

    def __init__(self, ruleset: RuleSet, tables: Mapping[tuple[str, str], Table]) -> None:
        self._names = {
            id(part): (kind.name, part.name)
            for kind in ruleset.kinds.values()
            for feed in kind.feeds
            for part in feed.parts
        }
        self._tables = tables

    @contextmanager
    def read(self, part: Part, *, business_date: date, now: datetime) -> Iterator[Reading]:
        """The whole table."""
        name = self._names[id(part)]
        table = self._tables.get(name) or Table([c.column for c in part.columns if c.const is None])
        file = "/".join(name)
        beside = tuple(c.column for c in part.columns if not c.field and c.column not in table.columns)  # never read
        rows = (
            BadRow(Where(file, i), "", "00", "a whole record") if row == TORN else Row(Where(file, i), row + beside)
            for i, row in enumerate(table.rows, 1)
        )
        header = {"rows": len(table.rows), "settled": True, "business_date": business_date}
        yield Reading(part.name, "office", now, now, (*table.columns, *beside), header, len(table.rows), rows)  # type: ignore[arg-type]

    def ask(self, part: Part, keys: Any, *, business_date: date, now: datetime) -> Any:
        """Nothing can be asked here."""
        raise NotAskable(part.name)


@dataclass(frozen=True)
class Outcome:
    """Where a row ended: a bucket, 'reject' or 'other' (other business); the level of a match."""

    bucket: str
    level: str = ""


def outcomes(
    ruleset: RuleSet, decider: Decider, feed: str, tables: Mapping[tuple[str, str], Table], day: date, now: datetime
) -> tuple[dict[tuple[str, int], Outcome], Tally]:
    """By (part, number of the row). A row in no place, or in two, raises AssertionError."""
    kind = ruleset.kinds[decider.rule.kind]
    office = Office(ruleset, tables)
    reader = FeedReader(
        ruleset, {part.source: office for k in ruleset.kinds.values() for f in k.feeds for part in f.parts}
    )
    found: dict[tuple[str, int], Outcome] = {}
    one = next(f for f in kind.feeds if f.name == feed)
    tally, facts = reader.read(one, business_date=day, now=now)
    for fact, members in facts:
        made = decider.decide(fact.values, fact.items, fact.whole, OPEN, Env(ruleset.calendar, fact.business_date))
        outcome = Outcome(made.bucket.value, made.level if made.bucket.value in ("notify", "held") else "")
        for member in members:
            assert member.where is not None
            _put(found, member.part, member.where, outcome)
    for reject in tally.rejects:
        _put(found, reject.part, reject.where, Outcome("reject"))
    everything = {(part.name, i) for part in one.parts for i in range(1, len(tables[kind.name, part.name].rows) + 1)}
    assert set(found) <= everything
    rest = everything - set(found)
    assert len(rest) == tally.other, f"{len(rest)} rows nowhere, {tally.other} of other business"
    return found | dict.fromkeys(rest, Outcome("other")), tally


def _put(found: dict[tuple[str, int], Outcome], part: str, where: Where, outcome: Outcome) -> None:
    assert (part, where.line) not in found, f"{part}:{where.line} in two places"
    found[part, where.line] = outcome
