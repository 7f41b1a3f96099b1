"""Every client of every population in one bucket: a day's sheets, read column by column.

A population is a feed under a rule. A client may have several facts (contracts, funds) in several polls: it is in the first of
notify, held, indeterminate, suppressed, no match that any of them gave. Memory holds a small number for each client of a
population, and one sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.clock import from_micros
from daemon.errors import SealBroken
from daemon.model.kinds import FactKind
from daemon.report.dayrows import DayRows, Row
from daemon.report.daytrail import DayTrail, Leaf
from daemon.report.differences import Discrepancy
from daemon.store.sheets import SheetReader
from daemon.store.trail import format_time

ORDER = ("notify", "held", "indeterminate", "suppressed", "no_match")
"""Buckets, the one that counts first."""
RANK = {bucket: rank for rank, bucket in enumerate(ORDER)}
MOST_NAMED = 1_000
"""Clients and subjects named one by one in a list; all are counted."""

Open = Callable[[Row], SheetReader | None]
"""A sheets row -> its reader, None where it is kept no more. Raises FileNotFoundError, SealBroken."""


@dataclass(frozen=True, slots=True)
class PollSheet:
    """One poll's part of a population. `lines`: facts; `rows`: the source's rows in them; `clients`: how many; `kept`: '' or why
    the sheet is not read: kept_no_more, gone, changed."""

    poll: int
    run: int
    lines: int
    rows: int = 0
    clients: int = 0
    kept: str = ""


@dataclass(slots=True)
class Population:
    """A feed under a rule. `clients`: number -> rank of its bucket in `ORDER`; `vanished`: clients whom an earlier poll of the
    day has and the newest has not; `absent`: subjects of open episodes without any line; `twice`: (poll, subject, lines)."""

    feed: str
    rule: str
    clients: dict[int, int] = field(default_factory=dict)
    sheets: list[PollSheet] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    absent: list[int] = field(default_factory=list)
    twice: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def buckets(self) -> dict[str, int]:
        """Clients by bucket, all five named; they add up to the population."""
        counts = [0] * len(ORDER)
        for rank in self.clients.values():
            counts[rank] += 1
        return dict(zip(ORDER, counts, strict=True))


def populations(
    rows: DayRows, said: DayTrail, opened: Open, kinds: Callable[[str, str], FactKind | None]
) -> tuple[list[Population], list[Discrepancy]]:
    """Every population with its clients, and what is wrong with the sheets. Of each poll the newest run that has decided
    counts; the sheets of its other runs are held against their hashes only. `kinds`: (rule set, rule) -> the kind."""
    found: dict[tuple[str, str], Population] = {}
    wrong: list[Discrepancy] = []
    feeds = {poll["id"]: poll["feed"] for poll in rows.polls}
    runs = {run["id"]: run for run in rows.runs}
    newest = {run["poll"]: run["id"] for run in sorted(rows.runs, key=lambda r: int(r["number"])) if run["record"]}
    order = {poll["id"]: at for at, poll in enumerate(rows.polls)}
    absent = _open_subjects(rows)
    for sheet in sorted(rows.sheets, key=lambda s: (order[runs[s["run"]]["poll"]], s["run"], s["rule"])):
        run = runs[sheet["run"]]
        place = feeds[run["poll"]], sheet["rule"]
        counted = newest.get(run["poll"]) == run["id"]
        reader, why = _opened(sheet, run, said, opened, wrong)
        if not counted:
            continue
        one = found.setdefault(place, Population(*place))
        if reader is None:
            one.sheets.append(PollSheet(run["poll"], run["number"], sheet["lines"], kept=why))
            continue
        kind = kinds(run["rule_set"], sheet["rule"])
        _take(one, reader, sheet, run, absent.get(place, set()), _operands(kind, reader))
        wrong += _miscounted(sheet, run, one.sheets[-1])
    for place, subjects in absent.items():
        if place in found:
            found[place].absent = sorted(subjects)
    return [found[place] for place in sorted(found)], wrong


def _opened(
    sheet: Row, run: Row, said: DayTrail, opened: Open, wrong: list[Discrepancy]
) -> tuple[SheetReader | None, str]:
    """A sheet's reader, or why there is none; only one that the trail says was erased may be away."""
    id, place = f"run {sheet['run']} {sheet['rule']}", f"poll {run['poll']}: {Path(sheet['path']).name}"
    erased = sheet["sha256"] in said.erased
    try:
        reader = opened(sheet)
    except FileNotFoundError:
        wrong.append(Discrepancy("sheets", id, "gone", place))
        return None, "gone"
    except (SealBroken, OSError) as reason:
        wrong.append(Discrepancy("sheets", id, "changed", f"{place}: {reason}"))
        return None, "changed"
    if (reader is None or sheet["erased_at"] is not None) and not erased:
        wrong.append(Discrepancy("sheets", id, "gone", f"{place}: no record says that it was erased"))
        return None, "gone"
    if reader is not None and len(reader) != sheet["lines"]:
        wrong.append(Discrepancy("sheets", id, "differs", f"{place}: lines: {len(reader)}, recorded {sheet['lines']}"))
    return reader, "" if reader is not None else "kept_no_more"


def _take(
    one: Population, reader: SheetReader, sheet: Row, run: Row, absent: set[int], operands: Sequence[str] | None
) -> None:
    """Fold one sheet into its population."""
    seen: set[int] = set()
    rows = 0
    for subjects, clients, buckets, counts in reader.columns("subject", "client", "bucket", "rows"):
        rows += sum(counts)
        absent.difference_update(subjects)
        seen.update(clients)
        for client, bucket in zip(clients, buckets, strict=True):
            rank = RANK[bucket]
            if one.clients.get(client, len(ORDER)) > rank:
                one.clients[client] = rank
    one.vanished = sorted(one.clients.keys() - seen)[:MOST_NAMED]
    one.sheets.append(PollSheet(run["poll"], run["number"], len(reader), rows, len(seen)))
    if operands is not None:
        one.twice += [(run["poll"], subject, lines) for subject, lines in reader.repeated(operands)][:MOST_NAMED]


def _operands(kind: FactKind | None, reader: SheetReader) -> Sequence[str] | None:
    """What tells a subject's facts apart in a sheet; None where the sheet does not hold it, and two lines prove nothing."""
    if kind is None:
        return None
    held = {name for name, _ in reader.operands}
    names = [n for n in (kind.collect.by if kind.collect else kind.key) if n not in (kind.business_date, kind.subject)]
    return names if held.issuperset(names) else None


def _miscounted(sheet: Row, run: Row, read: PollSheet) -> list[Discrepancy]:
    """Rows of the source are rejects or in facts, and each fact has one line."""
    id = f"run {sheet['run']} {sheet['rule']}"
    pairs = [("lines", read.lines, run["facts"], "facts"), ("rows", read.rows, run["rows_in_facts"], "rows in facts")]
    return [
        Discrepancy("sheets", id, "count", f"poll {run['poll']}: {name}: {store}, {what}: {other}")
        for name, store, other, what in pairs
        if other is not None and store != other
    ]


def _open_subjects(rows: DayRows) -> dict[tuple[str, str], set[int]]:
    """(feed, rule) -> the subjects that had an open episode when the date ended."""
    found: dict[tuple[str, str], set[int]] = {}
    for row in rows.episodes:
        found.setdefault((row["feed"], row["rule"]), set()).add(row["subject"])
    return found


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One reading against its source. rows = rejects + in facts; the source's own count, where it has one, equals the rows of the
    parts that it counts."""

    poll: int
    feed: str
    due: str
    run: int
    rows: int
    rejects: int
    in_facts: int
    other: int
    facts: int
    source: int | None
    counted: int | None
    decided: bool

    @property
    def why(self) -> str:
        """What does not add up: rows, source, or ''. A reading of addresses or consents makes no facts."""
        if self.decided and self.rows != self.rejects + self.in_facts:
            return "rows"
        if self.source is not None and self.counted is not None and self.source != self.counted:
            return "source"
        return ""


def reconciled(said: DayTrail, polls: Iterable[Row]) -> list[Reconciled]:
    """Each poll's newest reading, as its record counts it."""
    found = []
    numbers = {(poll["feed"], format_time(from_micros(poll["due"]))): poll["id"] for poll in polls}
    for key, word in sorted(said.polls.items(), key=lambda pair: (pair[1].due, pair[0])):
        if word.readings:
            run = max(word.readings)
            found.append(_reconciled(numbers.get(key, 0), word.readings[run], run))
    return found


def _reconciled(poll: int, reading: Leaf, run: int) -> Reconciled:
    data = reading["data"]
    rows, rejects, in_facts, other, facts = (
        data[name] for name in ("rows", "rejects", "rows_in_facts", "other", "facts")
    )
    source, counted, decided = data.get("source_count"), data.get("counted"), bool(data["sheets"])
    place = poll, data["feed"], data["due"], run
    return Reconciled(*place, rows, rejects, in_facts, other, facts, source, counted, decided)
