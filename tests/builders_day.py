"""A small installation that has lived through a real day: sample back office, polls, dry-run delivery, published trail.

Everything runs in this process, in stepped time: no child, no carrier, no network.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from daemon.app_parts import open_sources, worlds_of
from daemon.clock import SHANGHAI, SteppedClock
from daemon.compose import open_store, source_configs
from daemon.cycle import poll
from daemon.deliver import Deliverer
from daemon.demo.generator import generate
from daemon.gateways import open_routes
from daemon.heads import HeadStore
from daemon.model.states import PollState
from daemon.publish import Publisher
from daemon.rules.load import load, read_folder
from daemon.schedule import Timetable
from daemon.security.keyring import Keyring
from daemon.settings import Settings
from daemon.settings_files import load_settings
from daemon.store import ledger, rulesets, trail
from daemon.store.db import Store
from daemon.transport import HttpxTransport

ROOT = Path(__file__).parent.parent
DAY = date(2024, 2, 1)
SEED = 7

MAIN = """\
node: n1
state: ../state
keys: {file: ../keys.json}
trail: {origin: test.example/trail, folder: ../trail, heads: ../heads/heads.db}
rules: {folder: .., unsigned: allow}
"""
CHANNELS = """\
gateways:
  trial: {dialect: dryrun, folder: ../cards, signature: 示例证券}
channels: {rcs: [trial], sms: [trial]}
"""
SOURCES = """\
sources:
  counter: {type: sql, url: "sqlite:///../backoffice/counter.sqlite"}
  clearing: {type: files, folder: ../backoffice, complete: {flag: "{stem}.flg"}}
"""


@dataclass(frozen=True)
class Place:
    """An installation's folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config" / "duenotice.yaml"

    @property
    def settings(self) -> Settings:
        return load_settings(self.config)

    def store(self) -> Store:
        """The store, opened anew; the caller closes it."""
        return open_store(self.settings)

    def copy(self, folder: Path) -> Place:
        """The same installation somewhere else, to be changed."""
        shutil.copytree(self.folder, folder)
        return Place(folder)


def install(folder: Path, *, clients: int, days: Sequence[date]) -> Place:
    """Configuration, rules, keys and back office; no store yet."""
    (folder / "config").mkdir(parents=True)
    for name, text in (("duenotice", MAIN), ("channels", CHANNELS), ("sources", SOURCES)):
        (folder / "config" / f"{name}.yaml").write_text(text)
    shutil.copy(ROOT / "config" / "carriers.yaml", folder / "config" / "carriers.yaml")
    for name in ("rules", "templates"):
        shutil.copytree(ROOT / name, folder / name)
    Keyring.create(folder / "keys.json")
    generate(folder / "backoffice", clients=clients, seed=SEED, days=days, public=ROOT / "config" / "sample")
    return Place(folder)


def at(day: date, clock: str) -> datetime:
    """A moment of a day in Asia/Shanghai, in UTC."""
    return datetime.combine(day, time.fromisoformat(clock), SHANGHAI).astimezone(UTC)


def live(place: Place, day: date, *, until: str = "23:00") -> None:
    """Play a day: every poll at its due time, delivery after each, the trail published at the end."""
    store = place.store()
    try:
        _activate(store, place.settings, at(day, "07:00"))
        asyncio.run(_play(store, place.settings, day, at(day, until)))
        publish(store, place.settings)
    finally:
        store.close()


def _activate(store: Store, settings: Settings, now: datetime) -> None:
    made = load(read_folder(settings.path(settings.rules.folder))).required()
    with store.write() as tx:
        rulesets.keep(tx, made.digest, made.files, now=now)
        rulesets.activate(tx, made.digest, actor="sys:test", now=now)
        trail.append(tx, "start", t=now, actor="sys:duenotice", data={"version": "0", "boot": "b", "role": "all"})


async def _play(store: Store, settings: Settings, day: date, end: datetime) -> None:
    configs, secrets = source_configs(settings)
    worlds = worlds_of(store, open_sources(configs, secrets))
    with store.read() as tx:
        active = rulesets.active(tx)
    assert active is not None
    world = worlds(active.digest)
    clock = SteppedClock(at(day, "07:00"))
    transport = HttpxTransport()
    deliverer = Deliverer(store, open_routes(settings, store, transport, None), worlds, clock)
    try:
        for due in Timetable(world.ruleset).due(clock.now(), end):
            clock.set(max(due.at, clock.now()))
            with store.write() as tx:
                row = ledger.open_due(tx, due.feed, due.at, due.business_date, now=clock.now(), skip=due.skip)
                lease = None
                if row.state is PollState.DUE:
                    elapsed = int(clock.elapsed() * 1_000_000)
                    lease = ledger.claim(
                        tx, row.id, holder="test", rule_set=active.digest, now=clock.now(), elapsed=elapsed
                    )
            if lease is not None:
                poll(world, lease, clock.now())
            await _deliver(deliverer, clock)
        clock.set(end + timedelta(minutes=1))
        await _deliver(deliverer, clock)
    finally:
        deliverer.close()
        await transport.aclose()


async def _deliver(deliverer: Deliverer, clock: SteppedClock) -> None:
    while await deliverer.pass_(clock.now()):
        pass


def publish(store: Store, settings: Settings) -> None:
    """Put every committed record into the signed log."""
    heads = settings.path(settings.trail.heads)
    heads.parent.mkdir(exist_ok=True)
    log = settings.path(settings.trail.folder)
    publisher = Publisher(log, HeadStore(heads), store.keyring, settings.trail.origin, trail.TrailStore(store))
    while publisher.publish():
        pass
