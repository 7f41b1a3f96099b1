"""One rule set played over some days in a scratch store: the polls and delivery passes of the daemon, in stepped time.

Every message is taken to have arrived at once, so what is simulated is whom the rules tell, not how a platform fares. A
poll of kept sheets runs at the moments at which it ran; one of the sources at its due time, and again as the daemon
would try it while its input is not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import RowMapping

from daemon.cards.render import Rendered
from daemon.cards.template import RenderError
from daemon.clock import SteppedClock
from daemon.cycle import lines_of_sources, poll
from daemon.decide.inputs import Inputs
from daemon.decide.lines import Line, subject_kind
from daemon.decide.reading import FactRows, FeedReader, Tally
from daemon.deliver import Deliverer, rendering
from daemon.deliver.asking import Asker, Question
from daemon.deliver.health import Health
from daemon.deliver.preparing import Preparer
from daemon.deliver.routes import Gateway, Routes
from daemon.deliver.slots import Slots
from daemon.errors import SealBroken, SourceUnavailable, StoreConflict
from daemon.intake import Intake
from daemon.model.kinds import FactKind, Feed, Value
from daemon.model.states import PollState
from daemon.report.simulated import RANK
from daemon.rules.gates import GateInputs
from daemon.rules.schema import Rule
from daemon.schedule import GIVE_UP, late_wait
from daemon.security.masking import mask_field
from daemon.simulate.assumed import Assumed
from daemon.simulate.kept import NUMBER, KeptLines, KeptPoll, KeptRun, kept_facts
from daemon.sources.reading import NotAskable
from daemon.store import gates_rows, ledger
from daemon.store.db import Store, Tx
from daemon.store.leases import Lease, lease_now
from daemon.store.scratch import name_by_number
from daemon.world import World

GATEWAY = "assumed"
MOST_PASSES = 10_000
"""Passes at one instant; one that is not quiet by then never will be."""
UNRENDERED = Rendered("", "", (), None, {}, "", "", 0, "")


@dataclass(frozen=True)
class Attempt:
    """A poll to run at a moment: from a kept run, or from the sources where there is none."""

    at: datetime
    feed: Feed
    due: datetime
    business_date: date
    run: KeptRun | None = None


def attempts_of(feed: Feed, polls: Sequence[KeptPoll]) -> list[Attempt]:
    """The runs of kept polls as attempts, at the moments at which they read."""
    return [Attempt(run.at, feed, one.due, one.business_date, run) for one in polls for run in one.runs]


@dataclass
class Play:
    """One simulated life. `store`: the scratch; `live`: the store whose sheets are read; `trouble`: (feed, business date) ->
    why a poll could not be had."""

    store: Store
    live: Store
    world: World
    channels: Sequence[str]
    signature: str
    until: datetime
    progress: Callable[[datetime], None] = lambda now: None
    buckets: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    trouble: dict[tuple[str, date], str] = field(default_factory=dict)
    ran: dict[tuple[str, date], int] = field(default_factory=dict)
    remembered: dict[tuple[str, int, str], GateInputs] = field(default_factory=dict)
    lands: dict[tuple[str, datetime], bool] = field(default_factory=dict)

    async def run(self, attempts: Iterable[Attempt]) -> None:
        """Play all of it."""
        self.waiting = sorted(attempts, key=lambda one: one.at)
        if not self.waiting:
            return
        self.clock = SteppedClock(self.waiting[0].at)
        self.channel = Assumed(GATEWAY)
        gateway = Gateway(self.channel, connections=1000, signature=self.signature)
        routes = Routes({GATEWAY: gateway}, dict.fromkeys(self.channels, (GATEWAY,)))
        deliverer = Deliverer(self.store, routes, self._world, self.clock)
        deliverer.asker = SimulatedAsker(self.store, self._world, self._lines_of)
        deliverer.preparer = SimulatedPreparer(self.store, routes, self._world, deliverer.health, deliverer.slots)
        intake = Intake(self.store, self._world)
        try:
            while True:
                now = self.clock.now()
                self._polls(now)
                await self._quiet(deliverer, intake, now)
                found = [deliverer.next_instant(now), *(one.at for one in self.waiting[:1])]
                following = min((at for at in found if at is not None), default=None)
                if following is None or following > self.until:
                    return
                self.clock.set(max(following, now))
        finally:
            deliverer.close()

    def _world(self, digest: str) -> World:
        if digest != self.world.ruleset.digest:
            raise LookupError(f"rule set {digest}: not the one that is simulated")
        return self.world

    def _polls(self, now: datetime) -> None:
        due = [one for one in self.waiting if one.at <= now]
        self.waiting = [one for one in self.waiting if one.at > now]
        for one in sorted(due, key=lambda one: (one.feed.priority, one.due, one.at)):
            self.progress(now)
            again = self._poll(one, now)
            if again is not None:
                self.waiting = sorted([*self.waiting, replace(one, at=again)], key=lambda other: other.at)

    def _poll(self, one: Attempt, now: datetime) -> datetime | None:
        """Run one poll; when it is to be tried again, or None."""
        place = one.feed.name, one.business_date
        with self.store.write() as tx:
            row = ledger.open_due(tx, one.feed.name, one.due, one.business_date, now=now)
            if row.state in (PollState.RAN, PollState.MISSED, PollState.SKIPPED):
                return None
            at = lease_now(tx)
            try:
                lease = ledger.claim(
                    tx, row.id, holder="simulation", rule_set=self.world.ruleset.digest, now=now, elapsed=at
                )
            except StoreConflict:  # a newer poll of the feed has run
                return None
        state = poll(self.world, lease, now, lines=self._reader(one))
        if state in (PollState.RAN, PollState.HELD):
            self.ran[place] = self.ran.get(place, 0) + 1
            self.trouble.pop(place, None)
        if state is PollState.HELD:
            return self._hold_ends(one.feed.name, now)
        if state in (PollState.LATE, PollState.FAILED):
            with self.store.read() as tx:
                self.trouble[place] = ledger.poll_of(tx, lease.poll).reason
            again = state is PollState.LATE and now - one.due < GIVE_UP and self._lands(one)
            return now + late_wait(now - one.due) if again else None
        return None

    def _lands(self, one: Attempt) -> bool:
        """Whether what was late on a day that is over is there by the time at which it is given up: else nobody waits."""
        place = one.feed.name, one.due
        if place not in self.lands:
            reader, until = FeedReader(self.world.ruleset, self.world.sources), one.due + GIVE_UP
            try:
                _, found = reader.read(one.feed, business_date=one.business_date, now=until)
                deque(found, maxlen=0)
                self.lands[place] = True
            except SourceUnavailable:
                self.lands[place] = False
        return self.lands[place]

    def _hold_ends(self, feed: str, now: datetime) -> datetime | None:
        """When the open holds of a feed end themselves; None where one waits for a person."""
        with self.store.read() as tx:
            open_ = gates_rows.holds_of(tx, feed=feed)
        ends = [(self.world.ruleset.rules[hold.rule].cap.ends_after, hold.since) for hold in open_]
        if not ends or any(after is None for after, _ in ends):
            return None
        return max(now, *(since + after for after, since in ends if after is not None))

    def _reader(self, one: Attempt) -> Callable[..., tuple[Tally, Iterable[Line]]]:
        def lines(
            world: World, kind: FactKind, feed: Feed, lease: Lease, now: datetime
        ) -> tuple[Tally, Iterable[Line]]:
            if one.run is None:
                _reachable(world, kind, feed)
                tally, found = lines_of_sources(world, kind, feed, lease, now)
            else:
                tally, facts = kept_facts(self.live, kind, feed, one.run)
                tally.started = now
                with self.store.write() as tx:
                    name_by_number(tx, subject_kind(kind), tally.torn)
                found = self._lines_of(world, kind).of_kept(facts, now)
            return tally, self._noted(found)

        return lines

    def _lines_of(self, world: World, kind: FactKind) -> KeptLines:
        return KeptLines(world, kind, self.remembered)

    def _noted(self, lines: Iterable[Line]) -> Iterable[Line]:
        """Keep of each client the first bucket by the order of results."""
        for line in lines:
            day = line.fact.business_date.isoformat()
            for rule, decision in line.decisions.items():
                mine, bucket = self.buckets.setdefault((day, rule), {}), decision.bucket.value
                if RANK[bucket] < RANK.get(mine.get(line.client, ""), len(RANK)):
                    mine[line.client] = bucket
            yield line

    async def _quiet(self, deliverer: Deliverer, intake: Intake, now: datetime) -> None:
        for _ in range(MOST_PASSES):
            done = await deliverer.pass_(now)
            receipts = self.channel.receipts()
            if receipts:
                intake.keep(GATEWAY, receipts, now)
            elif not done and not deliverer.busy:
                return
        raise SealBroken(f"at {now.isoformat()} the simulation finds no end after {MOST_PASSES} passes")


def _reachable(world: World, kind: FactKind, feed: Feed) -> None:
    """Raises SourceUnavailable where a part, or one of a look-up, names a source that is not configured."""
    parts = [*feed.parts, *(p for lookup in kind.lookups for p in world.ruleset.kinds[lookup.kind].feeds[0].parts)]
    missing = sorted({part.source for part in parts} - set(world.sources))
    if missing:
        raise SourceUnavailable(f"source {missing[0]} is not configured")


class SimulatedAsker(Asker):
    """Asks the sources for what was read from them; what came out of a sheet is as the last poll said."""

    def __init__(
        self, store: Store, worlds: Callable[[str], World], lines: Callable[[World, FactKind], KeptLines]
    ) -> None:
        super().__init__(store, worlds)
        self._lines_of = lines

    def _answers(
        self, world: World, kind: FactKind, feed: Feed, group: Sequence[Question], now: datetime
    ) -> tuple[dict[str, list[Line]], set[str]]:
        if any(question.inputs.fact.subject.startswith(NUMBER) for question in group):
            raise NotAskable("decided from a sheet")
        return super()._answers(world, kind, feed, group, now)

    def _lines(
        self, world: World, kind: FactKind, facts: Sequence[FactRows], now: datetime, source: str = ""
    ) -> list[Line]:
        return list(self._lines_of(world, kind).lines(facts, now))


class SimulatedPreparer(Preparer):
    """Renders masked cards; contacts are those of now, so that nobody waits for a poll of them."""

    def __init__(
        self, store: Store, routes: Routes, worlds: Callable[[str], World], health: Health, slots: Slots
    ) -> None:
        super().__init__(store, routes, worlds, health, slots)
        self.card_of = masked_card

    def _contacts_known(self, tx: Tx, notice: RowMapping) -> bool:
        return True


def masked_card(
    world: World, rule: Rule, inputs: Inputs, notice: RowMapping, *, signature: str, stale: bool
) -> Rendered:
    """A card as someone sees it who may see no personal text. One that cannot be filled in from a sheet is left empty."""
    kind = world.ruleset.kinds[rule.kind]
    fact = inputs.fact
    shown = replace(fact, values=_masked(fact.values, kind), items=tuple(_masked(row, kind) for row in fact.items))
    try:
        return rendering.card_of(world, rule, replace(inputs, fact=shown), notice, signature=signature, stale=stale)
    except RenderError:
        if not fact.subject.startswith(NUMBER):
            raise
        return UNRENDERED


def _masked(values: Mapping[str, Value], kind: FactKind) -> dict[str, Value]:
    found = dict(values)
    for name, value in values.items():
        known = kind.fields.get(name)
        if isinstance(value, str) and known is not None and known.personal:
            found[name] = mask_field(known, value)
    return found
