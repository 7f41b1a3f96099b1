"""What a gateway can answer, byte for byte, and the state each answer leads to. No row is ever repeated by the transport.

accepted   it has the message
rejected   it has not, and will not take it: the next channel
retry      provably not taken: again, by this gateway or another one
in_doubt   it may have it: a receipt, a question, a revocation or the rule's choice; never a repeat by itself
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from daemon.channels.channel import Channel, MemoryNonces, Outgoing
from daemon.channels.ctcu import Ctcu, CtcuConfig
from daemon.channels.tokens import MemoryTokens, Token
from daemon.channels.webhook import Webhook, WebhookConfig
from daemon.deliver.settling import OWN
from daemon.transport import BulkTransport, HttpxTransport

NOW = datetime(2024, 2, 1, 1, 0, tzinfo=UTC)
TIMEOUT = 0.6
OUTGOING = Outgoing("m1", "p1", "sms", "13900000001", {}, "您好", "service", "c1", "k1", True, False)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """A whole answer, or one whose length is not what it says."""
    size = len(body) if length is None else length
    head = [f"HTTP/1.1 {status}", *headers, f"content-length: {size}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def says(raw: bytes) -> Answer:
    """Write and close."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return answer


def chunked(*chunks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(chunks)


async def nothing(writer: asyncio.StreamWriter) -> None:
    """Close without a byte."""


async def silence(writer: asyncio.StreamWriter) -> None:
    """Neither answer nor close."""
    await asyncio.sleep(TIMEOUT * 3)


async def reset(writer: asyncio.StreamWriter) -> None:
    """A TCP reset in place of an answer."""
    link = writer.get_extra_info("socket")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def half_head_then_reset(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await writer.drain()
    await reset(writer)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A good answer, a byte at a time, longer than one has."""
    for byte in http("200 OK", b'{"errorCode":0}'):
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(chunked())
    for _ in range(64):
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()


GOOD = http("200 OK", b'{"errorCode":0,"messageId":"p1","id":"p1"}')
D, A, R, X = "in_doubt", "accepted", "retry", "rejected"

ANSWERS: dict[str, tuple[Answer, str, str]] = {
    # name: what is answered, the state over ctcu, the state over webhook
    "taken": (says(GOOD), A, A),
    "200 with an HTML page": (says(http("200 OK", b"<html>login</html>", "content-type: text/html")), D, D),
    "200 without a body": (says(http("200 OK")), D, A),
    "204": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), D, A),
    "200 with JSON cut short": (says(http("200 OK", b'{"errorCode":0,"mess')), D, D),
    "200 with a list": (says(http("200 OK", b"[0]")), D, D),
    "200 with a code that is null": (says(http("200 OK", b'{"errorCode":null}')), D, A),
    "200 with a code that is true": (says(http("200 OK", b'{"errorCode":true}')), D, A),
    "200 with NaN": (says(http("200 OK", b'{"errorCode":NaN}')), D, D),
    "200 that is not UTF-8": (says(http("200 OK", '{"errorCode":0,"errorMessage":"成功"}'.encode("gbk"))), D, D),
    "200 with an unknown code": (says(http("200 OK", b'{"errorCode":99999}')), X, A),
    "200, packed though nobody asked": (
        says(http("200 OK", gzip.compress(b'{"errorCode":0}'), "content-encoding: gzip")),
        D,
        D,
    ),
    "200 for another message": (says(http("200 OK", b'{"errorCode":0,"messageId":"p9","id":"p9"}')), A, A),
    "length too long": (says(http("200 OK", b'{"errorCode":0}', length=500)), D, D),
    "length too short": (says(http("200 OK", b'{"errorCode":0}', length=5)), D, D),
    "length that is no number": (says(b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n{}"), D, D),
    "two lengths": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 15\r\n\r\n{}"), D, D),
    "chunks cut short": (says(chunked(b"f\r\n", b'{"errorCode":')), D, D),
    "a chunk whose size is no number": (says(chunked(b"zz\r\n", b'{"errorCode":0}\r\n0\r\n\r\n')), D, D),
    "an endless body": (endless, D, D),
    "a head of 100 kB": (says(http("200 OK", b"{}", "x: " + "y" * 100_000)), D, D),
    "a status line that is none": (says(b"HTTP/1.1 fine\r\n\r\n"), D, D),
    "HTTP/0.9": (says(b"<html>hello</html>\n"), D, D),
    "TLS on a plain port": (says(bytes.fromhex("15030300020246")), D, D),
    "closed without an answer": (nothing, D, D),
    "reset without an answer": (reset, D, D),
    "reset within the head": (half_head_then_reset, D, D),
    "no answer": (silence, D, D),
    "a byte at a time": (drip, D, D),
    "100 and then nothing": (says(b"HTTP/1.1 100 Continue\r\n\r\n"), D, D),
    "100 and then the answer": (says(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD), A, A),
    "101 switching protocols": (says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), D, D),
    "redirect": (says(http("302 Found", b"", "location: http://127.0.0.1:9/elsewhere")), X, X),
    "redirect that keeps the method": (says(http("307 Temporary Redirect", b"", "location: /again")), X, X),
    "401": (says(http("401 Unauthorized")), R, R),
    "403": (says(http("403 Forbidden")), X, R),
    "404": (says(http("404 Not Found")), X, X),
    "408": (says(http("408 Request Timeout")), D, D),
    "413": (says(http("413 Content Too Large")), X, X),
    "429": (says(http("429 Too Many Requests")), R, R),
    "429 with seconds": (says(http("429 Too Many Requests", b"", "retry-after: 7")), R, R),
    "429 with an absurd wait": (says(http("429 Too Many Requests", b"", "retry-after: 99999999999999")), R, R),
    "429 with a wait that is none": (says(http("429 Too Many Requests", b"", "retry-after: soon")), R, R),
    "500": (says(http("500 Internal Server Error", b'{"errorCode":0}')), D, D),
    "502 of a proxy": (says(http("502 Bad Gateway", b"<html>nginx</html>")), D, D),
    "503 with a wait": (says(http("503 Service Unavailable", b"", "retry-after: 3")), D, D),
    "a success twice on the line": (says(GOOD + GOOD), A, A),
}


@dataclass
class Far:
    """Counts the requests that it read whole."""

    port: int
    requests: int = 0


@asynccontextmanager
async def far_side(answer: Answer) -> AsyncIterator[Far]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        far.requests += 1
        with contextlib.suppress(ConnectionError):  # the sender has had enough
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    far = Far(server.sockets[0].getsockname()[1])
    try:
        yield far
    finally:
        server.close()


@pytest.fixture(params=[HttpxTransport, BulkTransport])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[BulkTransport]:
    opened = request.param()
    yield opened
    await opened.aclose()


async def channels(port: int, transport: BulkTransport) -> Iterator[Channel]:
    """The two HTTP dialects before one far side; the token of ctcu is there already."""
    tokens = MemoryTokens()
    await tokens.put("g", Token("t", NOW + timedelta(hours=1)))
    config = CtcuConfig("g", f"http://127.0.0.1:{port}", "sip:1@x.example", "a", "k", "c", timeout=TIMEOUT)
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    hook = WebhookConfig("g", f"http://127.0.0.1:{port}/", secret, timeout=TIMEOUT)
    return iter((Ctcu(config, transport, tokens, MemoryNonces()), Webhook(hook, transport, MemoryNonces())))


@pytest.mark.parametrize("name", ANSWERS)
async def test_each_answer_leads_to_its_state_in_one_request(name: str, transport: BulkTransport) -> None:
    answer, *expected = ANSWERS[name]
    found, requests = [], []
    for number in range(2):
        async with far_side(answer) as far:
            channel = list(await channels(far.port, transport))[number]
            verdict = await channel.send(OUTGOING, now=NOW)
            found.append(OWN[verdict.kind].value)
            requests.append(far.requests)
            assert verdict.retry_after is None or 0 <= verdict.retry_after <= 86_400 * 366
    assert found == expected
    assert requests == [1, 1]


async def test_where_nobody_listens_nothing_was_sent(transport: BulkTransport) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for channel in await channels(taken.getsockname()[1], transport):
            verdict = await channel.send(OUTGOING, now=NOW)
            assert OWN[verdict.kind].value == "retry"


def test_there_are_thirty_of_them() -> None:
    assert len(ANSWERS) >= 30
