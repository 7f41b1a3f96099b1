"""A sheet's line and a finished sheet file, as values: what sheets.py writes and reads, without its library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from daemon.model.decisions import GateResult
from daemon.model.kinds import Value


@dataclass(frozen=True, slots=True)
class Line:
    """One fact under one rule, as decided: what `explain` shows and `replay` decides again.

    `operands`: every operand that the rule names, with its value or absence. `items`: the collected rows' fields, typed
    as the sheet's `items` say. `as_of`: part -> moment. `occurrence`, `terms`, `gate_inputs` are canonical JSON text,
    empty where there is nothing to say; `episode` is an id in the store. No value of a line is personal.
    """

    subject: int
    client: int
    business_date: date
    bucket: str
    reason: str
    operands: Mapping[str, Value]
    level: str = ""
    occurrence: str = ""
    terms: str = ""
    gate_inputs: str = ""
    gates: tuple[GateResult, ...] = ()
    marks: tuple[str, ...] = ()
    items: tuple[Mapping[str, Value], ...] = ()
    as_of: Mapping[str, datetime] = field(default_factory=dict)
    rows: int = 1
    whole: bool = True
    episode: int | None = None


@dataclass(frozen=True, slots=True)
class SheetFile:
    """A finished sheet: its sealed file, SHA-256 of the plain bytes, number of lines, id of the key that seals it."""

    path: Path
    sha256: str
    lines: int
    key: bytes
