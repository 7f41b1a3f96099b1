"""Callbacks over real HTTP: authenticated, kept, only then answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from daemon.channels.channel import MemoryNonces, ReceiptKind, Received
from daemon.channels.ctcu import Ctcu, CtcuConfig, signature
from daemon.channels.tokens import MemoryTokens
from daemon.server import Running, serve
from daemon.transport import Answer, HttpxTransport
from daemon.web.callbacks import routes

NOW = datetime(2024, 2, 1, tzinfo=UTC)
CHATBOT = "sip:106500@botplatform.rcs.domain.cn"
CONFIG = CtcuConfig("unicom", "http://platform", CHATBOT, "app", "key", "mytoken")
PATH = "/callbacks/unicom/deliveryNotification/sip%3A106500%40botplatform.rcs.domain.cn/status"
INFO = {
    "messageId": "p1",
    "dateTime": "2024-02-01T08:00:00+08:00",
    "status": "delivered",
    "senderAddress": "tel:+8610012345678",
}
BODY = json.dumps({"deliveryInfoList": [INFO]}).encode()


class Kept:
    """A sink that keeps, or refuses to while `full`; and the notes of what was refused."""

    def __init__(self) -> None:
        self.full = False
        self.kept: list[tuple[str, bytes, list[Received]]] = []
        self.notes: list[tuple[str, str, str]] = []

    async def store(self, gateway: str, raw: bytes, received: Sequence[Received]) -> None:
        if self.full:
            raise OSError("no space left")
        self.kept.append((gateway, raw, list(received)))

    def note(self, gateway: str, what: str, error: Exception) -> None:
        self.notes.append((gateway, what, str(error)))


@asynccontextmanager
async def listening(kept: Kept) -> AsyncIterator[tuple[HttpxTransport, Running]]:
    transport = HttpxTransport()
    channel = Ctcu(CONFIG, transport, MemoryTokens(), MemoryNonces())
    server = await serve(routes({"unicom": channel}, kept.store, lambda: NOW, kept.note), "127.0.0.1", 0, grace=1)
    try:
        yield transport, server
    finally:
        await server.stop()
        await transport.aclose()


def signed(nonce: str = "n1", token: str = "mytoken") -> dict[str, str]:
    stamp = str(int(NOW.timestamp()))
    return {"Timestamp": stamp, "Nonce": nonce, "Signature": signature(token, stamp, nonce)}


async def post(at: tuple[HttpxTransport, Running], path: str, headers: dict[str, str], body: bytes = BODY) -> Answer:
    transport, server = at
    return await transport.post(f"http://127.0.0.1:{server.port}{path}", headers=headers, body=body, timeout=5)


async def get(server: Running, path: str, headers: dict[str, str]) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"GET {path} HTTP/1.1", "host: x", "connection: close", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


async def test_a_callback_is_kept_with_its_raw_bytes_and_answered_204() -> None:
    kept = Kept()
    async with listening(kept) as at:
        answer = await post(at, PATH, signed())
    assert (answer.status_code, answer.body) == (204, b"")
    ((gateway, raw, received),) = kept.kept
    assert (gateway, raw, [one.kind for one in received]) == ("unicom", BODY, [ReceiptKind.DELIVERED])


async def test_a_duplicate_is_answered_204_too() -> None:
    kept = Kept()
    async with listening(kept) as at:
        assert [(await post(at, PATH, signed())).status_code for _ in range(3)] == [204, 204, 204]
    assert len(kept.kept) == 3


async def test_a_wrong_signature_is_403_and_nothing_is_kept() -> None:
    kept = Kept()
    async with listening(kept) as at:
        assert (await post(at, PATH, signed(token="other"))).status_code == 403
    assert kept.kept == []
    assert [note[:2] for note in kept.notes] == [("unicom", "refused")]


async def test_what_could_not_be_kept_is_503_and_its_repeat_gets_through() -> None:
    kept = Kept()
    async with listening(kept) as at:
        kept.full = True
        assert (await post(at, PATH, signed())).status_code == 503
        kept.full = False
        assert (await post(at, PATH, signed())).status_code == 204
    assert len(kept.kept) == 1
    assert [note[1] for note in kept.notes] == ["not_stored"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/callbacks/other/deliveryNotification/x/status", BODY, 404),
        ("/callbacks/unicom/else", BODY, 404),
        ("/elsewhere", BODY, 404),
        (PATH, b"x" * (256 * 1024 + 1), 413),
    ],
)
async def test_what_is_not_ours_or_too_long_is_refused(path: str, body: bytes, expected: int) -> None:
    kept = Kept()
    async with listening(kept) as at:
        assert (await post(at, path, signed(), body)).status_code == expected
    assert kept.kept == []


async def test_the_check_of_our_address_is_answered_by_headers() -> None:
    async with listening(Kept()) as at:
        good = await get(at[1], "/callbacks/unicom/notifyPath", signed() | {"echoStr": "e1"})
        bad = await get(at[1], "/callbacks/unicom/notifyPath", signed(token="other") | {"echoStr": "e1"})
        other = await get(at[1], "/callbacks/other/notifyPath", signed())
    assert good.startswith("HTTP/1.1 200")
    assert "echostr: e1" in good.lower()
    assert "appid: app" in good.lower()
    assert bad.startswith("HTTP/1.1 403")
    assert other.startswith("HTTP/1.1 404")
