"""The route table on an embedded server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from daemon.server import Reply, Request, Route, Running, serve
from daemon.transport import Answer, HttpxTransport, Lost

seen: list[Request] = []


async def echo(request: Request) -> Reply:
    seen.append(request)
    return Reply(201, request.body, {"x-answer": "yes"})


async def cut(_request: Request) -> Reply:
    return Reply(cut=True)


async def broken(_request: Request) -> Reply:
    raise RuntimeError("planned")


ROUTES = [
    Route("POST", "/a/{one}/b", echo, cap=100),
    Route("POST", "/rest/{one}/{tail:path}", echo),
    Route("POST", "/cut", cut),
    Route("POST", "/broken", broken),
]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    seen.clear()
    server = await serve(ROUTES, "127.0.0.1", 0, grace=1)
    yield server
    await server.stop()


@pytest.fixture
async def transport() -> AsyncIterator[HttpxTransport]:
    opened = HttpxTransport()
    yield opened
    await opened.aclose()


async def post(transport: HttpxTransport, running: Running, path: str, body: bytes = b"x") -> Answer:
    return await transport.post(f"http://127.0.0.1:{running.port}{path}", headers={"X-B": "1"}, body=body, timeout=5)


async def test_a_request_reaches_its_handler_decoded(running: Running, transport: HttpxTransport) -> None:
    answer = await post(transport, running, "/a/sip%3A1%40x/b?q=1", b"body")
    assert (answer.status_code, answer.body, answer.headers["x-answer"]) == (201, b"body", "yes")
    assert seen[0].params == {"one": "sip:1@x"}
    assert seen[0].query == {"q": "1"}
    assert (seen[0].headers["x-b"], seen[0].body, seen[0].method) == ("1", b"body", "POST")


async def test_a_raw_id_in_a_path_is_the_same_as_its_encoded_form(running: Running, transport: HttpxTransport) -> None:
    await post(transport, running, "/a/sip:1@x/b")
    assert seen[0].params == {"one": "sip:1@x"}


async def test_the_rest_of_a_path_is_one_parameter(running: Running, transport: HttpxTransport) -> None:
    await post(transport, running, "/rest/g/deliveryNotification/sip%3A1%40x/status")
    assert seen[0].params == {"one": "g", "tail": "deliveryNotification/sip:1@x/status"}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [("/none", b"x", 404), ("/a/1/b", b"x" * 101, 413), ("/a/1/b", b"x" * 100, 201), ("/broken", b"x", 500)],
)
async def test_refusals(running: Running, transport: HttpxTransport, path: str, body: bytes, expected: int) -> None:
    assert (await post(transport, running, path, body)).status_code == expected


async def raw(running: Running, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(request)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_chunked_body_over_the_cap_is_refused_while_it_comes(running: Running) -> None:
    chunks = b"40\r\n" + b"x" * 64 + b"\r\n"
    head = b"POST /a/1/b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert (await raw(running, head + chunks * 4 + b"0\r\n\r\n")).startswith(b"HTTP/1.1 413")
    assert seen == []


async def test_another_method_is_405(running: Running) -> None:
    answer = await raw(running, b"GET /a/1/b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405")


async def test_a_cut_reply_is_a_closed_connection(running: Running, transport: HttpxTransport) -> None:
    with pytest.raises(Lost):
        await post(transport, running, "/cut")


async def test_signals_stay_with_the_process_and_a_taken_port_is_an_error(running: Running) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match="in use"):
        await serve(ROUTES, "127.0.0.1", running.port)
    assert signal.getsignal(signal.SIGTERM) is before


async def test_stop_closes_idle_connections_and_the_port(transport: HttpxTransport) -> None:
    server = await serve(ROUTES, "127.0.0.1", 0, grace=1)
    await post(transport, server, "/a/1/b")
    async with asyncio.timeout(3):
        await server.stop()
    with pytest.raises(OSError, match=r"refused|failed"):
        await asyncio.open_connection("127.0.0.1", server.port)
