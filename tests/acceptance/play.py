"""Plays the demo as `duenotice demo` does, its log at DEBUG, and copies the database's write-ahead log while it lives.

    python -m tests.acceptance.play FOLDER CLIENTS COPIES

The screen goes to standard output, the log to standard error. SQLite removes the write-ahead log when the store is closed, so
a search of the folder afterwards would never see it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon import log
from daemon.cli.demo import DAYS
from daemon.cli.demo_summary import summarise
from daemon.cli.screen import Screen
from daemon.demo.driver import CarrierProcess, Driver, Plan
from daemon.demo.setup import prepare, secrets_of, settings_for
from daemon.settings import Settings
from daemon.shipped import shipped
from daemon.transport import HttpxTransport

EVERY = 40
"""Steps between two copies of the write-ahead log."""


def copier(plan: Plan, copies: Path) -> Callable[[datetime, datetime], None]:
    """Copies the write-ahead log now and then, between two steps of the clock."""
    copies.mkdir()
    count = 0

    def say(before: datetime, now: datetime) -> None:
        nonlocal count
        count += 1
        wal = plan.folder / "state" / "duenotice.db-wal"
        if count % EVERY == 0 and wal.exists() and wal.stat().st_size:
            shutil.copy(wal, copies / f"{count:06d}.db-wal")

    return say


def at_debug(settings_of: Callable[[int], Settings]) -> Callable[[int], Settings]:
    """The same settings, for children too, with the log at DEBUG."""

    def settings(port: int) -> Settings:
        made = settings_of(port)
        found: Settings = made.model_copy(update={"log": made.log.model_copy(update={"level": "DEBUG"})})
        return found

    return settings


async def play(plan: Plan, copies: Path) -> None:
    """The whole demo, to its end."""
    transport = HttpxTransport()
    try:
        carrier = CarrierProcess(plan, transport, secrets_of(plan))
        await Driver(plan, carrier, at_debug(settings_for(plan, shipped())), copier(plan, copies)).play()
    finally:
        await transport.aclose()


def plan_of(folder: Path, clients: int, **more: Any) -> Plan:
    """The days that `duenotice demo` plays, on a smaller population."""
    public = shipped() / "config" / "sample"
    made = prepare(folder, days=DAYS, clients=clients, seed=7, repeat="honour", profile="calm", public=public)
    return replace(made, **more)


def main(folder: str, clients: str, copies: str) -> int:
    """Play, then print what `duenotice demo` prints."""
    log.start("DEBUG")
    plan = plan_of(Path(folder), int(clients))
    asyncio.run(play(plan, Path(copies)))
    return summarise(plan, Screen("en"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
