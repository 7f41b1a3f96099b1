"""Which gateways take messages now: a breaker for those that fail, a bar for a spent quota. Values of one process.

    open         it takes messages
    closed       it failed `FAILURES` times in a row, its quota is spent, or our credentials are refused: until a moment
    half open    the moment is over: one message a pass probes it; its answer opens the gateway, or closes it for longer

A message that has provably not arrived goes by the next gateway of its channel at once; one in doubt stays with the gateway
that may have it. Nothing is lost with this state at a restart but a few probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.channels.channel import NOT_BEGUN, Verdict, VerdictKind

FAILURES = 5
FIRST, LONGEST = timedelta(seconds=5), timedelta(minutes=1)
"""How long a failing gateway is closed: from, to, doubling with each probe that fails."""

QUOTA = timedelta(minutes=5)
"""How long a spent quota bars a gateway that does not say until when."""

REFUSED = timedelta(minutes=1)
"""How long credentials that are refused bar a gateway."""

PROBE = timedelta(minutes=1)
"""A probe whose answer has not come after so long is forgotten."""

FAILING = ("network", "platform", "busy")
"""Groups of verdicts that say that the gateway itself fails; every other answer says that it works."""


@dataclass(slots=True)
class _Gateway:
    failures: int = 0
    until: datetime | None = None
    wait: timedelta = FIRST
    probed: datetime | None = None


class Health:
    """The gateways of one process, by name; one never heard of is open."""

    def __init__(self) -> None:
        self._known: dict[str, _Gateway] = {}

    def admits(self, name: str, now: datetime) -> bool:
        """Whether a message may go by this gateway now; in a half-open one this takes the probe's place."""
        one = self._known.get(name)
        if one is None or one.until is None:
            return True
        if one.until > now or (one.probed is not None and now - one.probed < PROBE):
            return False
        one.probed = now
        return True

    def reopens(self, names: Sequence[str], now: datetime) -> datetime | None:
        """When the first of these gateways is worth asking again; None where one is open now."""
        moments = [self.barred_until(name, now) for name in names]
        return None if None in moments else min((m for m in moments if m is not None), default=None)

    def barred_until(self, name: str, now: datetime) -> datetime | None:
        """When it is worth asking again; None where it is open."""
        one = self._known.get(name)
        if one is None or one.until is None:
            return None
        return max(one.until, now + timedelta(seconds=1) if one.probed else now)

    def heard(self, name: str, verdict: Verdict, now: datetime) -> str:
        """Take account of an answer: 'closed' or 'opened' where it changed something, else ''."""
        one = self._known.setdefault(name, _Gateway())
        was_closed, one.probed = one.until is not None, None
        if verdict.kind is VerdictKind.THROTTLED and verdict.group.startswith("quota"):
            wait = QUOTA if verdict.retry_after is None else timedelta(seconds=verdict.retry_after)
            one.until = now + wait
        elif verdict.kind is VerdictKind.AUTH:
            one.until = now + REFUSED
        elif verdict.group in FAILING and verdict.kind in (VerdictKind.TRANSIENT, VerdictKind.IN_DOUBT):
            one.failures += 1
            if one.failures < FAILURES:
                return ""
            one.until = now + one.wait
            one.wait = min(one.wait * 2, LONGEST)
        elif verdict != NOT_BEGUN:  # of that nothing was sent, so nothing was heard
            one.failures, one.until, one.wait = 0, None, FIRST
        return "" if was_closed == (one.until is not None) else "closed" if one.until else "opened"
