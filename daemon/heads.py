"""Heads kept elsewhere: the newest one in a store on another path, moved by compare-and-swap; some of them where nothing is
ever taken back. Both outlive the database, so that one brought back from an older time is noticed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from daemon.audit.checkpoint import Checkpoint, VerifierKey, open_checkpoint, parse
from daemon.errors import DueNoticeError
from daemon.security.stream import sync_folder


class LogBroken(DueNoticeError):
    """Bytes on the disk are not those that were hashed, or records contradict each other; nothing is published until a
    restart. Records are still accepted and notices still leave; a person is to look."""


class HeadStore:
    """The head per origin, in an SQLite file of its own, best on another file system than store and log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as db:
            columns = "origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL"
            db.execute(f"CREATE TABLE IF NOT EXISTS head ({columns}, PRIMARY KEY (origin))")
            db.execute(f"CREATE TABLE IF NOT EXISTS past ({columns}, PRIMARY KEY (origin, size))")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction; the file is small and touched once a minute."""
        db = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous=EXTRA")
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()

    def read(self, origin: str) -> Checkpoint | None:
        """The head, or None when this origin has none."""
        with self._open() as db:
            row = db.execute("SELECT size, root FROM head WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Checkpoint(origin, row[0], row[1])

    def swap(self, old: Checkpoint | None, new: Checkpoint) -> None:
        """Move the head from `old` (None: there is none) to `new`, which is larger. Raises LogBroken when the head is
        another one, or when there has been another head of that size."""
        with self._open() as db:
            row = db.execute("SELECT size, root FROM head WHERE origin = ?", (new.origin,)).fetchone()
            found = None if row is None else Checkpoint(new.origin, row[0], row[1])
            if found != old or (old is not None and new.size <= old.size):
                raise LogBroken(f"head of {new.origin}: {show(found)}, expected {show(old)} before {show(new)}")
            db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?)", (new.origin, new.size, new.root))
            try:
                db.execute("INSERT INTO past VALUES (?, ?, ?)", (new.origin, new.size, new.root))
            except sqlite3.IntegrityError:
                raise LogBroken(f"head of {new.origin}: there has been one of size {new.size} before") from None


def show(head: Checkpoint | None) -> str:
    return "none" if head is None else f"{head.size} {head.root.hex()[:16]}"


class WriteOnce:
    """Signed heads in a folder from which nothing is taken back (a WORM volume, a share that another administrator owns): one file
    each, `ORIGIN/SIZE.checkpoint`, the size in 12 digits, the origin percent-encoded; what `audit verify --seen` takes.

    A file gets its name whole, and then its read-only mode, which is what makes it unchangeable on such a volume.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, head: Checkpoint, note: bytes) -> None:
        """Write the signed note of a head. Raises LogBroken where there is another head of that size, OSError."""
        folder = self._folder / quote(head.origin, safe="")
        if not self._folder.is_dir():  # not mounted: it is not made here
            raise FileNotFoundError(2, "is not there", str(self._folder))
        folder.mkdir(exist_ok=True)
        final = folder / f"{head.size:012d}.checkpoint"
        if final.exists():
            found = _read(final)
            if found != head:
                raise LogBroken(f"{final}: has the head {show(found)}, expected {show(head)}")
            return
        partial = final.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        with os.fdopen(descriptor, "wb") as out:
            out.write(note)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(final)
        sync_folder(folder)
        final.chmod(0o440)

    def newest(self, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint | None:
        """The largest head of an origin, its signature verified; None where there is none. Raises LogBroken where the file is no
        head of ours, OSError where the folder is not there."""
        if not self._folder.is_dir():
            raise FileNotFoundError(2, "is not there", str(self._folder))
        largest = max((self._folder / quote(origin, safe="")).glob("*.checkpoint"), default=None)
        if largest is None:
            return None
        try:
            found = open_checkpoint(largest.read_bytes(), keys)
        except ValueError as reason:
            raise LogBroken(f"{largest}: {reason}") from None
        if found.origin != origin or int(largest.stem) != found.size:
            raise LogBroken(f"{largest}: has the head {show(found)} of {found.origin}")
        return found


def _read(path: Path) -> Checkpoint:
    try:
        return parse(path.read_bytes()).checkpoint
    except ValueError as reason:
        raise LogBroken(f"{path}: {reason}") from None
