"""What a simulation of one rule set over some days found, as values: whom it would tell what, and when. Pure.

`buckets`: (business date, rule) -> client's number -> the first of notify, held, indeterminate, suppressed, no match
that any poll of the date gave it. `notices`: every notice that would be made for these dates. `used`: what each feed and
date was decided from. Clients are internal numbers; texts are rendered from masked values, so nothing here names anyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daemon.model.decisions import Bucket
from daemon.model.values import canonical

ORDER = (Bucket.NOTIFY, Bucket.HELD, Bucket.INDETERMINATE, Bucket.SUPPRESSED, Bucket.NO_MATCH)
RANK = {bucket.value: i for i, bucket in enumerate(ORDER)}
SHEETS, SOURCES, NOTHING = "sheets", "sources", "nothing"


@dataclass(frozen=True, slots=True)
class Used:
    """What a feed's business date was decided from: `sheets` (kept ones, `hashes` of their plain bytes), `sources`, or
    `nothing`; `why` it was not the sheets, or nothing. `rejects`: rows that the kept polls could not read."""

    day: str
    feed: str
    source: str
    why: str = ""
    polls: int = 0
    rejects: int = 0
    hashes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every field by name."""
        found = {"day": self.day, "feed": self.feed, "from": self.source, "why": self.why, "polls": self.polls}
        return found | {"rejects": self.rejects, "sheets": list(self.hashes)}


@dataclass(frozen=True, slots=True)
class Planned:
    """A notice that would be made. `day`: business date; `at`, `deadline`, `told_at`: ISO in Asia/Shanghai, the last one
    '' where it would not leave in the simulated days, `why` then says why; `late`: past its time by `late: send_marked`;
    `off`: what is wrong with its instants (`past`, `no_session`) or ''. `title`, `text`, `sms`: as a handset shows it,
    masked; `parts`: what the SMS counts; all empty for one that was never rendered."""

    rule: str
    client: int
    subject: int
    occurrence: str
    stage: str
    day: str
    at: str
    deadline: str
    told_at: str = ""
    why: str = ""
    late: bool = False
    off: str = ""
    title: str = ""
    text: str = ""
    sms: str = ""
    parts: int = 0

    @property
    def level(self) -> str:
        """The level of the stage, or the stage itself where a rule has no levels."""
        return self.stage.split("/")[0]

    def short(self) -> dict[str, Any]:
        """All but whom it is for and its texts; these by a digest."""
        return {
            "subject": self.subject,
            "occurrence": self.occurrence,
            "stage": self.stage,
            "day": self.day,
            "at": self.at,
            "deadline": self.deadline,
            "told_at": self.told_at,
            "why": self.why,
            "late": self.late,
            "off": self.off,
            "parts": self.parts,
            "text": hashlib.sha256(canonical([self.title, self.text, self.sms]).encode()).hexdigest()[:16],
        }


@dataclass(frozen=True, slots=True)
class Simulation:
    """One rule set over the business dates `days` (first, last). `holds`: feed, rule and reason of each hold that would
    have opened."""

    digest: str
    days: tuple[str, str]
    rules: tuple[str, ...]
    used: tuple[Used, ...]
    buckets: Mapping[tuple[str, str], Mapping[int, str]]
    notices: tuple[Planned, ...]
    holds: tuple[tuple[str, str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file of the rule set."""
    faults: tuple[str, ...] = ()
    """Cards that could not be filled in, as the daemon would page a person."""

    def counts(self, day: str, rule: str) -> dict[str, int]:
        """Clients by bucket, every bucket named."""
        found = dict.fromkeys((bucket.value for bucket in ORDER), 0)
        for bucket in self.buckets.get((day, rule), {}).values():
            found[bucket] += 1
        return found

    def to_json(self) -> dict[str, Any]:
        """The whole result with its digest."""
        keys = sorted(self.buckets)
        return signed(
            {
                "v": 1,
                "kind": "simulation",
                "rule_set": self.digest,
                "days": list(self.days),
                "rules": list(self.rules),
                "used": [one.to_json() for one in self.used],
                "counts": [{"day": d, "rule": r, **self.counts(d, r)} for d, r in keys],
                "buckets": [
                    {"day": d, "rule": r, "clients": {str(n): b for n, b in sorted(self.buckets[d, r].items())}}
                    for d, r in keys
                ],
                "notices": [{"rule": n.rule, "client": n.client, **n.short()} for n in self.notices],
                "holds": [list(hold) for hold in self.holds],
                "faults": list(self.faults),
            }
        )


def digest_of(result: Mapping[str, Any]) -> str:
    """SHA-256 of a result's canonical JSON (sorted keys, no spaces, UTF-8) without its own `digest`: what a signature
    that names the result binds."""
    return hashlib.sha256(canonical({k: v for k, v in result.items() if k != "digest"}).encode()).hexdigest()


def signed(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its digest under `digest`."""
    return {**result, "digest": digest_of(result)}


def sorted_notices(notices: Sequence[Planned]) -> tuple[Planned, ...]:
    """In the order of results: rule, client, business date, instant, stage."""
    return tuple(sorted(notices, key=lambda n: (n.rule, n.client, n.day, n.at, n.stage, n.occurrence)))
