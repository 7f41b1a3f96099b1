"""Callbacks to the firm: what is due is posted, signed, and posted again until it is answered 204.

A repeat is signed anew and may come in another company of receipts, as the repeat of a real platform may. The waits
between repeats are real time, on whatever clock the rest runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from daemon.carrier.ledger import Ledger, Push
from daemon.carrier.platform import Weather
from daemon.clock import Clock
from daemon.retry import backoff
from daemon.transport import Lost, NotSent, Transport

PATHS = {"status": "deliveryNotification/{}/status", "messages": "messageNotification/{}/messages"}
TIMEOUT = 10.0
WAIT_BASE, WAIT_CAP = 0.05, 2.0


class Pusher:
    """One task that empties the ledger's callbacks. `notify_url` '' holds them back."""

    def __init__(
        self, ledger: Ledger, clock: Clock, transport: Transport, weather: Weather, chatbot_id: str, token: str
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._transport = transport
        self._weather = weather
        self._chatbot = quote(chatbot_id, safe="")
        self._token = token
        self._awake = asyncio.Event()
        self._rng = random.Random(0)  # spreads load, decides nothing  # nosec B311
        self.notify_url = ""

    def wake(self) -> None:
        """Look again: something was taken, the time moved, or the address changed."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            self._awake.clear()
            parts = self._ledger.due(self._clock.now(), self._weather.profile.batch) if self.notify_url else []
            if parts and await self._post(parts):
                self._ledger.done(parts)
                failures = 0
                continue
            failures = failures + 1 if parts else 0
            await self._rest(failures)

    async def _rest(self, failures: int) -> None:
        """Until woken; after a failure, or for the next receipt on a running clock, no longer than that takes."""
        wait = backoff(failures, WAIT_BASE, WAIT_CAP, self._rng) if failures else self._until_next()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):  # wait_for of Python 3.11 can swallow a cancel that comes with the wake
                await self._awake.wait()

    def _until_next(self) -> float:
        now = self._clock.now()
        _, _, first = self._ledger.waiting(now)
        return 60.0 if first is None else min(60.0, max(0.001, (first - now).total_seconds()))

    async def _post(self, parts: Sequence[Push]) -> bool:
        path, now = parts[0].path, self._clock.now()
        found = {"deliveryInfoList": [part.body for part in parts]} if path == "status" else parts[0].body
        body = json.dumps(found, ensure_ascii=False).encode()
        url = f"{self.notify_url.rstrip('/')}/{PATHS[path].format(self._chatbot)}"
        try:
            answer = await self._transport.post(url, headers=self._headers(now), body=body, timeout=TIMEOUT)
        except (NotSent, Lost):
            return False
        return answer.status_code == 204

    def _headers(self, now: datetime) -> Mapping[str, str]:
        stamp, nonce = str(int(now.timestamp())), str(secrets.randbelow(10**12))
        return {
            "content-type": "application/json",
            "date": format_datetime(now.astimezone(UTC), usegmt=True),
            "timestamp": stamp,
            "nonce": nonce,
            "signature": hashlib.sha256("".join(sorted((self._token, stamp, nonce))).encode()).hexdigest(),
        }
