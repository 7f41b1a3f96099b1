"""HTTP without a wire: routes that listen here are reached by the transport that is here. Time stands still meanwhile.

What a carrier's fault does to a connection is kept: a `cut` answer is Lost, a port on which nobody listens is NotSent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from daemon.server import Reply, Request, Route
from daemon.transport import Answer, Lost, NotSent


class Network:
    """A `Transport`, and what `serve` is to it (`listen`)."""

    def __init__(self) -> None:
        self._ports = itertools.count(1)
        self._routes: dict[int, Sequence[Route]] = {}

    async def listen(self, routes: Sequence[Route], host: str, port: int, *, grace: float = 5.0) -> Listening:
        """Answer these routes on a port of this network, a free one where 0 is asked for."""
        number = port or next(self._ports)
        self._routes[number] = routes
        return Listening(self, number)

    def silence(self, port: int) -> None:
        """Nobody listens on this port any more."""
        self._routes.pop(port, None)

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - of the protocol; nothing takes time here
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """One request to whoever listens on the URL's port. Raises NotSent, Lost."""
        parts = urlsplit(url)
        routes = self._routes.get(parts.port or 0)
        if routes is None:
            raise NotSent("connection refused")
        if on_sent is not None:
            on_sent()
        reply = await self._answer(routes, parts.path, dict(parse_qsl(parts.query)), headers, body)
        if reply.cut:
            raise Lost("the connection was closed without an answer")
        return Answer(reply.status_code, {k.lower(): v for k, v in reply.headers.items()}, reply.body, 0.0)

    @staticmethod
    async def _answer(
        routes: Sequence[Route], path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        for route in routes:
            params = _match(route.path, path)
            if params is None or route.method != "POST":
                continue
            if len(body) > route.cap:
                return Reply(413)
            lower = {name.lower(): value for name, value in headers.items()}
            return await route.handler(Request("POST", unquote(path), params, query, lower, body, "127.0.0.1"))
        return Reply(404)

    async def aclose(self) -> None:
        """Nothing to close."""


class Listening:
    """Routes that can be reached on `port` until they are stopped."""

    def __init__(self, network: Network, port: int) -> None:
        self._network, self.port = network, port

    async def stop(self) -> None:
        """Be reached no more."""
        self._network.silence(self.port)


def _match(pattern: str, path: str) -> dict[str, str] | None:
    """The parameters of a path by a route's pattern (`{name}` one segment, `{name:path}` the rest); None: it is another one."""
    wanted, found = pattern.strip("/").split("/"), path.strip("/").split("/")
    params: dict[str, str] = {}
    for at, part in enumerate(wanted):
        if part.startswith("{") and part.endswith(":path}"):
            params[part[1:-6]] = unquote("/".join(found[at:]))
            return params
        if at >= len(found):
            return None
        if part.startswith("{"):
            params[part[1:-1]] = unquote(found[at])
        elif part != found[at]:
            return None
    return params if len(found) == len(wanted) else None
