"""The gateway that reaches nobody: each message becomes one file in a folder, JSON for a machine and text for a reader.

The file is named after the message, so a repeat replaces it with the same bytes. It is written beside its place,
synced, renamed, and the folder synced, before the message counts as accepted. No receipt ever comes. Personal data is
masked by the function handed in, unless a named person has asked to see it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from daemon.channels.channel import (
    NOT_BEGUN,
    CallbackRefused,
    Limits,
    Outgoing,
    Received,
    Standing,
    Traits,
    Verdict,
    VerdictKind,
    at_once,
)


class DryRun:
    """`Channel` into `folder`, which is created. `mask` is applied to the recipient and to every text of the
    message."""

    def __init__(self, name: str, folder: Path, mask: Callable[[str], str]) -> None:
        self._name = name
        self._folder = folder
        self._mask = mask

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        return Traits(repeat="yes", ask="no", revoke=False)

    @property
    def limits(self) -> Limits:
        return Limits()

    def encode(self, outgoing: Outgoing) -> bytes:
        """One JSON object, keys sorted, indented by two: ids, channel, recipient, category, card, SMS text."""
        shown = {
            "message_id": outgoing.message_id,
            "platform_id": outgoing.platform_id,
            "channel": outgoing.channel,
            "recipient": self._mask(outgoing.recipient),
            "category": outgoing.category,
            "card": _masked(outgoing.card, self._mask),
            "sms_text": self._mask(outgoing.sms_text),
        }
        return orjson.dumps(shown, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        if not may_begin():
            return NOT_BEGUN
        body = outgoing.body or self.encode(outgoing)
        try:
            await asyncio.to_thread(self._write, outgoing.platform_id, body)
        except OSError as full:
            return Verdict(VerdictKind.TRANSIENT, "not_written", f"{self._folder}: {full.strerror}", group="folder")
        return Verdict(VerdictKind.ACCEPTED, "written", platform_id=outgoing.platform_id)

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        """Nothing is ever in doubt here."""
        return "unreachable"

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        return Verdict(VerdictKind.PERMANENT, "no_revoke", "a dry run cannot call back", group="request")

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        raise CallbackRefused(f"{self._name}: a dry run has no callbacks", 404)

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        raise CallbackRefused(f"{self._name}: a dry run has no callbacks", 404)

    def _write(self, platform_id: str, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = _stem(platform_id)
        _replace(self._folder / f"{stem}.txt", text_of(body).encode())
        _replace(self._folder / f"{stem}.json", body)
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def text_of(body: bytes) -> str:
    """The message as a reader sees it: title, description, buttons, then the SMS text."""
    shown = orjson.loads(body)
    content = shown["card"].get("message", {}).get("generalPurposeCard", {}).get("content", {})
    lines = [f"{shown['channel']} {shown['recipient']} {shown['category']}"]
    lines += [content[key] for key in ("title", "description") if key in content]
    buttons = [part.get("reply") or part.get("action") or {} for part in content.get("suggestions", [])]
    lines += [f"[{button.get('displayText', '')}]" for button in buttons]
    return "\n".join([*lines, "", shown["sms_text"], ""])


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _masked(part, mask) for key, part in value.items()}
    return [_masked(part, mask) for part in value] if isinstance(value, list | tuple) else value


def _stem(platform_id: str) -> str:
    """A file name for any id: the id itself where it is plain, else its SHA-256."""
    plain = (
        platform_id.isascii() and platform_id.replace("-", "").replace("_", "").isalnum() and len(platform_id) <= 100
    )
    return platform_id if plain else hashlib.sha256(platform_id.encode()).hexdigest()


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_suffix(path.suffix + ".part")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
