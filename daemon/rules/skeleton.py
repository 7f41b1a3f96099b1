"""The case to write for a mutant that survives, as text to paste into the rule's case file. Pure.

It gives the fact on the boundary and what the rule gives there today. A person must judge whether that is what it ought
to give: the outcome is the program's, not the rule owner's word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from daemon.model.kinds import Absence, Field, Value
from daemon.model.money import plain
from daemon.rules import typed
from daemon.rules.functions import SHANGHAI
from daemon.rules.mutant import Mutant
from daemon.rules.schema import Case, RuleSet
from daemon.rules.witness import Search, Witness
from daemon.yamlfile import YMap, load

_PLAIN = re.compile(r"[A-Za-z_\u4e00-\u9fff][A-Za-z0-9_\u4e00-\u9fff./-]*(?: [A-Za-z0-9_]+)*")
_WORDS = re.compile(r"(?:y|n|yes|no|on|off|true|false|null)", re.IGNORECASE)


class Skeletons:
    """Makes the cases to write of one rule."""

    def __init__(self, ruleset: RuleSet, rule: str) -> None:
        self._search = Search(ruleset, rule)
        self._fields = ruleset.kinds[ruleset.rules[rule].kind].fields
        self._base: dict[str, Value] = {}
        if self._search.cases:
            path = self._search.cases[0].path
            self._base = _base(load(ruleset.files[path], path), self._fields)

    def case(self, mutant: Mutant) -> str:
        """The case as YAML; a remark where no fact near the cases tells the mutant from the rule."""
        witness = self._search.witness(mutant)
        if witness is None:
            return "  # no fact near the cases tells them apart: write one that reaches this line"
        return "\n".join(_lines(mutant, witness, self._base))


def _base(file: YMap, fields: Mapping[str, Field]) -> dict[str, Value]:
    """What all cases of the file start from."""
    found: dict[str, Value] = {}
    for name, raw in file.get("given", {}).items():
        value, _, _ = typed.value(raw, fields[name].type, fields[name].values)
        if value is not None:
            found[name] = value
    return found


def _lines(mutant: Mutant, witness: Witness, base: Mapping[str, Value]) -> Iterable[str]:
    case = witness.case
    yield f"  - name: {_text(f'{mutant.site}, {mutant.before}')[:118]}"
    yield f"    date: {case.business_date}"
    yield f"    at: {case.made_at.astimezone(SHANGHAI).isoformat(timespec='minutes')[:16]}"
    yield from _facts(case, base)
    if case.told is not None:
        told = {n: v for n, v in case.told.given.items() if case.given.get(n) != v}
        yield f"    told: {{date: {case.told.business_date}, given: {_flow(told)}}}"
    for key in ("gates", "receipts"):
        if found := getattr(case, key):
            yield f"    {key}: {_flow(found)}"
    if not case.whole:
        yield "    whole: false"
    yield "    expect:"
    yield from _expected(witness)


def _facts(case: Case, base: Mapping[str, Value]) -> Iterable[str]:
    given = {name: value for name, value in case.given.items() if name not in base or base[name] != value}
    if given:
        yield f"    given: {_flow(given)}"
    if gone := sorted(base.keys() - case.given.keys()):
        yield f"    without: [{', '.join(gone)}]"
    if case.rows:
        yield "    rows:"
        yield from (f"      - {_flow(row)}" for row in case.rows)


def _expected(witness: Witness) -> Iterable[str]:
    given = witness.given
    yield f"      bucket: {given['bucket']}"
    yield f"      reason: {_text(given['reason'])}"
    stages: dict[str, dict[str, Any]] = {}
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for key, other in witness.differs.items():
        sort, _, name = key.partition(" ")
        if key.startswith("stages."):
            name, _, part = key.removeprefix("stages.").rpartition(".")
            stages.setdefault(name, {})[part] = given[key]
        elif key.startswith("values."):
            values[key.removeprefix("values.")] = given[key]
        elif sort in ("variant", "card", "sms"):
            if not said:
                stages.setdefault(name, {})
            if name in stages:
                said[sort] = _text(given[key]) if sort == "variant" else _only(given[key], str(other))
        elif key not in ("bucket", "reason"):
            yield f"      {key}: {_scalar(given[key])}"
    yield from (f"      {sort}: {text}" for sort, text in said.items())
    if values:
        yield f"      values: {_flow(values)}"
    if stages := {n: s for n, s in stages.items() if not n.startswith("correction/")}:
        yield "      stages:"
        yield from (f"        {name}: {_flow(stage)}" for name, stage in stages.items())


def _only(ours: str, theirs: str) -> str:
    """The first line that only the rule's wording has."""
    line = next((line for line in ours.splitlines() if line not in theirs), ours.splitlines()[0])
    return f"[{json.dumps(line, ensure_ascii=False)}]"


def _flow(found: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in found.items()) + "}"


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Absence.EMPTY:
            return "null"
        case Absence():
            return f"{{absent: {value.value}}}"
        case Decimal():
            return plain(value)
        case datetime():
            return value.astimezone(SHANGHAI).isoformat(timespec="minutes")[:16]
        case date():
            return value.isoformat()
        case time():
            return f'"{value.isoformat("minutes")}"'
        case Mapping():
            return _flow(value)
        case tuple() if value and isinstance(value[0], tuple):
            return "[" + ", ".join(f"{{at: {_scalar(at)}, do: {do}}}" for at, do in value) + "]"
        case list() | tuple():
            return "[" + ", ".join(_scalar(part) for part in value) + "]"
        case _:
            return _text(str(value))


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text) else json.dumps(text, ensure_ascii=False)
