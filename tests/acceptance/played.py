"""A demo that has been played, and how to ask it: by commands, by sqlite3, by its files."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLIENTS = 1500
DAYS = ("2024-02-01", "2024-03-28")
WHO = ("--by", "zhang", "--reason", "acceptance")


@dataclass(frozen=True)
class Played:
    """A demo that has ended: its folder, and what it wrote to screen and log. `copies` holds its write-ahead logs."""

    folder: Path
    copies: Path
    screen: Path
    log: Path

    @property
    def config(self) -> Path:
        return self.folder / "config" / "duenotice.yaml"

    @contextmanager
    def counter(self) -> Iterator[sqlite3.Connection]:
        """The back office's counter, read-only."""
        with closing(sqlite3.connect(f"file:{self.folder / 'backoffice' / 'counter.sqlite'}?mode=ro", uri=True)) as db:
            yield db

    @contextmanager
    def store(self) -> Iterator[sqlite3.Connection]:
        """Our database, read-only, without any code of ours."""
        with closing(sqlite3.connect(f"file:{self.folder / 'state' / 'duenotice.db'}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            yield db

    def run(self, *argv: str, lang: str = "en", code: int | None = 0) -> str:
        """What a command prints; it must end with `code`."""
        command = [sys.executable, "-m", "daemon.cli", "--lang", lang, "--config", str(self.config), *argv]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert code is None or done.returncode == code, (
            argv,
            done.returncode,
            done.stdout[-2000:],
            done.stderr[-2000:],
        )
        return done.stdout

    def found(self, *argv: str, code: int | None = 0) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*argv, "--json", code=code))


def copy_of(demo: Played, target: Path) -> Played:
    """A demo of one's own; its paths are relative."""
    shutil.copytree(demo.folder, target)
    return Played(target, demo.copies, demo.screen, demo.log)
