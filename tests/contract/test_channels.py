"""What every dialect keeps, run on each: CT/CU against the stand-in carrier, the dry run, the webhook against a strict
gateway of the firm's own, and the tests' own gateway."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.carrier.run import Carrier
from daemon.carrier.settings import CarrierSettings
from daemon.channels.channel import (
    NOT_BEGUN,
    CallbackRefused,
    Channel,
    MemoryNonces,
    Outgoing,
    ReceiptKind,
    VerdictKind,
)
from daemon.channels.ctcu import Ctcu, CtcuConfig
from daemon.channels.dryrun import DryRun
from daemon.channels.tokens import MemoryTokens
from daemon.channels.webhook import Webhook, WebhookConfig
from daemon.server import serve
from daemon.transport import HttpxTransport
from tests.fakes import FakeChannel
from tests.inhouse import InHouse

NOW = datetime(2024, 2, 1, tzinfo=UTC)
CHATBOT = "sip:106500@botplatform.rcs.domain.cn"
CARD: dict[str, Any] = {
    "message": {
        "generalPurposeCard": {
            "layout": {"cardOrientation": "VERTICAL"},
            "content": {
                "title": "新股中签缴款提醒",
                "description": "您中签的新股须于今日16:00前备足资金。",
                "suggestions": [{"reply": {"displayText": "已知晓", "postback": {"data": "ack:7f3c"}}}],
            },
        }
    }
}
RCS = Outgoing(
    "m1", "p1", "rcs", "10012345678", CARD, "【样例证券】请缴款", "service", "c1", "k1", True, True, (ReceiptKind.DELIVERED,)
)  # fmt: skip
SMS = replace(RCS, platform_id="p2", channel="sms", card={}, sms_fallback=False)


@dataclass(frozen=True)
class Setting:
    """A channel with its far side: `arrived` gives, by platform id, how many messages the far side has, and `bytes_of`
    the SHA-256 of what it was sent for one, in order."""

    channel: Channel
    arrived: Callable[[], Awaitable[dict[str, int]]]
    bytes_of: Callable[[str], Awaitable[list[str]]]


@asynccontextmanager
async def ctcu(folder: Path) -> AsyncIterator[Setting]:
    transport = HttpxTransport()
    given = CarrierSettings(state=folder / "carrier.sqlite", mode="stepped", start=NOW, shares={})
    async with Carrier(given) as carrier:
        ports = carrier.ports
        root = f"http://127.0.0.1:{ports['platform']}"
        config = CtcuConfig("unicom", root, CHATBOT, given.app_id, given.app_key, given.callback_token, repeat="yes")

        async def control(name: str, **body: str) -> dict[str, Any]:
            url = f"http://127.0.0.1:{ports['control']}/control/{name}"
            headers = {"authorization": f"Bearer {given.control_token}"}
            answer = await transport.post(url, headers=headers, body=json.dumps(body).encode(), timeout=5)
            found: dict[str, Any] = json.loads(answer.body)
            return found

        async def arrived() -> dict[str, int]:
            await control("now", now=(NOW + timedelta(hours=1)).isoformat())
            counts: dict[str, int] = {}
            for row in (await control("ledger"))["requests"]:
                counts[row["message_id"]] = counts.get(row["message_id"], 0) + row["delivered"]
            return counts

        async def bytes_of(platform_id: str) -> list[str]:
            rows = (await control("ledger"))["requests"]
            return [row["body_hash"] for row in rows if row["message_id"] == platform_id]

        yield Setting(Ctcu(config, transport, MemoryTokens(), MemoryNonces()), arrived, bytes_of)
    await transport.aclose()


@asynccontextmanager
async def dryrun(folder: Path) -> AsyncIterator[Setting]:
    out = folder / "out"

    async def arrived() -> dict[str, int]:
        return {path.stem: 1 for path in out.glob("*.json")}

    async def bytes_of(platform_id: str) -> list[str]:
        return [hashlib.sha256((out / f"{platform_id}.json").read_bytes()).hexdigest()]

    yield Setting(DryRun("dry", out, lambda text: text), arrived, bytes_of)


@asynccontextmanager
async def webhook(folder: Path) -> AsyncIterator[Setting]:
    far, transport = InHouse(bytes(range(32))), HttpxTransport()
    running = await serve(far.routes(), "127.0.0.1", 0, grace=1)
    secret = "whsec_" + base64.b64encode(far.secret).decode()
    url = f"http://127.0.0.1:{running.port}/duenotice"
    config = WebhookConfig("inhouse", url, secret, secret, repeat="yes", revoke=True, query=True)

    async def arrived() -> dict[str, int]:
        return dict.fromkeys(far.taken, 1)

    async def bytes_of(platform_id: str) -> list[str]:
        return far.taken[platform_id]

    yield Setting(Webhook(config, transport, MemoryNonces()), arrived, bytes_of)
    await transport.aclose()
    await running.stop()


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[Setting]:
    channel = FakeChannel(queried=True)

    async def arrived() -> dict[str, int]:
        return {id: one.times for id, one in channel.far.taken.items()}

    async def bytes_of(platform_id: str) -> list[str]:
        return channel.far.taken[platform_id].hashes

    yield Setting(channel, arrived, bytes_of)


@pytest.fixture(params=[ctcu, dryrun, webhook, fake], ids=["ctcu", "dryrun", "webhook", "fake"])
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Setting]:
    async with request.param(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("outgoing", [RCS, SMS], ids=["rcs", "sms"])
async def test_a_good_message_is_accepted_and_arrives_once(setting: Setting, outgoing: Outgoing) -> None:
    verdict = await setting.channel.send(outgoing, now=NOW)
    assert (verdict.kind, verdict.platform_id) == (VerdictKind.ACCEPTED, outgoing.platform_id)
    assert await setting.arrived() == {outgoing.platform_id: 1}


async def test_a_repeat_of_the_same_id_arrives_once_where_the_traits_say_so(setting: Setting) -> None:
    assert setting.channel.traits.repeat == "yes"
    pinned = replace(RCS, body=setting.channel.encode(RCS))
    for _ in range(3):
        assert (await setting.channel.send(pinned, now=NOW)).kind is VerdictKind.ACCEPTED
    assert await setting.arrived() == {"p1": 1}


async def test_the_same_message_has_the_same_bytes_and_exactly_those_leave(setting: Setting) -> None:
    body = setting.channel.encode(RCS)
    assert body == setting.channel.encode(replace(RCS))
    await setting.channel.send(RCS, now=NOW)
    await setting.channel.send(replace(RCS, body=body), now=NOW + timedelta(minutes=1))
    assert set(await setting.bytes_of("p1")) == {hashlib.sha256(body).hexdigest()}


async def test_what_may_not_begin_does_not_leave(setting: Setting) -> None:
    asked: list[int] = []
    verdict = await setting.channel.send(RCS, now=NOW, may_begin=lambda: bool(asked.append(1)))
    assert (verdict, asked) == (NOT_BEGUN, [1])
    assert await setting.arrived() == {}
    assert (await setting.channel.send(RCS, now=NOW)).kind is VerdictKind.ACCEPTED


async def test_two_messages_keep_apart(setting: Setting) -> None:
    await setting.channel.send(RCS, now=NOW)
    await setting.channel.send(SMS, now=NOW)
    assert await setting.arrived() == {"p1": 1, "p2": 1}


async def test_a_revoke_has_a_verdict_of_its_own(setting: Setting) -> None:
    await setting.channel.send(RCS, now=NOW)
    verdict = await setting.channel.revoke("p1", RCS.recipient, now=NOW)
    expected = VerdictKind.ACCEPTED if setting.channel.traits.revoke else VerdictKind.PERMANENT
    assert verdict.kind is expected


async def test_a_platform_that_can_be_asked_knows_what_it_took_and_what_it_never_had(setting: Setting) -> None:
    await setting.channel.send(RCS, now=NOW)
    found = [await setting.channel.query(id, RCS.recipient, now=NOW) for id in ("p1", "p9")]
    expected = ["taken", "unknown"] if setting.channel.traits.ask == "query" else ["unreachable", "unreachable"]
    assert found == expected


async def test_a_callback_that_proves_nothing_is_refused(setting: Setting) -> None:
    for path in (f"deliveryNotification/{CHATBOT}/status", "else", ""):
        with pytest.raises(CallbackRefused):
            setting.channel.parse_callback(path, {}, b"{}", NOW)
        with pytest.raises(CallbackRefused):
            setting.channel.answer_check(path, {}, NOW)


async def test_a_channel_names_itself_and_its_limits(setting: Setting) -> None:
    assert setting.channel.name
    limits = setting.channel.limits
    assert limits.suggestions == 4
    assert limits.button_bytes is None or limits.button_bytes <= 25
    assert setting.channel.traits.ask in ("query", "receipt", "no")
