"""Callbacks of the CT/CU dialect, once authenticated: receipts, uplinks, and what the platform says of our chatbot.

Lenient, since the operators' own samples break their own schema: `contenType` and `dataTime` are read, over-long device
data is kept, and what cannot be read is an UNKNOWN receipt that a person sees, never an error that loses the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias
from urllib.parse import unquote

import orjson

from daemon.channels.channel import ReceiptIn, ReceiptKind, Received, Uplink, UplinkKind
from daemon.clock import SHANGHAI

FAILED: Mapping[str, tuple[str, str]] = {  # errorCode beside status `failed`: group, text
    "1": ("recipient", "终端不存在"),
    "2": ("not_5g", "非5G终端"),
    "3": ("content", "消息内容不合规"),
    "4": ("offline", "终端不在线"),
    "5": ("refused", "终端拒绝"),
    "6": ("card", "消息内容不符合规范"),
}
STATUSES: Mapping[str, ReceiptKind] = {
    "sent": ReceiptKind.SENT,
    "delivered": ReceiptKind.DELIVERED,
    "displayed": ReceiptKind.READ,
    "deliveredToNetwork": ReceiptKind.HANDED_TO_SMS,
    "failed": ReceiptKind.FAILED,
    "fail": ReceiptKind.FAILED,  # older China Unicom text
    "revokeOk": ReceiptKind.REVOKED,
    "revokeFail": ReceiptKind.REVOKE_FAILED,
}

Reader: TypeAlias = Callable[[bytes, datetime], list[Received]]


def reader(path: str, chatbot_id: str) -> Reader | None:
    """What reads a body posted to `path`, or None where the path is none of ours or names another chatbot."""
    for pattern, read in READERS:
        match = pattern.fullmatch(path)
        if match and unquote(match[1]) == chatbot_id:
            return _of_object(read)
    return None


def _of_object(read: Callable[[dict[str, Any], bytes, datetime], list[Received]]) -> Reader:
    def whole(body: bytes, now: datetime) -> list[Received]:
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError:
            return [_unknown(body, now, "a callback body that is not JSON")]
        return read(found, body, now) if isinstance(found, dict) else [_unknown(body, now, "not a JSON object")]

    return whole


def _receipts(found: dict[str, Any], body: bytes, now: datetime) -> list[Received]:
    listed = found.get("deliveryInfoList")
    if not isinstance(listed, list) or not listed:
        return [_unknown(body, now, "a status callback without an entry in deliveryInfoList")]
    return [_receipt(part, now) for part in listed]


def _receipt(part: Any, now: datetime) -> ReceiptIn:
    """One entry: the recipient stands in senderAddress."""
    raw = orjson.dumps(part)
    if not isinstance(part, dict) or not _text(part.get("messageId")) or not _msisdn(part.get("senderAddress")):
        return _unknown(raw, now, "a receipt without messageId or senderAddress")
    kind = STATUSES.get(_text(part.get("status")), ReceiptKind.UNKNOWN)
    code, group, text = _text(part.get("errorCode")), "", ""
    if kind is ReceiptKind.FAILED:
        group, text = FAILED.get(code, ("", ""))
    elif kind is ReceiptKind.UNKNOWN:
        group, text = "unknown", "a status outside the specification"
    at = _moment(part, now)
    return ReceiptIn(_text(part["messageId"]), _msisdn(part["senderAddress"]), kind, code, at, raw, text, group)


def _unknown(raw: bytes, now: datetime, text: str) -> ReceiptIn:
    return ReceiptIn("", "", ReceiptKind.UNKNOWN, "", now, raw, text, "unknown")


def _uplinks(found: dict[str, Any], body: bytes, now: datetime) -> list[Received]:
    listed = found.get("messageList")
    parts = listed if isinstance(listed, list) and listed else [None]
    return [_uplink(found, part if isinstance(part, dict) else {}, body, now) for part in parts]


def _uplink(found: dict[str, Any], part: dict[str, Any], body: bytes, now: datetime) -> Uplink:
    kind, text, postback = _content(_text(part.get("contentType") or part.get("contenType")), part.get("contentText"))
    return Uplink(
        platform_id=_text(found.get("messageId")),
        recipient=_msisdn(found.get("senderAddress")),
        kind=kind,
        text=text,
        postback=postback,
        in_reply_to=_text(found.get("inReplyTo")),
        conversation_id=_text(found.get("conversationId")),
        at=_moment(found, now),
        raw=body,
    )


def _content(content_type: str, content: Any) -> tuple[UplinkKind, str, str]:
    """Kind, text and postback of one part. `contentText` is a string for text, an object or its text otherwise."""
    kind = content_type.split(";")[0].strip().lower()
    if kind == "text/plain":
        return ("text", content, "") if isinstance(content, str) else ("unknown", "", "")
    if "rcs-ft-http" in kind:
        return "file", "", ""
    if "botsharedclientdata" in kind:
        return "shared", "", ""
    if "botsuggestion.response" not in kind:
        return "unknown", "", ""
    if isinstance(content, str):
        try:
            content = orjson.loads(content)
        except orjson.JSONDecodeError:
            return "unknown", "", ""
    response = content.get("response") if isinstance(content, dict) else None
    for name in ("reply", "action"):
        said = response.get(name) if isinstance(response, dict) else None
        if isinstance(said, dict):
            postback = said.get("postback")
            data = postback.get("data") if isinstance(postback, dict) else ""
            return ("reply" if name == "reply" else "action"), _text(said.get("displayText")), _text(data)
    return "unknown", "", ""


def _about_us(found: dict[str, Any], body: bytes, now: datetime) -> list[Received]:
    """Complaints (`spamType`), audit results and changes of the chatbot: kept for a person."""
    kind: UplinkKind = "complaint" if "spamType" in found else "platform"
    text = _text(found.get("freeText") or found.get("description"))
    recipient = _msisdn(found.get("senderAddress"))
    return [Uplink(_text(found.get("messageId")), recipient, kind, text, "", "", "", _moment(found, now), body)]


READERS = (
    (re.compile(r"deliveryNotification/([^/]+)/status"), _receipts),
    (re.compile(r"messageNotification/([^/]+)/messages"), _uplinks),
    (re.compile(r"notifyInfoNotification/([^/]+)/(?:notice/informationChange|notice/rcsspam|check)"), _about_us),
)


def _msisdn(address: Any) -> str:
    """`tel:+8610…` -> `10…`; also a sip: address, as some platforms send; '' where there is no number."""
    match = re.search(r"(?:\+?86)?(1\d{10})(?=$|[@;])", address) if isinstance(address, str) else None
    return match[1] if match else ""


def _moment(found: dict[str, Any], now: datetime) -> datetime:
    """The platform's own time (`dateTime`, in one copy of the text `dataTime`; without zone: Asia/Shanghai)."""
    try:
        at = datetime.fromisoformat(_text(found.get("dateTime") or found.get("dataTime")))
    except ValueError:
        return now
    return (at if at.tzinfo else at.replace(tzinfo=SHANGHAI)).astimezone(UTC)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
