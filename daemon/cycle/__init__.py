"""One poll of one feed, start to end: read and decide, write the sheets, hold or go, bring notices up to date, make notices.

Until the last two steps nothing that sends is on disk. Every transaction names the feed's fence first; after a crash a new
run repeats the poll and adds what is missing, because what it would make has its identity already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from daemon import failpoints
from daemon.cycle import holds, people
from daemon.cycle.heard import Heard, heard_before
from daemon.cycle.sheet import RuleSheet
from daemon.decide.lines import Line, LineMaker, subject_kind
from daemon.decide.reading import FeedReader, Tally
from daemon.errors import SourceChanged, SourceUnavailable
from daemon.model.kinds import FactKind, Feed
from daemon.model.states import PollState
from daemon.notices.renewal import Renewal, Word, absence
from daemon.notices.writer import Book
from daemon.rules.schema import Rule
from daemon.sources.reading import NotReady
from daemon.store import ledger, noticebook, pages, readings, subjects, worklist
from daemon.store.db import Tx
from daemon.store.ledger import Lease
from daemon.store.sheetlines import SheetFile
from daemon.world import World

UNITS_PER_TX = 50

Lines: TypeAlias = Callable[[World, FactKind, Feed, Lease, datetime], tuple[Tally, Iterable[Line]]]
"""Reads and decides a feed; the tally is whole once the lines have been run through."""


def lines_of_sources(
    world: World, kind: FactKind, feed: Feed, lease: Lease, now: datetime
) -> tuple[Tally, Iterable[Line]]:
    """The whole feed from its sources. Raises as the sources do."""
    tally, facts = FeedReader(world.ruleset, world.sources).read(feed, business_date=lease.business_date, now=now)
    return tally, LineMaker(world.store, world.ruleset, world.deciders, kind).lines(facts, now)


def poll(
    world: World,
    lease: Lease,
    now: datetime,
    *,
    alive: Callable[[], None] = lambda: None,
    lines: Lines = lines_of_sources,
) -> PollState:
    """Run one claimed poll. `alive` renews the lease between batches; `lines` reads and decides. Returns the state it ended
    in.

    Raises StoreConflict when another run has taken over; then nothing more is written.
    """
    kind, feed = world.feed(lease.feed)
    try:
        if kind.use != "facts":
            people.take_over(world, kind, feed, lease, now, alive)
            return _finish(world, lease, {}, now)
        heard, tally, sheets = read_and_decide(world, kind, feed, lease, now, alive, lines)
    except NotReady as reason:
        return _late(world, lease, feed, str(reason), now)
    except (SourceUnavailable, SourceChanged) as reason:
        return _failed(world, lease, str(reason), now)
    failpoints.reached("after_sheet")
    held = record(world, lease, feed, heard, tally, sheets, now)
    failpoints.reached("after_record")
    update(world, lease, feed, kind, heard, tally, held, now, alive)
    failpoints.reached("after_update")
    make(world, lease, feed, heard, tally, held, now, alive)
    failpoints.reached("after_make")
    state = _finish(world, lease, held, now)
    failpoints.reached("poll_ran")
    return state


def _finish(world: World, lease: Lease, held: Mapping[str, str], now: datetime) -> PollState:
    state = PollState.HELD if held else PollState.RAN
    with world.store.write(yield_lock=True) as tx:
        for trouble in ("late", "failed", "poll"):
            pages.acknowledge(tx, f"{trouble}:{lease.feed}", by="sys:poll", now=now)
        ledger.finish(tx, lease, state, ", ".join(f"{r}: {why}" for r, why in sorted(held.items())), now=now)
    return state


def read_and_decide(
    world: World, kind: FactKind, feed: Feed, lease: Lease, now: datetime, alive: Callable[[], None], lines: Lines
) -> tuple[list[Heard], Tally, list[SheetFile]]:
    """Step 1 and the writing of step 2: rows to facts to decisions, a line for each in the sheet of each rule."""
    rules = world.ruleset.rules_of(kind.name)
    with world.store.read() as tx:
        heard = [heard_before(tx, rule, feed.name, now) for rule in rules]
    tally, found = lines(world, kind, feed, lease, now)
    digest = world.ruleset.digest
    sheets = [RuleSheet(world.store, lease, world.deciders[rule.name], digest, now) for rule in rules]
    for i, line in enumerate(found):
        for one, sheet in zip(heard, sheets, strict=True):
            one.hear(line)
            sheet.add(line, one.episode_of(line))
        if i % 4096 == 0:
            alive()
    return heard, tally, [sheet.finish() for sheet in sheets]


def record(
    world: World,
    lease: Lease,
    feed: Feed,
    heard: Sequence[Heard],
    tally: Tally,
    sheets: Sequence[SheetFile],
    now: datetime,
) -> dict[str, str]:
    """Step 2 and 3: the sheets sealed and synced, then in one transaction counts, rejects, hashes, holds and the poll's record.
    Returns rule -> reason for what is held. From here until `update` is done, claims of the feed wait."""
    held: dict[str, str] = {}
    with world.store.write(yield_lock=True) as tx:
        ledger.require_fence(tx, lease.feed, lease.fence)
        for one in heard:
            why = holds.hold(tx, lease, feed, one, tally, now)
            if why:
                held[one.rule.name] = why
        totals = readings.Totals(
            tally.started,
            tally.rows,
            len(tally.rejects),
            sum(heard[0].counts.values()) if heard else 0,
            tally.in_facts,
            tally.other,
            tally.source_count,
            {"counted": tally.counted, "reference_rejects": len(tally.reference_rejects), "complete": tally.complete},
        )
        rules = {
            one.rule.name: readings.RuleReading(
                sheet, one.counts, "hold" if one.rule.name in held else "go", one.rule.keep
            )
            for one, sheet in zip(heard, sheets, strict=True)
        }
        cause = readings.commit_reading(tx, lease, totals, rules, now=now)
        for one in heard:
            if one.rule.name in held:
                holds.open_hold(tx, feed, one, tally, held[one.rule.name], cause, now)
            _call_a_person(tx, lease, one, cause, now)
        rejected = [*tally.rejects, *tally.reference_rejects]
        readings.add_rejects(tx, lease, rejected, now=now, subjects=_whose(tx, world, lease, tally, now))
        if rejected:
            worklist.open_task(
                tx,
                f"rejects:{lease.feed}:{lease.business_date}",
                f"{len(rejected)} rows rejected",
                now=now,
                feed=lease.feed,
                cause=cause,
            )
    return held


def _whose(tx: Tx, world: World, lease: Lease, tally: Tally, now: datetime) -> Mapping[str, int]:
    """The numbers of those of whom a row was a reject; a client has none before, a contract is known by its good rows only."""
    kind, _ = world.feed(lease.feed)
    names = sorted(tally.torn)
    if subject_kind(kind) == subjects.CLIENT:
        return subjects.numbers(tx, subjects.CLIENT, names, now=now)
    return subjects.look_up(tx, subject_kind(kind), names)


def _call_a_person(tx: Tx, lease: Lease, one: Heard, cause: str, now: datetime) -> None:
    """What could not be decided, what is held, and what is marked reaches a person: a task for each reason of a day, with the
    subjects' numbers; a mark is paged too."""
    for why, who in sorted(one.for_a_person.items()):
        key = f"{one.rule.name}:{lease.business_date}:{why}"
        shown = ", ".join(map(str, who[:50])) + (" ..." if len(who) > 50 else "")
        worklist.open_task(
            tx, key, f"{len(who)} of {one.rule.name}: {why}", now=now, rule=one.rule.name, feed=lease.feed, cause=cause,
            detail=f"subjects {shown}",
        )  # fmt: skip
        if why.startswith("mark "):
            pages.page(
                tx, f"{one.rule.name}:{why}", "warning", f"rule {one.rule.name}: {len(who)} facts, {why}", now=now
            )


def update(
    world: World,
    lease: Lease,
    feed: Feed,
    kind: FactKind,
    heard: Sequence[Heard],
    tally: Tally,
    held: Mapping[str, str],
    now: datetime,
    alive: Callable[[], None],
) -> None:
    """Step 4: every notice without outcome that this reading speaks of, by presence or by absence."""
    for one in heard:
        if one.rule.name in held:
            continue
        words = list(one.words.values())
        words += _absent(world, one, tally, lease, kind, gone=not holds.is_released(world, feed, one.rule, now))
        renewal = _renewal(world, lease, feed, one.rule, tally, now)
        if one.rule.levels:
            _end_absent(world, lease, feed, one, renewal, words)
        for batch in _batches(words):
            alive()
            with world.store.write(yield_lock=True) as tx:
                ledger.require_fence(tx, lease.feed, lease.fence)
                renewal.take(tx, batch)
        if one.rule.levels:
            _note_present(world, lease, feed, one, tally, kind)
    with world.store.write(yield_lock=True) as tx:
        ledger.require_fence(tx, lease.feed, lease.fence)
        readings.updated(tx, lease)


def _torn(world: World, tally: Tally, kind: FactKind) -> set[int]:
    """The subjects of which a row was a reject: nothing certain is known of them."""
    if not tally.torn:
        return set()
    with world.store.read() as tx:
        return set(subjects.look_up(tx, subject_kind(kind), sorted(tally.torn)).values())


def _absent(world: World, one: Heard, tally: Tally, lease: Lease, kind: FactKind, *, gone: bool) -> list[Word]:
    torn = one.unsure | _torn(world, tally, kind)
    found = []
    for key, client in one.known.items():
        if key in one.words:
            continue
        sure = tally.complete and gone and key[0] not in torn
        found.append(absence(key, client, lease.business_date, has_levels=bool(one.rule.levels), complete=sure))
    return found


def _end_absent(world: World, lease: Lease, feed: Feed, one: Heard, renewal: Renewal, words: Sequence[Word]) -> None:
    """End the episodes of subjects that the business date before did not show, also of those who are back now: what they open
    from here on is another episode."""
    with world.store.read() as tx:
        before = noticebook.ran_before(tx, feed.name, lease.business_date)
        if before is None:
            return
        open_ = noticebook.open_episodes(tx, one.rule.name, feed.name)
    absent = {s for s, rows in open_.items() if all(r["seen_on"] < before.isoformat() for r in rows)}
    for batch in _batches([w for w in words if w.key[0] in absent]):
        with world.store.write(yield_lock=True) as tx:
            ledger.require_fence(tx, lease.feed, lease.fence)
            renewal.end_absent(tx, batch)


def _note_present(world: World, lease: Lease, feed: Feed, one: Heard, tally: Tally, kind: FactKind) -> None:
    """Who was there on this business date. A poll that is not complete says of nobody that he was absent, and a reject says
    that its subject was there."""
    known = {key[0] for key in one.known}
    present = known if not tally.complete else known & {*one.present, *_torn(world, tally, kind)}
    with world.store.write(yield_lock=True) as tx:
        ledger.require_fence(tx, lease.feed, lease.fence)
        noticebook.seen_on(tx, one.rule.name, feed.basis, sorted(present), lease.business_date)


def make(
    world: World,
    lease: Lease,
    feed: Feed,
    heard: Sequence[Heard],
    tally: Tally,
    held: Mapping[str, str],
    now: datetime,
    alive: Callable[[], None],
) -> None:
    """Step 5: episodes, notices, messages and sealed inputs of what is new, claimable at once."""
    for one in heard:
        if one.rule.name in held:
            continue
        renewal = _renewal(world, lease, feed, one.rule, tally, now)
        for batch in _batches(one.matches):
            alive()
            with world.store.write(yield_lock=True) as tx:
                ledger.require_fence(tx, lease.feed, lease.fence)
                renewal.take(tx, batch)
            failpoints.reached("mid_make")


def _renewal(world: World, lease: Lease, feed: Feed, rule: Rule, tally: Tally, now: datetime) -> Renewal:
    book = Book(rule, world.ruleset.digest, feed.name, feed.basis, lease.run, now, lease.record)
    return Renewal(book, world.deciders[rule.name], world.env, tally.started)


def _batches(words: Sequence[Word]) -> Iterator[list[Word]]:
    walk = iter(words)
    while batch := list(islice(walk, UNITS_PER_TX)):
        yield batch


def _late(world: World, lease: Lease, feed: Feed, reason: str, now: datetime) -> PollState:
    """The input is not there: the row waits for it; past `late_after` a person is told, with whom it concerns."""
    with world.store.write(yield_lock=True) as tx:
        ledger.finish(tx, lease, PollState.LATE, reason, now=now)
        if feed.late_after is not None and now >= lease.due + feed.late_after:
            worklist.open_task(
                tx,
                f"late:{lease.feed}:{lease.business_date}",
                f"feed {lease.feed} is late: {reason}",
                now=now,
                feed=lease.feed,
                cause=lease.record,
                detail=_whom_it_concerns(tx, world, lease.feed),
            )
            pages.page(
                tx, f"late:{lease.feed}", "urgent", f"feed {lease.feed} is late for {lease.business_date}", now=now
            )
    return PollState.LATE


def _whom_it_concerns(tx: Tx, world: World, feed: str) -> str:
    """The subjects with open episodes of a feed, by number: who may be in trouble and cannot be seen now."""
    kind, _ = world.feed(feed)
    numbers = {s for rule in world.ruleset.rules_of(kind.name) for s in noticebook.open_episodes(tx, rule.name, feed)}
    shown = ", ".join(map(str, sorted(numbers)[:50]))
    return f"{len(numbers)} subjects with open episodes: {shown}" if numbers else "no open episodes"


def _failed(world: World, lease: Lease, reason: str, now: datetime) -> PollState:
    with world.store.write(yield_lock=True) as tx:
        ledger.finish(tx, lease, PollState.FAILED, reason, now=now)
        pages.page(tx, f"failed:{lease.feed}", "urgent", f"feed {lease.feed}: poll failed: {reason}", now=now)
    return PollState.FAILED
