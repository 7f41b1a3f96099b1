"""A copy of the SQLite database as one moment has it, made while others write (SQLite's online backup API).

The source's connection keeps one read snapshot until the copy is whole, so that a writer neither waits nor makes it begin again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from daemon.errors import ConfigError
from daemon.store.engine import FILE_NAME

PAGES = 1024
"""Pages copied between two words about progress: 4 MB."""


def copy_database(folder: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy the database of a state folder into a new file of mode 0600. `progress` is told pages done and in all. Raises
    FileExistsError where there is a target, sqlite3.Error where the database cannot be read."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source = sqlite3.connect(f"file:{folder / FILE_NAME}?mode=ro", uri=True, isolation_level=None)
    with closing(source), closing(sqlite3.connect(target)) as copy:
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot begins with the first read
        source.backup(copy, pages=PAGES, progress=lambda _, left, whole: progress(whole - left, whole))


def check_database(path: Path) -> None:
    """Have SQLite look through a whole file that nobody uses. Raises ConfigError with what it finds."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        try:
            found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(5)")]
        except sqlite3.DatabaseError as reason:
            found = [str(reason)]
    if found != ["ok"]:
        raise ConfigError(f"{path.name}: the database in it is damaged: {'; '.join(found)}")
