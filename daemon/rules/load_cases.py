"""Reads `FAMILY/NAME.cases.yaml`: facts, instants and what must come out, typed by the rule's kind. Pure.

The format is in rules/README.md. A case gives what the sources give (before look-ups are joined a case simply states
what they take); formulas, sums and alls are computed, so that a case tests them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from daemon.errors import Finding
from daemon.model.decisions import Bucket
from daemon.model.kinds import FactKind, Value
from daemon.rules import typed
from daemon.rules.functions import SHANGHAI
from daemon.rules.gates import GateInputs
from daemon.rules.load_rules import DO, LATE
from daemon.rules.passage import CORRECTIONS, NONE, RECEIPTS
from daemon.rules.schema import Case, Rule
from daemon.yamlfile import Reader, YMap, describe, near

OPEN = {"consent": "in"}
"""The gate inputs of a fact that was told."""

BUCKETS = tuple(bucket.value for bucket in Bucket)


@dataclass(frozen=True)
class _Context:
    rule: Rule
    kind: FactKind
    names: frozenset[str] | None
    findings: list[Finding]


def read_cases(
    r: Reader, rule: Rule, kind: FactKind, known: frozenset[str] | None, findings: list[Finding]
) -> tuple[Case, ...]:
    """The cases of one rule. `known`: the names whose values a case may expect; None for a rule that is wrong itself: then
    only what the kind says is checked, as a misspelt stage of the rule is no mistake of each of its cases."""
    context = _Context(rule, kind, known, findings)
    said = r.text("rule", 64)
    if said and said != rule.name:
        r.refuse("rule", f"the rule '{said}'", f"'{rule.name}', as its path says")
    base = _values(r.opt_map("given"), context)
    date_ = r.opt_date("date")
    cases = tuple(_case(m, context, base, date_) for m in r.maps("cases"))
    names = [case.name for case in cases]
    for name in sorted({name for name in names if names.count(name) > 1}):
        r.refuse("cases", f"the case '{name}' twice", "names that differ")
    r.done()
    return cases


def _case(r: Reader, context: _Context, base: Mapping[str, Value], default: date | None) -> Case:
    name = r.text("name", 120)
    day = r.opt_date("date") or default
    if day is None:
        r.refuse("date", "nothing", "a date here or at the top of the file")
        day = date(1970, 1, 1)
    given = {**base, **_values(r.opt_map("given"), context)}
    for gone in r.opt_texts("without"):
        if gone not in given:
            r.refuse("without", f"'{gone}'", ", ".join(sorted(given)), near(gone, given))
        given.pop(gone, None)
    rows = tuple(_values(m, context) for m in r.opt_maps("rows"))
    if rows and context.kind.collect is None:
        r.refuse("rows", "rows", "rows only where the kind collects them")
    gates = _gates(r)
    expect = _expect(r.map("expect"), context)
    whole = r.opt_flag("whole", True)
    path, line = r.map_.path, r.map_.mark[0]
    made = Case(name, context.rule.name, given, rows, expect, path, line, day, _at(r, day), whole, gates)
    made = replace(
        made, told=_told(r.map("told"), context, made) if r.has("told") else None, receipts=_receipts(r, context)
    )
    if "correction" in expect and made.told is None:
        r.refuse("expect", "a correction", "one only where `told:` says what the client was told")
    r.done()
    return made


def _told(r: Reader, context: _Context, now: Case) -> Case:
    """The fact that was told: the case's own but for what stands here. No gate stood in its way."""
    day = r.opt_date("date") or now.business_date
    rows = tuple(_values(m, context) for m in r.maps("rows")) if r.has("rows") else now.rows
    given = {**now.given, **_values(r.opt_map("given"), context)}
    made = replace(
        now, given=given, rows=rows, business_date=day, made_at=_at(r, day), whole=True, gates=OPEN, expect={}
    )
    r.done()
    return made


def _receipts(r: Reader, context: _Context) -> dict[str, str]:
    top = r.opt_map("receipts")
    channels = context.rule.channels
    for name in top.map_:
        if name not in channels:
            top.refuse(name, f"the channel '{name}'", f"one of the rule's: {', '.join(channels)}", near(name, channels))
    return {name: top.choice(name, (*RECEIPTS, "undelivered")) for name in top.map_}


def _at(r: Reader, day: date) -> datetime:
    """The moment of the reading: `at: '21:35'` on the business date, or a full moment; 00:00 where none is given."""
    if not r.has("at"):
        return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)
    clock = r.map_["at"] if isinstance(r.map_["at"], str) else ""
    found = typed.moment(f"{day}T{clock}") if len(clock) in (5, 8) else typed.moment(clock)
    if found is None:
        r.refuse("at", describe(r.map_["at"]), "a time such as '21:35', or a moment such as 2024-02-01T21:35")
        return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)
    return found


def _values(r: Reader, context: _Context) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in r.map_:
        r.has(name)
        field = context.kind.fields.get(name)
        if field is None:
            known = context.kind.fields
            r.refuse(name, f"the unknown field '{name}'", ", ".join(sorted(known)), near(name, known))
            continue
        value, what, allowed = typed.value(r.map_[name], field.type, field.values)
        if value is None:
            r.refuse(name, what, allowed)
        else:
            found[name] = value
    return found


def _gates(r: Reader) -> dict[str, Any]:
    top = r.opt_map("gates")
    found = {name: top.map_[name] for name in top.map_}
    try:
        GateInputs.from_json(found)
    except ValueError as error:
        r.refuse("gates", str(error), "fields of the gate inputs")
    return found


def _expect(r: Reader, context: _Context) -> dict[str, Any]:
    """What must come out, plain: texts, numbers and lists as the file has them; cases.py compares."""
    expect: dict[str, Any] = {"bucket": r.choice("bucket", BUCKETS)}
    if context.names is None:
        return expect
    levels = [level.name for level in context.rule.levels]
    for key in ("reason", "variant"):
        if r.has(key):
            expect[key] = r.text(key, 200)
    if r.has("level"):
        expect["level"] = r.choice("level", ("", *levels)) if levels else r.text("level")
    for key in ("card", "sms", "without", "marks", "cured", "contacts"):
        if r.has(key):
            expect[key] = r.texts(key, 0)
    if r.has("call"):
        expect["call"] = r.flag("call")
    if r.has("first"):
        expect["first"] = r.texts("first")
    if r.has("next"):
        expect["next"] = r.choice("next", (*context.rule.channels, NONE))
    if r.has("served"):
        expect["served"] = r.flag("served")
    if r.has("correction"):
        expect["correction"] = r.choice("correction", CORRECTIONS)
    if r.has("values"):
        expect["values"] = _expected_values(r.map("values"), context)
    if r.has("stages"):
        expect["stages"] = _stages(r.map("stages"), context)
    r.done()
    return expect


def _expected_values(r: Reader, context: _Context) -> dict[str, Any]:
    found = {}
    assert context.names is not None
    for name in r.map_:
        r.has(name)
        if name not in context.names:
            hint = near(name, context.names)
            r.refuse(name, f"the unknown name '{name}'", ", ".join(sorted(context.names)), hint)
        found[name] = dict(r.map_[name]) if isinstance(r.map_[name], YMap) else r.map_[name]
    return found


def _stages(r: Reader, context: _Context) -> dict[str, dict[str, Any]]:
    """stage -> {at, end, deadline, if, late, timers}; times as moments, `if` true, false or a kind of absence, timers as
    (moment, what it does)."""
    names = [stage.name for stage in context.rule.stages]
    found: dict[str, dict[str, Any]] = {}
    for name in r.map_:
        if name not in names:
            r.has(name)
            r.refuse(name, f"the stage '{name}'", ", ".join(names), near(name, names))
            continue
        top = r.map(name)
        entry = found[name] = {}
        for key in ("at", "end", "deadline"):
            if top.has(key):
                entry[key] = typed.moment(top.map_[key])
                if entry[key] is None:
                    top.refuse(key, describe(top.map_[key]), "a moment such as 2024-02-01T08:00")
        if top.has("if"):
            entry["if"] = top.map_["if"]
        if top.has("late"):
            entry["late"] = top.choice("late", LATE)
        if top.has("timers"):
            entry["timers"] = tuple(_timer(m) for m in top.maps("timers", 0))
        top.done()
    return found


def _timer(r: Reader) -> tuple[datetime | None, str]:
    at = typed.moment(r.map_.get("at"))
    if not r.has("at") or at is None:
        r.refuse("at", describe(r.map_.get("at")), "a moment such as 2024-02-01T08:15")
    made = at, r.choice("do", DO)
    r.done()
    return made
