"""Decides a day again: every line of every sheet, every notice's sealed inputs, every answer that asking again gave.

A line is decided from what it keeps (operands, rows, `whole`, the gates' inputs) under the rule set that its run names;
inputs and answers from what is sealed. Sheets are held against the hash in their poll's record first. Nothing is read but
the store and its sheets, no source and no clock; later rule sets change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sqlalchemy import RowMapping

from daemon.decide.inputs import Inputs, unpack
from daemon.errors import SealBroken
from daemon.model.decisions import Decision
from daemon.model.values import canonical, occurrence_text, terms_json
from daemon.report import queries
from daemon.rules.gates import GateInputs
from daemon.security.envelope import Key
from daemon.store import asks, readings, seals, subjects
from daemon.store.db import Store, Tx
from daemon.store.erasure import Erased, kept_no_more
from daemon.store.identity import terms_digest
from daemon.store.ledger import poll_of
from daemon.store.month_keys import key_by_id
from daemon.store.rows import chunks
from daemon.store.sheetlines import Line
from daemon.store.sheets import SheetReader
from daemon.world import World

MOST_KEPT = 1000
"""Differences kept with their text; all are counted."""

LINE, NOTICE, ASK, SHEET = "line", "notice", "ask", "sheet"


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is decided otherwise now, or cannot be decided again. `what`: line, notice, ask or sheet; `place`:
    which one; `name`: of what."""

    what: str
    place: str
    name: str
    recorded: str
    found: str

    def __str__(self) -> str:
        if self.what == SHEET:
            return f"{self.place}: {self.found}, expected {self.recorded}"
        return f"{self.place}: {self.name}: recorded {self.recorded or 'nothing'}, found {self.found or 'nothing'}"


@dataclass(slots=True)
class RuleReplay:
    """What was decided again of one rule. `kept_no_more`: sheets whose time to be kept is over; `unreadable`: sheets that
    should be there and are not, or are others than their records say; `absent`: answers that showed no row, where there
    is nothing to decide."""

    rule: str
    sheets: int = 0
    lines: int = 0
    notices: int = 0
    asks: int = 0
    absent: int = 0
    kept_no_more: int = 0
    unreadable: int = 0
    different: int = 0


@dataclass(slots=True)
class ReplayResult:
    """A day, decided again. `differences` holds the first `MOST_KEPT`; `different` counts all."""

    day: date
    rules: dict[str, RuleReplay] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    erased: list[tuple[str, Erased]] = field(default_factory=list)
    """Rule, and since when the sheets of the day that are kept no more are."""

    @property
    def different(self) -> int:
        return sum(rule.different for rule in self.rules.values())

    @property
    def identical(self) -> bool:
        """Whether everything was decided again as it was."""
        return self.different == 0

    def of(self, rule: str) -> RuleReplay:
        """The counts of a rule."""
        return self.rules.setdefault(rule, RuleReplay(rule))

    def compare(self, rule: str, what: str, place: str, recorded: Mapping[str, str], found: Mapping[str, str]) -> None:
        """Hold two words about one thing against each other: every name whose text differs is a difference."""
        names = [name for name in recorded if recorded[name] != found[name]]
        if names:
            self.of(rule).different += 1
        for name in names[: max(0, MOST_KEPT - len(self.differences))]:
            self.differences.append(Difference(what, place, name, recorded[name], found[name]))

    def lost(self, rule: str, place: str, recorded: str, found: str) -> None:
        """A sheet that cannot be decided again, a finding like a difference."""
        counts = self.of(rule)
        counts.unreadable += 1
        counts.different += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(Difference(SHEET, place, "sheet", recorded, found))


def replay(store: Store, worlds: Callable[[str], World], day: date) -> ReplayResult:
    """Decide a business date again. A sheet that is gone before its time, does not open or hashes otherwise than recorded
    is a finding. Raises SealBroken for a sealed value that does not open, LookupError for a rule set that is not kept."""
    result = ReplayResult(day)
    with store.read() as tx:
        found = queries.runs_with_sheets(tx, day)
    for run, sheet in found:
        _replay_sheet(store, worlds(run["rule_set"]), run, sheet, result)
    with store.read() as tx:
        rows = queries.notices_of(tx, day=day)
        for part in chunks(rows):
            _replay_notices(tx, worlds, part, result)
            _replay_asks(tx, worlds, part, result)
    return result


def replay_copy(store: Store, worlds: Callable[[str], World], copy: Path) -> ReplayResult:
    """Decide every line of an opened copy of a sheet again, and hold its bytes against the record of its poll: a changed
    operand is found by the hash, and by the decision where it decides. Raises SealBroken for what is no sheet, LookupError
    for one of a run that the store does not know, OSError."""
    reader, sha256 = SheetReader.of_copy(copy)
    run, rule = int(reader.of["run"]), str(reader.of["rule"])
    with store.read() as tx:
        known = readings.run_of(tx, run)
        sheet = next((row for row in readings.sheets_of(tx, run) if row["rule"] == rule), None)
        day = poll_of(tx, known["poll"]).business_date
    result = ReplayResult(day)
    result.of(rule).sheets += 1
    if sheet is None or sheet["sha256"] != sha256:
        recorded = "a sheet of this run" if sheet is None else f"SHA-256 {sheet['sha256']} as its record says"
        result.lost(rule, copy.name, recorded, f"SHA-256 {sha256}")
    replay_lines(worlds(known["rule_set"]), run, rule, reader, result)
    return result


def open_sheet(store: Store, sheet: RowMapping) -> SheetReader | None:
    """A sheet of the store, held against its recorded hash; None where it was erased when its time was over. Raises
    FileNotFoundError, SealBroken."""
    key = None if kept_no_more(sheet) else sheet_key(store, sheet)
    if key is None:
        return None
    return SheetReader.open(store.folder / sheet["path"], {key.id: key}.__getitem__, sheet["sha256"])


def sheet_key(store: Store, sheet: RowMapping) -> Key | None:
    """The month's key that seals a sheet; None where it was destroyed."""
    with store.read() as tx:
        try:
            return key_by_id(tx, bytes(sheet["key"]))
        except LookupError:
            return None


def _replay_sheet(store: Store, world: World, run: RowMapping, sheet: RowMapping, result: ReplayResult) -> None:
    counts = result.of(sheet["rule"])
    erased = kept_no_more(sheet)
    try:
        reader = open_sheet(store, sheet)
    except FileNotFoundError:
        result.lost(sheet["rule"], sheet["path"], "a sheet kept by its rule", "no such file")
        return
    except (SealBroken, OSError) as broken:
        result.lost(sheet["rule"], sheet["path"], f"the sheet with SHA-256 {sheet['sha256']}", str(broken))
        return
    if reader is None:
        counts.kept_no_more += 1
        if erased is not None:
            result.erased.append((sheet["rule"], erased))
        return
    counts.sheets += 1
    replay_lines(world, run["id"], sheet["rule"], reader, result)


def replay_lines(world: World, run: int, rule: str, reader: SheetReader, result: ReplayResult) -> None:
    """Decide every line of a sheet again under a rule set, whatever its hash says."""
    decider, counts = world.deciders[rule], result.of(rule)
    for line in reader.lines():
        counts.lines += 1
        gates = gate_inputs(line)
        decision = decider.decide(line.operands, line.items, line.whole, gates, world.env(line.business_date))
        recorded, found = word_of_line(line), word_of(decision)
        if recorded != found:
            result.compare(rule, LINE, f"run {run}, subject {line.subject}", recorded, found)


def gate_inputs(line: Line) -> GateInputs:
    """What the gates read when the line was decided."""
    return GateInputs.from_json(json.loads(line.gate_inputs or "{}"))


def word_of_line(line: Line) -> dict[str, str]:
    """What a line says was decided, as texts by name."""
    return {
        "bucket": line.bucket,
        "reason": line.reason,
        "level": line.level,
        "occurrence": line.occurrence,
        "terms": line.terms,
        "marks": ", ".join(line.marks),
        "gates": "; ".join(f"{g.gate} {g.verdict} {g.reason}".strip() for g in line.gates),
    }


def word_of(decision: Decision) -> dict[str, str]:
    """The same of a decision."""
    return {
        "bucket": decision.bucket.value,
        "reason": decision.reason,
        "level": decision.level,
        "occurrence": occurrence_text(decision.occurrence) if decision.occurrence else "",
        "terms": canonical(terms_json(decision.terms)) if decision.terms else "",
        "marks": ", ".join(decision.marks),
        "gates": "; ".join(f"{g.gate} {g.verdict} {g.reason}".strip() for g in decision.gates),
    }


def _replay_notices(tx: Tx, worlds: Callable[[str], World], rows: Sequence[RowMapping], result: ReplayResult) -> None:
    plain = seals.get_many(tx, list(dict.fromkeys(row["inputs"] for row in rows)))
    for row in rows:
        inputs, decision = _decided(worlds, row, plain[row["inputs"]])
        result.of(row["rule"]).notices += 1
        recorded, found = _words(inputs, decision)
        if decision.terms:
            recorded["terms"], found["terms"] = row["terms"], _terms(tx, row["client"], decision)
        result.compare(row["rule"], NOTICE, f"notice {row['id'][:16]}", recorded, found)


def _replay_asks(tx: Tx, worlds: Callable[[str], World], rows: Sequence[RowMapping], result: ReplayResult) -> None:
    for row in rows:
        answers = asks.of_notice(tx, row["id"])
        plain = seals.get_many(tx, [answer["sealed"] for answer in answers])
        counts = result.of(row["rule"])
        for answer in answers:
            raw = plain[answer["sealed"]]
            if not raw:
                counts.absent += 1
                continue
            counts.asks += 1
            inputs, decision = _decided(worlds, row, raw)
            recorded, found = _words(inputs, decision)
            recorded["answer"] = f"{answer['bucket']} {answer['reason']}"
            found["answer"] = f"{decision.bucket.value} {decision.reason}"
            result.compare(row["rule"], ASK, f"notice {row['id'][:16]}, ask {answer['id']}", recorded, found)


def _decided(worlds: Callable[[str], World], row: RowMapping, raw: bytes) -> tuple[Inputs, Decision]:
    """Sealed inputs, opened, and what the rule set that they name decides on them."""
    named = json.loads(raw)
    world = worlds(named["set"])
    rule = world.ruleset.rules[named["rule"]]
    inputs = unpack(raw, world.ruleset.kinds[rule.kind])
    fact = inputs.fact
    env = world.env(fact.business_date)
    return inputs, world.deciders[rule.name].decide(fact.values, fact.items, fact.whole, inputs.gates, env)


def _words(inputs: Inputs, decision: Decision) -> tuple[dict[str, str], dict[str, str]]:
    found = word_of(decision)
    names = ("bucket", "reason", "level", "marks")
    recorded = dict(zip(names, (inputs.bucket, inputs.reason, inputs.level, ", ".join(inputs.marks)), strict=True))
    return recorded, {name: found[name] for name in names}


def _terms(tx: Tx, client: int, decision: Decision) -> str:
    """The digest of terms that a notice keeps: only the client's key can compare them."""
    key = subjects.keys_of(tx, client).commitment_key
    return terms_digest(key, decision.terms)
