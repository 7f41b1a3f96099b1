"""HTTP in: a small table of routes on an embedded server.

The only user of starlette and uvicorn, both imported by `serve`. Takes no signals: the process that embeds it decides
when to stop. Leaves to others: authentication and what a request means.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import uvicorn
    from starlette.requests import Request as StarletteRequest
    from starlette.responses import Response as StarletteResponse

BODY_CAP = 256 * 1024
BODY_SECONDS = 15.0
"""How long a peer may take to hand over a body."""
KEEPALIVE_SECONDS = 75


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body read whole. `path` and `params` are percent-decoded; header names are lower case, values
    of a repeated header joined by ', ' (RFC 9110 section 5.3)."""

    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer. `cut` closes the connection without one byte of it (a stand-in's fault, never the daemon's)."""

    status_code: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` may hold `{name}` for one segment and `{name:path}` for the rest. A body over `cap` bytes gets 413."""

    method: str
    path: str
    handler: Handler
    cap: int = BODY_CAP


class Server(Protocol):
    """Something that answers on `port`, until it is stopped."""

    @property
    def port(self) -> int: ...

    async def stop(self) -> None: ...


class Listen(Protocol):
    """What `serve` does, for those that can be put on a network of their own."""

    async def __call__(self, routes: Sequence[Route], host: str, port: int, *, grace: float = 5.0) -> Server: ...


class Running:
    """A server that accepts connections; `port` is the real one, also where 0 was asked for."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], host: str, port: int) -> None:
        self._server = server
        self._task = task
        self.host = host
        self._port = port

    @property
    def port(self) -> int:
        """The real one."""
        return self._port

    async def stop(self) -> None:
        """Stop accepting, let requests under way end within the grace given to `serve`, close all connections."""
        self._server.should_exit = True
        await self._task


async def serve(
    routes: Sequence[Route], host: str, port: int, *, connections: int = 1024, grace: float = 5.0
) -> Running:
    """Listen on `host`:`port` (0: any free port) and answer `routes`; returns once connections are accepted.

    An unknown path gets 404, a known one with another method 405, more than `connections` at a time 503, a handler that
    raises 500. Raises OSError when the address cannot be had.
    """
    listener = _listen(host, port)
    server, started = _embedded(routes, connections, grace)
    task = asyncio.create_task(server.serve(sockets=[listener]), name=f"server {host}:{port}")
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiting.cancel()
        listener.close()
        await task
        raise OSError(f"the server on {host}:{port} ended before it had started")
    return Running(server, task, host, listener.getsockname()[1])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: without it each answer waits 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _embedded(routes: Sequence[Route], connections: int, grace: float) -> tuple[uvicorn.Server, asyncio.Event]:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Route as StarletteRoute
    from uvicorn.protocols.http.h11_impl import H11Protocol

    started = asyncio.Event()

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield  # uvicorn would stop itself on the process's SIGTERM before the process has drained

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.app_state = {**self.app_state, "connection": transport}  # for Reply.cut

    app = Starlette(routes=[StarletteRoute(r.path, _endpoint(r), methods=[r.method]) for r in routes])
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEPALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(grace)),
        limit_concurrency=connections,
        backlog=1024,
    )
    return Server(config), started


def _endpoint(route: Route) -> Callable[[StarletteRequest], Awaitable[StarletteResponse]]:
    from starlette.responses import Response

    async def endpoint(incoming: StarletteRequest) -> StarletteResponse:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(incoming, route.cap)
        except TimeoutError:
            return Response(status_code=408, headers={"connection": "close"})
        if body is None:
            return Response(status_code=413, headers={"connection": "close"})
        reply = await route.handler(_request(incoming, body))
        if reply.cut:
            await _cut(incoming.scope["state"]["connection"])
        return Response(reply.body, reply.status_code, dict(reply.headers))

    return endpoint


async def _body(incoming: StarletteRequest, cap: int) -> bytes | None:
    """The whole body, or None as soon as it is known to be longer than `cap`."""
    declared = incoming.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > cap:
        return None
    received = bytearray()
    async for chunk in incoming.stream():
        received += chunk
        if len(received) > cap:
            return None
    return bytes(received)


def _request(incoming: StarletteRequest, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for name, value in incoming.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    params: dict[str, Any] = incoming.path_params
    peer = incoming.client.host if incoming.client else ""
    return Request(incoming.method, incoming.scope["path"], params, dict(incoming.query_params), headers, body, peer)


async def _cut(connection: asyncio.Transport) -> None:
    connection.abort()
    await asyncio.sleep(0)  # connection_lost runs, so that what is answered after it goes nowhere
