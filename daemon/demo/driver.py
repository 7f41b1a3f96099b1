"""The demo: real days in stepped time, the whole daemon, the stand-in carrier in a process of its own.

The driver alone moves time, forward, to the next instant (poll, stage, timer, receipt), once the daemon and the carrier are
quiet; the carrier takes its time from it. `now` and the ports lie in the demo's folder, so that a killed demo goes on
where it was. Receipts that fall into one span of `GRAIN` come together, at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess  # starts the stand-in carrier  # nosec B404
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from daemon.app import App
from daemon.clock import SHANGHAI, SteppedClock
from daemon.compose import parts
from daemon.settings import Settings
from daemon.transport import Lost, NotSent, Transport

GRAIN = timedelta(seconds=20)
FIRST = time(7, 0)
TAIL = timedelta(hours=36)
"""How long after the start of its last day the demo goes on: every call of that evening has its outcome by then."""
PATIENCE = 30.0
"""Real seconds to wait for the carrier to answer or to become quiet."""


@dataclass(frozen=True)
class Plan:
    """What a demo plays. `covered`: day -> families with real facts on it."""

    folder: Path
    days: tuple[date, ...]
    clients: int
    seed: int
    repeat: str = "honour"
    profile: str = "calm"
    covered: Mapping[date, tuple[str, ...]] | None = None


FAMILY = {
    "allotments": "ipo",
    "fund_holdings": "fund",
    "fund_follows": "fund",
    "fund_limits": "fund",
    "fund_lots": "fund",
    "margin_day_end": "margin",
    "margin_intraday": "margin",
}


def covers(plan: Plan) -> Callable[[str, date], bool]:
    """Which feeds are polled on which day: those of families with real facts, and people's contacts on every day."""

    def covered(feed: str, day: date) -> bool:
        if day not in plan.days:
            return False
        family = FAMILY.get(feed)
        return family is None or plan.covered is None or family in plan.covered.get(day, ())

    return covered


def start_of(day: date) -> datetime:
    """When a day of the demo begins, in UTC."""
    return datetime.combine(day, FIRST, SHANGHAI).astimezone(UTC)


class CarrierProcess:
    """The stand-in carrier as a process; found again when an earlier demo on this folder was killed."""

    def __init__(self, plan: Plan, transport: Transport, secrets: Mapping[str, str]) -> None:
        self.plan, self.transport, self.secrets = plan, transport, secrets
        self.process: subprocess.Popen[bytes] | None = None
        self.file = plan.folder / "carrier.json"
        self.ports: dict[str, int] = {}

    async def start(self) -> None:
        """Reach it, or start it on its own state."""
        if self.file.exists():
            self.ports = json.loads(self.file.read_text())
        if not self.ports or not await self._alive():
            await self._spawn()

    async def _alive(self) -> bool:
        try:
            await self.tell("state", {})
        except (NotSent, Lost):
            return False
        return True

    async def _spawn(self) -> None:
        config = self.plan.folder / "carrier-settings.json"
        settings = {
            "state": str(self.plan.folder / "carrier.sqlite"),
            "mode": "stepped",
            "start": start_of(self.plan.days[0]).isoformat(),
            "seed": self.plan.seed,
            "repeat": self.plan.repeat,
            "profile": self.plan.profile,
            **self.secrets,
            "port": self.ports.get("platform", 0),
            "control_port": self.ports.get("control", 0),
        }
        write_private(config, json.dumps(settings))
        self.process = subprocess.Popen(  # noqa: ASYNC220, S603 - ours, and started once  # nosec B603
            [sys.executable, "-m", "daemon.carrier", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=(self.plan.folder / "carrier.log").open("ab"),
            start_new_session=True,
        )
        line = await asyncio.to_thread(self._first_line)
        self.ports = json.loads(line)["ports"]
        write_private(self.file, json.dumps(self.ports | {"pid": self.process.pid}))

    def _first_line(self) -> bytes:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the carrier did not start; see {self.plan.folder / 'carrier.log'}")
        return line

    async def tell(self, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call of its control port; the answer is its state."""
        answer = await self.transport.post(
            f"http://127.0.0.1:{self.ports['control']}/control/{what}",
            headers={"authorization": f"Bearer {self.secrets['control_token']}", "content-type": "application/json"},
            body=json.dumps(body).encode(),
            timeout=PATIENCE,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"carrier control {what}: HTTP {answer.status_code} {answer.body[:200]!r}")
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def stop(self) -> None:
        """End it, also one that an earlier demo left running."""
        pid = json.loads(self.file.read_text()).get("pid") if self.file.exists() else None
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        elif pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.file.unlink(missing_ok=True)


class Driver:
    """Plays the days."""

    def __init__(
        self,
        plan: Plan,
        carrier: CarrierProcess,
        settings_of: Callable[[int], Settings],
        say: Callable[[datetime, datetime], None],
    ) -> None:
        self.plan, self.settings_of, self.say, self.carrier = plan, settings_of, say, carrier
        self.clock = SteppedClock(self._kept() or start_of(plan.days[0]))
        self.app: App

    def _kept(self) -> datetime | None:
        file = self.plan.folder / "now.txt"
        return datetime.fromisoformat(file.read_text()) if file.exists() else None

    async def play(self) -> None:
        """Start everything, step to the end of the last day, stop everything."""
        await self.carrier.start()
        settings = self.settings_of(self.carrier.ports["platform"])
        since = start_of(self.plan.days[0])
        self.app = self._app(settings, since)
        await self.app.start()
        try:
            assert self.app.web is not None
            url = f"http://127.0.0.1:{self.app.web.port}/callbacks/telecom"
            await self.carrier.tell("notify_url", {"url": url})
            await self.carrier.tell("now", {"now": self.clock.now().isoformat()})
            await self._steps()
        finally:
            await self.app.close()
            self.carrier.stop()

    def _app(self, settings: Settings, since: datetime) -> App:
        """The daemon that lives the days."""
        return App(parts(settings, self.clock, covers=covers(self.plan), since=since))

    async def _steps(self) -> None:
        end = start_of(self.plan.days[-1]) + TAIL
        while True:
            receipt = await self._quiet()
            following = [at for at in (self.app.next_instant(), _grained(receipt)) if at is not None]
            if not following or min(following) > end:
                return
            await self._step(max(min(following), self.clock.now()))

    async def _quiet(self) -> datetime | None:
        """Passes until nothing is left to do at this moment, here and at the carrier; the carrier's next instant."""
        while True:
            self.app.wake.clear()
            done = await self.app.pass_()
            if self.app.busy:
                await asyncio.sleep(0.005)
                continue
            state = await self.carrier.tell("state", {})
            came = self.app.wake.is_set()  # a receipt, after that pass
            if done == 0 and state["pending"] == 0 and not came:
                return datetime.fromisoformat(state["next"]) if state["next"] else None
            if done == 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.app.wake.wait(), 0.05)

    async def _step(self, now: datetime) -> None:
        self.say(self.clock.now(), now)
        write_private(self.plan.folder / "now.txt", now.isoformat())
        self.clock.set(now)
        await self.carrier.tell("now", {"now": now.isoformat()})


def _grained(at: datetime | None) -> datetime | None:
    """The end of the span of GRAIN that holds a moment."""
    if at is None:
        return None
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    spans = -((epoch - at) // GRAIN)
    return epoch + spans * GRAIN


def write_private(path: Path, text: str) -> None:
    """Replace a small file in one step, mode 0600."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    temporary.replace(path)
