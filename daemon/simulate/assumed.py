"""The gateway of a simulation: every message is taken and has arrived. Nothing leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from daemon.channels.channel import (
    CallbackRefused,
    Limits,
    Outgoing,
    ReceiptIn,
    ReceiptKind,
    Received,
    Standing,
    Traits,
    Verdict,
    VerdictKind,
    at_once,
)


class Assumed:
    """`Channel` that reaches nobody and says that it has reached everybody."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._receipts: list[ReceiptIn] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def traits(self) -> Traits:
        return Traits(repeat="yes", ask="receipt", revoke=False)

    @property
    def limits(self) -> Limits:
        return Limits()

    def encode(self, outgoing: Outgoing) -> bytes:
        """No bytes leave: an empty object."""
        return b"{}"

    async def send(self, outgoing: Outgoing, *, now: datetime, may_begin: Callable[[], bool] = at_once) -> Verdict:
        delivered = ReceiptKind.DELIVERED
        self._receipts.append(ReceiptIn(outgoing.platform_id, outgoing.recipient, delivered, "0", now, b"{}"))
        return Verdict(VerdictKind.ACCEPTED, "assumed", platform_id=outgoing.platform_id)

    async def query(self, platform_id: str, recipient: str, *, now: datetime) -> Standing:
        """Nothing is in doubt in a simulation."""
        return "unreachable"

    async def revoke(self, platform_id: str, recipient: str, *, now: datetime) -> Verdict:
        return Verdict(VerdictKind.PERMANENT, "no_revoke", "what has arrived cannot be called back", group="request")

    def receipts(self) -> list[ReceiptIn]:
        """The receipts that have come about since this was asked last."""
        found, self._receipts = self._receipts, []
        return found

    def parse_callback(self, path: str, headers: Mapping[str, str], body: bytes, now: datetime) -> list[Received]:
        raise CallbackRefused(f"{self._name}: a simulation has no callbacks", 404)

    def answer_check(self, path: str, headers: Mapping[str, str], now: datetime) -> Mapping[str, str]:
        raise CallbackRefused(f"{self._name}: a simulation has no callbacks", 404)
