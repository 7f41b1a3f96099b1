"""`once --dry-run`: the same poll on a copy of the store, thrown away afterwards. Nothing of it is written or leaves."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from daemon.app_parts import open_sources
from daemon.compose import open_keyring, rule_loader, source_configs
from daemon.cycle import poll
from daemon.errors import ConfigError
from daemon.model.states import PollState
from daemon.schedule import Timetable
from daemon.settings import Settings
from daemon.store import ledger, readings, rulesets
from daemon.store.db import Store
from daemon.store.engine import FILE_NAME
from daemon.store.leases import lease_now
from daemon.world import World, make_world


def decide_only(
    settings: Settings, feeds: Sequence[str], now: datetime
) -> list[tuple[str, PollState, dict[str, dict[str, int]]]]:
    """Poll these feeds (all facts' feeds without any) as of `now`: (feed, how it ended, rule -> bucket -> facts).

    Raises ConfigError for a store that is not SQLite, LookupError for an unknown feed.
    """
    if settings.store.url_file:
        raise ConfigError("once --dry-run works on a copy of an SQLite store; this one is a server's")
    ruleset = rule_loader(settings)().required()
    configs, secrets = source_configs(settings)
    with tempfile.TemporaryDirectory(prefix="duenotice-dry-") as folder:
        _copy(settings.path(settings.state) / FILE_NAME, Path(folder) / FILE_NAME)
        store = Store.open(Path(folder), keyring=open_keyring(settings), node="dry")
        lock = store.lock()
        try:
            with store.write() as tx:
                ledger.void_leases(tx)
                rulesets.keep(tx, ruleset.digest, ruleset.files, now=now)
            world = make_world(store, ruleset, open_sources(configs, secrets))
            timetable = Timetable(ruleset)
            known = {e.feed.name: e.feed for e in timetable.entries if ruleset.kinds[e.feed.kind].use == "facts"}
            for feed in feeds:
                if feed not in known:
                    raise LookupError(f"feed {feed}: expected one of {', '.join(sorted(known))}")
            return [_one(world, timetable, name, now) for name in feeds or sorted(known)]
        finally:
            lock.release()
            store.close()


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as old, sqlite3.connect(target) as new:
            old.backup(new)


def _one(
    world: World, timetable: Timetable, feed: str, now: datetime
) -> tuple[str, PollState, dict[str, dict[str, int]]]:
    _, found = world.feed(feed)
    with world.store.write() as tx:
        row = ledger.open_due(tx, feed, now, timetable.business_date(found, now), now=now)
        at = lease_now(tx)
        lease = ledger.claim(tx, row.id, holder="dry", rule_set=world.ruleset.digest, now=now, elapsed=at)
    state = poll(world, lease, now)
    counts: dict[str, dict[str, int]] = {}
    with world.store.read() as tx:
        for rule, reasons in readings.counts_of(tx, lease.run).items():
            mine = counts.setdefault(rule, {})
            for (bucket, _), facts in reasons.items():
                mine[bucket] = mine.get(bucket, 0) + facts
    return feed, state, counts
