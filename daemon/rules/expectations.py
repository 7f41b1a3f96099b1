"""Holds what a case gave against what it expects; every difference is a sentence of its own. Pure.

What is cheap to compare comes first and all of it lazily: who asks only whether a case fails stops at the first sentence.
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
from daemon.model.notices import CORRECTION, StagePlan
from daemon.model.values import to_json
from daemon.rules import passage
from daemon.rules.functions import SHANGHAI
from daemon.rules.gates import call_of, contacts_of
from daemon.rules.schema import Case, Rule, RuleSet
from daemon.rules.vocabulary import ROWS

FIRST_CORRECTION = f"{CORRECTION}1"
WORDED = ("card", "sms", "without", "variant")
"""Expectations that need the card filled in."""


@dataclass(frozen=True, slots=True)
class Played:
    """All that one case gave: the fact's values and rows, the decision, the plan of its level, what cards see. `told`: the
    same of the fact that was told before."""

    values: Mapping[str, Value]
    rows: Sequence[Mapping[str, Value]]
    decision: Decision
    plans: tuple[StagePlan, ...]
    context: Mapping[str, Value]
    told: Played | None = None


def differences(ruleset: RuleSet, case: Case, played: Played) -> Iterator[str]:
    """Every difference, one sentence each."""
    rule = ruleset.rules[case.rule]
    yield from _decided(rule, case, played)
    yield from _valued(case, played)
    yield from _planned(rule, case, played)
    yield from _passed(rule, case, played)
    yield from _corrected(rule, case, played)
    yield from _worded(ruleset, case, played)


def _decided(rule: Rule, case: Case, played: Played) -> Iterator[str]:
    expect, decision = case.expect, played.decision
    found = {"bucket": decision.bucket.value, "reason": decision.reason, "level": decision.level}
    for key in ("bucket", "reason", "level"):
        if key in expect and found[key] != expect[key]:
            reason = f" ({decision.reason})" if key == "bucket" else ""
            yield f"{key}: found {found[key] or 'none'}{reason}, expected {expect[key] or 'none'}"
    if "call" in expect and bool(call_of(decision.gates)) is not expect["call"]:
        yield f"call: found {call_of(decision.gates) or 'none'}, expected {'one' if expect['call'] else 'none'}"
    contacts = contacts_of(rule, decision.gates)
    if "contacts" in expect and contacts != expect["contacts"]:
        yield f"contacts: found {', '.join(contacts)}, expected {', '.join(expect['contacts'])}"
    for key, listed in (("marks", set(decision.marks)), ("cured", set(decision.cured))):
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
        return local(found) == str(expected)
    shown = found if isinstance(found, str) else found.isoformat()
    return bool(shown == expected) or (hasattr(found, "hour") and bool(shown[:5] == expected))


def _planned(rule: Rule, case: Case, played: Played) -> Iterator[str]:
    plans = {plan.stage: plan for plan in played.plans}
    for stage, expected in case.expect.get("stages", {}).items():
        plan = plans.get(stage)
        if plan is None:
            yield f"stage {stage}: found none, expected one of {_listed(plans)}"
            continue
        for key, wanted in expected.items():
            found = _stage_value(rule, case, plan, key)
            if found != wanted:
                yield f"stage {stage}: {key}: found {_shown(found)}, expected {_shown(wanted)}"


def _stage_value(rule: Rule, case: Case, plan: StagePlan, key: str) -> Any:
    if key == "if":
        return plan.condition.value if isinstance(plan.condition, Absence) else plan.condition
    if key == "timers":
        return passage.timers(rule, plan, case.made_at)
    return {"at": plan.at, "end": plan.window_end, "deadline": plan.deadline, "late": plan.late}[key]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{local(at)} {do}" for at, do in value) or "none"
    return local(value) if isinstance(value, datetime) else str(value)


def local(moment: datetime) -> str:
    """A moment as a case writes it: to the minute, in Asia/Shanghai."""
    return moment.astimezone(SHANGHAI).isoformat(timespec="minutes")[:16]


def _passed(rule: Rule, case: Case, played: Played) -> Iterator[str]:
    """How a notice of the rule leaves, and what serves it."""
    left = case.receipts or dict.fromkeys(passage.first_channels(rule), "")
    found = {
        "first": passage.first_channels(rule),
        "next": passage.next_channel(rule, left) or passage.NONE,
        "served": any(passage.serves(rule, channel, receipt) for channel, receipt in left.items()),
    }
    for key in ("first", "next", "served"):
        if key in case.expect and found[key] != case.expect[key]:
            yield f"{key}: found {_one(found[key])}, expected {_one(case.expect[key])}"


def _one(value: Any) -> str:
    return (", ".join(value) if isinstance(value, tuple) else str(value)) or "none"


def _corrected(rule: Rule, case: Case, played: Played) -> Iterator[str]:
    if played.told is None:
        return
    told = played.told.decision
    if told.bucket is not Bucket.NOTIFY:
        yield f"told: found {told.bucket.value} ({told.reason}), expected a fact that notifies"
    elif not rule.levels and told.occurrence != played.decision.occurrence:
        yield "told: found another occurrence, expected the obligation of the case"
    elif "correction" in case.expect:
        found = passage.correction(rule, told, played.decision)
        if found != case.expect["correction"]:
            yield f"correction: found {found}, expected {case.expect['correction']}"


def _worded(ruleset: RuleSet, case: Case, played: Played) -> Iterator[str]:
    if not any(key in case.expect for key in WORDED):
        return
    stages = stages_to_word(case, played)
    if not stages:
        yield "card: found no stage to word, expected a match"
    for stage in stages:
        try:
            shown = word(ruleset, case, played, stage)
        except RenderError as error:
            yield f"card: {error}"
            continue
        yield from _said(case.expect, shown)


def stages_to_word(case: Case, played: Played) -> list[str]:
    """The stages whose wording a case speaks of: those it names, else the correction of what was told, else the level's
    first."""
    named = [plan.stage for plan in played.plans if plan.stage in case.expect.get("stages", {})]
    if named or played.told is None:
        return named or [plan.stage for plan in played.plans[:1]]
    return [FIRST_CORRECTION]


def word(ruleset: RuleSet, case: Case, played: Played, stage: str) -> Rendered:
    """The card of a case at a stage. A correction of what is gone says what was told. Raises RenderError."""
    rule = ruleset.rules[case.rule]
    marks: dict[str, Value] = dict.fromkeys(played.decision.marks, True)
    shown = played
    if played.told is not None and stage == FIRST_CORRECTION and played.decision.bucket is Bucket.NO_MATCH:
        shown, marks = played.told, {"gone": True}
    values: dict[str, Any] = {**shown.context, ROWS: shown.rows}
    return render(ruleset.cards[rule.card], values, stage=stage, level=shown.decision.level, marks=marks)


def _said(expect: Mapping[str, Any], shown: Rendered) -> Iterator[str]:
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
