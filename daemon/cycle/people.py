"""Polls of kinds that are no facts: contacts and consents, taken over into the store with a record for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from daemon.decide.reading import FeedReader, Tally
from daemon.model.kinds import FactKind, Feed
from daemon.rules.folding import Values
from daemon.store import consents, contacts, ledger, readings, subjects, worklist
from daemon.store.ledger import Lease
from daemon.world import World

ROWS_PER_TX = 250


def take_over(
    world: World, kind: FactKind, feed: Feed, lease: Lease, now: datetime, alive: Callable[[], None]
) -> Tally:
    """Read the feed whole and bring the store's contacts or consents up to it."""
    tally, rows = FeedReader(world.ruleset, world.sources).rows(feed, business_date=lease.business_date, now=now)
    taken = 0
    while batch := [row.values for row in islice(rows, ROWS_PER_TX)]:
        taken += len(batch)
        alive()
        with world.store.write(yield_lock=True) as tx:
            ledger.require_fence(tx, lease.feed, lease.fence)
            numbers = subjects.numbers(tx, "client", sorted({str(row["client"]) for row in batch}), now=now)
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
            {"counted": tally.counted, "reference_rejects": 0},
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


def _contacts(batch: Sequence[Values], numbers: Mapping[str, int]) -> Iterator[contacts.Found]:
    """`client`, `role`, `channel`, `address`: required fields of the kind, so a row without one was a reject."""
    for row in batch:
        yield contacts.Found(numbers[str(row["client"])], str(row["role"]), str(row["channel"]), str(row["address"]))


def _consents(batch: Sequence[Values], numbers: Mapping[str, int]) -> Iterator[consents.Said]:
    for row in batch:
        yield consents.Said(numbers[str(row["client"])], str(row["category"]), str(row["channel"]), str(row["state"]))
