"""The gates: fixed order, all run on every match, all answers kept; the first that does not pass decides. Pure.

    stopped      one person stopped the rule
    source       the feed is late or short; a rule that may speak unasked (`if_unasked: send`) passes
    status       the client's status, by the signed table of the rule's family or category and the rule's own verdicts;
                 it may also name other contacts, or ask for a phone call beside the notice
    consent      what the client agreed to or refused, as far as the rule asks
    suitability  what the rule says makes it suitable for the client; what is not known to be suitable is not pushed
    exclude      who the rule excludes by its own expressions
    cap          notices a client a day; counts other obligations only, so a subject that has its notice passes
    silence      a person silenced the rule or the client, with reason, author and end
    declared     the rule's own holds, until a person releases them
 A gate that lifts lets the next poll notify, because nothing but the fact and these inputs decides. A release of one
client (`released`) turns the holds of `source`, `status` and `declared` into a pass; it never lifts a suppression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from daemon.model.decisions import Bucket, GateResult
from daemon.model.kinds import Absence, Value
from daemon.rules.schema import Rule

SEND, SUPPRESS, HOLD, OTHER_CONTACT, PHONE = "send", "suppress", "hold", "other_contact", "phone_as_well"
PASS, UNKNOWN = "pass", "unknown"
VERDICTS = (SEND, SUPPRESS, HOLD, PHONE)
"""What a status may mean in one word; `other_contact` names its contacts too (statuses.py reads both)."""

ANY_OTHER = "unknown"
"""The key of a verdict for a status that is absent or in no table."""

CONSENTS = ("in", "out", "none", "unknown")
SOURCE_STATES = ("", "late", "short")


@dataclass(frozen=True, slots=True)
class GateInputs:
    """What the gates read beside the fact. `silenced`: the reason of a silence in force, or ''; `consent`: the
    client's last word on the rule's category ('none': never asked; 'unknown': cannot be told now); `cap_used`: the
    client's notices of other obligations today; `has_notice`: this obligation has one already."""

    stopped: bool = False
    source: str = ""
    silenced: str = ""
    consent: str = "none"
    released: bool = False
    cap_used: int = 0
    has_notice: bool = False

    def to_json(self) -> dict[str, Any]:
        """Every field, by name; what a sheet's line keeps."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> GateInputs:
        """The inverse of `to_json`; a field left out has its open value. Raises ValueError for an unknown name or an
        ill-typed value."""
        known = {f.name: f.default for f in fields(cls)}
        for name, value in found.items():
            if name not in known:
                raise ValueError(f"gate inputs: found {name!r}, expected one of {', '.join(known)}")
            if type(value) is not type(known[name]):
                raise ValueError(f"gate inputs: {name}: found {value!r}, expected a {type(known[name]).__name__}")
        made = cls(**found)
        if made.consent not in CONSENTS or made.source not in SOURCE_STATES:
            raise ValueError(f"gate inputs: found consent {made.consent!r}, source {made.source!r}")
        return made


NAMES = ("stopped", "source", "status", "consent", "suitability", "exclude", "cap", "silence", "declared")
OPEN = GateInputs()
"""Nothing stands in the way of a rule that asks for no consent."""


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gates read of the fact: the status field's value (None: the rule has none), the rule's exclusions and
    declared holds as they evaluate on it, and whether it is suitable (None: the rule does not ask)."""

    status: Value | None
    excludes: Mapping[str, Value]
    holds: Mapping[str, Value]
    suitable: Value | None = None


_PASSED = {name: GateResult(name, PASS) for name in NAMES}
"""One value for every pass without a remark: most matches pass most gates."""


def _stopped(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    return GateResult("stopped", SUPPRESS, "stopped") if inputs.stopped else _PASSED["stopped"]


def _source(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    if not inputs.source:
        return _PASSED["source"]
    speaks = rule.if_unasked == "send" or inputs.released
    return GateResult("source", PASS if speaks else HOLD, inputs.source)


def status_verdict(rule: Rule, status: Value) -> str:
    """What a client status means to a rule: 'send', 'suppress', 'hold', 'other_contact', 'phone_as_well' or 'unknown'."""
    verdicts = rule.gates.verdicts
    found = None if isinstance(status, Absence) else verdicts.get(str(status))
    return found or verdicts.get(ANY_OTHER, UNKNOWN)


def _status(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    if facts.status is None:
        return _PASSED["status"]
    verdict, reason = status_verdict(rule, facts.status), str(facts.status)
    if verdict == SEND or (verdict == HOLD and inputs.released):
        return _PASSED["status"] if reason == "normal" else GateResult("status", PASS, reason)
    return GateResult("status", verdict, reason)


def contacts_of(rule: Rule, results: Sequence[GateResult]) -> tuple[str, ...]:
    """The roles of the contacts that a match goes to: the rule's, unless the client's status names others."""
    for result in results:
        if result.verdict == OTHER_CONTACT:
            return rule.gates.others.get(result.reason) or rule.gates.others[ANY_OTHER]
    return rule.contacts


def call_of(results: Sequence[GateResult]) -> str:
    """The client's status where a phone call is wanted as well, else ''."""
    return next((result.reason for result in results if result.verdict == PHONE), "")


def _exclude(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    for name, value in facts.excludes.items():
        if value is True:
            return GateResult("exclude", SUPPRESS, name)
    for name, value in facts.excludes.items():
        if isinstance(value, Absence):
            return GateResult("exclude", UNKNOWN, name)
    return _PASSED["exclude"]


def _consent(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    asks, said = rule.gates.consent, inputs.consent
    if asks == "none" or said == "in" or (asks == "opt_out" and said == "none"):
        return _PASSED["consent"]
    return GateResult("consent", UNKNOWN if said == "unknown" else SUPPRESS, said)


def _suitability(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    if facts.suitable is None or facts.suitable is True:
        return _PASSED["suitability"]
    why = f"unknown:{facts.suitable}" if isinstance(facts.suitable, Absence) else "unsuitable"
    return GateResult("suitability", SUPPRESS, why)


def _silence(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    return GateResult("silence", SUPPRESS, inputs.silenced) if inputs.silenced else _PASSED["silence"]


def _cap(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    bound = rule.cap.per_client
    if bound is None or inputs.has_notice or inputs.cap_used < bound:
        return _PASSED["cap"]
    return GateResult("cap", SUPPRESS, f"{inputs.cap_used} of {bound}")


def _declared(rule: Rule, inputs: GateInputs, facts: GateFacts) -> GateResult:
    if inputs.released:
        return GateResult("declared", PASS, "released") if facts.holds else _PASSED["declared"]
    for name, value in facts.holds.items():
        if value is True:
            return GateResult("declared", HOLD, name)
    for name, value in facts.holds.items():
        if isinstance(value, Absence):
            return GateResult("declared", UNKNOWN, name)
    return _PASSED["declared"]


GATES: tuple[Callable[[Rule, GateInputs, GateFacts], GateResult], ...] = (
    _stopped,
    _source,
    _status,
    _consent,
    _suitability,
    _exclude,
    _cap,
    _silence,
    _declared,
)


def run(rule: Rule, inputs: GateInputs, facts: GateFacts) -> tuple[GateResult, ...]:
    """Every gate's answer, in order."""
    return tuple(gate(rule, inputs, facts) for gate in GATES)


_BUCKETS = {SUPPRESS: Bucket.SUPPRESSED, HOLD: Bucket.HELD, UNKNOWN: Bucket.INDETERMINATE}


def verdict_of(results: Sequence[GateResult]) -> tuple[Bucket, str] | None:
    """Bucket and reason by the first gate that does not pass; None where all do."""
    for result in results:
        if not result.passes:
            declared = result.gate == "declared"
            return _BUCKETS[result.verdict], f"declared:{result.reason}" if declared else f"gate:{result.gate}"
    return None
