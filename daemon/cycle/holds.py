"""Hold or go, for one rule of one poll: what was counted, what it is held against, the hold that opens or ends."""

from __future__ import annotations

from datetime import datetime, timedelta

from daemon.cycle.heard import Heard
from daemon.decide.reading import Tally
from daemon.log import logger
from daemon.model.decisions import Bucket
from daemon.model.kinds import Feed
from daemon.rules.holding import Before, Counts, covers, verdict
from daemon.rules.schema import Rule
from daemon.store import gates_rows, pages, readings, worklist
from daemon.store.db import Tx
from daemon.store.ledger import Lease
from daemon.world import World

HOLD_MEMORY = timedelta(hours=24)
"""How long what a release allowed, or what a hold saw that ended itself, bounds the polls after it."""


def _counts(one: Heard, tally: Tally) -> Counts:
    vanished = sum(1 for key in one.known if key not in one.words)
    notify = one.of(Bucket.NOTIFY)
    return Counts(notify, len(one.known), vanished, len(one.matches), tally.counted, tally.source_count, tally.rows)


def _before(tx: Tx, lease: Lease, rule: Rule) -> Before | None:
    """The like reading before; a feed's first one has none, which the journal says."""
    if rule.cap.growth is None:
        return None
    found = readings.like_before(tx, lease, rule.name)
    if found is None:
        logger.info("nothing to compare this reading with", action="poll", feed=lease.feed, rule=rule.name)
    return None if found is None else Before(*found)


def hold(tx: Tx, lease: Lease, feed: Feed, one: Heard, tally: Tally, now: datetime) -> str:
    """Why this rule makes no notices in this poll, or ''. A margin hold ends itself; a release lets its counts go."""
    counts = _counts(one, tally)
    newest = gates_rows.newest_hold(tx, feed.name, one.rule.name)
    ends = one.rule.cap.ends_after
    if newest is not None and newest.open:
        if ends is None or now < newest.since + ends:
            return newest.reason
        gates_rows.end_hold(
            tx, newest.id, by="sys:rule", reason=f"ends itself after {ends}", allowed=None, now=now, person=False
        )
        return ""
    why = verdict(one.rule.cap, counts, _before(tx, lease, one.rule))
    if (
        why
        and newest is not None
        and now - newest.since < HOLD_MEMORY
        and covers(newest.allowed or newest.counts, counts)
    ):
        return ""
    return why


def open_hold(tx: Tx, feed: Feed, one: Heard, tally: Tally, why: str, cause: str, now: datetime) -> None:
    """Open the hold, once, with the counts that were seen: a page, and a task until a person releases it."""
    hold, opened = gates_rows.open_hold(
        tx, feed.name, one.rule.name, reason=why, counts=_counts(one, tally).to_json(), now=now, record=cause
    )
    if opened:
        key = gates_rows.hold_key(feed.name, one.rule.name)
        pages.page(tx, key, "urgent", f"feed {feed.name}, rule {one.rule.name}: held, {why}", now=now)
        worklist.open_task(
            tx,
            key,
            f"held: {why}",
            now=now,
            rule=one.rule.name,
            feed=feed.name,
            detail=f"hold {hold.id}; nothing of this rule is made from this feed until it ends",
            cause=cause,
        )


def is_released(world: World, feed: Feed, rule: Rule, now: datetime) -> bool:
    """Whether a release lets this reading's matches go, but not yet what it shows as gone."""
    with world.store.read() as tx:
        newest = gates_rows.newest_hold(tx, feed.name, rule.name)
    return newest is not None and not newest.gone and now - newest.since < HOLD_MEMORY
