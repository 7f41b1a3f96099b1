"""The demo as a process of its own, killed where it is told to be, and what its carrier and its store say at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import select

from daemon.deliver.rendering import unpack
from daemon.failpoints import ONCE, VARIABLE
from daemon.security.keyring import Keyring
from daemon.store import seals
from daemon.store.db import Store
from daemon.store.tables import messages, notices

ROOT = Path(__file__).parent.parent.parent
DAY = "2024-02-01"
PATIENCE = 150

Obligation: TypeAlias = tuple[str, str, str]
"""Rule, stage, occurrence: an obligation without its subject, whose number another installation counts differently."""

Told: TypeAlias = tuple[str, Obligation]
"""Whom, of what."""


@dataclass(frozen=True)
class End:
    """How a demo ended. `arrived`: how often the carrier has taken a message for each; `twice`: those of messages that it has
    more than once; `doubtful`: those of messages that have been in doubt; `outcomes`: how often each (obligation, outcome)."""

    arrived: Counter[Told]
    twice: set[Told]
    doubtful: set[Told]
    outcomes: Counter[tuple[Obligation, str | None]]
    requests: int


class Demo:
    """One demo folder."""

    def __init__(self, folder: Path, *, clients: int, repeat: str = "honour") -> None:
        self.folder, self.clients, self.repeat = folder, clients, repeat

    def run(self, fail_at: str = "") -> int:
        """Play, from where it is, to the end or to the point of the kill; the exit code."""
        environment = os.environ | ({VARIABLE: fail_at, ONCE: str(self.folder.with_suffix(".once"))} if fail_at else {})
        command = [sys.executable, "-m", "daemon.cli", "demo", "--clients", str(self.clients), "--days", DAY]
        with self.folder.with_suffix(".log").open("ab") as log:
            done = subprocess.run(
                [*command, "--repeat", self.repeat, "--folder", str(self.folder)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                timeout=PATIENCE,
            )
        return done.returncode

    @property
    def was_killed(self) -> bool:
        """Whether the fail point was reached."""
        return self.folder.with_suffix(".once").exists()

    @property
    def log(self) -> str:
        """What it printed, the last of it."""
        return self.folder.with_suffix(".log").read_text()[-3000:]

    def stop_carrier(self) -> None:
        """End a carrier that a killed demo left running."""
        file = self.folder / "carrier.json"
        if file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(json.loads(file.read_text())["pid"], signal.SIGKILL)

    def end(self) -> End:
        """Read the carrier's ledger and the store."""
        with closing(sqlite3.connect(self.folder / "carrier.sqlite")) as db:
            taken = [id for (id,) in db.execute("SELECT message_id FROM message")]
            requests = db.execute("SELECT count(*) FROM request").fetchone()[0]
        of, doubtful, outcomes = self._store()
        unknown = [id for id in taken if id not in of]
        assert not unknown, f"the carrier has {len(unknown)} messages that the store does not know"
        arrived = Counter(of[id] for id in taken)
        times = Counter(taken)
        return End(arrived, {of[id] for id, n in times.items() if n > 1}, doubtful, outcomes, requests)

    def _store(self) -> tuple[dict[str, Told], set[Told], Counter[tuple[Obligation, str | None]]]:
        """By platform id what a message told whom; those in doubt; the outcomes."""
        store = Store.open(self.folder / "state", keyring=Keyring.load(self.folder / "keys.json"), node="test")
        try:
            with store.read() as tx:
                rows = {row["id"]: row for row in tx.execute(select(notices)).mappings()}
                sent = tx.execute(select(messages).where(messages.c.body.is_not(None))).mappings().all()
                bodies = seals.get_many(tx, [row["body"] for row in sent])
        finally:
            store.close()
        name = {id: (row["rule"], row["stage"], row["occurrence"]) for id, row in rows.items()}
        told = {row["platform_id"]: (unpack(bodies[row["body"]]).recipient, name[row["notice"]]) for row in sent}
        doubtful = {told[row["platform_id"]] for row in sent if row["ever_in_doubt"]}
        return told, doubtful, Counter((name[id], row["outcome"]) for id, row in rows.items())
