"""Whether a card or a list of suggestions is what the GSMA bot message schema and the CT/CU limits allow. Pure.

Written from the schema's tables, apart from the firm's own card code. Stricter than the schema, which lets unknown and
misspelt keys pass. A refusal carries the CT/CU return code (section 15.1) and names the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

BUTTON_BYTES = 25
MEDIA_TYPES = {
    "image/jpeg": 2_000_000, "image/jpg": 2_000_000, "image/png": 2_000_000,
    "audio/amr": 5_000_000, "audio/mp3": 5_000_000, "audio/mpeg": 5_000_000, "audio/m4a": 5_000_000,
    "audio/mp4": 5_000_000, "video/mp4": 10_000_000, "video/webm": 10_000_000,
}  # fmt: skip
THUMBNAIL_TYPES = dict.fromkeys(("image/jpeg", "image/jpg", "image/png"), 200_000)
JSON_WRONG = "47001"


class Refused(Exception):
    """The platform's refusal: return code and where it looked."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


Check: TypeAlias = Callable[[Any, str], None]


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, code: str = JSON_WRONG) -> Check:
    """An object with exactly these keys; an optional one is absent, never null."""
    known = {**required, **(optional or {})}

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Refused(code, f"{where}: not an object")
        for name in required:
            if name not in value:
                raise Refused(code, f"{where}.{name}: missing")
        for name, part in value.items():
            if name not in known:
                raise Refused(code, f"{where}: unknown key")
            known[name](part, f"{where}.{name}")

    return check


def text(low: int, high: int, code: str) -> Check:
    """A string of `low` to `high` characters."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str):
            raise Refused(JSON_WRONG, f"{where}: not a string")
        if not low <= len(value) <= high:
            raise Refused(code, f"{where}: {len(value)} characters, expected {low} to {high}")

    return check


def word(*allowed: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in allowed:
            raise Refused(JSON_WRONG, f"{where}: expected one of {', '.join(allowed)}")

    return check


def several(low: int, high: int, each: Check, code: str) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise Refused(JSON_WRONG, f"{where}: not a list")
        if not low <= len(value) <= high:
            raise Refused(code, f"{where}: {len(value)} entries, expected {low} to {high}")
        for number, part in enumerate(value):
            each(part, f"{where}[{number}]")

    return check


def one_of(options: Mapping[str, Check], beside: Mapping[str, Check] | None = None, code: str = JSON_WRONG) -> Check:
    """An object with exactly one key of `options`, and those of `beside` that are there."""
    rest = beside or {}

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Refused(code, f"{where}: not an object")
        chosen = [name for name in value if name in options]
        if len(chosen) != 1 or any(name not in options and name not in rest for name in value):
            raise Refused(code, f"{where}: expected exactly one of {', '.join(options)}")
        for name, part in value.items():
            (options.get(name) or rest[name])(part, f"{where}.{name}")

    return check


def url(schemes: tuple[str, ...], code: str, long_code: str) -> Check:
    def check(value: Any, where: str) -> None:
        text(1, 2048, long_code)(value, where)
        try:
            parts = urlsplit(value)
        except ValueError as broken:
            raise Refused(code, f"{where}: not an address") from broken
        if parts.scheme not in schemes or not parts.hostname or any(mark <= " " for mark in value):
            raise Refused(code, f"{where}: expected an address with {' or '.join(schemes)}")

    return check


def _button(value: Any, where: str) -> None:
    text(1, 25, "40018")(value, where)
    if len(value.encode()) > BUTTON_BYTES:
        raise Refused("40018", f"{where}: {len(value.encode())} bytes, expected at most {BUTTON_BYTES}")


def _phone(value: Any, where: str) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"\+?\d{3,20}", value, re.ASCII):
        raise Refused(JSON_WRONG, f"{where}: not a phone number")


def _number(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(JSON_WRONG, f"{where}: not a number")


def _moment(value: Any, where: str) -> None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError) as broken:
        raise Refused(JSON_WRONG, f"{where}: not a date-time") from broken
    if at.tzinfo is None:
        raise Refused(JSON_WRONG, f"{where}: a date-time without offset")


def _open_url(value: Any, where: str) -> None:
    link = url(("https", "http"), "40052", "40020")
    browser = shape({"url": link, "application": word("browser")})
    webview = shape(
        {"url": link, "application": word("webview")},
        {"viewMode": word("full", "half", "tall"), "parameters": text(1, 200, "40020")},
    )
    chosen = webview if isinstance(value, dict) and value.get("application") == "webview" else browser
    chosen(value, where)


_FALLBACK = {"fallbackUrl": url(("https", "http"), "40052", "40020")}


def _place(value: Any, where: str) -> None:
    asked = isinstance(value, dict) and "query" in value
    point = shape({"latitude": _number, "longitude": _number}, {"label": text(1, 100, JSON_WRONG)})
    (shape({"query": text(1, 200, JSON_WRONG)}) if asked else point)(value, where)


_EVENT = shape(
    {"startTime": _moment, "endTime": _moment, "title": text(1, 100, JSON_WRONG)},
    {"description": text(1, 500, JSON_WRONG), **_FALLBACK},
)


def _calendar(value: Any, where: str) -> None:
    _EVENT(value, where)
    if datetime.fromisoformat(value["endTime"]) < datetime.fromisoformat(value["startTime"]):
        raise Refused(JSON_WRONG, f"{where}: ends before it starts")


_ACTIONS: Mapping[str, Check] = {
    "urlAction": shape({"openUrl": _open_url}),
    "dialerAction": one_of(
        {
            "dialPhoneNumber": shape({"phoneNumber": _phone}, _FALLBACK),
            "dialEnrichedCall": shape({"phoneNumber": _phone}, {"subject": text(1, 60, JSON_WRONG), **_FALLBACK}),
            "dialVideoCall": shape({"phoneNumber": _phone}, _FALLBACK),
        }
    ),
    "mapAction": one_of({"showLocation": shape({"location": _place}, _FALLBACK), "requestLocationPush": shape({})}),
    "calendarAction": shape({"createCalendarEvent": _calendar}),
    "composeAction": one_of(
        {
            "composeTextMessage": shape({"phoneNumber": _phone, "text": text(0, 100, JSON_WRONG)}),
            "composeRecordingMessage": shape({"phoneNumber": _phone, "type": word("AUDIO", "VIDEO")}),
        }
    ),
    "deviceAction": shape({"requestDeviceSpecifics": shape({})}),
    "settingsAction": one_of({"disableAnonymization": shape({}), "enableDisplayedNotifications": shape({})}),
}
_POSTBACK = shape({"data": text(0, 2048, "40019")})


def _action(value: Any, where: str) -> None:
    if not isinstance(value, dict) or "displayText" not in value:
        raise Refused("40018", f"{where}.displayText: missing")
    one_of(_ACTIONS, {"displayText": _button, "postback": _POSTBACK}, "40017")(value, where)


_SUGGESTION = one_of(
    {"reply": shape({"displayText": _button}, {"postback": _POSTBACK}), "action": _action}, code="40017"
)


def _sized(kinds: Mapping[str, int], type_key: str, size_key: str, value: dict[str, Any], where: str) -> None:
    kind, size = value[type_key], value[size_key]
    if not isinstance(kind, str) or kind not in kinds:
        raise Refused("40005", f"{where}.{type_key}: expected one of {', '.join(kinds)}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= kinds[kind]:
        raise Refused("40006", f"{where}.{size_key}: expected an integer up to {kinds[kind]}")


def _anything(_value: Any, _where: str) -> None:
    """Looked at by another check of the same object."""


_MEDIA = shape(
    {
        "mediaUrl": url(("https", "http"), "40007", "40007"),
        "mediaContentType": _anything,
        "mediaFileSize": _anything,
        "height": word("SHORT_HEIGHT", "MEDIUM_HEIGHT", "TALL_HEIGHT"),
    },
    {
        "thumbnailUrl": url(("https", "http"), "40007", "40007"),
        "thumbnailContentType": _anything,
        "thumbnailFileSize": _anything,
        "contentDescription": text(1, 200, "40021"),
    },
)


def _media(value: Any, where: str) -> None:
    _MEDIA(value, where)
    _sized(MEDIA_TYPES, "mediaContentType", "mediaFileSize", value, where)
    thumbnail = [name for name in ("thumbnailUrl", "thumbnailContentType", "thumbnailFileSize") if name in value]
    if len(thumbnail) not in (0, 3):
        raise Refused(JSON_WRONG, f"{where}: a thumbnail has an address, a type and a size")
    if thumbnail:
        _sized(THUMBNAIL_TYPES, "thumbnailContentType", "thumbnailFileSize", value, where)


_CONTENT = shape(
    {},
    {
        "media": _media,
        "title": text(1, 200, "40021"),
        "description": text(1, 2000, "40021"),
        "suggestions": several(1, 4, _SUGGESTION, "40016"),
    },
)
_FONTS = several(1, 3, word("italics", "bold", "underline"), JSON_WRONG)
_STYLE: Mapping[str, Check] = {
    "titleFontStyle": _FONTS,
    "descriptionFontStyle": _FONTS,
    "style": url(("https", "http"), "40052", "40020"),
}


def _content(value: Any, where: str) -> None:
    _CONTENT(value, where)
    if not {"media", "title", "description"} & value.keys():
        raise Refused(JSON_WRONG, f"{where}: expected media, title or description")


def _layout(value: Any, where: str) -> None:
    wide = isinstance(value, dict) and value.get("cardOrientation") == "HORIZONTAL"
    image = {"imageAlignment": word("LEFT", "RIGHT")}
    orientation = {"cardOrientation": word("VERTICAL", "HORIZONTAL")}
    (shape({**orientation, **image}, _STYLE) if wide else shape(orientation, _STYLE))(value, where)


def _carousel(value: Any, where: str) -> None:
    layout = shape({"cardWidth": word("SMALL_WIDTH", "MEDIUM_WIDTH")}, _STYLE)
    shape({"layout": layout, "content": several(2, 12, _content, JSON_WRONG)})(value, where)
    tall = any(card.get("media", {}).get("height") == "TALL_HEIGHT" for card in value["content"])
    if tall and value["layout"]["cardWidth"] == "SMALL_WIDTH":
        raise Refused(JSON_WRONG, f"{where}: TALL_HEIGHT media in SMALL_WIDTH cards")


_CARD = one_of(
    {"generalPurposeCard": shape({"layout": _layout, "content": _content}), "generalPurposeCardCarousel": _carousel}
)


def check_card(value: Any) -> None:
    """The JSON of a botmessage part. Raises Refused."""
    shape({"message": _CARD})(value, "$")


def check_suggestions(value: Any) -> None:
    """The JSON of a botsuggestion part: a chip list. Raises Refused."""
    shape({"suggestions": several(1, 11, _SUGGESTION, "40016")})(value, "$")
