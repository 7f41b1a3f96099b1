"""The addresses at which gateways call us back: `POST {prefix}/{gateway}/…`, and `GET` for a platform's check of the
address.

In order: the path names a gateway; its dialect authenticates the raw bytes and reads them; the sink commits; only then
comes 204. A duplicate is the sink's to recognise and gets 204 too, since a platform repeats what it has not seen
answered. Leaves to others: what a receipt changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from daemon.channels.channel import CallbackRefused, Channel, Received
from daemon.server import Reply, Request, Route

Sink: TypeAlias = Callable[[str, bytes, Sequence[Received]], Awaitable[None]]
"""(gateway, raw body, what it says) -> committed. Raises where it could not be kept; the platform then repeats it."""
Note: TypeAlias = Callable[[str, str, Exception], None]
"""(gateway, 'refused' | 'not_stored', error): for the log and the counters; the error holds no value of the request."""


def routes(
    gateways: Mapping[str, Channel],
    store_receipts: Sink,
    now: Callable[[], datetime],
    note: Note,
    prefix: str = "/callbacks",
) -> list[Route]:
    """The routes for `gateways` by name. Answers: 204 kept, 200 check passed, 403 not authenticated, 404 no such
    gateway or path, 413 over 256 kB, 503 not kept."""

    async def callback(request: Request) -> Reply:
        gateway, path = request.params["gateway"], request.params["path"]
        channel = gateways.get(gateway)
        if channel is None:
            return Reply(404)
        try:
            received = await asyncio.to_thread(channel.parse_callback, path, request.headers, request.body, now())
        except CallbackRefused as refused:
            note(gateway, "refused", refused)
            return Reply(refused.status_code)
        try:
            await store_receipts(gateway, request.body, received)
        except Exception as broken:  # whatever went wrong, it is not kept: the platform must repeat it
            note(gateway, "not_stored", broken)
            return Reply(503, headers={"retry-after": "1"})
        return Reply(204)

    async def check(request: Request) -> Reply:
        gateway, path = request.params["gateway"], request.params["path"]
        channel = gateways.get(gateway)
        if channel is None:
            return Reply(404)
        try:
            return Reply(200, headers=channel.answer_check(path, request.headers, now()))
        except CallbackRefused as refused:
            note(gateway, "refused", refused)
            return Reply(refused.status_code)

    address = f"{prefix}/{{gateway}}/{{path:path}}"
    return [Route("POST", address, callback), Route("GET", address, check)]
