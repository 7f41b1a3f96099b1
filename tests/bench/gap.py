"""The longest time between two sends while a large poll runs on the same store, in a process of its own as poll children are.

Messages of one feed are queued; then a margin poll of many facts starts, with clients that are all new: numbers, reading,
deciding, the sheet, notices. The gateway (`sink.py`) notes when each message came.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from time import perf_counter

from daemon import log
from daemon.clock import RealClock
from daemon.cycle import poll
from daemon.model.states import PollState
from daemon.rules.load import load, read_folder
from daemon.sources import SourceConfig, open_source
from daemon.store import ledger, rulesets
from daemon.store.db import Store
from daemon.transport import BulkTransport
from daemon.world import make_world
from tests.bench import book, delivering
from tests.bench.clockwork import Row
from tests.builders_store import keyring

ROOT = Path(__file__).parents[2]
FEED = "margin_day_end"


def poll_beside(folder: Path) -> None:
    """The poll, on the store that is being delivered from."""
    log.start("ERROR")
    config = SourceConfig.from_mapping("counter", {"type": "sql", "url": f"sqlite:///{folder / 'book.sqlite'}"})
    ruleset = load(read_folder(ROOT)).required()
    store = Store.open(folder / "state", keyring=keyring(), node="n1-poll")
    world = make_world(store, ruleset, {"counter": open_source("counter", config, lambda name: "")})
    with store.write() as tx:
        rulesets.keep(tx, ruleset.digest, ruleset.files, now=book.DUE)
        due = ledger.open_due(tx, FEED, book.DUE, book.DAY, now=book.DUE)
        lease = ledger.claim(tx, due.id, holder="poll", rule_set=ruleset.digest, now=book.DUE, elapsed=0)
    print("begun", flush=True)
    assert poll(world, lease, book.DUE) is PollState.RAN
    store.close()


def measure(folder: Path, messages: int, facts: int) -> list[Row]:
    """The longest gap without a poll, and with one; seconds stand under `seconds`."""
    found = []
    for name, polled in (("alone", 0), ("a poll beside", facts)):
        place = folder / name
        place.mkdir()
        gap, seconds, still = asyncio.run(_run(place, messages, polled))
        found.append(Row(f"longest gap, {name}", messages, gap, 0.0))
        found.append(Row(f"messages, {name}{'; it ran on' if still else ''}", messages, seconds, 0.0))
    return found


async def _run(folder: Path, count: int, facts: int) -> tuple[float, float, bool]:
    log.start("ERROR")
    now = RealClock().now()
    store, world = delivering.stocked(folder, count, now)
    if facts:
        book.fill(folder / "book.sqlite", facts)
    with store.lock():
        delivering.make_notices(store, world, now)
        beside = await asyncio.to_thread(_start, folder) if facts else None
        begun = perf_counter()
        shipped = make_world(store, load(read_folder(ROOT)).required(), {})
        by_digest = {one.ruleset.digest: one for one in (world, shipped)}
        found = await delivering.deliver(store, by_digest.__getitem__, count, BulkTransport)
        seconds = perf_counter() - begun
        still = beside is not None and beside.poll() is None
        if beside is not None:
            assert await asyncio.to_thread(beside.wait) == 0
    store.close()
    return found.gap, seconds, still


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.gap", str(folder)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    return started


if __name__ == "__main__":
    poll_beside(Path(sys.argv[1]))
