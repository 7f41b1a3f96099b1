"""The ways to a person on duty: robots of WeCom and DingTalk, mail, text messages by a gateway. One call, one text.

A way says whether its far side has taken the text; nothing personal stands in it. Sources: WeCom group robot
(developer.work.weixin.qq.com, 群机器人配置说明: text of at most 2,048 bytes, `errcode` 0), DingTalk custom robot
(open.dingtalk.com, 自定义机器人安全设置: `timestamp` in ms, `sign` = base64 of HMAC-SHA256 over `timestamp\\nsecret`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from daemon.channels.channel import Channel, Outgoing, VerdictKind
from daemon.transport import Lost, NotSent, Transport

ROBOT_BYTES = 2_048
SMS_CHARS = 300


@dataclass(frozen=True, slots=True)
class Heard:
    """Whether the far side has taken the text, and what it said: a code, never an address or a number."""

    told: bool
    code: str


class Way(Protocol):
    """One way out."""

    async def tell(self, id: str, text: str, now: datetime) -> Heard:
        """Hand `text` over; `id` is the same for a repeat. Never raises for what a far side does."""
        ...


def cut(text: str, bytes: int) -> str:
    """The text in at most so many UTF-8 bytes."""
    raw = text.encode()
    return text if len(raw) <= bytes else raw[: bytes - 3].decode(errors="ignore") + "…"


@dataclass(frozen=True, slots=True)
class Robot:
    """A group robot: POST of JSON, answered by JSON with `errcode` 0. `secret` signs for DingTalk, '' for WeCom."""

    url: str = field(repr=False)
    transport: Transport
    secret: str = field(default="", repr=False)
    timeout: float = 10.0

    async def tell(self, id: str, text: str, now: datetime) -> Heard:
        url = self.url
        if self.secret:
            stamp = str(int(now.timestamp() * 1000))
            made = hmac.digest(self.secret.encode(), f"{stamp}\n{self.secret}".encode(), hashlib.sha256)
            url += f"&timestamp={stamp}&sign={quote(base64.b64encode(made).decode(), safe='')}"
        body = {"msgtype": "text", "text": {"content": cut(text, ROBOT_BYTES)}}
        found = await _post(self.transport, url, body, self.timeout)
        if isinstance(found, str):
            return Heard(False, found)
        code = found.get("errcode")
        return Heard(code == 0, f"errcode {code}"[:40])


@dataclass(frozen=True, slots=True)
class Mail:
    """Mail by a server that offers STARTTLS with a certificate this machine trusts; without both nothing is sent."""

    host: str
    port: int
    sender: str
    recipients: Sequence[str] = field(repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    timeout: float = 20.0

    async def tell(self, id: str, text: str, now: datetime) -> Heard:
        return await asyncio.to_thread(self._send, id, text, now)

    def _send(self, id: str, text: str, now: datetime) -> Heard:
        letter = EmailMessage()
        letter["From"], letter["To"] = self.sender, ", ".join(self.recipients)
        letter["Subject"] = cut(text.splitlines()[0], 120)
        letter["Date"] = format_datetime(now)
        letter["Message-ID"] = f"<{id}@{self.sender.partition('@')[2] or 'localhost'}>"
        letter.set_content(text)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=self.timeout) as server:
                server.starttls(context=self.tls or ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(letter)
        except smtplib.SMTPResponseException as answer:
            return Heard(False, f"smtp {answer.smtp_code}")
        except (smtplib.SMTPException, OSError) as broken:
            return Heard(False, type(broken).__name__)
        return Heard(not refused, "smtp 250" if not refused else f"refused for {len(refused)}")


@dataclass(frozen=True, slots=True)
class Texts:
    """Text messages to people on duty by a configured gateway; told when each has been accepted or may have been."""

    gateway: Channel
    recipients: Sequence[str] = field(repr=False)
    signature: str = ""

    async def tell(self, id: str, text: str, now: datetime) -> Heard:
        codes: list[str] = []
        told = True
        for number, recipient in enumerate(self.recipients):
            ours = f"{id}-{number}"
            signed = (f"【{self.signature}】" if self.signature else "") + text[:SMS_CHARS]
            letter = Outgoing(ours, ours, "sms", recipient, {}, signed, "service", ours, ours, False, False)
            verdict = await self.gateway.send(letter, now=now)
            told = told and verdict.kind in (VerdictKind.ACCEPTED, VerdictKind.IN_DOUBT)
            codes.append(verdict.code)
        return Heard(told, ",".join(sorted(set(codes)))[:40])


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Tells another host that this service makes progress; when it falls silent, that host calls a person."""

    url: str = field(repr=False)
    node: str
    transport: Transport
    timeout: float = 10.0

    async def beat(self, now: datetime) -> Heard:
        """One POST; any 2xx is heard."""
        body = {"node": self.node, "at": now.isoformat(timespec="seconds")}
        found = await _post(self.transport, self.url, body, self.timeout, json=False)
        return Heard(False, found) if isinstance(found, str) else Heard(True, "ok")


async def _post(
    transport: Transport,
    url: str,
    body: Mapping[str, Any],
    timeout: float,  # noqa: ASYNC109 - handed on
    *,
    json: bool = True,
) -> Mapping[str, Any] | str:
    """The JSON of a 2xx answer ({} where `json` is not asked for), else what went wrong, without the address."""
    headers = {"content-type": "application/json"}
    try:
        answer = await transport.post(url, headers=headers, body=orjson.dumps(body), timeout=timeout)
    except NotSent:
        return "not sent"
    except Lost:
        return "no answer"
    if not 200 <= answer.status_code < 300:
        return f"http {answer.status_code}"
    if not json:
        return {}
    try:
        found = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return "not json"
    return found if isinstance(found, dict) else "not json"
