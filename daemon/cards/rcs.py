"""The rich card on the wire: GSMA `generalPurposeCard`, content type `application/vnd.gsma.botmessage.v1.0+json`.

Building (GSMA RCC.07 chatbot JSON schema; maap.md 1): one document with exactly `message`; the card has `layout` and
`content`; an empty field is left out, never sent empty; `openUrl` names its application; calendar times carry their
offset.

    {"message": {"generalPurposeCard": {"layout": {"cardOrientation": "VERTICAL"}, "content": {"title": …,
     "description": …, "suggestions": [{"reply": {"displayText": …, "postback": {"data": …}}},
                                       {"action": {"urlAction": {…}, "displayText": …, "postback": {…}}}]}}}}

What a platform would refuse in such a document is found by `rcs_lint.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.clock import SHANGHAI

CONTENT_TYPE = "application/vnd.gsma.botmessage.v1.0+json"
HEIGHTS = ("SHORT_HEIGHT", "MEDIUM_HEIGHT", "TALL_HEIGHT")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a platform takes, in characters unless said otherwise. `display_bytes`: UTF-8 bytes of a button's text,
    0 for no such limit. `suggestions` are those of one card."""

    title: int = 200
    description: int = 2000
    suggestions: int = 4
    display: int = 25
    display_bytes: int = 0
    postback: int = 2048
    url: int = 2048
    calendar_title: int = 100
    calendar_description: int = 500
    content_description: int = 200


GSMA = Limits()
"""The limits of the GSMA schema."""

CTCU = Limits(display_bytes=25)
"""China Telecom and China Unicom, V1.0.4: button text of 25 bytes. Every shipped card keeps them."""


@dataclass(frozen=True, slots=True)
class Media:
    """A picture or film of a card, already uploaded to the platform; `size` in bytes."""

    url: str
    content_type: str
    size: int
    height: str = "MEDIUM_HEIGHT"
    thumbnail_url: str = ""
    thumbnail_type: str = ""
    thumbnail_size: int = 0


def reply(text: str, data: str) -> dict[str, Any]:
    """A button that answers."""
    return {"reply": {"displayText": text, "postback": {"data": data}}}


def open_link(text: str, data: str, url: str) -> dict[str, Any]:
    """A button that opens a page in the browser."""
    return _action(text, data, "urlAction", {"openUrl": {"url": url, "application": "browser"}})


def dial(text: str, data: str, number: str) -> dict[str, Any]:
    """A button that dials."""
    return _action(text, data, "dialerAction", {"dialPhoneNumber": {"phoneNumber": number}})


def calendar(text: str, data: str, title: str, start: datetime, end: datetime) -> dict[str, Any]:
    """A button that makes a calendar entry. `start` and `end` are aware and are written in Asia/Shanghai."""
    event = {"startTime": _stamp(start), "endTime": _stamp(end), "title": title}
    return _action(text, data, "calendarAction", {"createCalendarEvent": event})


def message(
    title: str, description: str, suggestions: list[dict[str, Any]], media: Media | None = None
) -> dict[str, Any]:
    """The whole document. Empty parts are left out."""
    content: dict[str, Any] = {}
    if media is not None:
        content["media"] = _media(media)
    if title:
        content["title"] = title
    if description:
        content["description"] = description
    if suggestions:
        content["suggestions"] = suggestions
    return {"message": {"generalPurposeCard": {"layout": {"cardOrientation": "VERTICAL"}, "content": content}}}


def _action(text: str, data: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"action": {name: body, "displayText": text, "postback": {"data": data}}}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _media(media: Media) -> dict[str, Any]:
    made: dict[str, Any] = {
        "mediaUrl": media.url,
        "mediaContentType": media.content_type,
        "mediaFileSize": media.size,
        "height": media.height,
    }
    if media.thumbnail_url:
        made["thumbnailUrl"] = media.thumbnail_url
        made["thumbnailContentType"] = media.thumbnail_type
        made["thumbnailFileSize"] = media.thumbnail_size
    return made
