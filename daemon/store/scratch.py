"""A scratch store: who is concerned and what stood before some moment, copied from a store that is only read.

A simulation writes in it and throws it away. Copied whole: subjects and their keys, contacts, consents, silences,
releases, rule sets, months' keys. Of what happened before the moment: the polls that ran with their counts, the
episodes that were open at it, the notices that had told, with an outcome, so that nothing of them moves again. What had not
left by then is left out: if it still stands the first simulated poll makes it. Only SQLite stores can be copied. Not
durable: no commit waits for a disk.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Table, event, insert

from daemon.clock import micros
from daemon.security.keyring import Keyring
from daemon.store import tables
from daemon.store.db import Store, Tx, of
from daemon.store.engine import FILE_NAME
from daemon.store.rows import one

WHO = (
    tables.subjects,
    tables.subject_index,
    tables.month_keys,
    tables.contacts,
    tables.consents,
    tables.silences,
    tables.releases,
    tables.rule_sets,
    tables.activations,
    tables.counters,
)
FRESH = (
    tables.polls, tables.feeds, tables.runs, tables.poll_counts, tables.sheets, tables.rejects, tables.holds,
    tables.episodes, tables.notices, tables.messages, tables.sending_keys, tables.attempts, tables.asks,
    tables.receipts, tables.tasks, tables.pages,
    tables.page_calls, tables.records, tables.sealed,
)  # fmt: skip


def open_scratch(folder: Path, *, keyring: Keyring, live: Path) -> Store:
    """A new scratch store in `folder` with everybody of the store in the folder `live`, which must be of this program's
    schema. Raises OSError, KeyUnusable."""
    Store.open(folder, keyring=keyring, node="simulation").close()
    with closing(_attached(folder, live)) as db, db:
        for table in WHO:
            db.execute(f"DELETE FROM main.{table.name}")  # a table of ours  # nosec B608
            db.execute(_copy(table))
    store = Store.open(folder, keyring=keyring, node="simulation", boot="simulation")
    store.close()
    event.listen(store.engine, "connect", _not_durable)
    store.rest = lambda held: None
    return store


def rewind(store: Store, live: Path, moment: datetime, day: date) -> None:
    """Set the scratch store to what stood at `moment`, before business date `day`: whatever was simulated in it is gone,
    but for the numbers that subjects have got."""
    at, before = micros(moment), day.isoformat()
    if (written := store.folder / "sheets").exists():
        shutil.rmtree(written)
    with closing(_attached(store.folder, live)) as db, db:
        for table in FRESH:
            db.execute(f"DELETE FROM main.{table.name}")  # a table of ours  # nosec B608
        db.execute(_copy(tables.polls) + " WHERE state = 'ran' AND due < ? AND business_date < ?", (at, before))
        ran = "poll IN (SELECT id FROM main.polls) AND step = 'done'"
        db.execute(f"{_copy(tables.runs)} WHERE {ran}")
        db.execute(f"{_copy(tables.poll_counts)} WHERE run IN (SELECT id FROM main.runs)")  # nosec B608
        db.execute(_copy(tables.episodes) + " WHERE opened_at < ? AND (ended_at IS NULL OR ended_at >= ?)", (at, at))
        db.execute("UPDATE main.episodes SET ended_at = NULL, ended_why = NULL, seen_on = min(seen_on, coalesce("
                   "(SELECT max(p.business_date) FROM main.polls p WHERE p.feed = main.episodes.feed), opened_on))")  # fmt: skip
        db.execute(_copy(tables.notices) + " WHERE told_at < ?", (at,))
        db.execute("UPDATE main.notices SET outcome = coalesce(outcome, 'delivered'), next_timer = NULL, held = 0")
        wanted = "SELECT sealed FROM main.contacts UNION SELECT inputs FROM main.notices"
        db.execute(f"{_copy(tables.sealed)} WHERE id IN ({wanted})")


def name_by_number(tx: Tx, kind: str, keys: Collection[str]) -> None:
    """Let keys of the form `#12` lead to the subjects with these numbers, as their own keys do."""
    blind = of(tx).store.keyring.index
    for key in keys:
        row = {"kind": kind, "blind": blind(kind, key)}
        if one(tx, tables.subject_index, **row) is None:
            tx.execute(insert(tables.subject_index).values(**row, number=int(key[1:])))


def _attached(folder: Path, live: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{folder / FILE_NAME}", uri=True)
    db.execute("PRAGMA synchronous=OFF")
    db.execute("ATTACH DATABASE ? AS live", (f"file:{live / FILE_NAME}?mode=ro",))
    return db


def _copy(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM live.{table.name}"  # ours  # nosec B608


def _not_durable(raw: sqlite3.Connection, _record: object) -> None:
    raw.execute("PRAGMA synchronous=OFF").close()
