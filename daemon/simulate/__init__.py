"""What a rule set would do on days that are over: the pass on kept sheets, or on what the sources say of those days.

    with Bench.open(store, sources, channels=..., signature=...) as bench:
        plan = bench.plan([ruleset], first, last)
        found = bench.simulate(ruleset, plan)

A feed's business date is decided from its kept sheets where they hold every operand that every set of the plan reads, and
the facts would be the same; else from the sources, whose queries are asked for that business date as of the moments of its
polls. It runs in a scratch store that is thrown away: nothing is sent, nothing is written into the store. Contacts are those
of now; consents, silences and releases are for sheets what their lines read, for sources those of now; a stop of a rule
counts where a line read it; a hold stays until it ends itself, whoever released it then. Asking again before a message
leaves reads the sources where the poll did; a condition of a stage is otherwise as the last poll said.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from daemon.app_parts import worlds_of
from daemon.clock import SHANGHAI
from daemon.errors import ConfigError
from daemon.model.kinds import FactKind, Feed
from daemon.report.simulated import NOTHING, SHEETS, SOURCES, Simulation, Used
from daemon.rules.schema import RuleSet
from daemon.schedule import Timetable
from daemon.simulate.kept import KeptPoll, kept_polls, why_not
from daemon.simulate.play import Attempt, Play, attempts_of
from daemon.simulate.reading import faults_of, holds_of, planned
from daemon.sources.reading import Source
from daemon.store import rulesets
from daemon.store.db import Store
from daemon.store.scratch import open_scratch, rewind
from daemon.world import World, make_world

MOST_DAYS = 400
"""Natural days of one simulation."""


@dataclass(frozen=True)
class Plan:
    """What each feed and business date is decided from: kept polls, or the sources with the reason why."""

    days: tuple[date, ...]
    rules: tuple[str, ...]
    kept: Mapping[tuple[str, date], Sequence[KeptPoll]] = field(default_factory=dict)
    why: Mapping[tuple[str, date], str] = field(default_factory=dict)


class Bench:
    """One store's days, to be simulated under one rule set after another."""

    def __init__(
        self, live: Store, scratch: Store, sources: Mapping[str, Source], channels: Sequence[str], signature: str
    ) -> None:
        self.live, self.scratch, self.sources = live, scratch, sources
        self.channels, self.signature = channels, signature
        self._kept_worlds = worlds_of(live, {})
        self._worlds: dict[tuple[str, tuple[str, ...]], World] = {}

    @classmethod
    @contextmanager
    def open(
        cls, live: Store, sources: Mapping[str, Source], *, channels: Sequence[str], signature: str = ""
    ) -> Iterator[Bench]:
        """A bench beside a store. Raises ConfigError for a store that is not SQLite."""
        if live.engine.dialect.name != "sqlite":
            raise ConfigError("a simulation works on a copy of an SQLite store; this one is a server's")
        with tempfile.TemporaryDirectory(prefix="duenotice-simulate-") as folder:
            scratch = open_scratch(Path(folder), keyring=live.keyring, live=live.folder)
            try:
                yield cls(live, scratch, sources, channels, signature)
            finally:
                scratch.close()

    def plan(self, sets: Sequence[RuleSet], first: date, last: date, rules: Collection[str] = ()) -> Plan:
        """What to decide each day from, the same for all these sets. Raises ValueError for days that are none, or an unknown
        rule."""
        count = (last - first).days + 1
        if not 1 <= count <= MOST_DAYS:
            raise ValueError(f"found {first}..{last}, expected 1 to {MOST_DAYS} days in order")
        known = {name for one in sets for name in one.rules}
        if unknown := sorted(set(rules) - known):
            raise ValueError(f"rule {unknown[0]}: in none of the rule sets, expected one of {', '.join(sorted(known))}")
        chosen = tuple(sorted(rules or known))
        days = tuple(first + timedelta(days=i) for i in range(count))
        kept: dict[tuple[str, date], Sequence[KeptPoll]] = {}
        why: dict[tuple[str, date], str] = {}
        worlds = [self._world(one, chosen) for one in sets]
        for day in days:
            polls = kept_polls(self.live, day)
            for world in worlds:
                for kind, feed in _feeds(world.ruleset):
                    mine = polls.get(feed.name, [])
                    reason = why_not(self.live, self._kept_worlds, mine, world, kind, feed)
                    if reason:
                        why.setdefault((feed.name, day), reason)
                    kept[feed.name, day] = mine
        kept = {place: polls for place, polls in kept.items() if place not in why}
        return Plan(days, chosen, kept, why)

    def simulate(
        self, ruleset: RuleSet, plan: Plan, progress: Callable[[datetime], None] = lambda now: None
    ) -> Simulation:
        """Play one rule set over the days of a plan. Raises CalendarEnd, SealBroken; DueNoticeError where delivery breaks."""
        world = self._world(ruleset, plan.rules)
        first, last = plan.days[0], plan.days[-1]
        attempts = list(self._attempts(world, plan))
        start, end = _midnight(first), _midnight(last + timedelta(days=1))
        start = min([start, *(one.at for one in attempts)])
        rewind(self.scratch, self.live.folder, start, first)
        with self.scratch.write() as tx:
            rulesets.keep(tx, ruleset.digest, ruleset.files, now=start)
        until = max([end, *(one.at for one in attempts)])
        play = Play(self.scratch, self.live, world, self.channels, self.signature, until, progress)
        asyncio.run(play.run(attempts))
        span = {day.isoformat() for day in plan.days}
        with self.scratch.read() as tx:
            notices = planned(tx, world, start, span)
            holds, faults = holds_of(tx), faults_of(tx)
        return Simulation(
            ruleset.digest,
            (first.isoformat(), last.isoformat()),
            tuple(world.ruleset.rules),
            tuple(_used(world, plan, attempts, play)),
            {key: found for key, found in play.buckets.items() if key[0] in span},
            notices,
            holds,
            {path: hashlib.sha256(raw).hexdigest() for path, raw in ruleset.files.items()},
            faults,
        )

    def _world(self, ruleset: RuleSet, rules: tuple[str, ...]) -> World:
        """The set with only the rules that are simulated, on the scratch store."""
        key = ruleset.digest, rules
        if key not in self._worlds:
            only = {name: rule for name, rule in sorted(ruleset.rules.items()) if name in rules}
            self._worlds[key] = make_world(self.scratch, replace(ruleset, rules=only), self.sources)
        return self._worlds[key]

    def _attempts(self, world: World, plan: Plan) -> Iterator[Attempt]:
        """Every poll to run: kept ones as they ran, those of the sources as the set's schedule says."""
        timetable = Timetable(world.ruleset)
        first, last = (
            _midnight(plan.days[0]),
            _midnight(world.ruleset.calendar.add(plan.days[-1], 1) + timedelta(days=1)),
        )
        wanted = {feed.name: feed for _, feed in _feeds(world.ruleset)}
        for place, polls in plan.kept.items():
            if place[0] in wanted:
                yield from attempts_of(wanted[place[0]], polls)
        for due in timetable.due(first - timedelta(microseconds=1), last):
            if due.feed in wanted and (due.feed, due.business_date) in plan.why and not due.skip:
                yield Attempt(due.at, wanted[due.feed], due.at, due.business_date)


def _feeds(ruleset: RuleSet) -> Iterator[tuple[FactKind, Feed]]:
    """The feeds that a rule of the set decides on."""
    for kind in ruleset.kinds.values():
        if kind.use == "facts" and ruleset.rules_of(kind.name):
            for feed in kind.feeds:
                yield kind, feed


def _used(world: World, plan: Plan, attempts: Sequence[Attempt], play: Play) -> Iterator[Used]:
    """What was decided from what; a feed without a poll on a day that is no session of it is left out."""
    planned_for = {(one.feed.name, one.business_date) for one in attempts}
    for _, feed in sorted(_feeds(world.ruleset), key=lambda pair: pair[1].name):
        for day in plan.days:
            place = feed.name, day
            if place not in planned_for:
                continue
            ran, trouble = play.ran.get(place, 0), play.trouble.get(place, "")
            runs = [run for one in plan.kept.get(place, ()) for run in one.runs]
            hashes = tuple(sorted(row["sha256"] for run in runs for row in run.sheets.values()))
            source = (SHEETS if place in plan.kept else SOURCES) if ran else NOTHING
            why = "; ".join(text for text in (plan.why.get(place, ""), trouble) if text)
            yield Used(
                day.isoformat(), feed.name, source, why, ran, sum(run.row["rejects"] or 0 for run in runs), hashes
            )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), SHANGHAI).astimezone(UTC)
