"""The funnel of a day per rule: what was read, what was decided, what became of it. For `status` and the demo.

    rows = rejects + rows in facts      facts = notify + no match + suppressed + held + indeterminate
    notices = those still open + each outcome

Rows, facts and buckets are of the newest run of each poll that has decided; a population read three times a day counts
three times, and `polls` says how often. Notices, outcomes and tasks are of the business date, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from daemon.report import queries
from daemon.store import readings
from daemon.store.db import Store, Tx

BUCKETS = ("notify", "no_match", "suppressed", "held", "indeterminate")


@dataclass(frozen=True, slots=True)
class PollCounts:
    """One poll under one rule. `rows` = `rejects` + `rows_in_facts`; rows of other business are counted apart."""

    poll: int
    feed: str
    due: datetime
    state: str
    rows: int
    rejects: int
    rows_in_facts: int
    other: int
    facts: int
    reasons: Mapping[tuple[str, str], int]
    source_count: int | None = None

    @property
    def buckets(self) -> dict[str, int]:
        """Facts by bucket, all five named."""
        return dict.fromkeys(BUCKETS, 0) | queries.counts_sum(self.reasons)

    @property
    def reconciled(self) -> bool:
        """Whether nothing is missing: every row a reject or in a fact, every fact in one bucket."""
        return self.rows == self.rejects + self.rows_in_facts and self.facts == sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class RuleFunnel:
    """One rule on one business date."""

    rule: str
    polls: tuple[PollCounts, ...] = ()
    notices: int = 0
    told: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    tasks: int = 0

    @property
    def family(self) -> str:
        """`margin` of `margin/maintenance`."""
        return self.rule.split("/", 1)[0]

    @property
    def rows(self) -> int:
        return sum(poll.rows for poll in self.polls)

    @property
    def rejects(self) -> int:
        return sum(poll.rejects for poll in self.polls)

    @property
    def facts(self) -> int:
        return sum(poll.facts for poll in self.polls)

    @property
    def buckets(self) -> dict[str, int]:
        """Facts by bucket over all polls."""
        return {name: sum(poll.buckets[name] for poll in self.polls) for name in BUCKETS}

    def to_json(self) -> dict[str, Any]:
        """By name, with each poll's counts."""
        return {
            "rule": self.rule,
            "rows": self.rows,
            "rejects": self.rejects,
            "facts": self.facts,
            **self.buckets,
            "notices": self.notices,
            "told": self.told,
            "outcomes": dict(self.outcomes),
            "tasks": self.tasks,
            "polls": [_poll_json(poll) for poll in self.polls],
        }


def funnel(store: Store, day: date) -> tuple[RuleFunnel, ...]:
    """The funnel of every rule that a poll or a notice of the business date speaks of, by rule."""
    with store.read() as tx:
        polls = _polls(tx, day)
        outcomes, told, tasks = (
            queries.outcomes_of(tx, day),
            queries.told_of(tx, day),
            queries.tasks_opened(tx, day),
        )
    return tuple(
        RuleFunnel(
            rule,
            tuple(polls.get(rule, ())),
            sum(outcomes.get(rule, {}).values()),
            told.get(rule, 0),
            outcomes.get(rule, {}),
            tasks.get(rule, 0),
        )
        for rule in sorted({*polls, *outcomes})
    )


def _polls(tx: Tx, day: date) -> dict[str, list[PollCounts]]:
    """Rule -> counts of the newest run of each poll that has decided."""
    found: dict[str, list[PollCounts]] = {}
    for poll in queries.polls_of(tx, day):
        decided = [row for row in readings.runs_of(tx, poll.id) if row["record"] is not None]
        if not decided:
            continue
        row = decided[-1]
        counts = readings.counts_of(tx, row["id"])
        for sheet in readings.sheets_of(tx, row["id"]):
            found.setdefault(sheet["rule"], []).append(
                PollCounts(
                    poll.id,
                    poll.feed,
                    poll.due,
                    poll.state.value,
                    row["rows"],
                    row["rejects"],
                    row["rows_in_facts"],
                    row["other"] or 0,
                    row["facts"],
                    counts.get(sheet["rule"], {}),
                    row["source_count"],
                )
            )
    return found


def _poll_json(poll: PollCounts) -> dict[str, Any]:
    return {
        "poll": poll.poll,
        "feed": poll.feed,
        "due": poll.due.isoformat(),
        "state": poll.state,
        "rows": poll.rows,
        "rejects": poll.rejects,
        "rows_in_facts": poll.rows_in_facts,
        "other": poll.other,
        "facts": poll.facts,
        "reasons": [[bucket, reason, facts] for (bucket, reason), facts in sorted(poll.reasons.items())],
    }
