"""A gateway of the firm's own (SMS gateway, call centre, app push) by signed JSON: Standard Webhooks 1.0.0.

Out: POST to one address. Headers `webhook-id`, `webhook-timestamp` (seconds), `webhook-signature`: `v1,` and the base64
of HMAC-SHA256 over `id.timestamp.body`; `idempotency-key` is the same id. The body:

    {"type": "message.send", "id": …, "message": …, "channel": "rcs|sms", "recipient": …, "category": …, "text": …,
     "card": {…}, "conversation": …, "report": […]}         or {"type": "message.revoke", "id": …, "recipient": …}
                                                            or {"type": "message.query", "id": …}

A repeat has the same id and the same bytes. A 2xx takes it, with an empty body or an object of JSON, which may name a `code`.
Receipts name the id that we gave.
In: POST `receipts` or `uplinks` below our address, signed in the same way with a secret of its own:

    {"receipts": [{"id", "recipient", "state", "code", "text", "at"}]}, state one of `ReceiptKind` but unknown
    {"uplinks": [{"id", "recipient", "text", "postback", "in_reply_to", "at"}]}
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import orjson

from daemon.channels.answers import retry_after
from daemon.channels.channel import (
    NOT_BEGUN,
    CallbackRefused,
    Limits,
    NonceStore,
    Outgoing,
    ReceiptIn,
    ReceiptKind,
    Received,
    Standing,
    Traits,
    Unsendable,
    Uplink,
    Verdict,
    VerdictKind,
    at_once,
    callback_digest,
)
from daemon.errors import KeyUnusable
from daemon.transport import Answer, Lost, NotSent, Transport

A, P, T, R = VerdictKind.ACCEPTED, VerdictKind.PERMANENT, VerdictKind.TRANSIENT, VerdictKind.THROTTLED
AUTH, DOUBT, OURS = VerdictKind.AUTH, VerdictKind.IN_DOUBT, VerdictKind.OURS

CODES: Mapping[int, tuple[VerdictKind, str, str]] = {  # HTTP status -> verdict, group, what it means here
    400: (OURS, "request", "our request is malformed"),
    401: (AUTH, "token", "our signature is refused"),
    403: (AUTH, "config", "we may not send here"),
    404: (OURS, "config", "nothing answers at this address"),
    405: (OURS, "config", "the address takes no POST"),
    409: (OURS, "request", "this id came before with other bytes"),
    410: (OURS, "config", "the address has been given up"),
    413: (P, "card", "longer than the gateway takes"),
    422: (P, "recipient", "this message is refused"),
    425: (T, "busy", "too early"),
    429: (R, "rate", "too many requests"),
}
"""Every 4xx says that nothing was taken. A 2xx that is empty or an object of JSON says that it was. All else leaves the message in
doubt, 503 with `Retry-After` as well: it is often said by what stands in front, after the request had gone on."""

PREFIX = "whsec_"
WINDOW = timedelta(seconds=300)
"""How far a callback's timestamp may lie from `now`, either way."""

MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """One gateway. Secrets are `whsec_` and the base64 of 24 to 64 bytes; `callback_secret` '' where nothing comes back."""

    name: str
    url: str
    secret: str = field(repr=False)
    callback_secret: str = field(default="", repr=False)
    timeout: float = 10.0
    repeat: Literal["yes", "no", "unknown"] = "unknown"
    revoke: bool = False
    query: bool = False


class Webhook:
    """`Channel` over one address of the firm's own. Raises KeyUnusable for a secret that is none."""

    def __init__(self, config: WebhookConfig, transport: Transport, nonces: NonceStore) -> None:
        self._config = config
        self._transport = transport
        self._nonces = nonces
        self._key = key_of(config.secret, config.name)
        self._callback_key = key_of(config.callback_secret, config.name) if config.callback_secret else b""

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def traits(self) -> Traits:
        ask: Literal["query", "receipt", "no"] = "receipt" if self._callback_key else "no"
        return Traits(self._config.repeat, "query" if self._config.query else ask, self._config.revoke)

    @property
    def limits(self) -> Limits:
        return Limits()

    def encode(self, outgoing: Outgoing) -> bytes:
        """One JSON object, keys sorted. A card goes with its text; a message without either is Unsendable."""
        if not outgoing.sms_text and not outgoing.card:
            raise Unsendable(f"{self.name}: message {outgoing.message_id} has neither card nor text")
        body: dict[str, Any] = {
            "type": "message.send",
            "id": outgoing.platform_id,
            "message": outgoing.message_id,
            "channel": outgoing.channel,
            "recipient": outgoing.recipient,
            "category": outgoing.category,
            "text": outgoing.sms_text,
            "conversation": outgoing.conversation_id,
            "report": [kind.value for kind in outgoing.report],
        }
        if outgoing.card:
            body["card"] = outgoing.card
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        try:
            body = outgoing.body or self.encode(outgoing)
        except Unsendable as lacking:
            return Verdict(OURS, "unsendable", str(lacking), group="request")
        if not may_begin():
            return NOT_BEGUN
        return await self._post(outgoing.platform_id, outgoing.platform_id, body, now)

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        """An id of its own, the same for each repeat."""
        if not self._config.revoke:
            return Verdict(P, "no_revoke", "this gateway calls nothing back", group="request")
        body = orjson.dumps({"type": "message.revoke", "id": platform_id, "recipient": recipient})
        return await self._post(f"revoke-{platform_id}", platform_id, body, now)

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        """`{"type": "message.query", "id": …}`; 200 with `{"id": …, "known": true|false}` answers it, anything else does not. The
        request's own id names the moment: an answer kept by something in between would be an old one."""
        if not self._config.query:
            return "unreachable"
        body = orjson.dumps({"type": "message.query", "id": platform_id})
        answer = await self._request(f"query-{platform_id}-{int(now.timestamp() * 1_000_000)}", body, now)
        if isinstance(answer, Verdict) or answer.status_code != 200:
            return "unreachable"
        said = _said(answer.body) or {}
        if said.get("id") != platform_id or not isinstance(said.get("known"), bool):
            return "unreachable"
        return "taken" if said["known"] else "unknown"

    async def _post(self, id: str, platform_id: str, body: bytes, now: datetime) -> Verdict:
        answer = await self._request(id, body, now)
        return answer if isinstance(answer, Verdict) else judge(answer, platform_id, now)

    async def _request(self, id: str, body: bytes, now: datetime) -> Answer | Verdict:
        stamp = str(int(now.timestamp()))
        headers = {
            "content-type": "application/json",
            "idempotency-key": id,
            "webhook-id": id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._key, id, stamp, body),
        }
        try:
            return await self._transport.post(
                self._config.url, headers=headers, body=body, timeout=self._config.timeout
            )
        except NotSent as unsent:
            return Verdict(T, "not_sent", str(unsent), group="network")
        except Lost as lost:
            return Verdict(DOUBT, "lost", str(lost), group="network")

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        if path not in ("receipts", "uplinks"):
            raise CallbackRefused(f"{self.name}: no such callback path", 404)
        self._authenticate(path, headers, body, now)
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            found = None
        listed = found.get(path) if isinstance(found, dict) else None
        if not isinstance(listed, list) or not listed:
            return [_unknown(body, now, f"a callback without a list of {path}")]
        return [_receipt(one, now) if path == "receipts" else _uplink(one, now) for one in listed]

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        """The protocol has no such check."""
        raise CallbackRefused(f"{self.name}: no such check", 404)

    def _authenticate(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not self._callback_key or not id or len(id) > 256 or not stamp.isdecimal() or not stamp.isascii():
            raise CallbackRefused(f"{self.name}: the callback has no id or no timestamp, or none is expected")
        expected = signature(self._callback_key, id, stamp, body).encode()
        # several signatures stand there while a secret is changed
        given = [one.encode() for one in headers.get("webhook-signature", "").split(" ")[:8]]
        if not any(hmac.compare_digest(expected, one) for one in given):
            raise CallbackRefused(f"{self.name}: the callback's signature is wrong")
        if len(stamp) > 11 or abs(datetime.fromtimestamp(int(stamp), UTC) - now) > WINDOW:
            raise CallbackRefused(f"{self.name}: the callback's timestamp is more than {WINDOW.seconds} s away")
        until = datetime.fromtimestamp(int(stamp), UTC) + WINDOW
        if not self._nonces.bind(self.name, id, callback_digest(path, body), until, now):
            raise CallbackRefused(f"{self.name}: the callback's id was used for another body")


def key_of(secret: str, name: str) -> bytes:
    """The key bytes of a `whsec_…` secret. Raises KeyUnusable, never showing it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise KeyUnusable(f"{name}: the secret is none of the form {PREFIX}… with 24 to 64 bytes in base64")
    return key


def signature(key: bytes, id: str, stamp: str, body: bytes) -> str:
    """`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""
    made = hmac.digest(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(made).decode()


def judge(answer: Answer, platform_id: str, now: datetime) -> Verdict:
    """The verdict on an answer, by its status; its JSON may name a `code` and a `text`."""
    http = answer.status_code
    said = _said(answer.body)
    code = _text((said or {}).get("code")) or f"http_{http}"
    if 200 <= http < 300:
        if answer.body.strip() and said is None:
            return Verdict(
                DOUBT, "not_json", f"HTTP {http} with something else than an object of JSON", group="platform"
            )
        said = said or {}
        return Verdict(A, _text(said.get("code")) or "ok", platform_id=platform_id)
    if http in CODES:
        kind, group, text = CODES[http]
        wait = retry_after(answer, now) if kind is R else None
        return Verdict(kind, code, text, retry_after=wait, group=group)
    if 300 <= http < 500 and http != 408:
        return Verdict(OURS, code, f"HTTP {http} in place of an answer of the gateway", group="config")
    return Verdict(DOUBT, code, f"HTTP {http} after the request had left", group="platform")


def _said(body: bytes) -> Mapping[str, Any] | None:
    """An object of JSON, or None."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _receipt(one: Any, now: datetime) -> ReceiptIn:
    raw = orjson.dumps(one)
    if not isinstance(one, dict) or not _text(one.get("id")) or not _text(one.get("recipient")):
        return _unknown(raw, now, "a receipt without id or recipient")
    state = _text(one.get("state"))
    known = state in set(ReceiptKind) and state != ReceiptKind.UNKNOWN
    kind = ReceiptKind(state) if known else ReceiptKind.UNKNOWN
    text = _text(one.get("text")) if known else "a state outside the protocol"
    group = "" if known else "unknown"
    return ReceiptIn(
        _text(one["id"]), _text(one["recipient"]), kind, _text(one.get("code")), _moment(one, now), raw, text, group
    )


def _uplink(one: Any, now: datetime) -> Received:
    raw = orjson.dumps(one)
    if not isinstance(one, dict) or not _text(one.get("id")) or not _text(one.get("recipient")):
        return _unknown(raw, now, "an uplink without id or recipient")
    postback = _text(one.get("postback"))
    return Uplink(
        platform_id=_text(one["id"]),
        recipient=_text(one["recipient"]),
        kind="reply" if postback else "text",
        text=one["text"] if isinstance(one.get("text"), str) else "",
        postback=postback,
        in_reply_to=_text(one.get("in_reply_to")),
        conversation_id="",
        at=_moment(one, now),
        raw=raw,
    )


def _unknown(raw: bytes, now: datetime, text: str) -> ReceiptIn:
    return ReceiptIn("", "", ReceiptKind.UNKNOWN, "", now, raw, text, "unknown")


def _moment(one: Mapping[str, Any], now: datetime) -> datetime:
    """The gateway's own time (RFC 3339 with an offset), else `now`."""
    try:
        at = datetime.fromisoformat(_text(one.get("at")))
    except ValueError:
        return now
    return at.astimezone(UTC) if at.tzinfo else now


def _text(value: Any) -> str:
    found = value if isinstance(value, str) else str(value) if type(value) is int else ""
    return found[:MAX_TEXT]
