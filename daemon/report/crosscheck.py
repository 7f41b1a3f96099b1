"""The rows of a date against the trail: what is missing, unknown, there twice, or says something else. Pure.

Every row carries the record it was last changed by, and the trail knows which rows there must be. A row that no record made
is `unknown`; one that a record made and the store lacks is `missing`, named by what the trail calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from daemon.clock import from_micros
from daemon.report import crossnotices
from daemon.report.crossnotices import MessageIds
from daemon.report.dayrows import DayRows, Row
from daemon.report.daytrail import DayTrail, Leaf
from daemon.report.differences import Discrepancy, differences
from daemon.store.trail import format_time


def crosscheck(rows: DayRows, said: DayTrail, ids: MessageIds) -> list[Discrepancy]:
    """Everything that differs, by table."""
    found = [*_polls(rows, said), *_runs(rows, said), *_people(rows, said)]
    found += [*crossnotices.notices(rows, said), *crossnotices.messages(rows, said, ids)]
    found += [*crossnotices.attempts(rows, said), *crossnotices.receipts(rows, said), *crossnotices.tasks(rows, said)]
    for table, loose in rows.loose.items():
        for row in loose:
            about = row["notice"] if "notice" in row else row["message"]
            found.append(Discrepancy(table, str(row["id"]), "loose", f"names {about}"))
    return sorted(set(found), key=lambda one: (one.table, one.id, one.what, one.detail))


def _polls(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    seen = set()
    for row in rows.polls:
        key = row["feed"], format_time(from_micros(row["due"]))
        word = said.polls.get(key)
        if word is None or key in seen:
            yield Discrepancy("polls", str(row["id"]), "unknown", f"feed {key[0]}, due {key[1]}")
            continue
        seen.add(key)
        names = ("record", "state", "reason", "run")
        yield from differences("polls", row["id"], ((name, row[name], getattr(word, name)) for name in names))
    for key in said.polls.keys() - seen:
        yield Discrepancy("polls", f"{key[0]} {key[1]}", "missing", f"state {said.polls[key].state}")


def _runs(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    """Runs, their counts by bucket, their rejects, and the rows of their sheets."""
    words = {row["id"]: said.polls.get((row["feed"], format_time(from_micros(row["due"])))) for row in rows.polls}
    seen: dict[int, set[int]] = {}
    sheets: dict[int, list[Row]] = {}
    for sheet in rows.sheets:
        sheets.setdefault(sheet["run"], []).append(sheet)
    for run in rows.runs:
        word = words[run["poll"]]
        if word is None or run["number"] not in word.runs:
            yield Discrepancy("runs", str(run["id"]), "unknown", f"poll {run['poll']}, run {run['number']}")
            continue
        seen.setdefault(run["poll"], set()).add(run["number"])
        yield from _run(rows, run, word.readings.get(run["number"]), sheets.get(run["id"], []))
    for poll, word in words.items():
        for number in (word.runs if word else set()) - seen.get(poll, set()):
            yield Discrepancy("runs", f"poll {poll} run {number}", "missing")


def _run(rows: DayRows, run: Row, reading: Leaf | None, sheets: list[Row]) -> Iterator[Discrepancy]:
    data = reading["data"] if reading else {}
    names = ("rows", "rejects", "facts", "rows_in_facts", "other", "source_count")
    pairs: list[tuple[str, Any, Any]] = [("record", run["record"], reading["id"] if reading else None)]
    if reading:
        pairs += [(name, run[name], data.get(name)) for name in names]
        if "reference_rejects" in data:
            kept = rows.rejects.get(run["id"], 0)
            pairs.append(("rejected rows kept", kept, data["rejects"] + data["reference_rejects"]))
    yield from differences("runs", run["id"], pairs)
    named = {sheet["rule"]: sheet for sheet in data.get("sheets", ())}
    for row in sheets:
        word = named.pop(row["rule"], None)
        id = f"run {run['id']} {row['rule']}"
        if word is None:
            yield Discrepancy("sheets", id, "unknown", f"poll {run['poll']}")
            continue
        counts = {b: n for b, n in word["counts"].items() if n}
        pairs = [("sha256", row["sha256"], word["sha256"]), ("lines", row["lines"], word["lines"])]
        pairs.append(("counts", rows.counts.get((run["id"], row["rule"]), {}), counts))
        yield from differences("sheets", id, pairs)
    for rule in named:
        yield Discrepancy("sheets", f"run {run['id']} {rule}", "missing", f"poll {run['poll']}")


def _people(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    """Holds, silences, releases and stops of the date."""
    readings = {leaf["id"]: leaf for word in said.polls.values() for leaf in word.readings.values()}
    for row in rows.holds:
        end = said.hold_ends.get(str(row["id"]))
        if row["ended_at"] is None:
            pairs: list[tuple[str, Any, Any]] = [("ended", False, end is not None)]
        else:
            pairs = [("record", row["record"], end["id"] if end else None)]
            pairs.append(("ended_by", row["ended_by"], end["data"].get("by") if end else None))
        yield from differences("holds", row["id"], pairs)
    for leaf in readings.values():
        yield from _held(leaf, rows)
    first, _ = said.span
    known = {row["record"] for row in rows.silences}
    known |= {said.silences[id].get("cause") for id in known if id in said.silences}  # of one ended before its time
    for id, leaf in said.silences.items():
        if id not in known and said.is_of_day(leaf) and not leaf["data"].get("ended"):
            yield Discrepancy("silences", f"record {id}", "missing", f"by {leaf['data']['by']}")
    for row in rows.silences:
        if row["record"] not in said.silences and from_micros(row["since"]) >= first:
            yield Discrepancy("silences", str(row["id"]), "unknown", f"rule {row['rule']}, by {row['actor']}")
    known = {row["record"] for row in rows.releases}
    for row in rows.releases:
        if row["record"] not in said.releases:
            yield Discrepancy("releases", str(row["id"]), "unknown", f"rule {row['rule']}, by {row['actor']}")
    for id, leaf in said.releases.items():
        if id not in known and said.is_of_day(leaf):
            yield Discrepancy("releases", f"record {id}", "missing", f"by {leaf['data']['by']}")
    known = {row["record"] for row in rows.stops}
    for row in rows.stops:
        if row["record"] not in said.stops and from_micros(row["at"]) >= first:
            yield Discrepancy("stops", str(row["id"]), "unknown", f"rule {row['rule']}, by {row['actor']}")
    for id, leaf in said.stops.items():
        if id not in known and said.is_of_day(leaf):
            yield Discrepancy("stops", f"record {id}", "missing", f"rule {leaf['data']['rule']}")


def _held(reading: Leaf, rows: DayRows) -> Iterator[Discrepancy]:
    """A reading that was held has a hold that was open then."""
    data = reading["data"]
    for sheet in data["sheets"]:
        if sheet.get("verdict") != "hold":
            continue
        mine = [row for row in rows.holds if (row["feed"], row["rule"]) == (data["feed"], sheet["rule"])]
        if not any(_open_at(row, reading["t"]) for row in mine):
            yield Discrepancy("holds", f"{data['feed']} {sheet['rule']}", "missing", f"record {reading['id']}")


def _open_at(row: Row, t: str) -> bool:
    since, ended = format_time(from_micros(row["since"])), row["ended_at"]
    return since <= t and (ended is None or t <= format_time(from_micros(ended)))
