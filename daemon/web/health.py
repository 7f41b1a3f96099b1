"""`GET /health`: whether the service makes progress, for a host that watches it. Says nothing else."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from daemon.server import Reply, Request, Route

LATE = 8.0
"""Seconds since the last finished pass, from which on the answer is 503: a store that takes no commit is seen within ten."""


def route(age: Callable[[], float]) -> Route:
    """`age`: seconds since the last finished pass."""

    async def health(request: Request) -> Reply:
        seconds = age()
        late = seconds > LATE
        body = {"status": "late" if late else "ok", "pass_age": round(seconds, 1)}
        return Reply(503 if late else 200, orjson.dumps(body), {"content-type": "application/json"})

    return Route("GET", "/health", health)
