"""Hold or go: are the counts of a poll within what a rule allows? Pure.

Counts are over the facts of the notify bucket. A rule without bounds still never believes a reading that the source's own
count contradicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from daemon.rules.schema import Cap, Growth

FEW = 5
"""So many may vanish from one poll to the next without a look at their share, unless they are all there were."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a poll found for one rule: facts to notify, units known before, those of them vanished, units new; `rows` of the
    parts whose source counts itself and its `source` count, where it gives one; `read`: the rows of all parts."""

    notify: int
    known: int = 0
    vanished: int = 0
    appeared: int = 0
    rows: int = 0
    source: int | None = None
    read: int = 0

    def to_json(self) -> dict[str, int]:
        """By name, for the hold's row and its record; what the source does not say is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Before:
    """The like reading that a poll is held against: the newest of its business date, else the largest of the business dates
    before; `which` says so."""

    rows: int
    notify: int
    which: str


def covers(allowed: Mapping[str, int], counts: Counts) -> bool:
    """Whether counts lie within what a release allows: no more to notify, no more vanished than it names."""
    return counts.notify <= allowed.get("notify", 0) and counts.vanished <= allowed.get("vanished", 0)


def verdict(cap: Cap, counts: Counts, before: Before | None = None) -> str:
    """Why the poll must be held under this rule, or '' to go. Without a like reading `before` there is nothing to compare
    with, and growth says nothing."""
    if counts.source is not None and counts.source != counts.rows:
        return f"source counts {counts.source} rows, read {counts.rows}"
    if counts.read < cap.rows:
        return f"{counts.read} rows, expected at least {cap.rows}"
    if cap.minimum is not None and counts.notify < cap.minimum:
        return f"{counts.notify} to notify, expected at least {cap.minimum}"
    if cap.maximum is not None and counts.notify > cap.maximum:
        return f"{counts.notify} to notify, expected at most {cap.maximum}"
    if counts.notify > cap.limit:
        return f"{counts.notify} to notify, the limit is {cap.limit}"
    return _vanished(cap, counts) or _grown(cap.growth, counts, before)


def _vanished(cap: Cap, counts: Counts) -> str:
    """Turnover. One that was alone may go; of several, all at once never."""
    all_gone = counts.known > 1 and counts.vanished == counts.known
    if cap.turnover is None or (counts.vanished < FEW and not all_gone):
        return ""
    if Decimal(counts.vanished) / Decimal(counts.known) <= cap.turnover:
        return ""
    return (
        f"{counts.vanished} of {counts.known} known vanished while {counts.appeared} appeared, "
        f"allowed share {cap.turnover}"
    )


def _grown(growth: Growth | None, counts: Counts, before: Before | None) -> str:
    if growth is None or before is None:
        return ""
    looked_at = (
        ("rows", counts.read, before.rows, growth.rows),
        ("to notify", counts.notify, before.notify, growth.notify),
    )
    for what, now, then, times in looked_at:
        if times is not None and now >= growth.least and then > 0 and now > then * times:
            return f"{now} {what}, {then} in {before.which}, allowed {times} times as many"
    return ""
