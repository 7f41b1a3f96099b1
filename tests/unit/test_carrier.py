"""The stand-in platform over real HTTP, on a stepped clock, against the dialect it must be able to disagree with."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.carrier.__main__ import main
from daemon.carrier.run import Carrier
from daemon.carrier.settings import CarrierSettings, load
from daemon.channels.channel import MemoryNonces, Outgoing, ReceiptIn, ReceiptKind, Received, Uplink, VerdictKind
from daemon.channels.ctcu import Ctcu, CtcuConfig
from daemon.channels.tokens import MemoryTokens
from daemon.errors import ConfigError
from daemon.server import Running, serve
from daemon.transport import Answer, HttpxTransport
from daemon.web.callbacks import routes

START = datetime(2024, 2, 1, tzinfo=UTC)
CHATBOT = "sip:106500@botplatform.rcs.domain.cn"
CARD = {
    "message": {
        "generalPurposeCard": {"layout": {"cardOrientation": "VERTICAL"}, "content": {"title": "缴款提醒"}},
    }
}


def message(number: int = 1, recipient: str = "10012345678", **changed: Any) -> Outgoing:
    good = Outgoing(
        f"m{number}", f"p{number}", "rcs", recipient, CARD, "【样例证券】请缴款", "service", f"c{number}", f"k{number}", True, False
    )  # fmt: skip
    return replace(good, **changed)


class Bench:
    """A firm beside one carrier: its channel, its callback address, and the hand on the control port."""

    def __init__(self, carrier: Carrier, transport: HttpxTransport) -> None:
        self.carrier = carrier
        self.transport = transport
        self.now = START
        self.down = False
        self.refused = 0
        self.received: list[Received] = []
        self.server: Running | None = None
        self.gateway = self.channel()

    def channel(self, timeout: float = 5.0) -> Ctcu:
        root = f"http://127.0.0.1:{self.carrier.ports['platform']}"
        config = CtcuConfig(
            "g", root, CHATBOT, "duenotice", "stand-in-app-key", "stand-in-callback-token", timeout=timeout
        )
        return Ctcu(config, self.transport, MemoryTokens(), MemoryNonces())

    async def store(self, _gateway: str, _raw: bytes, received: Sequence[Received]) -> None:
        if self.down:
            self.refused += 1
            raise OSError("the store is down")
        self.received.extend(received)

    async def listen(self, port: int = 0) -> None:
        table = routes({"g": self.gateway}, self.store, lambda: self.now, lambda *_: None)
        self.server = await serve(table, "127.0.0.1", port, grace=1)
        await self.control("notify_url", url=f"http://127.0.0.1:{self.server.port}/callbacks/g")

    async def post(self, name: str, body: bytes, token: str = "stand-in-control-token") -> Answer:
        url = f"http://127.0.0.1:{self.carrier.ports['control']}/control/{name}"
        headers = {"authorization": f"Bearer {token}"}
        return await self.transport.post(url, headers=headers, body=body, timeout=5)

    async def control(self, name: str, **body: Any) -> dict[str, Any]:
        answer = await self.post(name, json.dumps(body).encode())
        assert answer.status_code == 200, answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found

    async def step(self, **by: float) -> None:
        """Move both clocks and wait until every callback that is due has been acknowledged."""
        self.now += timedelta(**by)
        await self.control("now", now=self.now.isoformat())
        await self.quiet()

    async def quiet(self) -> None:
        async with asyncio.timeout(10):
            while (await self.control("state"))["pending"]:
                pass

    async def ledger(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.control("ledger"))["requests"]
        return found

    async def send(self, outgoing: Outgoing, channel: Ctcu | None = None) -> VerdictKind:
        return (await (channel or self.gateway).send(outgoing, now=self.now)).kind

    def kinds(self, platform_id: str = "p1") -> list[str]:
        return [one.kind for one in self.received if isinstance(one, ReceiptIn) and one.platform_id == platform_id]


def settings(state: Path, **changed: Any) -> CarrierSettings:
    return CarrierSettings(state=state / "carrier.sqlite", mode="stepped", start=START, **changed)


@asynccontextmanager
async def bench(given: CarrierSettings, *, listen: bool = True) -> AsyncIterator[Bench]:
    transport = HttpxTransport()
    async with Carrier(given) as carrier:
        firm = Bench(carrier, transport)
        if listen:
            await firm.listen()
        try:
            yield firm
        finally:
            if firm.server is not None:
                await firm.server.stop()
            await transport.aclose()


# --- receipts ---


ENDS = [
    ("fiveg", {"sent", "delivered", "read"}, 1),
    ("sms_only", {"sent", "handed_to_sms"}, 1),
    ("off", {"sent", "handed_to_sms"}, 0),
    ("blank", {"sent", "failed"}, 0),
    ("refuses", {"sent", "failed"}, 0),
]


@pytest.mark.parametrize(("handset", "allowed", "delivered"), ENDS)
async def test_receipts_come_when_the_time_reaches_them(
    tmp_path: Path, handset: str, allowed: set[str], delivered: int
) -> None:
    async with bench(settings(tmp_path)) as firm:
        await firm.control("handset", recipient="10012345678", kind=handset)
        assert await firm.send(message()) is VerdictKind.ACCEPTED
        state = await firm.control("state")
        assert firm.received == []
        assert state["pending"] == 0
        assert state["next"] is not None
        await firm.step(hours=2)
        row = (await firm.ledger())[0]
        totals = (await firm.control("ledger"))["totals"]
    assert allowed - {"read"} <= set(firm.kinds()) <= allowed
    assert (row["message_id"], row["recipient"], row["taken"], row["answer"]) == ("p1", "10012345678", True, "0")
    assert row["delivered"] == delivered == totals["delivered"]


async def test_the_sms_channel_is_handed_to_the_sms_network_or_delivered_as_text(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        await firm.control("handset", recipient="10000000001", kind="sms_only")
        await firm.control("handset", recipient="10000000002", kind="fiveg")
        text = {"channel": "sms", "card": {}, "sms_fallback": False}
        assert await firm.send(message(1, "10000000001", **text)) is VerdictKind.ACCEPTED
        assert await firm.send(message(2, "10000000002", **text)) is VerdictKind.ACCEPTED
        await firm.step(hours=1)
        assert {row["kind"] for row in await firm.ledger()} == {"text"}
    assert "handed_to_sms" in firm.kinds("p1")
    assert "delivered" in firm.kinds("p2")


async def test_a_callback_is_repeated_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        firm.down = True
        await firm.send(message())
        await firm.control("now", now=(START + timedelta(seconds=100)).isoformat())
        async with asyncio.timeout(10):
            while firm.refused < 3:
                await firm.control("state")
        assert firm.received == []
        firm.down = False
        await firm.quiet()
    assert firm.kinds()


async def test_callbacks_outlast_a_firm_that_is_not_there(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        await firm.control("notify_url", url=f"http://127.0.0.1:{port}/callbacks/g")
        await firm.send(message())
        state = await firm.control("now", now=(START + timedelta(seconds=100)).isoformat())
        assert state["pending"]
        firm.now = START + timedelta(seconds=100)
        await firm.listen(port)
        await firm.quiet()
    assert firm.kinds()


async def test_the_worst_profile_doubles_and_reorders_but_only_what_is_true(tmp_path: Path) -> None:
    shares: dict[str, float] = {}
    async with bench(settings(tmp_path, profile="worst", shares=shares, faults={})) as firm:
        for number in range(60):
            await firm.send(message(number, f"100{number:08d}"))
        await firm.step(days=3)
        totals = (await firm.control("ledger"))["totals"]
    assert totals == {"requests": 60, "taken": 60, "delivered": 60, "delivered_twice": 0}
    counts = Counter((one.platform_id, one.kind) for one in firm.received if isinstance(one, ReceiptIn))
    assert {kind for _, kind in counts} == {"sent", "delivered", "read"}
    assert max(counts.values()) == 2
    assert sum(kind == "delivered" for _, kind in counts) < 60


# --- ids, faults, limits ---


@pytest.mark.parametrize(
    ("repeat", "second", "delivered"),
    [
        ("honour", VerdictKind.ACCEPTED, 1),
        ("ignore", VerdictKind.ACCEPTED, 2),
        ("refuse", VerdictKind.PERMANENT, 1),
    ],
)
async def test_a_repeated_id(tmp_path: Path, repeat: Any, second: VerdictKind, delivered: int) -> None:
    async with bench(settings(tmp_path, repeat=repeat, shares={})) as firm:
        assert await firm.send(message()) is VerdictKind.ACCEPTED
        assert await firm.send(message()) is second
        await firm.step(hours=1)
        rows = await firm.ledger()
        totals = (await firm.control("ledger"))["totals"]
    assert len(rows) == 2
    assert sum(row["delivered"] for row in rows) == delivered
    assert totals["delivered_twice"] == (1 if delivered == 2 else 0)
    assert rows[0]["body_hash"] == rows[1]["body_hash"]


FAULTS = [
    ("busy", VerdictKind.TRANSIENT, {False}),
    ("reset", VerdictKind.IN_DOUBT, {False}),
    ("lost", VerdictKind.IN_DOUBT, {True}),
    ("stall", VerdictKind.IN_DOUBT, {True}),
    ("http_500", VerdictKind.IN_DOUBT, {True, False}),
    ("html_200", VerdictKind.IN_DOUBT, {True, False}),
]


@pytest.mark.parametrize(("fault", "kind", "taken"), FAULTS)
async def test_each_fault_and_its_verdict(tmp_path: Path, fault: str, kind: VerdictKind, taken: set[bool]) -> None:
    async with bench(settings(tmp_path, faults={fault: 1.0}, shares={})) as firm:
        impatient = firm.channel(timeout=0.3)
        numbers = range(1 if fault == "stall" else 12)
        for number in numbers:
            assert await firm.send(message(number, f"100{number:08d}"), impatient) is kind
        await firm.step(hours=1)
        rows = await firm.ledger()
    assert {row["taken"] for row in rows} == taken
    assert {row["message_id"] for row in rows if row["delivered"]} == {
        row["message_id"] for row in rows if row["taken"]
    }


async def test_a_lost_answer_is_repaired_by_the_same_id_on_a_platform_that_honours_it(tmp_path: Path) -> None:
    async with bench(settings(tmp_path, faults={"lost": 1.0}, shares={})) as firm:
        assert await firm.send(message()) is VerdictKind.IN_DOUBT
        await firm.control("weather", faults={})
        assert await firm.send(message()) is VerdictKind.ACCEPTED
        await firm.step(hours=1)
        assert (await firm.control("ledger"))["totals"]["delivered"] == 1


async def test_the_same_seed_gives_the_same_faults_whatever_the_ids(tmp_path: Path) -> None:
    async def run(folder: str, shift: int) -> list[str]:
        async with bench(settings(tmp_path / folder, seed=5, faults={"busy": 0.3, "http_500": 0.3})) as firm:
            for number in range(30):
                await firm.send(message(number + shift, f"100{number:08d}"))
            return [row["answer"] for row in await firm.ledger()]

    first = await run("a", 0)
    assert first == await run("b", 100)
    assert set(first) == {"0", "busy", "http_500"}


async def test_more_than_the_rate_is_throttled(tmp_path: Path) -> None:
    async with bench(settings(tmp_path, per_second=3)) as firm:
        kinds = Counter([await firm.send(message(number)) for number in range(12)])
    assert kinds[VerdictKind.THROTTLED] >= 3
    assert set(kinds) == {VerdictKind.ACCEPTED, VerdictKind.THROTTLED}


# --- tokens ---


async def raw(firm: Bench, call: str, body: dict[str, Any], token: str = "", **headers: str) -> dict[str, Any]:
    base = {"content-type": "application/json", "date": "Thu, 01 Feb 2024 00:00:00 GMT"}
    given = base | ({"authorization": f"accessToken {token}"} if token else {}) | headers
    url = f"http://127.0.0.1:{firm.carrier.ports['platform']}/bot/v1/{CHATBOT}/{call}"
    answer = await firm.transport.post(url, headers=given, body=json.dumps(body).encode(), timeout=5)
    assert answer.status_code == 200
    found: dict[str, Any] = json.loads(answer.body)
    return found


KEYS = {"appId": "duenotice", "appKey": "stand-in-app-key"}


async def test_tokens_die_by_a_newer_one_and_by_time(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        assert (await raw(firm, "messages", {}))["errorCode"] == 41001
        assert (await raw(firm, "messages", {}, token="none"))["errorCode"] == 40014
        first = (await raw(firm, "accessToken", KEYS))["accessToken"]
        assert (await raw(firm, "messages", {"x": 1}, token=first))["errorCode"] == 20002
        second = (await raw(firm, "accessToken", KEYS))["accessToken"]
        assert (await raw(firm, "messages", {"x": 1}, token=first))["errorCode"] == 40014
        await firm.step(seconds=7199)
        assert (await raw(firm, "messages", {"x": 1}, token=second))["errorCode"] == 20002
        await firm.step(seconds=1)
        assert (await raw(firm, "messages", {"x": 1}, token=second))["errorCode"] == 42001


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 41002),
        ({"appId": "duenotice"}, 41004),
        (KEYS | {"appKey": "x"}, 40001),
        (KEYS | {"appId": "x"}, 40001),
        (KEYS, 0),
    ],
)
async def test_credentials(tmp_path: Path, body: dict[str, str], code: int) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        assert (await raw(firm, "accessToken", body))["errorCode"] == code


async def test_headers_and_chatbot_are_checked(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        assert (await raw(firm, "accessToken", KEYS, **{"content-type": "text/plain"}))["errorCode"] == 20003
        assert (await raw(firm, "accessToken", KEYS, date="today"))["errorCode"] == 20003
        other = replace(CtcuConfig("g", "", "sip:other@x", "duenotice", "k", "t"))
        root = f"http://127.0.0.1:{firm.carrier.ports['platform']}"
        channel = Ctcu(replace(other, root=root), firm.transport, MemoryTokens(), MemoryNonces())
        assert (await channel.send(message(), now=START)).code == "48001"


async def test_a_day_has_two_thousand_tokens(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        with closing(sqlite3.connect(tmp_path / "carrier.sqlite", isolation_level=None)) as memory:
            memory.executemany("INSERT INTO meta VALUES (?, ?)", [("token_day", "2024-02-01"), ("token_count", "1999")])
        assert (await raw(firm, "accessToken", KEYS))["errorCode"] == 0
        assert (await raw(firm, "accessToken", KEYS))["errorCode"] == 45001
        await firm.control("now", now=(START + timedelta(hours=16)).isoformat())
        assert (await raw(firm, "accessToken", KEYS))["errorCode"] == 0


# --- revoke, uplink ---


async def test_a_revoke_before_delivery_takes_the_message_back(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        await firm.control("handset", recipient="10012345678", kind="asleep")
        await firm.send(message(store=True))
        await firm.step(seconds=60)
        assert (await firm.gateway.revoke("p1", "10012345678", now=firm.now)).kind is VerdictKind.ACCEPTED
        await firm.step(days=3)
        rows = await firm.ledger()
    assert firm.kinds() == ["sent", "revoked"]
    assert [(row["call"], row["delivered"], row["revoked"]) for row in rows] == [
        ("messages", 0, True),
        ("revoke", 0, False),
    ]


async def test_a_revoke_after_delivery_fails(tmp_path: Path) -> None:
    async with bench(settings(tmp_path, shares={})) as firm:
        await firm.send(message())
        await firm.step(seconds=60)
        await firm.gateway.revoke("p1", "10012345678", now=firm.now)
        await firm.step(days=1)
        assert (await firm.ledger())[0]["delivered"] == 1
    assert ReceiptKind.REVOKE_FAILED in firm.kinds()
    assert ReceiptKind.REVOKED not in firm.kinds()


async def test_a_revoke_of_an_unknown_message_is_refused(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        verdict = await firm.gateway.revoke("p9", "10012345678", now=firm.now)
    assert (verdict.kind, verdict.code) == (VerdictKind.PERMANENT, "20002")


async def test_an_uplink_answers_our_newest_message(tmp_path: Path) -> None:
    async with bench(settings(tmp_path)) as firm:
        await firm.send(message())
        await firm.control("uplink", recipient="10012345678", text="退订")
        await firm.control("uplink", recipient="10012345678", text="已知晓", postback="ack:1")
        await firm.control("uplink", recipient="10099999999", text="你好")
        await firm.quiet()
    found = [one for one in firm.received if isinstance(one, Uplink)]
    assert [(one.kind, one.text, one.postback, one.in_reply_to) for one in found] == [
        ("text", "退订", "", "k1"),
        ("reply", "已知晓", "ack:1", "k1"),
        ("text", "你好", "", ""),
    ]


# --- control, restart, process ---


async def test_the_control_port_asks_for_its_token(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        assert (await firm.post("state", b"{}", token="wrong")).status_code == 401


WRONG_CONTROL = [
    ("now", {"now": "2024-01-31T00:00:00+00:00"}),
    ("now", {"now": "2024-02-02T00:00:00"}),
    ("now", {}),
    ("handset", {"recipient": "1", "kind": "toaster"}),
    ("weather", {"faults": {"rain": 1}}),
    ("weather", {"faults": {"lost": 2}}),
    ("weather", {"wind": 1}),
    ("notify_url", {"url": 1}),
]


@pytest.mark.parametrize(("name", "body"), WRONG_CONTROL)
async def test_a_wrong_control_call_is_400_and_changes_nothing(tmp_path: Path, name: str, body: dict[str, Any]) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        before = await firm.control("state")
        assert (await firm.post(name, json.dumps(body).encode())).status_code == 400
        assert await firm.control("state") == before


async def test_the_ledger_is_read_in_pages(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        for number in range(5):
            await firm.send(message(number))
        first = json.loads((await firm.post("ledger?limit=3", b"")).body)
        second = json.loads((await firm.post(f"ledger?limit=3&after={first['next']}", b"")).body)
    assert [row["message_id"] for row in first["requests"] + second["requests"]] == [f"p{n}" for n in range(5)]
    assert second["next"] is None


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    given = settings(tmp_path, shares={})
    async with bench(given, listen=False) as firm:
        await firm.send(message())
        await firm.control("now", now=(START + timedelta(hours=1)).isoformat())
        token = (await raw(firm, "accessToken", KEYS))["accessToken"]
        before = await firm.control("state")
    async with bench(given, listen=False) as firm:
        after = await firm.control("state")
        assert (await raw(firm, "messages", {"x": 1}, token=token))["errorCode"] == 20002
        firm.now = START + timedelta(hours=1)
        await firm.listen()
        await firm.quiet()
    assert (after["now"], after["pending"], after["waiting"]) == (before["now"], before["pending"], before["waiting"])
    assert "delivered" in firm.kinds()


async def test_a_taken_port_leaves_nothing_open(tmp_path: Path) -> None:
    async with bench(settings(tmp_path), listen=False) as firm:
        taken = replace(settings(tmp_path / "b"), control_port=firm.carrier.ports["platform"])
        with pytest.raises(OSError, match="in use"):
            await Carrier(taken).start()


async def test_on_the_wall_clock_receipts_come_by_themselves(tmp_path: Path) -> None:
    given = CarrierSettings(state=tmp_path / "c.sqlite", mode="real", shares={"blank": 1.0})
    async with bench(given) as firm:
        firm.now = firm.carrier.clock.now()
        await firm.control("uplink", recipient="10012345678", text="你好")
        await firm.quiet()
        assert [one.kind for one in firm.received] == ["text"]
        assert (await firm.post("now", json.dumps({"now": firm.now.isoformat()}).encode())).status_code == 400


async def test_the_process_keeps_what_it_took_through_a_kill(tmp_path: Path) -> None:
    state = tmp_path / "c.sqlite"
    arguments = [
        sys.executable,
        "-m",
        "daemon.carrier",
        "--state",
        str(state),
        "--mode",
        "stepped",
        "--start",
        START.isoformat(),
    ]

    async def start() -> tuple[asyncio.subprocess.Process, dict[str, int]]:
        process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        ports: dict[str, int] = json.loads(await process.stdout.readline())["ports"]
        return process, ports

    transport = HttpxTransport()
    process, ports = await start()
    config = CtcuConfig(
        "g",
        f"http://127.0.0.1:{ports['platform']}",
        CHATBOT,
        "duenotice",
        "stand-in-app-key",
        "stand-in-callback-token",
    )
    channel = Ctcu(config, transport, MemoryTokens(), MemoryNonces())
    assert (await channel.send(message(), now=START)).kind is VerdictKind.ACCEPTED
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    process, ports = await start()
    url = f"http://127.0.0.1:{ports['control']}/control/ledger"
    answer = await transport.post(url, headers={"authorization": "Bearer stand-in-control-token"}, body=b"", timeout=5)
    os.kill(process.pid, signal.SIGTERM)
    assert await process.wait() == 0
    await transport.aclose()
    assert json.loads(answer.body)["totals"]["taken"] == 1


def test_wrong_settings_are_named_all_at_once(tmp_path: Path) -> None:
    config = tmp_path / "carrier.json"
    config.write_text(json.dumps({"state": 1, "profil": "calm", "port": "80"}))
    with pytest.raises(ConfigError) as wrong:
        load(config)
    assert {finding.key for finding in wrong.value.findings} == {"state", "profil", "port"}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"profile": "hail"}, "profile"),
        ({"repeat": "maybe"}, "repeat"),
        ({"mode": "stepped"}, "start"),
        ({"shares": {"toaster": 0.1}}, "shares.toaster"),
        ({"faults": {"lost": 1.5}}, "faults.lost"),
    ],
)
def test_a_setting_outside_its_choices_is_refused(tmp_path: Path, changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        CarrierSettings(state=tmp_path / "c", **changed)
    assert [finding.key for finding in wrong.value.findings] == [key]


def test_settings_come_from_a_file_and_options_win(tmp_path: Path) -> None:
    config = tmp_path / "carrier.json"
    config.write_text(json.dumps({"state": "x", "mode": "stepped", "start": "2024-02-01T00:00:00+00:00", "seed": 3}))
    loaded = load(config, seed=4)
    assert (loaded.state, loaded.start, loaded.seed) == (Path("x"), START, 4)


def test_unusable_settings_exit_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none.json")]) == 78
    assert "none.json" in capsys.readouterr().err
