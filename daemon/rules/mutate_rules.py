"""The mutants that a rule's own file gives. Pure.

Beside the changes of expressions and instants: an entry of unless, needs, hold, marks or exclusions dropped, a condition
of a stage or a term dropped; neighbouring levels, and neighbouring stages' instants, conditions, timers and `late:`
swapped; a timer moved, changed or dropped; channels in another order; what discharges; verdicts of client statuses;
consent; `if_unasked:`, `late:` and the flags of corrections flipped; first and last day moved by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import time, timedelta
from typing import Any, TypeVar

from daemon.model.kinds import Absence
from daemon.rules.expressions import parse
from daemon.rules.gates import ANY_OTHER, VERDICTS, status_verdict
from daemon.rules.load_rules import CONSENTS, DO, LATE, RECEIPTS
from daemon.rules.mutant import Mutant
from daemon.rules.mutate_expressions import Typing, shifted_time, variations
from daemon.rules.mutate_instants import instant_variations
from daemon.rules.nodes import Node, show
from daemon.rules.places import Places, key_trail
from daemon.rules.schema import Rule, RuleSet, Stage, Timer
from daemon.rules.typing_of import typing_of
from daemon.rules.vocabulary import expressions_of

T = TypeVar("T")

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
STATUS_PATH = "rules/client_status.yaml"
GROUPS: Mapping[str, str] = {"unless": "unless", "needs": "needs", "hold": "holds", "marks": "marks"}
"""Key of the file -> field of the rule, for entries by name."""


def rule_mutants(ruleset: RuleSet, name: str) -> list[Mutant]:
    """All of one rule's file, in the order of the parts above."""
    return list(_Maker(ruleset, ruleset.rules[name]).all())


class _Maker:
    def __init__(self, ruleset: RuleSet, rule: Rule) -> None:
        self.ruleset, self.rule = ruleset, rule
        self.places = Places(ruleset.files)
        self.typing: Typing = typing_of(ruleset, rule)

    def all(self) -> Iterator[Mutant]:
        yield from self.expressions()
        yield from self.entries()
        yield from self.levels()
        for stage in self.rule.stages:
            yield from self.stage(stage)
        yield from self.swaps()
        yield from self.gates()
        yield from self.passage()
        yield from self.dates()

    def mutant(
        self,
        site: str,
        operator: str,
        before: object,
        after: object,
        changed: Rule,
        expression: tuple[Node, Node] | None = None,
    ) -> Mutant:
        ruleset = replace(self.ruleset, rules={**self.ruleset.rules, self.rule.name: changed})
        line = self.places.line(self.rule.path, *key_trail(site))
        return Mutant(
            self.rule.name, site, operator, str(before), str(after), self.rule.path, line, ruleset, expression
        )

    def expressions(self) -> Iterator[Mutant]:
        """The changes of every expression, the lets too."""
        keyed = [*((f"let.{name}", text) for name, text in self.rule.lets.items()), *expressions_of(self.rule)]
        for key, text in keyed:
            node = parse(text)
            for made in variations(node, self.typing):
                changed = with_expression(self.rule, key, show(made.node))
                yield self.mutant(key, made.operator, made.before, made.after, changed, (node, made.node))

    def entries(self) -> Iterator[Mutant]:
        for group, field in GROUPS.items():
            entries: Mapping[str, str] = getattr(self.rule, field)
            for name, text in entries.items():
                changed = _with(self.rule, field, _without(entries, name))
                yield self.mutant(f"{group}.{name}", "dropped", text, "nothing", changed)
        gates = self.rule.gates
        for name, text in gates.exclude.items():
            changed = replace(self.rule, gates=replace(gates, exclude=_without(gates.exclude, name)))
            yield self.mutant(f"gates.exclude.{name}", "dropped", text, "nothing", changed)
        if gates.suitability:
            changed = replace(self.rule, gates=replace(gates, suitability=""))
            yield self.mutant("gates.suitability", "dropped", gates.suitability, "nothing", changed)

    def levels(self) -> Iterator[Mutant]:
        """Neighbours swapped in order, in their lines, and in what ends their episodes."""
        levels = self.rule.levels
        for i in range(len(levels) - 1):
            a, b = levels[i], levels[i + 1]
            pairs = [("order", (b, a))]
            pairs += [
                (key, self._swapped(a, b, key)) for key in ("when", "rearm") if getattr(a, key) != getattr(b, key)
            ]
            for what, pair in pairs:
                changed = replace(self.rule, levels=(*levels[:i], *pair, *levels[i + 2 :]))
                yield self.mutant(f"levels.{a.name}", f"swapped {what}", a.name, b.name, changed)

    def _swapped(self, a: Any, b: Any, key: str) -> tuple[Any, Any]:
        return replace(a, **{key: getattr(b, key)}), replace(b, **{key: getattr(a, key)})

    def stage(self, stage: Stage) -> Iterator[Mutant]:
        """Instants moved, the condition dropped, `late:` flipped, timers moved, changed and dropped."""
        site = f"stages.{stage.name}"
        for key in ("at", "deadline"):
            for operator, text in instant_variations(getattr(stage, key)):
                yield self._staged(f"{site}.{key}", operator, getattr(stage, key), text, stage, **{key: text})
        if stage.condition:
            yield self._staged(f"{site}.if", "dropped", stage.condition, "nothing", stage, condition="")
        for late in LATE:
            if late != stage.late:
                yield self._staged(f"{site}.late", "late", stage.late, late, stage, late=late)
        for i, timer in enumerate(stage.timers):
            for operator, after, other in _timer_variations(timer):
                timers = (*stage.timers[:i], *other, *stage.timers[i + 1 :])
                yield self._staged(f"{site}.after.{i}", operator, show_timer(timer), after, stage, timers=timers)

    def _staged(self, site: str, operator: str, before: str, after: str, stage: Stage, **changes: Any) -> Mutant:
        stages = tuple(replace(s, **changes) if s is stage else s for s in self.rule.stages)
        pair = (parse(stage.condition), parse("true")) if changes == {"condition": ""} else None
        return self.mutant(site, operator, before, after, replace(self.rule, stages=stages), pair)

    def swaps(self) -> Iterator[Mutant]:
        """Each stage with the next one in the file: one of what they say swapped."""
        stages = self.rule.stages
        for i in range(len(stages) - 1):
            a, b = stages[i], stages[i + 1]
            for key in ("at", "deadline", "condition", "timers", "late"):
                if getattr(a, key) == getattr(b, key):
                    continue
                pair = self._swapped(a, b, key)
                changed = replace(self.rule, stages=(*stages[:i], *pair, *stages[i + 2 :]))
                yield self.mutant(f"stages.{a.name}", f"swapped {key}", a.name, b.name, changed)

    def gates(self) -> Iterator[Mutant]:
        """Verdicts of every status the client may have, consent, the cap of a client, `if_unasked:`."""
        rule, gates = self.rule, self.rule.gates
        if gates.status:
            yield from self._verdicts()
        for consent in CONSENTS:
            if consent != gates.consent:
                changed = replace(rule, gates=replace(gates, consent=consent))
                yield self.mutant("gates.consent", "consent", gates.consent, consent, changed)
        if (bound := rule.cap.per_client) is not None:
            for moved in (bound + 1, bound - 1):
                changed = replace(rule, cap=replace(rule.cap, per_client=moved))
                yield self.mutant("cap.per_client", "limit", bound, moved, changed)
        other = "hold" if rule.if_unasked == "send" else "send"
        yield self.mutant("recheck.if_unasked", "unasked", rule.if_unasked, other, replace(rule, if_unasked=other))

    def _verdicts(self) -> Iterator[Mutant]:
        rule, gates = self.rule, self.rule.gates
        for status in (*self.ruleset.kinds[rule.kind].fields[gates.status].values, ANY_OTHER):
            known = status_verdict(rule, Absence.MISSING if status == ANY_OTHER else status)
            for verdict in VERDICTS:
                if verdict != known:
                    changed = replace(rule, gates=replace(gates, verdicts={**gates.verdicts, status: verdict}))
                    made = self.mutant(
                        f"gates.verdicts.{status}", "verdict", f"{status}: {known}", f"{status}: {verdict}", changed
                    )
                    yield self._of_table(made, status)

    def _of_table(self, made: Mutant, status: str) -> Mutant:
        """The place of a verdict: the rule's own, else that of its family's or category's table."""
        table = next((t for t in (self.rule.name.split("/")[0], self.rule.category) if t in self.ruleset.statuses), "")
        if not table or self.places.has(self.rule.path, *key_trail(made.site)):
            return made
        return replace(made, path=STATUS_PATH, line=self.places.line(STATUS_PATH, "tables", table, status))

    def passage(self) -> Iterator[Mutant]:
        """Channels, contacts, what discharges, terms, corrections, quiet hours."""
        rule = self.rule
        key = "together" if rule.together else "channels"
        for field, site in (("channels", key), ("contacts", "contacts")):
            names: tuple[str, ...] = getattr(rule, field)
            for i in range(len(names) - 1):
                moved = (*names[:i], names[i + 1], names[i], *names[i + 2 :])
                yield self.mutant(site, "order", ", ".join(names), ", ".join(moved), _with(rule, field, moved))
        if len(rule.channels) > 1:
            other = "channels" if rule.together else "together"
            yield self.mutant(key, "together", key, other, replace(rule, together=not rule.together))
        for channel, wants in rule.discharge.items():
            for receipt in RECEIPTS:
                if receipt != wants:
                    changed = replace(rule, discharge={**rule.discharge, channel: receipt})
                    yield self.mutant(f"discharge.{channel}", "discharge", wants, receipt, changed)
        for name in rule.terms if len(rule.terms) > 1 else ():
            rest = tuple(other for other in rule.terms if other != name)
            yield self.mutant("terms", "dropped", name, "nothing", replace(rule, terms=rest))
        for field, flag in (("correct_gone", "gone"), ("correct_held", "held")):
            known: bool = getattr(rule, field)
            changed = _with(rule, field, not known)
            yield self.mutant(f"corrections.{flag}", "correction", str(known).lower(), str(not known).lower(), changed)
        for i, reason in enumerate(rule.gone_only):
            others = (*rule.gone_only[:i], *rule.gone_only[i + 1 :])
            if others:
                yield self.mutant("corrections.gone", "dropped", reason, "nothing", replace(rule, gone_only=others))
        for reason in (*rule.unless, "condition") if rule.gone_only else ():
            if reason not in rule.gone_only:
                changed = replace(rule, gone_only=(*rule.gone_only, reason))
                yield self.mutant("corrections.gone", "correction", "nothing", reason, changed)
        yield from self._quiet()

    def _quiet(self) -> Iterator[Mutant]:
        if self.rule.quiet is None:
            return
        for i, key in enumerate(("from", "to")):
            known = self.rule.quiet[i]
            for n in (1, -1):
                moved = shifted_time(time.fromisoformat(known), n)
                if moved is None:
                    continue
                text = moved.isoformat("minutes")
                quiet = (text, self.rule.quiet[1]) if i == 0 else (self.rule.quiet[0], text)
                yield self.mutant(f"quiet.{key}", "clock", known, text, replace(self.rule, quiet=quiet))

    def dates(self) -> Iterator[Mutant]:
        for n in (1, -1):
            moved = self.rule.effective + n * DAY
            yield self.mutant("effective", "limit", self.rule.effective, moved, replace(self.rule, effective=moved))
            if self.rule.until is not None:
                end = self.rule.until + n * DAY
                yield self.mutant("until", "limit", self.rule.until, end, replace(self.rule, until=end))


def _with(part: T, field: str, value: object) -> T:
    """A dataclass with one field changed, named by the caller."""
    changes: dict[str, Any] = {field: value}
    return replace(part, **changes)  # type: ignore[type-var]


def _without(entries: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: text for key, text in entries.items() if key != name}


def _timer_variations(timer: Timer) -> Iterator[tuple[str, str, tuple[Timer, ...]]]:
    for n in (1, -1):
        moved = replace(timer, after=timer.after + n * MINUTE)
        yield "timer", show_timer(moved), (moved,)
    for do in DO:
        if do != timer.do:
            other = replace(timer, do=do)
            yield "timer", show_timer(other), (other,)
    yield "dropped", "nothing", ()


def show_timer(timer: Timer) -> str:
    """`15m next_channel`."""
    seconds = int(timer.after.total_seconds())
    return f"{seconds // 60}m {timer.do}" if seconds % 60 == 0 else f"{seconds}s {timer.do}"


def with_expression(rule: Rule, key: str, text: str) -> Rule:
    """The rule with another expression under a key of its file."""
    group, _, name = key.partition(".")
    if group == "when":
        return replace(rule, when=text)
    if group == "let":
        return replace(rule, lets={**rule.lets, name: text})
    if group in GROUPS:
        field = GROUPS[group]
        return _with(rule, field, {**getattr(rule, field), name: text})
    if key == "gates.suitability":
        return replace(rule, gates=replace(rule.gates, suitability=text))
    if group == "gates":
        own = name.removeprefix("exclude.")
        return replace(rule, gates=replace(rule.gates, exclude={**rule.gates.exclude, own: text}))
    own, _, part = name.rpartition(".")
    if group == "levels":
        return replace(rule, levels=tuple(_with(v, part, text) if v.name == own else v for v in rule.levels))
    stages = tuple(replace(s, condition=text) if s.name == own else s for s in rule.stages)
    return replace(rule, stages=stages)
