"""The daily proof: every client of every population in one bucket, reconciled with the source and with the trail.

What it lists is of one business date: what is missing or there twice, polls late, missed or failed, runs that broke and the notices
that they made alone, holds, releases, silences, stops, what became of notices, messages and tasks. Clients are numbers; nothing is
unsealed. A row of the store that the trail does not know, or that the store lacks, is named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from daemon.clock import from_micros
from daemon.model.kinds import FactKind
from daemon.report import daytrail, queries
from daemon.report.crosscheck import crosscheck
from daemon.report.dayrows import DayRows, Row, day_rows
from daemon.report.daytrail import DayTrail
from daemon.report.differences import Discrepancy
from daemon.report.population import MOST_NAMED, ORDER, Population, Reconciled, populations, reconciled
from daemon.report.replay import open_sheet
from daemon.rules.schema import RuleSet
from daemon.store import subjects, trail
from daemon.store.db import Store, Tx
from daemon.store.identity import message_id
from daemon.store.rows import chunks
from daemon.store.sheets import SheetReader

UNFINISHED = frozenset({"due", "running", "late", "failed", "held"})


@dataclass(frozen=True, slots=True)
class PollLine:
    """A ledger row with its history: `moves` are (time, state, reason) as recorded."""

    poll: int
    feed: str
    due: datetime
    state: str
    runs: int
    reason: str
    moves: tuple[tuple[str, str, str], ...] = ()

    @property
    def was(self) -> frozenset[str]:
        """Every state it was ever in."""
        return frozenset({self.state, *(state for _, state, _ in self.moves)})


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """A run that crashed, was stopped, or lost its sources. `made`: notices it made; `alone`: those of them that the run which
    ended in its place does not ask for."""

    run: int
    poll: int
    feed: str
    number: int
    made: int
    alone: tuple[str, ...] = ()


@dataclass(slots=True)
class Completeness:
    """All of one business date. `untold`: population -> clients of the notify bucket without any notice of the rule, because
    their polls were held; `outcomes`: rule -> (outcome or 'open', served as agreed or '') -> notices; `messages`: (channel,
    state) -> messages; `attempts`: verdict, '' while under way -> attempts; `tasks`: rule -> (open, closed). Of the trail: how
    many records have an index, how many have none yet, and `gaps`, indexes whose records the store lacks."""

    day: date
    populations: list[Population] = field(default_factory=list)
    reconciled: list[Reconciled] = field(default_factory=list)
    findings: list[Discrepancy] = field(default_factory=list)
    polls: list[PollLine] = field(default_factory=list)
    broken: list[BrokenRun] = field(default_factory=list)
    holds: list[dict[str, Any]] = field(default_factory=list)
    untold: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    releases: list[dict[str, Any]] = field(default_factory=list)
    silences: list[dict[str, Any]] = field(default_factory=list)
    stops: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    messages: dict[tuple[str, str], int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    receipts: dict[str, int] = field(default_factory=dict)
    orphans: int = 0
    tasks: dict[str, tuple[int, int]] = field(default_factory=dict)
    published: int = 0
    unpublished: int = 0
    gaps: list[int] = field(default_factory=list)

    @property
    def unreconciled(self) -> list[Reconciled]:
        """Readings that do not add up with their source."""
        return [one for one in self.reconciled if one.why]

    @property
    def twice(self) -> list[tuple[Population, int, int, int]]:
        """(population, poll, subject, lines) of what stands in a sheet more than once."""
        return [(one, *found) for one in self.populations for found in one.twice]

    @property
    def unfinished(self) -> list[PollLine]:
        """Polls of which the last word is not said: due, under way, late, failed or held."""
        return [one for one in self.polls if one.state in UNFINISHED]

    @property
    def good(self) -> bool:
        """Whether nothing is missing, there twice, unfinished, or other than the trail says."""
        return not (self.findings or self.unreconciled or self.twice or self.gaps or self.unfinished)


def completeness(store: Store, rulesets: Callable[[str], RuleSet], day: date) -> Completeness:
    """The proof of a business date. `rulesets`: a kept rule set by digest; raises LookupError for one that is not."""
    with store.read() as tx:
        rows = day_rows(tx, day)
        said = DayTrail(day)
        said.hear(leaf for _, leaf in trail.since(tx, said.span[0] - daytrail.BEFORE, daytrail.KINDS))
        found = Completeness(
            day, findings=crosscheck(rows, said, _message_ids(tx, (row["client"] for row in rows.messages)))
        )
        found.published, found.unpublished, found.gaps = trail.size(tx), trail.waiting(tx), trail.gaps(tx)
    found.populations, wrong = populations(rows, said, lambda sheet: open_sheet(store, sheet), _kinds(rulesets))
    found.reconciled = reconciled(said, rows.polls)
    found.polls = [_poll(row, said) for row in rows.polls]
    found.broken = _broken(store, rows, said)
    _people(found, rows, said)
    with store.read() as tx:
        wrong += [*_unfounded(found, rows), *_untold(tx, found)]
    found.findings = sorted({*found.findings, *wrong}, key=lambda one: (one.table, one.id, one.what, one.detail))
    _totals(found, rows, said)
    return found


def _kinds(rulesets: Callable[[str], RuleSet]) -> Callable[[str, str], FactKind | None]:
    """(rule set, rule) -> the kind of its facts; None for what is not kept."""
    known: dict[str, RuleSet | None] = {}

    def kind(digest: str, name: str) -> FactKind | None:
        if digest not in known:
            try:
                known[digest] = rulesets(digest)
            except LookupError:
                known[digest] = None
        made = known[digest]
        return made.kinds[made.rules[name].kind] if made is not None and name in made.rules else None

    return kind


def _message_ids(tx: Tx, clients: Iterable[int]) -> Callable[[int, str, str, str, int], str]:
    """What messages are called, by the client's own key; '' for a client whose keys are destroyed."""
    keys: dict[int, bytes] = {}
    for part in chunks(sorted(set(clients))):
        try:
            keys |= {client: found.commitment_key for client, found in subjects.keys_of_many(tx, part).items()}
        except (LookupError, subjects.Shredded):  # one of them: ask for each
            for client in part:
                with suppress(LookupError, subjects.Shredded):
                    keys[client] = subjects.keys_of(tx, client).commitment_key

    def id(client: int, notice: str, role: str, channel: str, generation: int) -> str:
        return message_id(keys[client], notice, role, channel, generation) if client in keys else ""

    return id


def _poll(row: Row, said: DayTrail) -> PollLine:
    due = from_micros(row["due"])
    word = said.polls.get((row["feed"], trail.format_time(due)))
    return PollLine(
        row["id"], row["feed"], due, row["state"], row["run"], row["reason"], tuple(word.moves) if word else ()
    )


def _broken(store: Store, rows: DayRows, said: DayTrail) -> list[BrokenRun]:
    """Runs that broke, with the notices that the run which ended in their place does not ask for."""
    made: dict[int, list[str]] = {}
    for id, word in said.notices.items():
        made.setdefault(word.made["data"]["run"], []).append(id)
    feeds = {poll["id"]: poll["feed"] for poll in rows.polls}
    ended = {run["poll"]: run["id"] for run in rows.runs if run["step"] == "done"}
    found = []
    words = {row["id"]: said.polls.get((row["feed"], trail.format_time(from_micros(row["due"])))) for row in rows.polls}
    for run in rows.runs:
        polled = words[run["poll"]]
        if run["step"] != "broken" or (polled is not None and polled.ends.get(run["number"]) == "late"):
            continue
        mine = made.get(run["id"], [])
        alone = tuple(id for id in mine if not _asked_for(store, rows, ended.get(run["poll"]), said.notices[id].made))
        found.append(BrokenRun(run["id"], run["poll"], feeds[run["poll"]], run["number"], len(mine), alone))
    return found


def _asked_for(store: Store, rows: DayRows, run: int | None, made: Mapping[str, Any]) -> bool:
    """Whether the sheet of a run asks for a notice of this subject."""
    sheet = next((s for s in rows.sheets if s["run"] == run and s["rule"] == made.get("rule")), None)
    if sheet is None:
        return False
    try:
        reader: SheetReader | None = open_sheet(store, sheet)
    except (FileNotFoundError, ValueError):
        return False
    return reader is not None and any(line.bucket == "notify" for line in reader.find(made["data"]["subject"]))


def _unfounded(found: Completeness, rows: DayRows) -> Iterator[Discrepancy]:
    """Notices whose client has no line in any sheet of the population, where all of them can be read."""
    broken = {one.run for one in found.broken}
    for one in found.populations:
        if any(sheet.kept for sheet in one.sheets):
            continue
        for row in rows.notices:
            mine = (row["feed"], row["rule"]) == (one.feed, one.rule) and row["run"] not in broken
            if mine and row["client"] not in one.clients:
                yield Discrepancy("notices", row["id"], "unfounded", f"rule {row['rule']}, client {row['client']}")


def _untold(tx: Tx, found: Completeness) -> Iterator[Discrepancy]:
    """Clients whom a line asks to notify and who have no notice of the rule: a hold explains it, or it is a finding."""
    held = {(hold["feed"], hold["rule"]) for hold in found.holds}
    under_way = {poll.feed for poll in found.unfinished}
    for one in found.populations:
        wanted = [client for client, rank in one.clients.items() if rank == 0]
        told = queries.noticed(tx, one.rule, wanted)
        left = sorted(set(wanted) - told)
        if left and (one.feed, one.rule) in held:
            found.untold[one.feed, one.rule] = left
        elif left and one.feed not in under_way:
            for client in left[:MOST_NAMED]:
                yield Discrepancy("notices", f"client {client}", "untold", f"rule {one.rule}, feed {one.feed}")


def _people(found: Completeness, rows: DayRows, said: DayTrail) -> None:
    for row in rows.holds:
        names = {name: row[name] for name in ("id", "feed", "rule", "reason", "counts", "ended_by", "allowed", "gone")}
        end = said.hold_ends.get(str(row["id"]))
        why = end["data"].get("reason", "") if end else ""
        found.holds.append(names | {"since": _at(row["since"]), "ended_at": _at(row["ended_at"]), "ended_why": why})
    for row in rows.releases:
        names = {name: row[name] for name in ("id", "scope", "rule", "subject", "occurrence", "reason")}
        found.releases.append(names | {"by": row["actor"], "at": _at(row["at"])})
    for row in rows.silences:
        names = {name: row[name] for name in ("id", "rule", "subject", "reason")}
        times = {"since": _at(row["since"]), "until": _at(row["until"])}
        found.silences.append(names | times | {"by": row["actor"]})
    for row in rows.stops:
        names = {name: row[name] for name in ("rule", "reason", "ended_by")}
        times = {name: _at(row[name]) for name in ("at", "ended_at", "paused_until")}
        found.stops.append(names | times | {"by": row["actor"]})


def _totals(found: Completeness, rows: DayRows, said: DayTrail) -> None:
    for row in rows.notices:
        counts = found.outcomes.setdefault(row["rule"], {})
        key = row["outcome"] or "open", row["served"] or ""
        counts[key] = counts.get(key, 0) + 1
    found.messages = dict(Counter((row["channel"], row["state"]) for row in rows.messages))
    found.attempts = dict(Counter(row["verdict"] or "" for row in rows.attempts))
    found.receipts = dict(Counter(row["kind"] for row in rows.receipts))
    found.orphans = said.orphans
    for row in rows.tasks:
        waits, closed = found.tasks.get(row["rule"], (0, 0))
        done = row["closed_at"] is not None
        found.tasks[row["rule"]] = waits + (not done), closed + done


def _at(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)


def to_json(found: Completeness, *, clients: bool = False) -> dict[str, Any]:
    """By name, for machines; clients as numbers, every one with its bucket where `clients` asks for them."""
    return {
        "day": found.day,
        "good": found.good,
        "populations": [_population(one, clients=clients) for one in found.populations],
        "reconciled": [asdict(one) | {"why": one.why} for one in found.reconciled],
        "findings": [asdict(one) for one in found.findings],
        "gaps": found.gaps,
        "polls": [asdict(one) | {"was": sorted(one.was)} for one in found.polls],
        "broken": [asdict(one) for one in found.broken],
        "holds": found.holds,
        "untold": [{"feed": f, "rule": r, "clients": who} for (f, r), who in sorted(found.untold.items())],
        "releases": found.releases,
        "silences": found.silences,
        "stops": found.stops,
        "notices": [
            {"rule": rule, "outcome": outcome, "served_as_agreed": served or None, "notices": count}
            for rule, counts in sorted(found.outcomes.items())
            for (outcome, served), count in sorted(counts.items())
        ],
        "messages": [{"channel": c, "state": s, "messages": n} for (c, s), n in sorted(found.messages.items())],
        "attempts": found.attempts,
        "receipts": found.receipts,
        "orphan_receipts": found.orphans,
        "tasks": [{"rule": r, "open": o, "closed": c} for r, (o, c) in sorted(found.tasks.items())],
        "published": found.published,
        "unpublished": found.unpublished,
    }


def _population(one: Population, *, clients: bool) -> dict[str, Any]:
    shown = {
        "feed": one.feed,
        "rule": one.rule,
        "clients": len(one.clients),
        "buckets": one.buckets,
        "sheets": [asdict(sheet) for sheet in one.sheets],
        "vanished": one.vanished,
        "absent": one.absent,
        "twice": [{"poll": p, "subject": s, "lines": n} for p, s, n in one.twice],
    }
    return shown | {"bucket_of": {c: ORDER[rank] for c, rank in sorted(one.clients.items())}} if clients else shown
