"""Polls of kinds that are no facts: contacts and consents, taken over into the store with a record for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice

from daemon.decide.reading import FeedReader, Tally
from daemon.model.facts import Fact
from daemon.model.kinds import FactKind, Feed
from daemon.store import consents, contacts, ledger, readings, subjects, worklist
from daemon.store.ledger import Lease
from daemon.world import World

ROWS_PER_TX = 500


def take_over(
    world: World, kind: FactKind, feed: Feed, lease: Lease, now: datetime, alive: Callable[[], None]
) -> Tally:
    """Read the feed whole and bring the store's contacts or consents up to it."""
    tally, rows = FeedReader(world.ruleset, world.sources).read(feed, business_date=lease.business_date, now=now)
    facts = (fact for fact, _ in rows)
    while batch := list(islice(facts, ROWS_PER_TX)):
        alive()
        with world.store.write(yield_lock=True) as tx:
            ledger.require_fence(tx, lease.feed, lease.fence)
            numbers = subjects.numbers(tx, "client", sorted({f.client for f in batch}), now=now)
            if kind.use == "contacts":
                contacts.take_over(tx, list(_contacts(batch, numbers)), origin=feed.name, now=now, cause=lease.record)
            else:
                consents.take_over(tx, list(_consents(batch, numbers)), origin=feed.name, now=now, cause=lease.record)
    with world.store.write(yield_lock=True) as tx:
        ledger.require_fence(tx, lease.feed, lease.fence)
        totals = readings.Totals(
            tally.started,
            tally.rows,
            len(tally.rejects),
            tally.in_facts,
            tally.in_facts,
            tally.other,
            tally.source_count,
        )
        readings.commit_reading(tx, lease, totals, {}, now=now)
        readings.updated(tx, lease)
        readings.add_rejects(tx, lease, tally.rejects, now=now)
        if tally.rejects:
            worklist.open_task(
                tx,
                f"rejects:{lease.feed}:{lease.business_date}",
                f"{len(tally.rejects)} rows rejected",
                now=now,
                feed=lease.feed,
                cause=lease.record,
            )
    return tally


def _contacts(batch: list[Fact], numbers: dict[str, int]) -> Iterator[contacts.Found]:
    """A row without an address names nobody to write to; the delivery that needs it finds no contact and says so."""
    for fact in batch:
        role, channel, address = (fact.values.get(n) for n in ("role", "channel", "address"))
        if type(role) is str and type(channel) is str and type(address) is str:
            yield contacts.Found(numbers[fact.client], role, channel, address)


def _consents(batch: list[Fact], numbers: dict[str, int]) -> Iterator[consents.Said]:
    for fact in batch:
        category, channel, state = (fact.values.get(n) for n in ("category", "channel", "state"))
        if type(category) is str and type(channel) is str and type(state) is str:
            yield consents.Said(numbers[fact.client], category, channel, state)
