"""Plays a day as the demo does, but alone in one process: one message at a time, no wire, no time that passes by itself.

So a seed gives the same day again: clients, handsets, faults, receipts, and the order in which everything meets.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from daemon.app import App
from daemon.carrier.run import Carrier
from daemon.carrier.settings import CarrierSettings
from daemon.clock import SteppedClock
from daemon.compose import parts
from daemon.demo.driver import PATIENCE, CarrierProcess, Driver, Plan, covers, start_of
from daemon.demo.setup import prepare, secrets_of, settings_for
from daemon.rehearse.inline import InlineChild
from daemon.rehearse.network import Network
from daemon.security.keyring import COMMITMENT_KEY_BYTES, ClientKeys, Keyring
from daemon.settings import Settings
from daemon.store.db import Store

Say = Callable[[datetime, datetime], None]


class VirtualClock(SteppedClock):
    """A stepped clock on which nothing else passes either: a rate a second counts its seconds."""

    def elapsed(self) -> float:
        return self.now().timestamp()


class CarrierHere(CarrierProcess):
    """The stand-in carrier in this loop, reached over a network of its own."""

    network_of: type[Network] = Network

    def __init__(self, plan: Plan) -> None:
        network = self.network_of()
        super().__init__(plan, network, secrets_of(plan))
        self.network: Network = network
        self.carrier: Carrier

    async def start(self) -> None:
        """Listen on the network."""
        plan, start = self.plan, start_of(self.plan.days[0])
        settings = CarrierSettings(
            state=plan.folder / "carrier.sqlite",
            mode="stepped",
            start=start,
            seed=plan.seed,
            repeat=plan.repeat,  # type: ignore[arg-type]
            profile=plan.profile,
            stall_seconds=0.0,  # no answer in time is no answer: nothing waits here
            **self.secrets,  # type: ignore[arg-type]
        )
        clock = VirtualClock(start)
        self.carrier = Carrier(settings, clock=clock, transport=self.network, listen=self.network.listen)
        await self.carrier.start()
        self.ports = self.carrier.ports

    def stop(self) -> None:
        """What is stopped here stands still; `close` lets it go."""

    async def close(self) -> None:
        """Close the ledger."""
        await self.carrier.stop()


class SeededKeyring(Keyring):
    """Gives new clients keys from a seed: the ids made with them, and with the ids the order of claims, are the same again."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.rng = random.Random(0)  # keys of made-up clients  # nosec B311

    def new_client_keys(self) -> ClientKeys:
        """As a keyring does, but drawn from the seed."""
        made = super().new_client_keys()
        return ClientKeys(made.data_key, self.rng.randbytes(COMMITMENT_KEY_BYTES))


class RehearsedApp(App):
    """The daemon with polls in its own process."""

    async def start(self) -> bool:
        """As the daemon, then one child that is no process."""
        started = await super().start()
        self.polls.children = [InlineChild(self.worlds)]
        return started


class Rehearsal(Driver):
    """The demo's driver over a carrier in this loop."""

    carrier: CarrierHere

    async def _step(self, now: datetime) -> None:
        """As the demo, then every receipt of the new instant comes in: one that meets a timer there is always the first.

        Raises TimeoutError where the daemon does not take them.
        """
        await super()._step(now)
        async with asyncio.timeout(PATIENCE):
            while (await self.carrier.tell("state", {}))["pending"]:  # noqa: ASYNC110 - the carrier is asked, it does not tell
                await asyncio.sleep(0.001)  # the daemon keeps receipts in a thread

    def _app(self, settings: Settings, since: datetime) -> App:
        network, seed = self.carrier.network, self.plan.seed
        keyring = SeededKeyring.load(settings.secret_path(settings.keys.file))
        assert isinstance(keyring, SeededKeyring)
        keyring.rng.seed(seed)
        store = Store.open(settings.path(settings.state), keyring=keyring, node=settings.node)
        made = parts(settings, self.clock, covers=covers(self.plan), since=since, transport=network, store=store)
        rng = random.Random(seed)  # of waits  # nosec B311
        return RehearsedApp(replace(made, poll_children=0, listen=network.listen, rng=rng))


async def play(
    folder: Path,
    day: date,
    *,
    profile: str,
    seed: int,
    clients: int,
    repeat: str,
    root: Path,
    say: Say,
    carrier_of: Callable[[Plan], CarrierHere] = CarrierHere,
) -> Plan:
    """Play `day` in a new folder to the last outcome. Raises ValueError for a folder that holds another plan."""
    public = root / "config" / "sample"
    plan = prepare(folder, days=(day,), clients=clients, seed=seed, repeat=repeat, profile=profile, public=public)
    carrier = carrier_of(plan)
    try:
        await Rehearsal(plan, carrier, settings_for(plan, root, connections=1), say).play()
    finally:
        await carrier.close()
    return plan
