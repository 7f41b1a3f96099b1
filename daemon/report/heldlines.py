"""Who is held now: the lines in the bucket `held` of each feed's newest reading of a business date, by subject and rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from daemon.report import queries
from daemon.report.replay import open_sheet
from daemon.store import readings
from daemon.store.db import Store


@dataclass(frozen=True, slots=True)
class HeldLine:
    """One fact that waits for a person. `gates`: what each gate that did not simply pass said."""

    feed: str
    rule: str
    subject: int
    client: int
    occurrence: str
    reason: str
    gates: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Every field, by name."""
        return asdict(self) | {"gates": list(self.gates)}


def held_lines(store: Store, day: date, rule: str = "") -> list[HeldLine]:
    """The held lines of a day, by rule and subject. Only sheets that hold somebody are opened. Raises SealBroken."""
    newest: dict[tuple[str, str], tuple[int, Any]] = {}
    with store.read() as tx:
        feeds = {poll.id: poll.feed for poll in queries.polls_of(tx, day)}
        for run, sheet in queries.runs_with_sheets(tx, day):
            newest[feeds[run["poll"]], sheet["rule"]] = (run["id"], sheet)
        counts = {id: readings.counts_of(tx, id) for id, _ in newest.values()}
    found = []
    for (feed, name), (run_id, sheet) in sorted(newest.items()):
        held = any(bucket == "held" for bucket, _ in counts[run_id].get(name, {}))
        reader = open_sheet(store, sheet) if held and rule in ("", name) else None
        for line in reader.lines() if reader is not None else ():
            if line.bucket == "held":
                said = tuple(f"{g.gate} {g.verdict} {g.reason}".strip() for g in line.gates if g.verdict != "pass")
                found.append(HeldLine(feed, name, line.subject, line.client, line.occurrence, line.reason, said))
    return sorted(found, key=lambda one: (one.rule, one.subject, one.feed))
