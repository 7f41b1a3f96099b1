"""HTTP out: one POST, one answer, and the truth about whether a byte of the request left this machine.

The only user of httpx and aiohttp, both imported when the first request is made. httpx is the interface, aiohttp the
carrier of bytes below it: httpx's own pool collapses above ten connections and leaks a slot on every cancellation. For the
messages themselves aiohttp is used alone, behind the same protocol.

Only POST leaves. aiohttp repeats idempotent methods by itself on a connection that the peer has closed; a POST it never
repeats, so one call here is at most one request on the wire. Redirects are not followed, cookies not kept, environment
proxies not read, compressed answers not asked for and not unpacked. Leaves to others: what an answer means, waiting,
repeating, limits per gateway.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from daemon.errors import DueNoticeError

if TYPE_CHECKING:
    import aiohttp
    import httpx
    import yarl

OURS = {"accept-encoding": "identity", "user-agent": "duenotice"}
ANSWER_CAP = 256 * 1024
"""Bytes of an answer's body that are read; a longer answer is `Lost`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status code, headers by lower-case name, whole body as on the wire, seconds it took."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: float


class NotSent(DueNoticeError):
    """Provably no byte of the request left: no connection was had. Repeating cannot double anything."""


class Lost(DueNoticeError):
    """A byte of the request may have left and no whole answer came back: what the peer did is not known."""


class Transport(Protocol):
    """What the channels need of HTTP."""

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - part of what the answer means
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """One request and its answer within `timeout` seconds in all, any status code.

        `on_sent` is called once, right before the first byte leaves, and must not raise. Raises NotSent and Lost.
        """
        ...

    async def aclose(self) -> None:
        """Close the warm connections. A transport closed is not used again."""
        ...


class _Trace:
    """Whether the request on this task has begun to leave."""

    __slots__ = ("left", "on_sent")

    def __init__(self, on_sent: Callable[[], None] | None) -> None:
        self.left = False
        self.on_sent = on_sent

    def mark(self) -> None:
        if not self.left:
            self.left = True
            if self.on_sent is not None:
                self.on_sent()

    def failure(self, reason: str) -> NotSent | Lost:
        return Lost(reason) if self.left else NotSent(reason)


_current: ContextVar[_Trace] = ContextVar("daemon_transport_trace")


def _trace_config() -> aiohttp.TraceConfig:
    """aiohttp calls both marks before it hands the bytes to the socket, so an unmarked request has not left.

    The trace travels by context variable: httpx-aiohttp 0.2 passes no trace context, and maps a reset after sending to
    a connect time-out, so the exception's class says nothing.
    """
    import aiohttp

    async def mark(*_: object) -> None:
        _current.get().mark()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(mark)
    config.on_request_chunk_sent.append(mark)
    return config


def _cancelled(broken: Exception) -> None:
    """aiohttp turns a cancellation that hits it while it writes into a ClientOSError: a caller's cancel stays one."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from broken


class _Posting(ABC):
    """What both transports share. Opened by the first request, in the loop that makes it.

    `connections` bounds the open sockets in all; `keepalive` is how many seconds an idle one stays warm: shorter than
    common servers keep theirs (nginx 75 s), because a peer that closes first costs a request in doubt.
    `verify` is the TLS context, the system's roots if absent.
    """

    def __init__(
        self,
        *,
        connections: int = 100,
        keepalive: float = 4.0,
        answer_cap: int = ANSWER_CAP,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._connections = connections
        self._keepalive = keepalive
        self._answer_cap = answer_cap
        self._verify = verify

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - part of what the answer means
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        import aiohttp
        import httpx

        trace = _Trace(on_sent)
        token = _current.set(trace)
        try:
            async with asyncio.timeout(timeout):
                return await self._post(url, headers, body)
        except TimeoutError as late:
            raise trace.failure(f"no answer within {timeout} s") from late
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as broken:
            _cancelled(broken)
            raise trace.failure(f"{type(broken).__name__}: {broken}") from broken
        finally:
            _current.reset(token)

    @abstractmethod
    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The exchange, without bound in time."""

    def _more(self, received: bytearray, chunk: bytes) -> None:
        received += chunk
        if len(received) > self._answer_cap:
            raise ValueError(f"an answer of more than {self._answer_cap} bytes")

    def _session(self, tls: ssl.SSLContext) -> aiohttp.ClientSession:
        import aiohttp

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=self._keepalive, ssl=tls),
            trace_configs=[_trace_config()],
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # asyncio.timeout in post() bounds the whole exchange
        )


class HttpxTransport(_Posting):
    """`Transport` over httpx on aiohttp."""

    _client: httpx.AsyncClient | None = None

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        clock = asyncio.get_running_loop().time
        started = clock()
        if self._client is None:
            self._client = self._open()
        async with self._client.stream("POST", url, headers=dict(headers), content=body) as response:
            received = bytearray()
            async for chunk in response.aiter_raw():
                self._more(received, chunk)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, names, bytes(received), clock() - started)

    def _open(self) -> httpx.AsyncClient:
        import http.cookiejar

        import httpx
        from httpx_aiohttp import AiohttpTransport

        tls = self._verify or ssl.create_default_context()
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(  # asyncio.timeout in post() bounds the whole exchange  # nosec B113
            transport=AiohttpTransport(client=self._session(tls), verify=tls),
            headers=OURS,
            cookies=no_cookies,
            follow_redirects=False,
            trust_env=False,
            timeout=None,  # noqa: S113 - as said above
        )

    async def aclose(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()


class BulkTransport(_Posting):
    """`Transport` on aiohttp alone, for the messages themselves: half of httpx's time a request (tests/bench/README.md). Addresses
    are sent as they are written."""

    _open: aiohttp.ClientSession | None = None

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        clock = asyncio.get_running_loop().time
        started = clock()
        if self._open is None:
            self._open = self._session(self._verify or ssl.create_default_context())
        async with self._open.post(
            _address(url), data=body, headers={**OURS, **headers}, allow_redirects=False
        ) as response:
            received = bytearray()
            async for chunk in response.content.iter_any():
                self._more(received, chunk)
            names: dict[str, str] = {}
            for name, value in response.headers.items():
                known = names.get(low := name.lower())
                names[low] = value if known is None else f"{known}, {value}"
            return Answer(response.status, names, bytes(received), clock() - started)

    async def aclose(self) -> None:
        if self._open is not None:
            session, self._open = self._open, None
            await session.close()


@lru_cache(maxsize=256)
def _address(url: str) -> yarl.URL:
    """A gateway has few addresses, and reading one takes as long as a tenth of a request. Raises ValueError."""
    import yarl

    return yarl.URL(url, encoded=True)


class Reader:
    """Reads by GET below one address, for sources: one warm connection, opened by the first read. Redirects are not
    followed, proxies of the environment not read, compressed answers not asked for. Repeating is the caller's.

    `connect` and `whole` bound the connection and the whole exchange in seconds, `cap` an answer's body in bytes.
    """

    def __init__(self, url: str, headers: Mapping[str, str], connect: float, whole: float, cap: int) -> None:
        self._url = url.rstrip("/")
        self._headers = {**headers, **OURS}
        self._connect, self._whole, self._cap = connect, whole, cap
        self._client: httpx.Client | None = None

    def get(self, path: str) -> Answer:
        """One request and its answer, any status code. Raises NotSent where no connection was had, Lost where no whole
        answer came within the time or the cap."""
        import httpx

        clock = time.monotonic
        started = clock()
        if self._client is None:
            limits = httpx.Timeout(self._whole, connect=self._connect)
            self._client = httpx.Client(headers=self._headers, timeout=limits, follow_redirects=False, trust_env=False)
        try:
            with self._client.stream("GET", self._url + path) as response:
                received = bytearray()
                for chunk in response.iter_raw():
                    received += chunk
                    if len(received) > self._cap or clock() - started > self._whole:
                        raise Lost(f"more than {self._cap} bytes or {self._whole} s")
                names = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, names, bytes(received), clock() - started)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as broken:
            raise NotSent(f"{type(broken).__name__}: {broken}") from broken
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as broken:
            raise Lost(f"{type(broken).__name__}: {broken}") from broken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
