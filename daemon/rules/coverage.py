"""What the cases of a rule cover, and what they do not, each with its place. Pure.

    conditions   each comparison and bool of an expression that a decision looked at: true, false, and absent where it can be
    levels       each level reached; each `rearm:` true and false, by a case that expects `cured`
    stages       each stage's instant and deadline stated by a case; each `if:` true and false
    timers       each forward timer's moment and effect stated by a case
    gates        each gate that the rule uses passed, and stopping the notice
 A rule without levels has its `when:` among the levels: met and not met. Only cases that end as expected count. The
tree-walking tracer (evaluate.py) says what each part of a condition gave.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daemon.model.decisions import Bucket, GateResult
from daemon.model.kinds import Absence, Value
from daemon.rules.cases import Builder, play
from daemon.rules.decider import Decider
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.expectations import Played, differences
from daemon.rules.expressions import parse
from daemon.rules.gates import HOLD, OTHER_CONTACT, PHONE, SUPPRESS, UNKNOWN, status_verdict
from daemon.rules.lacking import Lacking
from daemon.rules.nodes import And, Node, Not, Or, names_in, show
from daemon.rules.places import Places, key_trail
from daemon.rules.schema import Case, Rule, RuleSet
from daemon.rules.vocabulary import Vocabulary, expressions_of

GROUPS = ("conditions", "levels", "stages", "timers", "gates")
DEMANDED = ("levels", "timers", "gates")
"""What may not be left uncovered."""


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing to cover: `what` of the key `key`, at its place."""

    group: str
    key: str
    what: str
    path: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key}: {self.what}"


@dataclass(frozen=True)
class Coverage:
    """What one rule's cases cover. `items` in the order of the file, `covered` among them."""

    rule: str
    items: tuple[Item, ...]
    covered: frozenset[Item]

    def of(self, group: str) -> tuple[int, int]:
        """How many of how many things of a group are covered."""
        mine = [item for item in self.items if item.group == group]
        return sum(item in self.covered for item in mine), len(mine)

    def missing(self, *groups: str) -> tuple[Item, ...]:
        """What is not covered, of these groups or of all."""
        return tuple(i for i in self.items if i not in self.covered and (not groups or i.group in groups))

    @property
    def sufficient(self) -> bool:
        """Whether nothing of what is demanded is left uncovered."""
        return not self.missing(*DEMANDED)

    def to_json(self) -> dict[str, Any]:
        """Counts by group, and what is missing."""
        found: dict[str, Any] = {group: list(self.of(group)) for group in GROUPS}
        names = ("group", "key", "what", "path", "line")
        return {**found, "missing": [{name: getattr(item, name) for name in names} for item in self.missing()]}


def coverage_of(ruleset: RuleSet, name: str) -> Coverage:
    """What the cases of one rule cover."""
    rule = ruleset.rules[name]
    asked = _Asked(ruleset, rule)
    covered: set[tuple[str, str, str]] = set()
    decider, builder = Decider(ruleset, rule), Builder(ruleset, rule)
    for case in ruleset.cases:
        if case.rule != name:
            continue
        played = play(ruleset, decider, case, builder)
        if next(differences(ruleset, case, played), None) is None:
            covered.update(_Seen(ruleset, rule, case, played).all())
    items = tuple(asked.all())
    return Coverage(name, items, frozenset(i for i in items if (i.group, i.key, i.what) in covered))


def atoms(node: Node) -> Iterator[Node]:
    """The parts of a condition that `and`, `or` and `not` join; none where nothing can vary."""
    match node:
        case And() | Or():
            for part in node.parts:
                yield from atoms(part)
        case Not():
            yield from atoms(node.operand)
        case _:
            if names_in(node):
                yield node


class _Asked:
    """All that there is to cover of a rule."""

    def __init__(self, ruleset: RuleSet, rule: Rule) -> None:
        self.ruleset, self.rule = ruleset, rule
        self.lacking = Lacking(Vocabulary.of(ruleset, rule))
        self.places = Places(ruleset.files)

    def all(self) -> Iterator[Item]:
        yield from self.conditions()
        yield from self.levels()
        yield from self.stages()
        yield from self.gates()

    def item(self, group: str, key: str, what: str) -> Item:
        return Item(group, key, what, self.rule.path, self.places.line(self.rule.path, *key_trail(key)))

    def conditions(self) -> Iterator[Item]:
        for key, text in expressions_of(self.rule):
            for atom in dict.fromkeys(map(show, atoms(parse(text)))):
                yield self.item("conditions", key, f"{atom} true")
                yield self.item("conditions", key, f"{atom} false")
                if self.lacking.can_be_absent(key, parse(atom)):
                    yield self.item("conditions", key, f"{atom} absent")

    def levels(self) -> Iterator[Item]:
        if self.rule.when:
            yield self.item("levels", "when", "met")
            yield self.item("levels", "when", "not met")
        for level in self.rule.levels:
            yield self.item("levels", f"levels.{level.name}.when", "reached")
            yield self.item("levels", f"levels.{level.name}.rearm", "true")
            yield self.item("levels", f"levels.{level.name}.rearm", "false")

    def stages(self) -> Iterator[Item]:
        for stage in self.rule.stages:
            key = f"stages.{stage.name}"
            yield self.item("stages", f"{key}.at", "stated")
            yield self.item("stages", f"{key}.deadline", "stated")
            if stage.condition:
                yield self.item("stages", f"{key}.if", "true")
                yield self.item("stages", f"{key}.if", "false")
            for i, timer in enumerate(stage.timers):
                place = self.places.line(self.rule.path, "stages", stage.name, "after", i)
                yield Item("timers", f"{key}.after", f"timer {i + 1}, {timer.do}, stated", self.rule.path, place)

    def gates(self) -> Iterator[Item]:
        for key, ways in gates_of(self.ruleset, self.rule).items():
            for what in ways:
                yield self.item("gates", key, what)


def gates_of(ruleset: RuleSet, rule: Rule) -> dict[str, tuple[str, ...]]:
    """Every gate that a rule uses -> the ways it can go: passed, and each way of stopping. Keys are those of the rule's file
    or of its case's `gates:`."""
    both = ("passed", "stopping")
    found: dict[str, tuple[str, ...]] = {"gates.stopped": both, "gates.silence": both}
    found["gates.source"] = ("late, passed",) if rule.if_unasked == "send" else both
    if rule.gates.status:
        values = ruleset.kinds[rule.kind].fields[rule.gates.status].values
        verdicts = {status_verdict(rule, status) for status in values} | {status_verdict(rule, Absence.MISSING)}
        stops = [f"stopping ({verdict})" for verdict in (SUPPRESS, HOLD, UNKNOWN) if verdict in verdicts]
        goes = [f"passed ({verdict})" for verdict in (OTHER_CONTACT, PHONE) if verdict in verdicts]
        found["gates.status"] = ("passed", *goes, *stops)
    if rule.gates.suitability:
        found["gates.suitability"] = both
    for name in rule.gates.exclude:
        found[f"gates.exclude.{name}"] = both
    if rule.gates.consent != "none":
        found["gates.consent"] = both
    if rule.cap.per_client is not None:
        found["cap.per_client"] = both
    for name in rule.holds:
        found[f"hold.{name}"] = both
    return found


class _Seen:
    """What one case covers."""

    def __init__(self, ruleset: RuleSet, rule: Rule, case: Case, played: Played) -> None:
        self.ruleset, self.rule, self.case, self.played = ruleset, rule, case, played
        self.decision, self.expect = played.decision, case.expect

    def all(self) -> Iterator[tuple[str, str, str]]:
        yield from self.conditions()
        yield from self.levels()
        yield from self.stages()
        if self.decision.gates and self.expect["bucket"] == self.decision.bucket.value:
            yield from self.gates()

    def conditions(self) -> Iterator[tuple[str, str, str]]:
        env = Env(self.ruleset.calendar, self.case.business_date)
        for key, text in expressions_of(self.rule):
            if not self.looked_at(key):
                continue
            for atom in atoms(parse(text)):
                yield "conditions", key, f"{show(atom)} {_truth(evaluate(atom, self.played.context, env))}"

    def looked_at(self, key: str) -> bool:
        """Whether the decision depends on the expression under a key at all."""
        reason, decision = self.decision.reason, self.decision
        group, _, name = key.partition(".")
        if reason in ("not_effective", "not_whole"):
            return False
        if group == "needs":
            return decision.bucket is Bucket.NO_MATCH or reason.startswith("needs:") or not decision.gates
        if group in ("hold", "gates"):
            return bool(decision.gates)
        if group == "stages":
            return any(plan.stage == name.rpartition(".")[0] for plan in self.played.plans)
        if group == "levels" and name.endswith(".when") and decision.level:
            names = [level.name for level in self.rule.levels]
            return names.index(name.removesuffix(".when")) <= names.index(decision.level)
        return not (reason.startswith("unless:") and group in ("when", "levels") and not name.endswith(".rearm"))

    def levels(self) -> Iterator[tuple[str, str, str]]:
        matched = bool(self.decision.gates)
        if self.rule.when and (matched or self.decision.reason == "condition"):
            yield "levels", "when", "met" if matched else "not met"
        for level in self.rule.levels:
            if matched and self.decision.level == level.name:
                yield "levels", f"levels.{level.name}.when", "reached"
            if "cured" in self.expect:
                truth = "true" if level.name in self.decision.cured else "false"
                yield "levels", f"levels.{level.name}.rearm", truth

    def stages(self) -> Iterator[tuple[str, str, str]]:
        for name, stated in self.expect.get("stages", {}).items():
            key = f"stages.{name}"
            for part in ("at", "deadline"):
                if part in stated:
                    yield "stages", f"{key}.{part}", "stated"
            if "if" in stated:
                yield "stages", f"{key}.if", _truth(stated["if"])
            for i, (_, do) in enumerate(stated.get("timers", ())):
                yield "timers", f"{key}.after", f"timer {i + 1}, {do}, stated"

    def gates(self) -> Iterator[tuple[str, str, str]]:
        for result in self.decision.gates:
            key = _GATE_KEYS.get(result.gate, f"gates.{result.gate}")
            if result.passes:
                yield from self.passed(result, key)
            elif self.stops(result.gate):
                yield "gates", key, "stopping"
                yield "gates", key, f"stopping ({result.verdict})"
                if result.gate in ("exclude", "declared"):
                    yield "gates", f"{_NAMED[result.gate]}.{result.reason}", "stopping"

    def stops(self, gate: str) -> bool:
        """Whether it is this gate that the case's reason names."""
        reason = self.decision.reason
        return reason == f"gate:{gate}" or (gate == "declared" and reason.startswith("declared:"))

    def passed(self, result: GateResult, key: str) -> Iterator[tuple[str, str, str]]:
        gate = result.gate
        if self.decision.bucket is not Bucket.NOTIFY:
            return
        yield "gates", key, "passed"
        yield "gates", key, f"passed ({result.verdict})"
        if gate == "source" and self.case.gates.get("source"):
            yield "gates", key, "late, passed"
        for name in {"exclude": self.rule.gates.exclude, "declared": self.rule.holds}.get(gate, ()):
            yield "gates", f"{_NAMED[gate]}.{name}", "passed"


_GATE_KEYS = {"cap": "cap.per_client"}
_NAMED = {"exclude": "gates.exclude", "declared": "hold"}


def _truth(value: Value | str) -> str:
    return "true" if value is True else "false" if value is False else "absent"
