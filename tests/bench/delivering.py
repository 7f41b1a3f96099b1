"""Notices from the poll to the receipt at full speed: everything on, over a loopback gateway in a process of its own.

Decide, sheet, notices, claim, render, seal, record, commit, HTTP, settle, receipts by signed callbacks, the log published. The
store is SQLite with `synchronous=FULL`, the clock real.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import create_engine, func, select, text

from daemon import log
from daemon.channels.channel import Received
from daemon.channels.ctcu import Ctcu, CtcuConfig
from daemon.channels.tokens import MemoryTokens
from daemon.clock import SHANGHAI, RealClock
from daemon.cycle import poll
from daemon.deliver import Deliverer
from daemon.deliver.routes import Gateway, Routes
from daemon.gateways import StoreNonces
from daemon.heads import HeadStore
from daemon.intake import Intake
from daemon.model.states import PollState
from daemon.publication import Publication
from daemon.publish import Publisher
from daemon.rules.load import load
from daemon.server import serve
from daemon.sources import SourceConfig, open_source
from daemon.store import contacts, ledger, rulesets, subjects, trail
from daemon.store.contacts import Found
from daemon.store.db import Store
from daemon.store.tables import messages
from daemon.transport import BulkTransport, HttpxTransport, Transport
from daemon.web import callbacks
from daemon.world import World, make_world
from tests.bench.clockwork import Row
from tests.bench.sink import CHATBOT
from tests.builders_mini import CASES, RULE, mini_files
from tests.builders_store import new_store

TOKEN = "bench"
FEED = "debts"


def files() -> dict[str, bytes]:
    """The small rule set, with no bound on how many are told, due at once."""
    rule = RULE.replace("cap: {maximum: 100}", "cap: {maximum: 10000000}").replace("at: T 09:00", "at: T 00:01")
    rule = rule.replace("deadline: T 15:00", "deadline: T 23:59").replace("fresh: 5m", "fresh: 1h")
    rule = rule.replace("late: drop", "late: send_marked")  # a run may begin at any minute
    return mini_files(rule, CASES)


@contextmanager
def sink(callbacks_port: int = 0) -> Iterator[int]:
    """The gateway's process; gives its port."""
    argv = [sys.executable, "-m", "tests.bench.sink", "0", str(callbacks_port), TOKEN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def ledger_of(port: int) -> dict[str, float]:
    """What the gateway counted."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ledger") as answer:
        found: dict[str, float] = json.load(answer)
    return found


def arrivals_of(port: int) -> list[tuple[str, int]]:
    """(message id, microseconds since 1970) of each request for a message, in order."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/arrivals") as answer:
        return [(id, moment) for id, moment in json.load(answer)]


def stocked(folder: Path, count: int, now: datetime, *, url: str = "") -> tuple[Store, World]:
    """A store with `count` clients who owe, their contacts, and the rule set kept."""
    ruleset = load(files()).required()
    store = new_store(folder / "state", url=url)
    engine = create_engine(f"sqlite:///{folder / 'counter.sqlite'}")
    day = now.astimezone(SHANGHAI).date().isoformat()
    with engine.begin() as db:
        db.execute(text("CREATE TABLE debt (client_no TEXT, day TEXT, owed TEXT, desk TEXT)"))
        rows = [{"c": f"S{n:010d}", "d": day, "o": f"{200 + n}.01"} for n in range(count)]
        db.execute(text("INSERT INTO debt VALUES (:c, :d, :o, 'north')"), rows)
    config = SourceConfig.from_mapping("counter", {"type": "sql", "url": f"sqlite:///{folder / 'counter.sqlite'}"})
    with store.write() as tx:
        rulesets.keep(tx, ruleset.digest, ruleset.files, now=now)
    numbers = subjects.ensure(store, "client", [row["c"] for row in rows], now=now)
    for start in range(0, count, 500):
        some = list(numbers.values())[start : start + 500]
        with store.write() as tx:
            found = [Found(n, "client", channel, f"139{n:08d}") for n in some for channel in ("rcs", "sms")]
            contacts.take_over(tx, found, origin="bench", now=now)
    return store, make_world(store, ruleset, {"counter": open_source("counter", config, lambda name: "")})


@dataclass
class Run:
    """What a run took: seconds of the poll, to the last answer, to the last receipt; the longest time between two
    messages at the gateway."""

    count: int
    polled: float
    sent: float
    received: float
    requests: int
    ids: int
    gap: float


async def drain(
    store: Store, worlds: Callable[[str], World], port: int, count: int, transport: Transport
) -> tuple[float, float]:
    """Deliver until every message has its receipt."""
    clock = RealClock()
    config = CtcuConfig("bulk", f"http://127.0.0.1:{port}", CHATBOT, "a", "k", TOKEN, repeat="yes")
    channel = Ctcu(config, transport, MemoryTokens(), StoreNonces(store))
    gateway = Gateway(channel, connections=50, signature="示例证券")
    deliverer = Deliverer(store, Routes({"bulk": gateway}, {"rcs": ("bulk",), "sms": ("bulk",)}), worlds, clock)
    heads = HeadStore(store.folder / "heads.db")
    publisher = Publisher(store.folder / "log", heads, store.keyring, "bench.example/log", trail.TrailStore(store))
    publication = Publication(publisher, store, clock, 1.0)
    begun = perf_counter()
    sent = 0.0
    while True:
        done = await deliverer.pass_(clock.now())
        await publication.pass_()
        with store.read() as tx:
            states = dict(tx.execute(select(messages.c.state, func.count()).group_by(messages.c.state)).all())
        if not sent and not {"queued", "claimed", "sending"} & set(states):
            sent = perf_counter() - begun
        if states.get("delivered") == count:
            break
        if not done:
            await asyncio.sleep(0.005)
    await publication.finish()
    whole = perf_counter() - begun
    deliverer.close()
    return sent, whole


def make_notices(store: Store, world: World, now: datetime) -> float:
    """The poll of the debts; the seconds it took."""
    with store.write() as tx:
        due = ledger.open_due(tx, FEED, now, now.astimezone(SHANGHAI).date(), now=now)
        lease = ledger.claim(tx, due.id, holder="bench", rule_set=world.ruleset.digest, now=now, elapsed=0)
    begun = perf_counter()
    assert poll(world, lease, now) is PollState.RAN
    return perf_counter() - begun


def measure(folder: Path, count: int, make: Callable[[], Transport] = HttpxTransport) -> Run:
    """One run with `count` notices."""
    log.start("ERROR")
    now = RealClock().now()
    store, world = stocked(folder, count, now)
    with store.lock():
        polled = make_notices(store, world, now)
        found = asyncio.run(deliver(store, lambda digest: world, count, make))
    store.close()
    return replace(found, polled=polled)


async def deliver(store: Store, worlds: Callable[[str], World], count: int, make: Callable[[], Transport]) -> Run:
    """Deliver what is queued, receipts included. `worlds` gives the rule set a notice was made under."""
    clock, transport = RealClock(), make()
    intake = Intake(store, worlds)

    async def keep(gateway: str, raw: bytes, received: Sequence[Received]) -> None:
        await asyncio.to_thread(intake.keep, gateway, received, clock.now())

    config = CtcuConfig("bulk", "http://x", CHATBOT, "a", "k", TOKEN)
    reading = Ctcu(config, transport, MemoryTokens(), StoreNonces(store))
    web = await serve(callbacks.routes({"bulk": reading}, keep, clock.now, lambda *_: None), "127.0.0.1", 0)
    with sink(web.port) as port:
        sent, whole = await drain(store, worlds, port, count, transport)
        found = await asyncio.to_thread(ledger_of, port)
    await transport.aclose()
    await web.stop()
    return Run(count, 0.0, sent, whole, int(found["requests"]), int(found["ids"]), found["gap"])


def rows(folder: Path, count: int) -> list[Row]:
    """Notices made and messages delivered a second, over each transport."""
    found = []
    for name, make in (("httpx", HttpxTransport), ("aiohttp", BulkTransport)):
        (folder / name).mkdir()
        run = measure(folder / name, count, make)
        assert run.requests == run.ids == count, run
        found.append(Row(f"poll to notices ({name} run)", count, run.polled, 0.0))
        found.append(Row(f"claim to last receipt, {name}", count, run.received, 0.0))
    return found
