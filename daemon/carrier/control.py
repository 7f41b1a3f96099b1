"""The control port: the driver's hand on the stand-in. Bearer token, JSON in and out; no part of the platform's interface.

| call | body | answer |
|---|---|---|
| GET or POST /control/state | | `now`, `next` (instant of the first callback to come, or null), `pending` (callbacks due and not yet acknowledged), `waiting` (not yet due), `ports`, `notify_url`, `profile`, `repeat` |
| GET or POST /control/ledger?after=N&limit=M | | `requests` above number N in order, `next` (N of the next page, or null), `totals` |
| POST /control/now | `{"now": instant}` | state; never back |
| POST /control/notify_url | `{"url": address}` | state |
| POST /control/uplink | `{"recipient", "text"}`, or `"postback"` beside it for a button | state |
| POST /control/handset | `{"recipient", "kind"}` | state |
| POST /control/weather | any of `repeat`, `faults`, `per_second` | state |
"""  # noqa: E501 - a table's rows do not wrap

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from daemon.carrier.handsets import Handset
from daemon.carrier.ledger import Ledger
from daemon.carrier.platform import Weather
from daemon.carrier.profiles import FAULTS
from daemon.carrier.push import Pusher
from daemon.carrier.settings import CarrierSettings, is_share
from daemon.clock import Clock, SteppedClock, micros
from daemon.server import Handler, Reply, Request, Route

PAGE = 500
Act: TypeAlias = Callable[[dict[str, Any]], None]


class Control:
    """Routes for the control port."""

    def __init__(
        self, settings: CarrierSettings, weather: Weather, ledger: Ledger, clock: Clock, pusher: Pusher
    ) -> None:
        self._settings = settings
        self._weather = weather
        self._ledger = ledger
        self._clock = clock
        self._pusher = pusher
        self.ports: dict[str, int] = {}

    def routes(self) -> list[Route]:
        acts: dict[str, Act] = {
            "now": self._now,
            "notify_url": self._notify_url,
            "uplink": self._uplink,
            "handset": self._handset,
            "weather": self._change,
            "state": lambda _: None,
        }
        routes = [Route("POST", f"/control/{name}", self._guarded(self._acting(act))) for name, act in acts.items()]
        routes.append(Route("GET", "/control/state", self._guarded(self._state)))
        return routes + [Route(verb, "/control/ledger", self._guarded(self._requests)) for verb in ("GET", "POST")]

    def _guarded(self, inner: Handler) -> Handler:
        expected = f"Bearer {self._settings.control_token}".encode()

        async def guarded(request: Request) -> Reply:
            if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
                return _json({"error": "the control token is missing or wrong"}, 401)
            try:
                return await inner(request)
            except (KeyError, TypeError, ValueError) as wrong:
                return _json({"error": f"{type(wrong).__name__}: {wrong}"}, 400)

        return guarded

    def _acting(self, act: Act) -> Callable[[Request], Awaitable[Reply]]:
        async def acting(request: Request) -> Reply:
            found = json.loads(request.body or b"{}")
            if not isinstance(found, dict):
                raise ValueError("the body is not a JSON object")
            act(found)
            self._pusher.wake()
            return await self._state(request)

        return acting

    async def _state(self, _request: Request) -> Reply:
        now = self._clock.now()
        pending, waiting, first = self._ledger.waiting(now)
        return _json(
            {
                "now": now.isoformat(),
                "next": None if first is None else first.isoformat(),
                "pending": pending,
                "waiting": waiting,
                "ports": self.ports,
                "notify_url": self._pusher.notify_url,
                "profile": self._settings.profile,
                "repeat": self._weather.repeat,
            }
        )

    async def _requests(self, request: Request) -> Reply:
        after, limit = int(request.query.get("after", "0")), int(request.query.get("limit", str(PAGE)))
        now = self._clock.now()
        found = self._ledger.requests(now, after, limit)
        following = found[-1]["request_no"] if len(found) == limit else None
        return _json({"requests": found, "next": following, "totals": self._ledger.totals(now)})

    def _now(self, found: dict[str, Any]) -> None:
        if not isinstance(self._clock, SteppedClock):
            raise ValueError("the carrier runs on the wall clock; only a stepped one is set")
        at = datetime.fromisoformat(found["now"])
        if at.tzinfo is None:
            raise ValueError("now: an instant without offset")
        self._clock.set(at)
        self._ledger.put(now=at.isoformat())

    def _notify_url(self, found: dict[str, Any]) -> None:
        if not isinstance(found["url"], str):
            raise TypeError("url: not a string")
        self._pusher.notify_url = found["url"]
        self._ledger.put(notify_url=found["url"])

    def _uplink(self, found: dict[str, Any]) -> None:
        """What the handset at `recipient` writes, or the button it presses; `inReplyTo` names our newest message."""
        recipient, words, now = str(found["recipient"]), str(found["text"]), self._clock.now()
        conversation, contribution = self._ledger.last_to(recipient)
        button = {"response": {"reply": {"displayText": words, "postback": {"data": found.get("postback")}}}}
        part: dict[str, Any] = {"contentType": "text/plain", "contentText": words}
        if "postback" in found:
            kind = "application/vnd.gsma.botsuggestion.response.v1.0+json"
            part = {"contentType": kind, "contentText": json.dumps(button, ensure_ascii=False)}
        body = {
            "messageId": secrets.token_hex(16),
            "messageList": [part],
            "dateTime": now.isoformat(),
            "senderAddress": f"tel:+86{recipient}",
            "destinationAddress": self._settings.chatbot_id,
            "conversationId": conversation or secrets.token_hex(16),
            "contributionId": secrets.token_hex(16),
        }
        self._ledger.push(micros(now), None, "messages", body | ({"inReplyTo": contribution} if contribution else {}))

    def _handset(self, found: dict[str, Any]) -> None:
        self._ledger.set_handset(str(found["recipient"]), Handset(found["kind"]))

    def _change(self, found: dict[str, Any]) -> None:
        unknown = found.keys() - {"repeat", "faults", "per_second"}
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        faults, repeat = found.get("faults", self._weather.profile.faults), found.get("repeat", self._weather.repeat)
        if any(name not in FAULTS or not is_share(share) for name, share in faults.items()):
            raise ValueError(f"faults: expected shares between 0 and 1 of {', '.join(FAULTS)}")
        if repeat not in ("honour", "ignore", "refuse"):
            raise ValueError("repeat: expected honour, ignore or refuse")
        limit = found.get("per_second", self._weather.profile.per_second)
        self._weather.profile = replace(self._weather.profile, faults=faults, per_second=limit)
        self._weather.repeat = repeat


def _json(found: object, status_code: int = 200) -> Reply:
    return Reply(status_code, json.dumps(found, ensure_ascii=False).encode(), {"content-type": "application/json"})
