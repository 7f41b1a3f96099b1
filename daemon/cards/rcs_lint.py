"""What a platform would refuse in a rich card's document: the limits of the GSMA schema, and what the schema misses.

The schema lets pass (maap.md 1.4): unknown and misspelt keys, an end before its start, times without offset where the
format is not checked. Operators add: button text in bytes (CT/CU V1.0.4: 25 bytes, 8 Chinese characters). Ours: links
are https and lead to an allowed host. Only what `rcs.message` can make is known here; all else is a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from daemon.cards.rcs import HEIGHTS, Limits


@dataclass(frozen=True, slots=True)
class Fault:
    """What a platform would refuse: where in the message (`content.suggestions[2].action`), found, allowed."""

    where: str
    found: str
    allowed: str


def faults(document: Mapping[str, Any], limits: Limits, hosts: Collection[str]) -> list[Fault]:
    """All that is wrong with a document of one card. `hosts`: where links and media may lead."""
    return list(_Card(limits, frozenset(hosts)).document(document))


def text_faults(where: str, text: str, most: int, least: int = 1) -> Iterator[Fault]:
    """A text's length in characters."""
    if not least <= len(text) <= most:
        yield Fault(where, f"{len(text)} characters", f"{least} to {most}")


def display_faults(where: str, text: str, limits: Limits) -> Iterator[Fault]:
    """A button's text, in characters and in bytes."""
    yield from text_faults(where, text, limits.display)
    size = len(text.encode())
    if limits.display_bytes and size > limits.display_bytes:
        yield Fault(
            where,
            f"{size} bytes ({text})",
            f"{limits.display_bytes} bytes, {limits.display_bytes // 3} Chinese characters",
        )


def link_faults(where: str, url: str, limits: Limits, hosts: Collection[str]) -> Iterator[Fault]:
    """A link: https, an allowed host, no user name, no port, bounded length."""
    if len(url) > limits.url:
        yield Fault(where, f"a link of {len(url)} characters", f"at most {limits.url}")
    try:
        parts = urlsplit(url)
        host, odd = parts.hostname or "", parts.username is not None or parts.port is not None
    except ValueError:
        yield Fault(where, "a link that cannot be read", "https://host/path")
        return
    if parts.scheme != "https" or not host or odd or any(c <= " " or c > "~" for c in url):
        yield Fault(where, f"{url[:60]!r}", "https://host/path in ASCII, without user or port")
    elif host not in hosts:
        yield Fault(where, f"the host {host}", ", ".join(sorted(hosts)) or "no links: no host is on the allow list")


_MEDIA_TEXTS = {"mediaUrl", "mediaContentType", "thumbnailUrl", "thumbnailContentType", "contentDescription"}
_MEDIA_SIZES = {"mediaFileSize", "thumbnailFileSize"}
_ACTIONS = {
    "urlAction": ("openUrl", {"url": str, "application": str}),
    "dialerAction": ("dialPhoneNumber", {"phoneNumber": str}),
    "calendarAction": ("createCalendarEvent", {"startTime": str, "endTime": str, "title": str}),
}


class _Card:
    """Walks one document."""

    def __init__(self, limits: Limits, hosts: frozenset[str]) -> None:
        self._limits, self._hosts = limits, hosts

    def document(self, document: Mapping[str, Any]) -> Iterator[Fault]:
        yield from _keys("", document, {"message"})
        outer = document.get("message", {})
        yield from _keys("message", outer, {"generalPurposeCard"})
        card = outer.get("generalPurposeCard", {})
        yield from _keys("card", card, {"layout", "content"})
        if card.get("layout") != {"cardOrientation": "VERTICAL"}:
            yield Fault("card.layout", repr(card.get("layout"))[:60], "cardOrientation VERTICAL")
        yield from self._content(card.get("content", {}))

    def _content(self, content: Mapping[str, Any]) -> Iterator[Fault]:
        yield from _keys("content", content, set(), {"media", "title", "description", "suggestions"})
        if not content.keys() & {"media", "title", "description"}:
            yield Fault("content", "no media, title or description", "at least one of them")
        for key, most in (("title", self._limits.title), ("description", self._limits.description)):
            if key in content:
                yield from text_faults(f"content.{key}", content[key], most)
        if "media" in content:
            yield from self._media(content["media"])
        if "suggestions" in content:
            yield from self._suggestions(content["suggestions"])

    def _media(self, media: Mapping[str, Any]) -> Iterator[Fault]:
        where = "content.media"
        required = {"mediaUrl", "mediaContentType", "mediaFileSize", "height"}
        if "thumbnailUrl" in media:
            required |= {"thumbnailContentType", "thumbnailFileSize"}
        yield from _keys(where, media, required, _MEDIA_TEXTS | _MEDIA_SIZES)
        for key in sorted(_MEDIA_SIZES & media.keys()):
            if type(media[key]) is not int or media[key] < 0:
                yield Fault(f"{where}.{key}", repr(media[key])[:40], "a whole number of bytes")
        for key in ("mediaUrl", "thumbnailUrl"):
            if key in media:
                yield from link_faults(f"{where}.{key}", media[key], self._limits, self._hosts)
        if "height" in media and media["height"] not in HEIGHTS:
            yield Fault(f"{where}.height", repr(media["height"]), ", ".join(HEIGHTS))

    def _suggestions(self, suggestions: list[Mapping[str, Any]]) -> Iterator[Fault]:
        if not 1 <= len(suggestions) <= self._limits.suggestions:
            yield Fault("content.suggestions", f"{len(suggestions)} suggestions", f"1 to {self._limits.suggestions}")
        for i, suggestion in enumerate(suggestions, 1):
            where = f"content.suggestions[{i}]"
            if len(suggestion) != 1 or not suggestion.keys() <= {"reply", "action"}:
                yield Fault(where, ", ".join(suggestion) or "nothing", "exactly one of reply, action")
                continue
            for kind, body in suggestion.items():
                yield from self._button(f"{where}.{kind}", kind, body)

    def _button(self, where: str, kind: str, body: Mapping[str, Any]) -> Iterator[Fault]:
        actions = body.keys() & _ACTIONS.keys() if kind == "action" else set()
        yield from _keys(where, body, {"displayText"} | actions, {"postback"})
        if kind == "action" and len(actions) != 1:
            yield Fault(where, f"{len(actions)} actions", f"exactly one of {', '.join(_ACTIONS)}")
        yield from display_faults(f"{where}.displayText", body.get("displayText", ""), self._limits)
        if "postback" in body:
            yield from _keys(f"{where}.postback", body["postback"], {"data"})
            yield from text_faults(f"{where}.postback.data", body["postback"].get("data", ""), self._limits.postback, 0)
        for name in actions:
            yield from self._act(f"{where}.{name}", name, body[name])

    def _act(self, where: str, name: str, body: Mapping[str, Any]) -> Iterator[Fault]:
        inner, fields = _ACTIONS[name]
        yield from _keys(where, body, {inner})
        act = body.get(inner, {})
        optional = {"description"} if name == "calendarAction" else set()
        yield from _keys(f"{where}.{inner}", act, set(fields), optional)
        if not set(fields) <= act.keys():
            return
        if name == "urlAction":
            yield from link_faults(f"{where}.url", act["url"], self._limits, self._hosts)
            if act["application"] not in ("browser", "webview"):
                yield Fault(f"{where}.application", repr(act["application"]), "browser or webview")
        elif name == "calendarAction":
            yield from self._entry(where, act)
        elif not act["phoneNumber"].lstrip("+").isdecimal():
            yield Fault(f"{where}.phoneNumber", repr(act["phoneNumber"]), "digits, with + in front of a country code")

    def _entry(self, where: str, act: Mapping[str, Any]) -> Iterator[Fault]:
        yield from text_faults(f"{where}.title", act["title"], self._limits.calendar_title)
        if "description" in act:
            yield from text_faults(f"{where}.description", act["description"], self._limits.calendar_description)
        times = [_moment(act[key]) for key in ("startTime", "endTime")]
        if None in times:
            yield Fault(
                where, f"{act['startTime']} to {act['endTime']}", "RFC 3339 with offset, 2024-02-01T09:00:00+08:00"
            )
        elif times[1] <= times[0]:  # type: ignore[operator]  # both are moments here
            yield Fault(where, f"the end {act['endTime']} at or before the start", "an end after its start")


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and "T" in text else None


def _keys(where: str, body: Mapping[str, Any], required: set[str], optional: Collection[str] = ()) -> Iterator[Fault]:
    for key in sorted(required - body.keys()):
        yield Fault(where or "document", f"no {key}", f"the key {key}")
    for key in sorted(body.keys() - required - set(optional)):
        yield Fault(where or "document", f"the unknown key '{key}'", ", ".join(sorted(required | set(optional))))
