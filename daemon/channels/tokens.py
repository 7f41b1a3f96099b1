"""Access tokens shared by all that send over one gateway, with one refresher. Knows no dialect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from daemon.channels.channel import Verdict, VerdictKind

MARGIN = timedelta(seconds=120)
"""A token is renewed this long before it ends."""
PAUSE = timedelta(seconds=30)
"""A refresh that was refused is not asked for again sooner: CT/CU allow 2000 a day."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the instant until which it is valid."""

    value: str = field(repr=False)
    until: datetime


class TokenStore(Protocol):
    """Where the processes that send over one gateway share its token."""

    async def get(self, gateway: str) -> Token | None: ...

    async def put(self, gateway: str, token: Token) -> None: ...

    async def claim(self, gateway: str) -> bool:
        """Whether this process may fetch a new token now; False while another one does. Ends with `put`, or by itself."""
        ...


class MemoryTokens:
    """A `TokenStore` for a single process."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}

    async def get(self, gateway: str) -> Token | None:
        return self._tokens.get(gateway)

    async def put(self, gateway: str, token: Token) -> None:
        self._tokens[gateway] = token

    async def claim(self, gateway: str) -> bool:
        return True


LOOK_AGAIN = 0.1
"""Seconds between two looks for the token that another process fetches."""

Fetch: TypeAlias = Callable[[datetime], Awaitable[Token | Verdict]]


class Refresher:
    """Hands out the gateway's token and renews it, one task at a time.

    Each new token kills the earlier one, also those of other processes: a token that was refused is first looked up in
    the shared store, and only if the store holds no other one, and no other process fetches one, is a new one fetched.
    """

    def __init__(self, gateway: str, store: TokenStore, fetch: Fetch) -> None:
        self._gateway = gateway
        self._store = store
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._token: Token | None = None
        self._refused: tuple[datetime, Verdict] | None = None

    async def current(self, now: datetime) -> Token | Verdict:
        """A token that is valid as far as is known, or why there is none."""
        token = self._token
        return token if token is not None and _usable(token, now) else await self._renew("", now)

    async def after(self, refused: Token, now: datetime) -> Token | Verdict:
        """The token to use once the gateway has refused `refused`."""
        return await self._renew(refused.value, now)

    async def _renew(self, refused: str, now: datetime) -> Token | Verdict:
        async with self._lock:
            claimed = False
            while True:  # looked at once more when it is ours to fetch one: another process may just have done so
                shared = await self._store.get(self._gateway)
                if shared is not None and shared.value != refused and _usable(shared, now):
                    self._token = shared
                    return shared
                if claimed:
                    break
                claimed = await self._store.claim(self._gateway)
                if not claimed:
                    await asyncio.sleep(LOOK_AGAIN)
            if self._refused is not None and now - self._refused[0] < PAUSE:
                return self._refused[1]
            fetched = await self._fetch(now)
            if isinstance(fetched, Verdict):
                self._refused = (now, fetched) if fetched.kind is VerdictKind.AUTH else None
                return fetched
            self._token, self._refused = fetched, None
            await self._store.put(self._gateway, fetched)
            return fetched


def _usable(token: Token, now: datetime) -> bool:
    return now < token.until - MARGIN
