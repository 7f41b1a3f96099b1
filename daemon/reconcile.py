"""After a restore: the store is held against the published log, what happened since the backup is taken over or put in doubt.

The log's files and the head store outlive the database: they lie elsewhere. What was committed and not yet published when the
database was lost (60 s at most) is known to nobody; so whatever may have been told by then is not told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.audit.checkpoint import Checkpoint, VerifierKey
from daemon.audit.folder import folder_reader, verify_folder
from daemon.audit.record import parse
from daemon.audit.tree import Growing, bundles, leaf_hash, read_bundle, root, subtree
from daemon.errors import ConfigError
from daemon.heads import HeadStore
from daemon.model.states import Outcome
from daemon.notices import passing
from daemon.store import acts, consents, restored, restrictions, trail, worklist
from daemon.store.db import Store
from daemon.store.restored import Told
from daemon.store.rows import chunks
from daemon.world import World

STEP, PART = 500, 50
"""Records read at once; notices closed in one transaction."""

UNTOUCHED = (
    "the store was not unpacked by `duenotice restore` and is not behind the log: what is due would be put in doubt for nothing. "
    "Where its database was brought back by other means (pg_dump, a copy of the disk), say so: --restored"
)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What was found. `records`: taken over from the log; `outcomes`: of the notices closed; `waiting`: those that go on; `again`:
    kinds of people's acts after the backup that are to be done again, counted."""

    records: int
    outcomes: dict[str, int]
    waiting: int
    refusals: int
    shredded: int
    stopped: tuple[str, ...]
    again: dict[str, int]


def reconcile(
    store: Store,
    log: Path,
    heads: HeadStore,
    origin: str,
    worlds: Callable[[str], World],
    *,
    by: str,
    reason: str,
    now: datetime,
    restored_otherwise: bool = False,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> Reconciled:
    """Bring a restored store up to the log. Each step can be repeated: a second run goes on where a first one stopped, and no
    parent starts between them. `restored_otherwise`: a person says that the database was brought back, where nothing shows it.
    Raises ConfigError where log, heads and store are not of one history, or nothing shows that the store was restored."""
    head, size = _head(store, heads, origin)
    _same_history(store, log, head, size)
    told = Told()
    start = _first(store, size < head.size or restored_otherwise)
    for index, part in _later(log, head.size, start):
        if index + len(part) > size:
            new = part[max(0, size - index) :]
            with store.write() as tx:
                restored.take_over(tx, max(index, size), new)
        for _, leaf in part:
            told.hear(leaf)
        progress(index + len(part), head.size)
    outcomes = _close(store, worlds, told, by, now)
    return _end(store, told, outcomes, max(0, head.size - size), by, reason, now)


def lacking(store: Store, log: Path, heads: HeadStore, origin: str) -> int:
    """How many records the log has after those of a store that was unpacked from a backup. Raises ConfigError as `reconcile`."""
    head, size = _head(store, heads, origin)
    _same_history(store, log, head, size)
    return max(0, head.size - size)


def _head(store: Store, heads: HeadStore, origin: str) -> tuple[Checkpoint, int]:
    head = heads.read(origin)
    size = trail.TrailStore(store).size()
    if head is None:
        raise ConfigError(f"log {origin}: the head store knows no head; bring it back, it lies apart from the state")
    return head, size


def _first(store: Store, brought_back: bool) -> int:
    """From which index on the log is news: after what the backup had. Marks a store that was brought back by other means."""
    with store.write() as tx:
        if not restored.is_marked(tx):
            if not brought_back:
                raise ConfigError(UNTOUCHED)
            restored.mark_unreconciled(tx)
        return restored.news_from(tx)


def _same_history(store: Store, log: Path, head: Checkpoint, size: int) -> None:
    """The log is whole and signed, its first records are the store's, as far as both go. Raises ConfigError."""
    keys = [VerifierKey(head.origin, key.public) for key in store.keyring.signing_keys]
    report = verify_folder(log, keys)
    if not report.ok:
        bad = next(check for check in report.checks if check.ok is False)
        raise ConfigError(f"log folder {log}: {bad.name}: {bad.detail}; `duenotice audit verify` says more")
    if report.head is not None and report.head.size > head.size:
        raise ConfigError(
            f"log {head.origin}: the checkpoint has {report.head.size} records, the head store {head.size}"
        )
    read = folder_reader(log)
    if root(read, head.size) != head.root:
        raise ConfigError(f"log folder {log}: its {head.size} records are not those of the head store")
    tree, source = Growing(), trail.TrailStore(store)
    size = min(size, head.size)  # what has its index and was not published yet is published next
    while tree.size < size:
        for record in source.indexed(tree.size, min(STEP, size - tree.size)):
            tree.append(leaf_hash(record))
    if size and tree.root() != subtree(read, head.size, 0, size):
        raise ConfigError(f"the first {size} records of the log are not those of the store: another history")


def _later(log: Path, size: int, start: int) -> Iterator[tuple[int, list[tuple[bytes, dict[str, Any]]]]]:
    read = folder_reader(log)
    for number, width in bundles(size):
        first = number * 256
        if first + width > start:
            found = [(raw, parse(raw)) for raw in read_bundle(read, number, width)]
            skip = max(0, start - first)
            yield first + skip, found[skip:]


def _close(store: Store, worlds: Callable[[str], World], told: Told, by: str, now: datetime) -> dict[str, int]:
    """Close every notice that may have been told since, by what its messages came to."""
    outcomes: dict[str, int] = {}
    with store.read() as tx:
        ids = restored.doubtful(tx, told, now)
    for part in chunks(ids, PART):
        with store.write() as tx:
            for row in restored.open_among(tx, part):
                restored.settle(tx, told, row, by=by, now=now)
                rule = worlds(row["rule_set"]).ruleset.rules[row["rule"]]
                found: Outcome = passing.finish(tx, rule, row, now, why=restored.WHY)
                outcomes[found.value] = outcomes.get(found.value, 0) + 1
    return outcomes


def _end(
    store: Store, told: Told, outcomes: dict[str, int], records: int, by: str, reason: str, now: datetime
) -> Reconciled:
    """People's acts that can only stop something, the records of it, and the mark off."""
    stopped = tuple(sorted(rule for rule, is_stopped in told.stopped.items() if is_stopped))
    with store.write() as tx:
        known = restored.is_known(tx, {client for client, *_ in told.refused} | set(told.shredded))
        refused = [
            consents.Said(c, category, channel, consents.OUT) for c, category, channel in told.refused if c in known
        ]
        consents.take_over(tx, refused, origin="restored", now=now, actor=f"person:{by}")
        shredded = [client for client in told.shredded if client in known]
        for client in shredded:
            restrictions.shred_again(tx, client, by=by, now=now)
        standing = {stop.rule for stop in acts.stops_of(tx)}
        for rule in stopped:
            if rule not in standing:
                acts.stop(tx, rule, by=by, reason=f"stopped before the restore; {reason}", now=now, rule_set=None)
        if told.acts:
            again = ", ".join(f"{kind} {count}" for kind, count in sorted(told.acts.items()))
            worklist.open_task(tx, "restore:acts", f"done after the backup, to be done again: {again}", now=now)
        data = {"by": by, "reason": reason, "what": "restore", "count": records}
        trail.append(tx, "access", t=now, actor=f"person:{by}", data=data)
        restored.reconciled(tx, told, now)
        waiting = restored.open_notices(tx)
    return Reconciled(records, outcomes, waiting, len(refused), len(shredded), stopped, dict(told.acts))
