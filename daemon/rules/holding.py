"""Hold or go: are the counts of a poll within what a rule allows? Pure.

Counts are over the facts of the notify bucket. A rule without bounds still never believes a reading that the source's own
count contradicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal

from daemon.rules.schema import Cap

FEW = 5
"""So many may vanish from one poll to the next without a look at their share."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a poll found for one rule: facts to notify, units known before, those of them vanished, units new, rows read, and the
    source's own count of rows where it gives one."""

    notify: int
    known: int = 0
    vanished: int = 0
    appeared: int = 0
    rows: int = 0
    source: int | None = None

    def to_json(self) -> dict[str, int]:
        """By name, for the hold's row and its record; what the source does not say is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def covers(allowed: Mapping[str, int], counts: Counts) -> bool:
    """Whether counts lie within what a release allows: no more to notify, no more vanished than it names."""
    return counts.notify <= allowed.get("notify", 0) and counts.vanished <= allowed.get("vanished", 0)


def verdict(cap: Cap, counts: Counts) -> str:
    """Why the poll must be held under this rule, or '' to go."""
    if counts.source is not None and counts.source != counts.rows:
        return f"source counts {counts.source} rows, read {counts.rows}"
    if cap.minimum is not None and counts.notify < cap.minimum:
        return f"{counts.notify} to notify, expected at least {cap.minimum}"
    if cap.maximum is not None and counts.notify > cap.maximum:
        return f"{counts.notify} to notify, expected at most {cap.maximum}"
    if counts.notify > cap.limit:
        return f"{counts.notify} to notify, the limit is {cap.limit}"
    if cap.turnover is not None and counts.vanished >= FEW:
        share = Decimal(counts.vanished) / Decimal(counts.known)
        if share > cap.turnover:
            return (
                f"{counts.vanished} of {counts.known} known vanished while {counts.appeared} appeared, "
                f"allowed share {cap.turnover}"
            )
    return ""
