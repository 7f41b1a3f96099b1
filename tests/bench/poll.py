"""A whole poll of a large margin feed, by stage, on a store of its own; and deciding alone.

The stages are those of daemon/cycle: it is called function by function, its reading loop written out so that each iterator can
be timed. `numbers` are the clients and contracts seen for the first time, which only the first poll of an installation pays.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from daemon import cycle
from daemon.cycle.heard import heard_before
from daemon.cycle.sheet import RuleSheet
from daemon.decide.lines import LineMaker
from daemon.decide.reading import FeedReader
from daemon.model.kinds import Part
from daemon.model.states import PollState
from daemon.rules.gates import GateInputs
from daemon.rules.load import load, read_folder
from daemon.sources import SourceConfig, open_source
from daemon.sources.reading import Reading, Source
from daemon.store import ledger, rulesets, subjects
from daemon.world import World, make_world
from tests.bench import book, plain
from tests.bench.clockwork import Row, Stopwatch, timed
from tests.builders_store import new_store

ROOT = Path(__file__).parents[2]
FEED, RULE = "margin_day_end", "margin/maintenance"


class TimedSource:
    """A source whose rows are timed as they come."""

    def __init__(self, source: Source, watch: Stopwatch) -> None:
        self.source, self.watch = source, watch

    @contextmanager
    def read(self, part: Part, *, business_date: date, now: datetime) -> Iterator[Reading]:
        with self.source.read(part, business_date=business_date, now=now) as reading:
            yield replace(reading, rows=self.watch.through("read", reading.rows))

    def ask(self, *given: object, **named: object) -> object:
        return self.source.ask(*given, **named)  # type: ignore[arg-type]


def world_on(folder: Path, watch: Stopwatch) -> World:
    """A new store, the shipped rules, the book of `folder`."""
    config = SourceConfig.from_mapping("counter", {"type": "sql", "url": f"sqlite:///{folder / 'counter.sqlite'}"})
    source = open_source("counter", config, lambda name: "")
    ruleset = load(read_folder(ROOT)).required()
    store = new_store(folder / "state")
    with store.write() as tx:
        rulesets.keep(tx, ruleset.digest, ruleset.files, now=book.DUE)
    return make_world(store, ruleset, {"counter": TimedSource(source, watch)})  # type: ignore[dict-item]


def whole_poll(folder: Path, facts: int) -> list[Row]:
    """Every stage of one poll, beside the plainest Python for it, over the same book."""
    book.fill(folder / "counter.sqlite", facts)
    watch = Stopwatch()
    world = world_on(folder, watch)
    kind, feed = world.feed(FEED)
    with world.store.write() as tx:
        due = ledger.open_due(tx, FEED, book.DUE, book.DAY, now=book.DUE)
        lease = ledger.claim(tx, due.id, holder="bench", rule_set=world.ruleset.digest, now=book.DUE, elapsed=0)
    with watch.stage("numbers"):
        _numbers(world, facts)
    with world.store.read() as tx:
        heard = [heard_before(tx, rule, FEED, book.DUE) for rule in world.ruleset.rules_of(kind.name)]
    sheet = RuleSheet(world.store, lease, world.deciders[RULE], world.ruleset.digest, book.DUE)
    tally, found = FeedReader(world.ruleset, world.sources).read(feed, business_date=book.DAY, now=book.DUE)
    maker = LineMaker(world.store, world.ruleset, world.deciders, kind)
    for line in watch.through("lines", maker.lines(watch.through("facts", found), book.DUE)):
        heard[0].hear(line)
        with watch.stage("sheet"):
            sheet.add(line, None)
    with watch.stage("sheet"):
        sheets = [sheet.finish()]
    with watch.stage("record"):
        held = cycle.record(world, lease, feed, heard, tally, sheets, book.DUE)
    assert not held, held
    with watch.stage("notices"):
        cycle.update(world, lease, feed, kind, heard, tally, held, book.DUE, lambda: None)
        cycle.make(world, lease, feed, heard, tally, held, book.DUE, lambda: None)
    with watch.stage("record"):
        assert cycle._finish(world, lease, held, book.DUE) is PollState.RAN
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matches = len(heard[0].matches)
    world.store.close()
    return [*_rows(folder, facts, matches, watch), Row("poll: peak memory, MB", peak // 1024, 0.0, 0.0)]


def _numbers(world: World, facts: int) -> None:
    """In batches, as a poll meets them."""
    walk = iter(range(facts))
    while batch := list(islice(walk, 4096)):
        clients = [f"S{n:010d}" for n in batch]
        numbers = subjects.ensure(world.store, "client", clients, now=book.DUE)
        owners = [c for c in clients if c in numbers]
        subjects.ensure(world.store, "contract", [f"90{n:010d}" for n in batch], owners, now=book.DUE)


def _rows(folder: Path, facts: int, matches: int, watch: Stopwatch) -> list[Row]:
    """The table: each stage without what it pulled from, and the plain one."""
    spent, other = watch.spent, Stopwatch()
    with other.stage("numbers"):
        plain.number(folder / "plain.sqlite", [f"{n}" for n in range(2 * facts)])
    with other.stage("read"):
        raw = plain.read(folder / "counter.sqlite")
    with other.stage("map"):
        converted = plain.convert(raw)
    with other.stage("decide"):
        decided = plain.decide(converted)
    with other.stage("sheet"):
        plain.sheet(folder / "plain.csv", decided)
    with other.stage("notices"):
        assert plain.notices(folder / "plain.sqlite", decided) == matches
    ours = {
        "numbers": spent["numbers"],
        "read": spent["read"],
        "map": spent["facts"] - spent["read"],
        "decide": spent["lines"] - spent["facts"],
        "sheet": spent["sheet"],
        "notices": spent["notices"],
    }
    counts = {"numbers": 2 * facts, "notices": matches}
    rows = [Row(f"poll: {name}", counts.get(name, facts), ours[name], other.spent[name]) for name in ours]
    rows.append(Row("poll: record, counts, sealing", 1, spent["record"], 0.0))
    known = sum(ours.values()) + spent["record"] - ours["numbers"]
    all_plain = sum(other.spent.values()) - other.spent["numbers"]
    return [*rows, Row("poll: whole, clients known", facts, known, all_plain)]


def deciding(folder: Path, facts: int) -> list[Row]:
    """Facts decided a second: the decider alone, on facts that are read already."""
    book.fill(folder / "counter.sqlite", facts)
    world = world_on(folder, Stopwatch())
    _, feed = world.feed(FEED)
    _, found = FeedReader(world.ruleset, world.sources).read(feed, business_date=book.DAY, now=book.DUE)
    read = [fact for fact, _ in found]
    decider, env, gates = world.deciders[RULE], world.env(book.DAY), GateInputs()
    seconds = timed(lambda: [decider.decide(f.values, f.items, f.whole, gates, env) for f in read])
    converted = plain.convert(plain.read(folder / "counter.sqlite"))
    world.store.close()
    return [Row("facts decided (margin)", facts, seconds, timed(lambda: plain.decide(converted)))]
