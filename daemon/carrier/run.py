"""The stand-in as a whole: ledger, clock, platform port, control port, pusher; started, run, stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import datetime
from typing import Self

from daemon.carrier.control import Control
from daemon.carrier.ledger import Ledger
from daemon.carrier.platform import Platform, Weather, profile_of
from daemon.carrier.push import Pusher
from daemon.carrier.settings import CarrierSettings
from daemon.clock import Clock, RealClock, SteppedClock
from daemon.server import Listen, Server, serve
from daemon.transport import HttpxTransport, Transport


class Carrier:
    """One stand-in in this loop. Started again on the same ledger it goes on where it was: token, time, callbacks."""

    def __init__(
        self,
        settings: CarrierSettings,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        listen: Listen = serve,
    ) -> None:
        """`clock`, `transport`, `listen` replace its own clock, and the network: then its time and its answers are the caller's."""
        self._settings, self._listen = settings, listen
        profile = profile_of(settings)
        self._ledger = Ledger(settings.state, profile.gather)
        self.clock = clock or _clock(settings, self._ledger.get("now"))
        weather = Weather(profile, settings.repeat)
        self._transport = transport or HttpxTransport(connections=8)
        self._pusher = Pusher(
            self._ledger, self.clock, self._transport, weather, settings.chatbot_id, settings.callback_token
        )
        self._pusher.notify_url = settings.notify_url or self._ledger.get("notify_url") or ""
        self._platform = Platform(settings, weather, self._ledger, self.clock, self._pusher.wake)
        self._control = Control(settings, weather, self._ledger, self.clock, self._pusher)
        self._servers: list[Server] = []
        self._pushing: asyncio.Task[None] | None = None

    @property
    def ports(self) -> dict[str, int]:
        """`platform` and `control`, once started."""
        return self._control.ports

    async def start(self) -> None:
        """Listen on both ports and begin to push. Raises OSError where a port cannot be had, with nothing left open."""
        host = self._settings.host
        try:
            self._servers.append(await self._listen(self._platform.routes(), host, self._settings.port, grace=1.0))
            self._servers.append(
                await self._listen(self._control.routes(), host, self._settings.control_port, grace=1.0)
            )
        except BaseException:
            await self.stop()
            raise
        self._control.ports.update(platform=self._servers[0].port, control=self._servers[1].port)
        self._pushing = asyncio.create_task(self._pusher.run(), name="carrier pusher")

    async def stop(self) -> None:
        """Close the ports, stop pushing, close the ledger; what is not acknowledged stays in it. Raises what ended the
        pusher, had it ended."""
        self._platform.stop()
        if self._pushing is not None:
            self._pushing.cancel()
            await asyncio.wait({self._pushing})
        await asyncio.gather(*(server.stop() for server in self._servers))
        await self._transport.aclose()
        self._ledger.close()
        if self._pushing is not None and not self._pushing.cancelled():
            self._pushing.result()

    async def failed(self) -> None:
        """Returns never; raises what ended the pusher."""
        assert self._pushing is not None
        await asyncio.shield(self._pushing)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def _clock(settings: CarrierSettings, last: str | None) -> Clock:
    """A stepped clock goes on from the last instant it was set to, never before `start`."""
    if settings.mode == "real":
        return RealClock()
    assert settings.start is not None
    return SteppedClock(max(settings.start, datetime.fromisoformat(last)) if last else settings.start)


async def run_carrier(settings: CarrierSettings) -> None:
    """Run until SIGTERM or SIGINT. Once it listens it prints `{"ports": {"platform": N, "control": M}}`, one line."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with Carrier(settings) as carrier:
        print(json.dumps({"ports": carrier.ports}), flush=True)
        ending = {asyncio.create_task(stopped.wait()), asyncio.create_task(carrier.failed())}
        done, rest = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        for task in done:
            task.result()
    sys.stdout.flush()
