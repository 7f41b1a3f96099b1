"""A gateway in memory with handsets behind it: takes, loses, refuses and reports as it is told, and keeps its own ledger.

It obeys the contract of every channel (tests/contract/test_channels.py). What it took can be copied, as a kill of our
process would leave it: the far side lives on.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from daemon.channels.channel import (
    NOT_BEGUN,
    CallbackRefused,
    Limits,
    Outgoing,
    ReceiptIn,
    ReceiptKind,
    Received,
    Standing,
    Traits,
    Verdict,
    VerdictKind,
    at_once,
)

Answer: TypeAlias = Literal["taken", "lost", "cut", "busy", "refused", "spent"]
"""What becomes of a request: taken and answered; taken, the answer lost; not taken, no answer; told to come again; refused;
refused because the day's quota is spent."""

Course: TypeAlias = Sequence[tuple[timedelta, ReceiptKind]]
"""The receipts that follow a message taken, each so long after it."""

ARRIVES: Course = ((timedelta(seconds=5), ReceiptKind.DELIVERED),)
TOKEN = "fake-token"


@dataclass
class Arrival:
    """One message as the handset got it. `times`: how often it arrived; `hashes`: of the bytes of every request for it."""

    recipient: str
    channel: str
    text: str
    at: datetime
    times: int = 1
    hashes: list[str] = field(default_factory=list)
    arrives: datetime | None = None


@dataclass
class FarSide:
    """What the gateway has: messages taken by platform id, requests counted, receipts still to be pushed."""

    taken: dict[str, Arrival] = field(default_factory=dict)
    requests: int = 0
    pending: list[tuple[datetime, ReceiptIn]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    def copy(self) -> FarSide:
        """As it is now."""
        return copy.deepcopy(self)


def always(outgoing: Outgoing, request: int) -> Answer:
    """A gateway in good health."""
    return "taken"


def delivered(outgoing: Outgoing) -> Course:
    """A handset that is on."""
    return ARRIVES


class FakeChannel:
    """`answers` decides about each request (a message, its number from 1), `course` which receipts follow. `step` is called
    once a message is taken, before anything is answered."""

    def __init__(
        self,
        name: str = "fake",
        *,
        far: FarSide | None = None,
        repeat: Literal["yes", "no"] = "yes",
        answers: Callable[[Outgoing, int], Answer] = always,
        course: Callable[[Outgoing], Course] = delivered,
        step: Callable[[], None] = lambda: None,
        revokes: bool = False,
        queried: bool = False,
    ) -> None:
        self._name, self.far = name, far or FarSide()
        self._repeat: Literal["yes", "no"] = repeat
        self.answers, self.course, self.step = answers, course, step
        self._revokes, self._queried = revokes, queried

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        return Traits(repeat=self._repeat, ask="query" if self._queried else "receipt", revoke=self._revokes)

    @property
    def limits(self) -> Limits:
        return Limits()

    def encode(self, outgoing: Outgoing) -> bytes:
        said = {"id": outgoing.platform_id, "to": outgoing.recipient, "channel": outgoing.channel}
        return json.dumps(said | {"card": outgoing.card, "sms": outgoing.sms_text}, sort_keys=True).encode()

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        if not may_begin():
            return NOT_BEGUN
        self.far.requests += 1
        answer = self.answers(outgoing, self.far.requests)
        if answer == "busy":
            return Verdict(VerdictKind.TRANSIENT, "busy", "come again", group="busy")
        if answer == "spent":
            return Verdict(VerdictKind.THROTTLED, "30001", "quota", retry_after=36_000.0, group="quota_day")
        if answer == "refused":
            return Verdict(VerdictKind.PERMANENT, "refused", "this message is not taken")
        if answer != "cut":
            self._take(outgoing, now)
            self.step()
        if answer == "taken":
            return Verdict(VerdictKind.ACCEPTED, "ok", platform_id=outgoing.platform_id)
        return Verdict(VerdictKind.IN_DOUBT, "lost", "no answer came", group="network")

    def _take(self, outgoing: Outgoing, now: datetime) -> None:
        body = outgoing.body or self.encode(outgoing)
        known = self.far.taken.get(outgoing.platform_id)
        if known is None:
            known = Arrival(outgoing.recipient, outgoing.channel, text_of(outgoing), now)
            self.far.taken[outgoing.platform_id] = known
            arrivals = [now + after for after, kind in self.course(outgoing) if kind is ReceiptKind.DELIVERED]
            known.arrives = min(arrivals, default=None)
            for after, kind in self.course(outgoing):
                receipt = ReceiptIn(outgoing.platform_id, outgoing.recipient, kind, "0", now + after, b"{}")
                self.far.pending.append((now + after, receipt))
        elif self._repeat == "no":
            known.times += 1
        known.hashes.append(hashlib.sha256(body).hexdigest())

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        if not self._queried:
            return "unreachable"
        return "taken" if platform_id in self.far.taken else "unknown"

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        if not self._revokes:
            return Verdict(VerdictKind.PERMANENT, "no_revoke", "cannot call back")
        if platform_id in self.far.taken and platform_id not in self.far.revoked:
            self.far.revoked.add(platform_id)
            kind = ReceiptKind.REVOKE_FAILED if self._has_arrived(platform_id, now) else ReceiptKind.REVOKED
            self.far.pending = [
                pair for pair in self.far.pending if pair[1].platform_id != platform_id or pair[0] <= now
            ]
            self.far.pending.append((now, ReceiptIn(platform_id, recipient, kind, "0", now, b"{}")))
        self.step()
        return Verdict(VerdictKind.ACCEPTED, "ok", platform_id=platform_id)

    def _has_arrived(self, platform_id: str, now: datetime) -> bool:
        course = self.far.taken[platform_id].arrives
        return course is not None and course <= now

    def due(self, now: datetime) -> list[ReceiptIn]:
        """The receipts that have come about and wait to be acknowledged."""
        return [receipt for at, receipt in self.far.pending if at <= now]

    def acknowledge(self, receipts: Sequence[ReceiptIn]) -> None:
        """These are stored on the other side."""
        self.far.pending = [pair for pair in self.far.pending if pair[1] not in receipts]

    def next_instant(self, now: datetime) -> datetime | None:
        """When the next receipt comes about."""
        return min((at for at, _ in self.far.pending if at > now), default=None)

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        self._authenticate(headers)
        found = json.loads(body)
        kind = ReceiptKind(found["kind"])
        return [ReceiptIn(found["id"], found["to"], kind, found.get("code", "0"), now, body)]

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        self._authenticate(headers)
        return {}

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        if not hmac.compare_digest(headers.get("x-token", ""), TOKEN):
            raise CallbackRefused(f"{self._name}: the token is missing or wrong")


def text_of(outgoing: Outgoing) -> str:
    """What a handset shows: the card's title and description, or the text message."""
    content = outgoing.card.get("message", {}).get("generalPurposeCard", {}).get("content", {})
    return f"{content['title']}\n{content['description']}" if content else outgoing.sms_text
