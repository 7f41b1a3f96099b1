"""What leaves, what does not, and that the difference is read from the connection and not from the error's class."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from daemon.transport import Answer, BulkTransport, HttpxTransport, Lost, NotSent

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Name: v\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


@asynccontextmanager
async def peer(answer: bytes | None, seen: list[bytes] | None = None, *, close: bool = True) -> AsyncIterator[str]:
    """A peer that reads one request a connection, writes `answer` raw and closes; None: it never answers."""
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            if seen is not None:
                seen.append(request)
            if answer is None:
                await done.wait()
            else:
                writer.write(answer)
            if close:
                break
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()


@pytest.fixture(params=[HttpxTransport, BulkTransport])
def make(request: pytest.FixtureRequest) -> type[HttpxTransport] | type[BulkTransport]:
    found: type[HttpxTransport] | type[BulkTransport] = request.param
    return found


@pytest.fixture
async def transport(make: type[HttpxTransport]) -> AsyncIterator[HttpxTransport]:
    opened = make(answer_cap=10_000)
    yield opened
    await opened.aclose()


async def post(transport: HttpxTransport, url: str, *, within: float = 5.0, marks: list[int] | None = None) -> Answer:
    on_sent = None if marks is None else lambda: marks.append(1)
    return await transport.post(
        url, headers={"content-type": "text/plain"}, body=b"body", timeout=within, on_sent=on_sent
    )


async def test_an_answer_comes_back_whole_with_lower_case_header_names(transport: HttpxTransport) -> None:
    marks: list[int] = []
    async with peer(OK) as url:
        answer = await post(transport, url, marks=marks)
    assert (answer.status_code, answer.body, answer.headers["x-name"], marks) == (200, b"ok", "v", [1])


async def test_a_refused_connection_is_not_sent(transport: HttpxTransport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    marks: list[int] = []
    with pytest.raises(NotSent):
        await post(transport, f"http://127.0.0.1:{port}", marks=marks)
    assert marks == []


async def test_a_failed_tls_handshake_is_not_sent(transport: HttpxTransport) -> None:
    async with peer(OK) as url:
        with pytest.raises(NotSent):
            await post(transport, url.replace("http:", "https:"), within=1.0)


async def test_a_wait_for_a_free_connection_is_not_sent(make: type[HttpxTransport]) -> None:
    transport = make(connections=1)
    seen: list[bytes] = []
    async with peer(None, seen) as url:
        left = asyncio.Event()
        first = asyncio.create_task(transport.post(url, headers={}, body=b"first", timeout=5, on_sent=left.set))
        await left.wait()
        with pytest.raises(NotSent):
            await post(transport, url, within=0.05)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    await transport.aclose()
    assert len(seen) == 1


BROKEN_ANSWERS = {
    "closed without a byte": b"",
    "half a status line": b"HTTP/1.",
    "no HTTP at all": b"220 smtp.example ESMTP\r\n\r\n",
    "a body shorter than declared": b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\nshort",
    "a torn chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc",
    "a bad chunk size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nokk",
    "an endless body": b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000,
}


@pytest.mark.parametrize("answer", BROKEN_ANSWERS.values(), ids=BROKEN_ANSWERS.keys())
async def test_a_broken_answer_is_lost(transport: HttpxTransport, answer: bytes) -> None:
    marks: list[int] = []
    async with peer(answer) as url:
        with pytest.raises(Lost):
            await post(transport, url, marks=marks)
    assert marks == [1]


async def test_no_answer_in_time_is_lost(transport: HttpxTransport) -> None:
    async with peer(None) as url:
        with pytest.raises(Lost):
            await post(transport, url, within=1.0)


async def test_a_connection_the_peer_has_closed_is_never_repeated_silently(transport: HttpxTransport) -> None:
    """The peer promises keep-alive and closes: the second request is an answer, or lost, but leaves once."""
    seen: list[bytes] = []
    async with peer(OK, seen) as url:
        await post(transport, url)
        try:
            await post(transport, url)
        except Lost:
            assert len(seen) == 1
        else:
            assert len(seen) == 2


async def test_warm_connections_are_used_again(transport: HttpxTransport) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while not reader.at_eof():
            try:
                await read_request(reader)
            except asyncio.IncompleteReadError:
                break
            writer.write(OK)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for _ in range(3):
        await post(transport, url)
    server.close()
    assert connections == 1


async def test_redirects_are_not_followed_and_cookies_not_kept(transport: HttpxTransport) -> None:
    seen: list[bytes] = []
    moved = b"HTTP/1.1 302 Found\r\nlocation: /else\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n"
    async with peer(moved, seen, close=False) as url:
        assert (await post(transport, url)).status_code == 302
        await post(transport, url)
    assert len(seen) == 2
    assert all(request.startswith(b"POST / ") and b"cookie" not in request.lower() for request in seen)


async def test_a_callers_cancel_stays_a_cancel(transport: HttpxTransport) -> None:
    async with peer(None) as url:
        left = asyncio.Event()
        task = asyncio.create_task(transport.post(url, headers={}, body=b"x", timeout=5, on_sent=left.set))
        await left.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    "module", ["daemon.transport", "daemon.server", "daemon.channels.ctcu", "daemon.web.callbacks"]
)
def test_importing_loads_no_http_library(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'httpx','aiohttp','starlette','uvicorn'}} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
