"""Pages reach people over real connections: robots that check their signature, a mail server that insists on STARTTLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from daemon.alarms.calling import Calling
from daemon.alarms.plan import Roster, Step
from daemon.alarms.ways import ROBOT_BYTES, Heartbeat, Mail, Robot, Texts
from daemon.compose import open_store
from daemon.server import Reply, Request, Route, serve
from daemon.settings_files import load_settings
from daemon.store import clocksteps, pages
from daemon.store.db import Store
from daemon.transport import HttpxTransport
from tests.builders_store import NOW, new_store
from tests.fakes import FakeChannel

SECRET = "SECb1d"


@dataclass
class Robots:
    """WeCom and DingTalk group robots, and a host that waits for heartbeats; `down` answers nothing but 502."""

    texts: list[str] = field(default_factory=list)
    beats: list[Any] = field(default_factory=list)
    down: bool = False
    both: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a text and a heartbeat have come."""

    def routes(self) -> list[Route]:
        names = {"wecom": self.wecom, "dingtalk": self.dingtalk, "beat": self.beat}
        return [Route("POST", f"/{name}", handler) for name, handler in names.items()]

    async def wecom(self, request: Request) -> Reply:
        return self._take(request) if request.query.get("key") == "k" else self._said(93000)

    async def dingtalk(self, request: Request) -> Reply:
        stamp = request.query.get("timestamp", "")
        made = hmac.new(SECRET.encode(), f"{stamp}\n{SECRET}".encode(), hashlib.sha256).digest()
        good = request.query.get("sign") == base64.b64encode(made).decode() and len(stamp) == 13
        return self._take(request) if good else self._said(310000)

    async def beat(self, request: Request) -> Reply:
        self.beats.append(json.loads(request.body))
        self._look()
        return Reply(200, b"OK")

    def _take(self, request: Request) -> Reply:
        if self.down:
            return Reply(502)
        found = json.loads(request.body)
        if set(found) != {"msgtype", "text"} or len(found["text"]["content"].encode()) > ROBOT_BYTES:
            return self._said(40058)
        self.texts.append(found["text"]["content"])
        self._look()
        return self._said(0)

    def _look(self) -> None:
        if self.texts and self.beats:
            self.both.set()

    @staticmethod
    def _said(code: int) -> Reply:
        return Reply(200, json.dumps({"errcode": code, "errmsg": "said"}).encode())


class Clock:
    """`now` is set; `elapsed` moves a minute with each look, so that no way rests."""

    def __init__(self) -> None:
        self.at, self.seconds = NOW, 0.0

    def now(self) -> datetime:
        return self.at

    def elapsed(self) -> float:
        self.seconds += 60
        return self.seconds


@dataclass
class Duty:
    robots: Robots
    url: str
    transport: HttpxTransport
    store: Store
    clock: Clock

    def robot(self) -> Robot:
        return Robot(f"{self.url}/wecom?key=k", self.transport)

    def calling(self, roster: Roster, **ways: Any) -> Calling:
        return Calling(self.store, self.clock, "n1", roster, ways)

    def page(self, key: str, severity: str = "urgent", sentence: str = "feed margin: poll failed") -> None:
        with self.store.write() as tx:
            pages.page(tx, key, severity, sentence, now=self.clock.at)

    def acknowledge(self, key: str) -> None:
        with self.store.write() as tx:
            pages.acknowledge(tx, key, by="wang", now=self.clock.at)


@pytest.fixture
async def duty(tmp_path: Path) -> AsyncIterator[Duty]:
    robots, transport, store = Robots(), HttpxTransport(), new_store(tmp_path / "state")
    running = await serve(robots.routes(), "127.0.0.1", 0, grace=1)
    yield Duty(robots, f"http://127.0.0.1:{running.port}", transport, store, Clock())
    await transport.aclose()
    await running.stop()
    store.close()


async def test_due_pages_go_out_as_one_text_and_only_once_also_after_a_restart(duty: Duty) -> None:
    roster = Roster({"warning": ("robot",), "urgent": ("robot",)})
    duty.page("orphan", "warning", "gateway main: receipts of an unknown kind")
    duty.page("failed")
    assert await duty.calling(roster, robot=duty.robot()).pass_(NOW) == 1
    (text,) = duty.robots.texts
    assert text.splitlines() == [
        "Due Notice n1: 1 紧急 urgent, 1 其他 other",
        "[urgent] 02-01 08:00 feed margin: poll failed",
        "[warning] 02-01 08:00 gateway main: receipts of an unknown kind",
    ]
    assert await duty.calling(roster, robot=duty.robot()).pass_(NOW + timedelta(hours=1)) == 0


async def test_dingtalk_takes_what_is_signed(duty: Duty) -> None:
    url = f"{duty.url}/dingtalk?access_token=t"
    heard = await Robot(url, duty.transport, SECRET).tell("page-1", "hello", datetime.now(UTC))
    assert (heard.told, heard.code, duty.robots.texts) == (True, "errcode 0", ["hello"])
    heard = await Robot(url, duty.transport, "another").tell("page-1", "hello", datetime.now(UTC))
    assert (heard.told, heard.code) == (False, "errcode 310000")


async def test_a_text_longer_than_a_robot_takes_is_cut_at_a_character(duty: Duty) -> None:
    assert (await duty.robot().tell("page-1", "追" * 3000, NOW)).told
    assert len(duty.robots.texts[0].encode()) <= ROBOT_BYTES and set(duty.robots.texts[0]) == {"追", "…"}


async def test_a_robot_that_is_down_leads_to_the_next_people(duty: Duty) -> None:
    phones = FakeChannel()
    roster = Roster({"urgent": ("robot",)}, (Step(timedelta(hours=9), ("phones",)),))
    duty.robots.down = True
    duty.page("failed")
    calling = duty.calling(roster, robot=duty.robot(), phones=Texts(phones, ["10012345678"], "样例证券"))
    for _ in range(4):
        await calling.pass_(duty.clock.at)
        duty.clock.at += timedelta(minutes=6)
    (arrived,) = phones.far.taken.values()
    assert arrived.text.startswith("【样例证券】Due Notice n1: 1 紧急") and arrived.times == 1
    duty.robots.down = False
    await calling.pass_(duty.clock.at)
    assert len(duty.robots.texts) == 1  # the first way is still told once it is back


async def test_an_acknowledged_page_goes_no_further(duty: Duty) -> None:
    roster = Roster({"urgent": ("robot",)}, (Step(timedelta(minutes=10), ("robot",)),), timedelta(minutes=10))
    calling = duty.calling(roster, robot=duty.robot())
    duty.page("failed")
    await calling.pass_(NOW)
    await calling.pass_(NOW + timedelta(minutes=11))
    assert len(duty.robots.texts) == 2
    duty.acknowledge("failed")
    await calling.pass_(NOW + timedelta(hours=5))
    assert len(duty.robots.texts) == 2


async def test_a_heartbeat_goes_out_while_passes_end_and_no_longer(duty: Duty) -> None:
    beat = Heartbeat(f"{duty.url}/beat", "n1", duty.transport)
    calling = Calling(duty.store, duty.clock, "n1", Roster(), {}, beat)
    await calling.beat(duty.clock.seconds + 30)
    await calling.beat(duty.clock.seconds - 600)
    assert duty.robots.beats == [{"node": "n1", "at": "2024-02-01T00:00:00+00:00"}]


@dataclass
class Letters:
    """Keeps what arrives."""

    got: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(envelope.content)
        return "250 OK"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(start).not_valid_after(start + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    form = serialization.PrivateFormat.PKCS8
    raw = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM) + raw)
    return folder / "both.pem"


@pytest.fixture
def server(certificate: Path) -> Iterator[tuple[int, Letters]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    letters = Letters()
    running = Controller(letters, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True)
    running.start()
    yield running.server.sockets[0].getsockname()[1], letters
    running.stop()


async def test_mail_goes_by_starttls_to_a_server_that_is_trusted(
    server: tuple[int, Letters], certificate: Path
) -> None:
    port, letters = server
    trusted = ssl.create_default_context(cafile=str(certificate))
    mail = Mail("127.0.0.1", port, "duenotice@firm.example", ["duty@firm.example"], tls=trusted)
    assert (await mail.tell("page-1", "Due Notice n1: 1 紧急\n[urgent] 正文", NOW)).told
    letter = message_from_bytes(letters.got[0], policy=default)
    assert letter["subject"] == "Due Notice n1: 1 紧急" and "正文" in letter.get_content()
    stranger = Mail("127.0.0.1", port, "duenotice@firm.example", ["duty@firm.example"])
    heard = await stranger.tell("page-1", "text", NOW)
    assert (heard.told, heard.code) == (False, "SSLCertVerificationError") and len(letters.got) == 1


async def test_a_mail_server_without_starttls_gets_nothing() -> None:
    letters = Letters()
    running = Controller(letters, hostname="127.0.0.1", port=free_port())
    running.start()
    try:
        port = running.server.sockets[0].getsockname()[1]
        heard = await Mail("127.0.0.1", port, "a@b.example", ["c@d.example"]).tell("page-1", "text", NOW)
        assert not heard.told and letters.got == []
    finally:
        running.stop()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


COMMAND = (sys.executable, "-m", "daemon.cli")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A new installation."""
    subprocess.run([*COMMAND, "init", str(tmp_path / "home")], check=True, capture_output=True)
    return tmp_path / "home"


async def test_the_daemon_itself_calls_people_and_says_that_it_lives(home: Path) -> None:
    robots = Robots()
    running = await serve(robots.routes(), "127.0.0.1", 0, grace=1)
    config = home / "config" / "duenotice.yaml"
    (home / "config" / "robot").write_text(f"http://127.0.0.1:{running.port}/wecom?key=k\n")
    (home / "config" / "robot").chmod(0o600)
    (home / "config" / "beat").write_text(f"http://127.0.0.1:{running.port}/beat\n")
    (home / "config" / "beat").chmod(0o600)
    said = (
        "alarms:\n  ways: {robot: {type: wecom, url_file: robot}}\n  urgent: [robot]\n  heartbeat: {url_file: beat}\n"
    )
    port = free_port()
    config.write_text(config.read_text().replace("alarms: {}\n", said).replace("port: 8443", f"port: {port}"))
    store = open_store(load_settings(config))
    with store.write() as tx:
        pages.page(tx, "drill", "urgent", "a drill", now=datetime.now(UTC))
    store.close()
    daemon = await asyncio.create_subprocess_exec(
        *COMMAND, "--config", str(config), "run", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            await robots.both.wait()
        assert json.loads(await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/health"))["status"] == "ok"
    finally:
        daemon.terminate()
        await daemon.wait()
        await running.stop()
    assert any("a drill" in text for text in robots.texts)


def test_a_person_confirms_a_clock_that_stepped_by_name_and_only_then(home: Path) -> None:
    config = home / "config" / "duenotice.yaml"
    store = open_store(load_settings(config))
    said = [
        *COMMAND,
        "--config",
        str(config),
        "alarms",
        "clock",
        "--by",
        "ops.wang",
        "--reason",
        "the host was set right",
    ]
    assert subprocess.run(said, capture_output=True, check=False).returncode == 2
    with store.write() as tx:
        clocksteps.stepped(tx, timedelta(hours=8), now=NOW)
        assert not clocksteps.confirmed(tx)
    assert subprocess.run(said, capture_output=True, check=False).returncode == 0
    with store.read() as tx:
        assert clocksteps.confirmed(tx)
        assert clocksteps.PAGE not in [row["key"] for row in pages.pages_of(tx)]
    store.close()
