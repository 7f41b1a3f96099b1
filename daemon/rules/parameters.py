"""Reads `parameters/*.yaml` and `references.yaml`: dated values with what they rest on. Pure.

    parameters:
      line_call:
        label: 追保线
        type: ratio
        unit: 倍
        contract: contract_line_call
        values:
          - {from: 2019-08-19, value: 1.30, reference: EXR-MT-043}
        reviewed_on: 2026-01-05
        reviewed_by: 信用业务部
        review_every: 365d

A value holds until the next one begins; `to:` ends it on that day, and the next one must begin the day after. Days on
which no value holds, and days on which two do, are findings. Whether a rule needs a value earlier is the rule's check.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise

from daemon.errors import Finding
from daemon.model.kinds import Type
from daemon.rules import typed
from daemon.rules.checks import check_name
from daemon.rules.schema import Parameter, ParameterValue, Reference
from daemon.yamlfile import Reader, describe, near

CONFIDENCES = ("A", "B", "C", "D")
TYPES = ("money", "price", "ratio", "quantity", "date", "time", "bool", "code")


def read_references(r: Reader) -> dict[str, Reference]:
    """The references of `rules/references.yaml`, by id."""
    found = {}
    top = r.map("references")
    for id_ in top.map_:
        entry = top.map(id_)
        found[id_] = Reference(
            id_,
            entry.text("instrument"),
            entry.opt_text("number"),
            entry.opt_text("article"),
            entry.opt_text("effective"),
            entry.text("requirement"),
            entry.choice("confidence", CONFIDENCES),
            top.map_.key_place(id_)[0],
        )
        entry.done()
    r.done()
    return found


def read_parameters(r: Reader, references: Mapping[str, Reference]) -> dict[str, Parameter]:
    """The parameters of one file, by name."""
    found = {}
    top = r.map("parameters")
    for name in top.map_:
        if check_name(top.map_, name, r.findings):
            found[name] = _parameter(top.map(name), name, top.map_.key_place(name)[0], references)
    r.done()
    return found


def _parameter(r: Reader, name: str, line: int, references: Mapping[str, Reference]) -> Parameter:
    type_ = Type(r.choice("type", TYPES))
    values = tuple(_value(entry, type_, references) for entry in r.maps("values"))
    _check_dates(r, values)
    made = Parameter(
        name,
        type_,
        r.text("unit", 40),
        r.text("label", 80),
        values,
        r.date("reviewed_on"),
        r.span("review_every"),
        r.text("reviewed_by", 80),
        r.map_.path,
        r.opt_text("contract", "", 64),
        line,
    )
    if made.review_every <= timedelta(0) and "review_every" in r.map_:
        r.refuse("review_every", "no time at all", "a length of time such as 365d")
    r.done()
    return made


def _value(r: Reader, type_: Type, references: Mapping[str, Reference]) -> ParameterValue:
    start, end = r.date("from"), r.opt_date("to")
    found = r.map_.get("value")
    value = typed.scalar(found, type_)
    if not r.has("value") or value is None:
        r.refuse("value", describe(found), typed.allowed(type_))
    id_ = r.text("reference", 64)
    if id_ and id_ not in references:
        r.refuse("reference", f"the reference '{id_}'", "an id of rules/references.yaml", near(id_, references))
    known = references.get(id_)
    r.done()
    text, confidence = (known.text, known.confidence) if known else ("", "")
    return ParameterValue(start, "" if value is None else value, text, confidence, end)


def _check_dates(r: Reader, values: tuple[ParameterValue, ...]) -> None:
    """Starts rise, an end is not before its start, nothing between two values is left out or covered twice."""
    for value in values:
        if value.end is not None and value.end < value.start:
            r.refuse("values", f"a value from {value.start} to {value.end}", "an end on or after its start")
    for before, after in pairwise(values):
        if after.start <= before.start:
            r.refuse("values", f"{after.start} after {before.start}", "rising start dates")
        elif before.end is not None and before.end >= after.start:
            r.refuse("values", f"two values on {after.start}..{before.end}", "one value a day", "an overlap")
        elif before.end is not None and before.end + timedelta(days=1) < after.start:
            gap = f"{before.end + timedelta(days=1)}..{after.start - timedelta(days=1)}"
            r.refuse("values", f"no value on {gap}", "a value on each day between two values", "a gap")


def first_day(parameter: Parameter) -> date | None:
    """The first day on which it has a value; None without values."""
    return parameter.values[0].start if parameter.values else None


def merge(into: dict[str, Parameter], found: Mapping[str, Parameter], findings: list[Finding]) -> None:
    """Add the parameters of one file; a name that another file has is a finding."""
    for name, parameter in found.items():
        if name in into:
            allowed = f"one '{name}' (first in {into[name].path}:{into[name].line})"
            trail = f"parameters.{name}"
            findings.append(Finding(parameter.path, parameter.line, 1, trail, "the same parameter again", allowed))
        else:
            into[name] = parameter
