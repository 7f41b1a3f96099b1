"""Runs the cases of a rule set: fact and instant in, what came out held against what must. Pure.

A case's rows and values pass through the kind's formulas and collection, the rule decides, the card is filled in for
each stage that is expected (the first stage of the level where none is named). Every difference is a sentence of its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from daemon.cards.render import Rendered, render
from daemon.cards.template import RenderError
from daemon.model.decisions import Bucket, Decision
from daemon.model.kinds import Absence, Value
from daemon.model.notices import StagePlan
from daemon.model.values import to_json
from daemon.rules.decider import Decider, Rows
from daemon.rules.evaluate import Env
from daemon.rules.folding import deriver, fold
from daemon.rules.functions import SHANGHAI
from daemon.rules.gates import GateInputs, call_of, contacts_of
from daemon.rules.schema import Case, RuleSet
from daemon.rules.vocabulary import ROWS


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended: `faults` is empty where all came out as expected."""

    case: Case
    decision: Decision
    faults: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.faults

    def __str__(self) -> str:
        place = f"{self.case.path}:{self.case.line}: {self.case.name}"
        return f"{place}: as expected" if self.passed else "\n".join(f"{place}: {fault}" for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Played:
    """All that one case gave: the fact's values and rows, the decision, the plan of its level, what cards see."""

    values: Mapping[str, Value]
    rows: Rows
    decision: Decision
    plans: tuple[StagePlan, ...]
    context: Mapping[str, Value]


def run_cases(ruleset: RuleSet, cases: Iterable[Case] | None = None) -> list[CaseResult]:
    """Every case of the set (or these ones), in order. A rule compiles once."""
    deciders: dict[str, Decider] = {}
    results = []
    for case in ruleset.cases if cases is None else cases:
        if case.rule not in deciders:
            deciders[case.rule] = Decider(ruleset, ruleset.rules[case.rule])
        results.append(run_case(ruleset, deciders[case.rule], case))
    return results


def run_case(ruleset: RuleSet, decider: Decider, case: Case) -> CaseResult:
    """One case."""
    played = play(ruleset, decider, case)
    contacts = contacts_of(decider.rule, played.decision.gates)
    faults = (
        *_decided(case, played, contacts),
        *_valued(case, played),
        *_planned(case, played),
        *_worded(ruleset, case, played),
    )
    return CaseResult(case, played.decision, faults)


def play(ruleset: RuleSet, decider: Decider, case: Case) -> Played:
    """Everything a case gives, for the runner and for those who show it."""
    values, rows = build(ruleset, case)
    env = Env(ruleset.calendar, case.business_date)
    gates = GateInputs.from_json(case.gates)
    decision = decider.decide(values, rows, case.whole, gates, env)
    plans: tuple[StagePlan, ...] | Absence = ()
    if decision.terms or decision.bucket in (Bucket.NOTIFY, Bucket.HELD):
        plans = decider.plan(decision.level, values, env, case.made_at)
    context = decider.context(values, env)
    return Played(values, rows, decision, () if isinstance(plans, Absence) else plans, context)


def build(ruleset: RuleSet, case: Case) -> tuple[dict[str, Value], Rows]:
    """The fact's values and rows: row formulas, collection, fact formulas over what the case gives."""
    kind = ruleset.kinds[ruleset.rules[case.rule].kind]
    of_row, of_fact = (deriver(kind, of, ruleset.calendar) for of in ("row", "fact"))
    members: list[dict[str, Value]] = [{**case.given, **row} for row in case.rows] or [dict(case.given)]
    stated = [dict(member) for member in members]
    for member, said in zip(members, stated, strict=True):
        if of_row is not None:
            of_row(member, case.business_date)
        member.update({d.name: said[d.name] for d in kind.derived if d.of == "row" and d.name in said})
    values, rows = (members[0], ()) if kind.collect is None else fold(kind.collect, members)
    if of_fact is not None:
        of_fact(values, case.business_date)
    return {**values, **{n: v for n, v in case.given.items() if n in _stated(kind.derived)}}, rows


def _stated(derived: Iterable[Any]) -> set[str]:
    """Fact formulas that a case may state outright, in place of what they would give."""
    return {d.name for d in derived if d.of == "fact"}


def _decided(case: Case, played: Played, contacts: Sequence[str]) -> Iterator[str]:
    expect, decision = case.expect, played.decision
    found = {"bucket": decision.bucket.value, "reason": decision.reason, "level": decision.level}
    for key in ("bucket", "reason", "level"):
        if key in expect and found[key] != expect[key]:
            reason = f" ({decision.reason})" if key == "bucket" else ""
            yield f"{key}: found {found[key] or 'none'}{reason}, expected {expect[key] or 'none'}"
    if "call" in expect and bool(call_of(decision.gates)) is not expect["call"]:
        yield f"call: found {call_of(decision.gates) or 'none'}, expected {'one' if expect['call'] else 'none'}"
    listings = {"marks": set(decision.marks), "cured": set(decision.cured), "contacts": set(contacts)}
    for key, listed in listings.items():
        if key in expect and listed != set(expect[key]):
            yield f"{key}: found {_listed(listed)}, expected {_listed(expect[key])}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _valued(case: Case, played: Played) -> Iterator[str]:
    for name, expected in case.expect.get("values", {}).items():
        found = played.context.get(name, Absence.MISSING)
        if not _same(found, expected):
            yield f"{name}: found {to_json(found)}, expected {expected}"


def _same(found: Value, expected: Any) -> bool:
    if isinstance(found, Absence):
        return bool(expected == {"absent": found.value})
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    if isinstance(found, Decimal):
        return isinstance(expected, int | Decimal) and found == expected
    if isinstance(found, datetime):  # before date, which it is too
        return found.astimezone(SHANGHAI).isoformat(timespec="minutes")[:16] == str(expected)
    shown = found if isinstance(found, str) else found.isoformat()
    return bool(shown == expected) or (hasattr(found, "hour") and bool(shown[:5] == expected))


def _planned(case: Case, played: Played) -> Iterator[str]:
    plans = {plan.stage: plan for plan in played.plans}
    for stage, expected in case.expect.get("stages", {}).items():
        plan = plans.get(stage)
        if plan is None:
            yield f"stage {stage}: found none, expected one of {_listed(plans)}"
            continue
        times = {"at": plan.at, "end": plan.window_end, "deadline": plan.deadline}
        for key, moment in expected.items():
            if key == "if":
                found = plan.condition.value if isinstance(plan.condition, Absence) else plan.condition
                if found != moment:
                    yield f"stage {stage}: if: found {found}, expected {moment}"
            elif times[key] != moment:
                yield f"stage {stage}: {key}: found {_local(times[key])}, expected {_local(moment)}"


def _local(moment: datetime) -> str:
    return moment.astimezone(SHANGHAI).isoformat(timespec="minutes")[:16]


def _worded(ruleset: RuleSet, case: Case, played: Played) -> Iterator[str]:
    expect = case.expect
    wanted = {"card", "sms", "without", "variant"} & set(expect)
    if not wanted:
        return
    stages = [plan.stage for plan in played.plans if plan.stage in expect.get("stages", {})]
    stages = stages or [plan.stage for plan in played.plans[:1]]
    if not stages:
        yield "card: found no stage to word, expected a match"
    for stage in stages:
        try:
            shown = word(ruleset, case, played, stage)
        except RenderError as error:
            yield f"card: {error}"
            continue
        yield from _differences(expect, shown)


def word(ruleset: RuleSet, case: Case, played: Played, stage: str) -> Rendered:
    """The card of a case at a stage. Raises RenderError."""
    rule = ruleset.rules[case.rule]
    values: dict[str, Any] = {**played.context, ROWS: played.rows}
    marks: dict[str, Value] = dict.fromkeys(played.decision.marks, True)
    return render(ruleset.cards[rule.card], values, stage=stage, level=played.decision.level, marks=marks)


def _differences(expect: Mapping[str, Any], shown: Rendered) -> Iterator[str]:
    card, every = f"{shown.title}\n{shown.description}", f"{shown.title}\n{shown.description}\n{shown.sms}"
    if "variant" in expect and shown.variant != expect["variant"]:
        yield f"variant: found {shown.variant}, expected {expect['variant']}"
    for key, text in (("card", card), ("sms", shown.sms)):
        for part in expect.get(key, ()):
            if part not in text:
                yield f"{key}: found no {part!r} in {text!r}"
    for part in expect.get("without", ()):
        if part in every:
            yield f"without: found {part!r}, expected it nowhere"
