"""What every dialect is: one message out, a verdict back, callbacks in. Values and protocols only.

A dialect knows its wire format, its codes and its limits. It leaves to others: choosing the gateway, rendering, when to
try again (the outbox), states (the table of DESIGN section 6), and keeping what arrives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeAlias

from daemon.errors import DueNoticeError


class VerdictKind(StrEnum):
    """What an attempt came to, sorted by what to do next."""

    ACCEPTED = "accepted"  # the gateway has taken it; says nothing of delivery
    PERMANENT = "permanent"  # refused for good: this message on this gateway will never be taken
    TRANSIENT = "transient"  # provably not taken, try again
    THROTTLED = "throttled"  # provably not taken, try again after `retry_after`
    AUTH = "auth"  # provably not taken, our credentials are refused after one refresh
    IN_DOUBT = "in_doubt"  # it may have been taken
    OURS = "ours"  # provably not taken, and our request or configuration is to blame: stop, a person looks


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one attempt.

    `code`: the gateway's own code, or a word of ours (`not_sent`, `lost`, `http_502`, `not_json`, …). `text`: what to
    show a person, never personal. `platform_id`: the id that receipts will name. `retry_after`: seconds, where told.
    `group`: the dialect's group of the code (`rate`, `quota`, `content`, `recipient`, `unknown`, …), for alarms and
    for moving to another gateway.
    """

    kind: VerdictKind
    code: str
    text: str = ""
    platform_id: str | None = None
    retry_after: float | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for one recipient, ready to leave.

    `message_id` is ours; `platform_id` is the id put on the wire, the same for every repeat. `recipient` is an msisdn
    without country code or plus sign. `card` is the GSMA JSON content (root `message`), empty on the sms channel.
    `sms_text` is the text message, or the card's fallback. `report` holds the `ReceiptKind`s asked for. `body` holds
    the wire bytes of an earlier attempt: a repeat sends exactly those.
    """

    message_id: str
    platform_id: str
    channel: Literal["rcs", "sms"]
    recipient: str
    card: Mapping[str, Any]
    sms_text: str
    category: str
    conversation_id: str
    contribution_id: str
    sms_fallback: bool
    store: bool
    report: tuple[ReceiptKind, ...] = ()
    in_reply_to: str = ""
    body: bytes = field(default=b"", repr=False)


class ReceiptKind(StrEnum):
    """What a gateway says became of a message. UNKNOWN moves nothing; it is kept and a person looks."""

    SENT = "sent"  # left the platform: no more than accepted
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    HANDED_TO_SMS = "handed_to_sms"
    REVOKED = "revoked"
    REVOKE_FAILED = "revoke_failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReceiptIn:
    """One receipt as parsed: the key is (platform_id, recipient). `at` is the gateway's own time, UTC. `raw` is the
    part of the body it came from."""

    platform_id: str
    recipient: str
    kind: ReceiptKind
    code: str
    at: datetime
    raw: bytes = field(repr=False)
    text: str = ""
    group: str = ""


UplinkKind: TypeAlias = Literal["text", "reply", "action", "shared", "file", "complaint", "platform", "unknown"]


@dataclass(frozen=True, slots=True)
class Uplink:
    """One part of what a handset said to us, or (`complaint`, `platform`) what the platform says of us.

    `platform_id` is the uplink's own id; `in_reply_to` the contribution id of our message, where named; `postback` the
    data of the button pressed.
    """

    platform_id: str
    recipient: str
    kind: UplinkKind
    text: str
    postback: str
    in_reply_to: str
    conversation_id: str
    at: datetime
    raw: bytes = field(repr=False)


Received: TypeAlias = ReceiptIn | Uplink

Standing: TypeAlias = Literal["taken", "unknown", "unreachable"]
"""What a platform says when it is asked for a message by id: it has taken it; it never has, so that a repeat doubles nothing; or
nothing that can be relied on."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a gateway's platform offers where a message is in doubt: `repeat`: does it honour our id; `ask`: can it be
    asked by id (`query`), does a receipt settle it (`receipt`), or neither; `revoke`: can an accepted message be called
    back, with proof."""

    repeat: Literal["yes", "no", "unknown"]
    ask: Literal["query", "receipt", "no"]
    revoke: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What the gateway's cards and texts may be at most. None: no limit of its own.

    `button_chars` and `postback_chars` and the others count characters; `button_bytes` counts UTF-8 bytes.
    """

    title_chars: int | None = 200
    description_chars: int | None = 2000
    suggestions: int | None = 4
    button_chars: int | None = 25
    button_bytes: int | None = None
    postback_chars: int | None = 2048
    url_chars: int | None = 2048
    text_chars: int | None = 2000
    sms_text_with_card: bool = False


class CallbackRefused(DueNoticeError):
    """A callback that does not prove where it comes from, or is for a path that is not ours. `status_code` is the HTTP
    answer (403 or 404); the reason names no value of the request."""

    def __init__(self, reason: str, status_code: int = 403) -> None:
        self.status_code = status_code
        super().__init__(reason)


class Unsendable(DueNoticeError):
    """The message cannot be put into the gateway's format; names what is missing."""


NOT_BEGUN = Verdict(VerdictKind.TRANSIENT, "lease_over", "the lease was nearly over, nothing was sent")
"""Of a message that might not begin any more."""


def at_once() -> bool:
    """No lease bounds the message."""
    return True


class Channel(Protocol):
    """One configured gateway in its dialect."""

    @property
    def name(self) -> str:
        """The gateway's name in the configuration."""
        ...

    @property
    def traits(self) -> Traits: ...

    @property
    def limits(self) -> Limits: ...

    def encode(self, outgoing: Outgoing) -> bytes:
        """The wire body, the same bytes for the same `outgoing`. Raises Unsendable."""
        ...

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        """One attempt: `outgoing.body` if there, else `encode(outgoing)`. `may_begin` is asked right before the message leaves,
        after whatever the dialect must do first (a token): False, and nothing leaves; the verdict is `NOT_BEGUN`. Never raises for
        what a gateway does."""
        ...

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        """Ask to call back a message. ACCEPTED says the request was taken; a receipt says what came of it."""
        ...

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        """Ask whether a message was taken; `unreachable` where the traits do not offer it. Never raises for what a gateway
        does."""
        ...

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        """Authenticate, then read one callback. `path` is what follows the gateway's address, without a leading slash,
        percent-decoded. Raises CallbackRefused."""
        ...

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        """The headers that answer the platform's check of our address (a GET). Raises CallbackRefused."""
        ...


class NonceStore(Protocol):
    """Which nonce was used for which callback."""

    def bind(self, gateway: str, nonce: str, digest: bytes, until: datetime, now: datetime) -> bool:
        """Tie `nonce` to `digest` until `until`. True if it is new or tied to this very digest: a repeat of the same
        callback is harmless and must get through after a failed store; a copied signature on another body must not.
        """
        ...


class MemoryNonces:
    """A `NonceStore` in memory: bounded by the callbacks of one time window, forgotten at a restart."""

    def __init__(self) -> None:
        self._bound: dict[tuple[str, str], tuple[bytes, datetime]] = {}
        self._swept: datetime | None = None

    def bind(self, gateway: str, nonce: str, digest: bytes, until: datetime, now: datetime) -> bool:
        if self._swept is None or now - self._swept > timedelta(seconds=60):
            self._bound = {key: bound for key, bound in self._bound.items() if bound[1] >= now}
            self._swept = now
        known = self._bound.setdefault((gateway, nonce), (digest, until))
        return known[0] == digest


def callback_digest(path: str, body: bytes) -> bytes:
    """What a nonce is tied to: SHA-256 of the path, a zero byte and the body."""
    return hashlib.sha256(path.encode() + b"\0" + body).digest()
