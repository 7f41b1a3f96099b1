"""What a rule says of a fact: exactly one bucket, with its reason. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from daemon.model.kinds import Value


class Bucket(StrEnum):
    """Every fact lands in exactly one bucket under every rule of its kind."""

    NOTIFY = "notify"
    NO_MATCH = "no_match"
    SUPPRESSED = "suppressed"  # a gate said no; the reason names it
    HELD = "held"  # a person must release it
    INDETERMINATE = "indeterminate"  # an operand is missing; a person must look


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer with its reason: 'pass', or what passes with a condition ('other_contact', 'phone_as_well');
    'suppress', 'hold', or 'unknown' (indeterminate)."""

    gate: str
    verdict: str
    reason: str = ""

    @property
    def passes(self) -> bool:
        """Whether the match goes on to the next gate."""
        return self.verdict in ("pass", "other_contact", "phone_as_well")


@dataclass(frozen=True, slots=True)
class Decision:
    """One fact under one rule.

    `reason`: `level:call`, `condition`, `gate:consent`, `missing:ratio`, `declared:amount_differs`. `operands`: every
    operand the rule names with its value or absence. `occurrence` and `terms` are set for notify and held.
    """

    bucket: Bucket
    reason: str
    level: str = ""
    occurrence: Mapping[str, Value] = field(default_factory=dict)
    terms: Mapping[str, Value | tuple[Mapping[str, Value], ...]] = field(default_factory=dict)
    operands: Mapping[str, Value] = field(default_factory=dict)
    gates: tuple[GateResult, ...] = ()
    marks: tuple[str, ...] = ()
    cured: frozenset[str] = frozenset()  # levels whose rearm condition holds on this fact
