"""The platform's northbound calls: token, send, revoke. Refuses by HTTP 200 and `errorCode`, as the specification does.

Takes a message in one transaction of its ledger and answers after it; the faults of the profile come after that
decision.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from daemon.carrier.cardcheck import Refused
from daemon.carrier.handsets import Handset, between, draw, handset_of
from daemon.carrier.ledger import Ledger, delivery_info
from daemon.carrier.plan import Taken, plan
from daemon.carrier.profiles import FAULTS, PROFILES, Profile
from daemon.carrier.settings import CarrierSettings
from daemon.carrier.strict import check_revoke, check_send, parse
from daemon.clock import SHANGHAI, Clock, micros
from daemon.server import Reply, Request, Route

TOKEN_SECONDS = 7200
TOKENS_A_DAY = 2000


def profile_of(settings: CarrierSettings) -> Profile:
    """The named profile with what the settings replace of it."""
    profile = PROFILES[settings.profile]
    given = {key: getattr(settings, key) for key in ("shares", "faults", "per_second", "stall_seconds")}
    return replace(profile, **{key: value for key, value in given.items() if value is not None})


@dataclass
class Weather:
    """What the control port may change while running."""

    profile: Profile
    repeat: str


class Platform:
    """One chatbot's account. `wake` is called when callbacks may have become due."""

    def __init__(
        self, settings: CarrierSettings, weather: Weather, ledger: Ledger, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._weather = weather
        self._ledger = ledger
        self._clock = clock
        self._wake = wake
        self._stopping = asyncio.Event()
        self._second: tuple[int, int] = (0, 0)

    def routes(self) -> list[Route]:
        base = "/bot/{version}/{chatbot}"
        return [
            Route("POST", f"{base}/accessToken", self._token),
            Route("POST", f"{base}/messages", self._messages),
            Route("POST", f"{base}/revoke", self._revoke),
        ]

    def stop(self) -> None:
        """Let go of requests that are being stalled."""
        self._stopping.set()

    async def _token(self, request: Request) -> Reply:
        """7200 s, 2000 a day (Asia/Shanghai); a new one kills the earlier one."""
        now = self._clock.now()
        try:
            self._for_us(request)
            found = parse(request.body)
            self._credentials(found)
            day = now.astimezone(SHANGHAI).date().isoformat()
            given = int(self._ledger.get("token_count") or 0) if self._ledger.get("token_day") == day else 0
            if given >= TOKENS_A_DAY:
                raise Refused("45001", f"{TOKENS_A_DAY} tokens a day")
        except Refused as refused:
            return _answer(refused.code, refused.reason)
        serial = int(self._ledger.get("token_serial") or 0) + 1
        token = hashlib.sha256(f"{self._settings.app_key}\0{serial}\0{micros(now)}".encode()).hexdigest()
        until = micros(now + timedelta(seconds=TOKEN_SECONDS))
        self._ledger.put(
            token=token, token_until=str(until), token_serial=str(serial), token_day=day, token_count=str(given + 1)
        )
        return _answer("0", accessToken=token, expires=TOKEN_SECONDS, url=self._settings.notify_url)

    def _credentials(self, found: Any) -> None:
        for key, missing, expected in (
            ("appId", "41002", self._settings.app_id),
            ("appKey", "41004", self._settings.app_key),
        ):
            value = found.get(key) if isinstance(found, dict) else None
            if not isinstance(value, str) or not value:
                raise Refused(missing, f"{key}: missing")
            if not hmac.compare_digest(value.encode(), expected.encode()):
                raise Refused("40001", f"{key}: wrong")

    async def _messages(self, request: Request) -> Reply:
        now, digest = self._clock.now(), hashlib.sha256(request.body).hexdigest()
        try:
            self._admit(request, now)
            taken = check_send(request.body, self._settings.chatbot_id, self._settings.forbidden)
        except Refused as refused:
            named = _named(request.body)
            self._ledger.refused(now, "messages", *named, digest, refused.code)
            return _answer(refused.code, refused.reason, messageId=named[0])
        return await self._one(now, taken, digest)

    async def _one(self, now: datetime, taken: Taken, digest: str) -> Reply:
        fault, takes = self._fault(taken)
        ids = {
            "messageId": taken.message_id,
            "conversationId": taken.conversation_id,
            "contributionId": taken.contribution_id,
        }
        again = self._weather.repeat != "ignore" and self._ledger.taken_before(taken.message_id)
        code = "-1" if fault == "busy" else "20003" if again and self._weather.repeat == "refuse" else "0"
        if code == "0" and takes and not again:
            self._take(now, taken, digest, fault or code)
        else:
            self._ledger.refused(now, "messages", taken.message_id, taken.recipient, digest, fault or code)
        return await self._faulty(fault, _answer(code, "" if code == "0" else "busy or repeated", **ids))

    def _take(self, now: datetime, taken: Taken, digest: str, answer: str) -> None:
        profile, seed = self._weather.profile, self._settings.seed
        kind = self._ledger.handset(taken.recipient) or handset_of(seed, taken.recipient, profile.shares)
        course = plan(taken, Handset(kind), profile, seed, self._ledger.count_of("message", taken.recipient))
        self._ledger.take(now, taken, digest, answer, course, self._settings.chatbot_id)
        self._wake()

    def _fault(self, taken: Taken) -> tuple[str, bool]:
        """The fault that hits this request, and whether the message is taken all the same. Drawn from the recipient and
        the number of the request to it, so that a seed gives the same faults whatever ids the sender makes."""
        nth = self._ledger.count_of("request", taken.recipient)
        at, upto, seed = draw(self._settings.seed, "fault", taken.recipient, nth), 0.0, self._settings.seed
        for name, share in self._weather.profile.faults.items():
            upto += share
            if at < upto:
                takes = FAULTS[name]
                return name, draw(seed, "takes", taken.recipient, nth) < 0.5 if takes is None else takes
        return "", True

    async def _faulty(self, fault: str, answer: Reply) -> Reply:
        if fault in ("reset", "lost"):
            return Reply(cut=True)
        if fault == "stall":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._weather.profile.stall_seconds):
                    await self._stopping.wait()
            return Reply(cut=True)
        if fault == "http_500":
            return Reply(500, b"Internal Server Error", {"content-type": "text/plain"})
        if fault == "html_200":
            return Reply(200, b"<html><body>gateway</body></html>", {"content-type": "text/html"})
        return answer

    async def _revoke(self, request: Request) -> Reply:
        now, digest = self._clock.now(), hashlib.sha256(request.body).hexdigest()
        try:
            self._admit(request, now)
            message_id, recipient = check_revoke(request.body)
        except Refused as refused:
            self._ledger.refused(now, "revoke", *_named(request.body), digest, refused.code)
            return _answer(refused.code, refused.reason)
        copies = self._ledger.copies(message_id, recipient)
        if not copies:
            self._ledger.refused(now, "revoke", message_id, recipient, digest, "20002")
            return _answer("20002", "messageId: no such message to that address")
        seed, profile = self._settings.seed, self._weather.profile
        ended = any(copy.closed_at <= now and not copy.revoked for copy in copies)
        works = not ended and draw(seed, "revoke", recipient) >= profile.revoke_fails
        when = micros(now) + round(between(profile.revoked, draw(seed, "revoked", recipient)) * 1_000_000)
        result = "revokeOk" if works else "revokeFail"
        receipt = delivery_info(message_id, recipient, self._settings.chatbot_id, result, when)
        self._ledger.revoke(now, message_id, recipient, digest, copies if works else (), (when, receipt))
        self._wake()
        return _answer("0", messageId=message_id)

    def _admit(self, request: Request, now: datetime) -> None:
        """Chatbot, headers, token and rate, in this order."""
        self._for_us(request)
        word, _, token = request.headers.get("authorization", "").partition(" ")
        if word != "accessToken" or not token:
            raise Refused("41001", "authorization: expected accessToken and a token")
        if not hmac.compare_digest(token.encode(), (self._ledger.get("token") or "none yet").encode()):
            raise Refused("40014", "authorization: not the token in force")
        if micros(now) >= int(self._ledger.get("token_until") or 0):
            raise Refused("42001", "authorization: the token has ended")
        second, count = int(self._clock.elapsed()), 0
        if second == self._second[0]:
            count = self._second[1]
        self._second = (second, count + 1)
        limit = self._weather.profile.per_second
        if limit is not None and count >= limit:
            raise Refused("30003", f"{limit} a second")

    def _for_us(self, request: Request) -> None:
        if request.params["chatbot"] != self._settings.chatbot_id:
            raise Refused("48001", "no such chatbot")
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            raise Refused("20003", "content-type: expected application/json")
        try:
            parsedate_to_datetime(request.headers.get("date", ""))
        except ValueError as broken:
            raise Refused("20003", "date: expected a GMT date") from broken


def _named(body: bytes) -> tuple[str, str]:
    """Message id and recipient of a refused request, as far as they can be made out."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    found = found if isinstance(found, dict) else {}
    address = found.get("destinationAddress")
    recipient = address[0] if isinstance(address, list) and address and isinstance(address[0], str) else ""
    named = found.get("messageId")
    return named if isinstance(named, str) else "", recipient.removeprefix("tel:+86")


def _answer(code: str, reason: str = "", **values: Any) -> Reply:
    body: Mapping[str, Any] = {**values, "errorCode": int(code), **({"errorMessage": reason} if reason else {})}
    return Reply(200, json.dumps(body, ensure_ascii=False).encode(), {"content-type": "application/json"})
