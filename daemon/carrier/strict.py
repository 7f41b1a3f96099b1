"""Whether a request body is a send or a revoke as CT/CU V1.0.4 has it (sections 5 and 8). Pure.

Every rule refuses with the return code of section 15.1. An optional field is absent or full, never empty; unknown
fields, repeated keys and numbers outside JSON are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from daemon.carrier.cardcheck import Check, Refused, check_card, check_suggestions, several, shape, word
from daemon.carrier.plan import Taken

CARD = "application/vnd.gsma.botmessage.v1.0+json"
CHIPS = "application/vnd.gsma.botsuggestion.v1.0+json"
STATUSES = ("sent", "failed", "delivered", "displayed", "deliveredToNetwork")
TRAFFIC = ("advertisement", "payment", "premium", "subscription", "token")
BOT_VERSION = '+g.gsma.rcs.botversion="#=1"'
PARAMETER = "20002"


def parse(body: bytes) -> Any:
    """JSON without repeated keys and without NaN. Raises Refused 44002 for an empty body, 47001 for no JSON."""
    if not body:
        raise Refused("44002", "empty body")
    try:
        return json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as broken:
        raise Refused("47001", "not JSON") from broken


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def check_send(body: bytes, chatbot_id: str, forbidden: tuple[str, ...] = ()) -> Taken:
    """What is to be delivered, or Refused."""
    found = parse(body)
    _SEND(found, "$")
    if found["senderAddress"] != chatbot_id:
        raise Refused("30008", "senderAddress is not this chatbot")
    for number, part in enumerate(found["messageList"]):
        _part(part, f"messageList[{number}]")
    card = any(part["contentType"] == CARD for part in found["messageList"])
    if (found["smsSupported"] or card) and "smsContent" not in found:
        raise Refused(PARAMETER, "smsContent: missing, a card and smsSupported demand it")
    if any(term in json.dumps(found["messageList"], ensure_ascii=False) for term in forbidden):
        raise Refused("60001", "forbidden wording")
    return Taken(
        message_id=found["messageId"],
        recipient=found["destinationAddress"][0].removeprefix("tel:+86"),
        kind="rcs" if card else "text",
        sms=found["smsSupported"],
        store=found["storeSupported"],
        reports=tuple(found.get("reportRequest", ())),
        conversation_id=found["conversationId"],
        contribution_id=found["contributionId"],
    )


def check_revoke(body: bytes) -> tuple[str, str]:
    """Message id and msisdn of a revoke, or Refused."""
    found = parse(body)
    _REVOKE(found, "$")
    return found["messageId"], found["destinationAddress"][0].removeprefix("tel:+86")


def _full(value: Any, where: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise Refused(PARAMETER, f"{where}: not a string with something in it")


def _id(value: Any, where: str) -> None:
    _full(value, where)
    if len(value) > 128:
        raise Refused(PARAMETER, f"{where}: {len(value)} characters, expected at most 128")


def _yes_no(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise Refused(PARAMETER, f"{where}: not a boolean")


def _tel(value: Any, where: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"tel:\+861\d{10}", value, re.ASCII):
        raise Refused(PARAMETER, f"{where}: expected tel:+86 and eleven digits")


def _sms_text(value: Any, where: str) -> None:
    _full(value, where)
    if len(value) > 2000:
        raise Refused("40021", f"{where}: {len(value)} characters, expected at most 2000")


def _list(low: int, high: int, each: Check) -> Check:
    """As `several`, refusing with 20002."""

    def check(value: Any, where: str) -> None:
        try:
            several(low, high, each, PARAMETER)(value, where)
        except Refused as refused:
            raise Refused(PARAMETER, refused.reason) from refused

    return check


def _exact(expected: Mapping[str, str]) -> Check:
    def check(value: Any, where: str) -> None:
        if value != expected:
            raise Refused(PARAMETER, f"{where}: expected {expected}")

    return check


def _word(*allowed: str) -> Check:
    def check(value: Any, where: str) -> None:
        try:
            word(*allowed)(value, where)
        except (Refused, TypeError) as refused:
            raise Refused(PARAMETER, f"{where}: expected one of {', '.join(allowed)}") from refused

    return check


def _any(_value: Any, _where: str) -> None:
    """Looked at by `_part`, which knows the content type."""


_ADDRESSES = _list(1, 1, _tel)  # V1.0.4: single sends only in this phase
_SEND = shape(
    {
        "messageId": _id,
        "messageList": _list(
            1, 10, shape({"contentType": _full, "contentText": _any}, {"contentEncoding": _word("utf8")})
        ),
        "destinationAddress": _ADDRESSES,
        "senderAddress": _full,
        "conversationId": _id,
        "contributionId": _id,
        "serviceCapability": _list(1, 1, _exact({"capabilityId": "ChatbotSA", "version": BOT_VERSION})),
        "smsSupported": _yes_no,
        "storeSupported": _yes_no,
    },
    {
        "smsContent": _sms_text,
        "trafficType": _word(*TRAFFIC),
        "imFormat": _word("IM", "LargerMode", "PagerMode"),
        "inReplyTo": _id,
        "reportRequest": _list(1, len(STATUSES), _word(*STATUSES)),
    },
    PARAMETER,
)
_REVOKE = shape(
    {"messageId": _id, "destinationAddress": _ADDRESSES, "status": _word("RevokeRequested")}, code=PARAMETER
)


def _part(part: dict[str, Any], where: str) -> None:
    kind, content = part["contentType"], part["contentText"]
    if kind == "text/plain":
        if not isinstance(content, str) or not content:
            raise Refused(PARAMETER, f"{where}.contentText: expected a text")
        if len(content) > 2000:
            raise Refused("40021", f"{where}.contentText: {len(content)} characters, expected at most 2000")
    elif kind == CARD:
        check_card(content)
    elif kind == CHIPS:
        check_suggestions(content)
    else:
        raise Refused("40008", f"{where}.contentType: not a message type of this platform")
