"""Why a rule decided as it did: every operand, parameter with its reference, condition with its parts, and gate. Pure.

The same program that decided gives the values; the tracer (evaluate.py) takes the conditions apart. Leaves the wording
and the language of an explanation to those who print it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from daemon.model.decisions import Decision, GateResult
from daemon.model.kinds import Value
from daemon.rules.evaluate import Env, Trace, trace
from daemon.rules.expressions import parse
from daemon.rules.program import Program, Values
from daemon.rules.vocabulary import Vocabulary, expressions_of


@dataclass(frozen=True, slots=True)
class OperandNote:
    """A field the rule read, with its Chinese label."""

    name: str
    label: str
    value: Value


@dataclass(frozen=True, slots=True)
class ParameterNote:
    """A parameter as it stood on the business date. `source`: 'firm', or 'contract' where the contract's value won."""

    name: str
    label: str
    value: Value
    unit: str
    source: str
    since: date | None
    reference: str
    confidence: str


@dataclass(frozen=True, slots=True)
class ConditionNote:
    """One expression of the rule, by its key in the file. `decided`: it is the one that made the decision."""

    key: str
    trace: Trace
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of one decision. `lets` are traced in the order of the file; `conditions` in the order of deciding."""

    rule: str
    title: str
    business_date: date
    calendar: str
    decision: Decision
    operands: tuple[OperandNote, ...]
    parameters: tuple[ParameterNote, ...]
    lets: tuple[ConditionNote, ...]
    conditions: tuple[ConditionNote, ...]
    gates: tuple[GateResult, ...]


def explanation(words: Vocabulary, program: Program, decision: Decision, env: Env) -> Explanation:
    """The explanation of a decision that this program made on these operands."""
    slots = program.all(decision.operands, env)
    values = program.as_mapping(slots)
    fields = words.kind.fields
    return Explanation(
        words.rule.name,
        words.rule.title,
        env.business_date,
        f"{env.calendar.name} {env.calendar.version}",
        decision,
        tuple(OperandNote(name, fields[name].label, value) for name, value in decision.operands.items()),
        tuple(_parameter(words, program, slots, name, env) for name in words.used_parameters),
        tuple(ConditionNote(f"let.{name}", trace(node, values, env)) for name, node in words.lets.items()),
        tuple(_conditions(words, values, decision, env)),
        decision.gates,
    )


def _parameter(words: Vocabulary, program: Program, slots: Values, name: str, env: Env) -> ParameterNote:
    parameter, value = words.parameters[name], program.value(slots, name)
    dated, contract = parameter.at(env.business_date), words.contract_field(name)
    if contract and value == program.value(slots, contract):
        reference = f"{words.kind.fields[contract].label} ({contract})"
        return ParameterNote(name, parameter.label, value, parameter.unit, "contract", None, reference, "")
    since, reference, confidence = (dated.start, dated.reference, dated.confidence) if dated else (None, "", "")
    return ParameterNote(name, parameter.label, value, parameter.unit, "firm", since, reference, confidence)


def _conditions(words: Vocabulary, values: dict[str, Value], decision: Decision, env: Env) -> list[ConditionNote]:
    notes, found = [], False
    for key, text in expressions_of(words.rule):
        traced = trace(parse(text), values, env)
        decides = not found and _decides(key, traced.value, decision)
        found = found or decides
        notes.append(ConditionNote(key, traced, decides))
    return notes


def gate_key(gate: str, reason: str) -> str:
    """The key in the rule's file of the expression that a gate's answer rests on, '' where it rests on none."""
    if gate == "suitability":
        return "gates.suitability"
    return {"exclude": f"gates.exclude.{reason}", "declared": f"hold.{reason}"}.get(gate, "")


def _decides(key: str, value: Value, decision: Decision) -> bool:
    """Whether the expression under `key` is what the decision's reason names."""
    kind, _, name = key.partition(".")
    reason, _, detail = decision.reason.partition(":")
    if reason == "missing":
        deciding = kind in ("unless", "when", "needs") or key.endswith(".when")
        return deciding and value is not True and value is not False
    if reason == "level":
        return key == f"levels.{detail}.when"
    if reason == "unless":
        return kind == "unless" and name == detail
    if reason == "needs":
        return kind == "needs" and name == detail
    if reason == "declared":
        return kind == "hold" and name == detail
    if reason == "gate":
        blocked = next((g.reason for g in decision.gates if g.gate == detail and not g.passes), "")
        return key == gate_key(detail, blocked)
    return reason == "condition" and key == "when"
