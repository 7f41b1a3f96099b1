"""Random whole rules, and the plain reading of them that the compiled ones must equal.

`Made` draws a rule: lets, `unless`, levels or `when`, `needs`, holds, exclusions, marks, parameters (of the firm, with and
without an end, and such that yield to the contract), stages on instants with operands. `walk` decides a fact from the
rule's own text by the tree-walking evaluator alone, step by step as the heading of rules/decider.py says.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from daemon.model.decisions import Bucket
from daemon.model.kinds import Absence, FactKind, Field, Type, Value
from daemon.rules import gates as gating
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.expressions import names_in, parse
from daemon.rules.gates import GateFacts, GateInputs
from daemon.rules.instants import parse_instant
from daemon.rules.nodes import show
from daemon.rules.schema import Gates, Level, Parameter, ParameterValue, Rule, RuleSet, Stage
from daemon.rules.types import Base
from tests.builders_rules import MARGIN, shipped
from tests.trees import BASES, COLOURS, ENV, TYPES, VALUES, Trees, a_row

DAY = ENV.business_date
STATUS = "e1"
_CONTRACTS = {"pm": "m2", "pr": "r2", "pq": "q2"}
_FIRM = {"fm": Type.MONEY, "fr": Type.RATIO, "fq": Type.QUANTITY, "fd": Type.DATE, "fb": Type.BOOL, "ft": Type.TIME}
_BASES = {name: Base(type_.value) for name, type_ in TYPES.items() if type_ is not Type.CODE}
_MANY = 8


class Made:
    """One random rule in a rule set of its own."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names: dict[str, Base] = {**_BASES, "s1": Base.TEXT, "s2": Base.TEXT}
        self.parameters = self._some_parameters()
        self._names |= {name: Base(p.type.value) for name, p in self.parameters.items()}
        self.rule = self._some_rule()
        fields = {name: Field(name, type_, name, values=COLOURS) for name, type_ in TYPES.items()}
        kind = FactKind("made", "made", fields, ("s1",), "s1", "s1", "d1", ())
        calendars = {"sse": ENV.calendar}
        self.ruleset: RuleSet = replace(
            shipped(),
            kinds={"made": kind},
            rules={"made/rule": self.rule},
            parameters=self.parameters,
            calendars=calendars,
        )

    def fact(self) -> dict[str, Value]:
        """A value or an absence for each field; now and then a field is not there at all."""
        rng = self._rng
        values = dict(zip(TYPES, a_row(rng, rng.choice([0.0, 0.02, 0.1, 0.4])), strict=True))
        if rng.random() < 0.1:
            del values[rng.choice(list(values))]
        return values

    def gates(self) -> GateInputs:
        """What else the gates read."""
        pick = self._rng.choice
        return GateInputs(
            stopped=pick([False] * 9 + [True]),
            source=pick(["", "", "", "late"]),
            silenced=pick(["", "", "", "complaint"]),
            released=pick([False, False, True]),
        )

    def _some_parameters(self) -> dict[str, Parameter]:
        types = {name: TYPES[field] for name, field in _CONTRACTS.items()} | _FIRM
        return {name: self._parameter(name, type_) for name, type_ in types.items()}

    def _parameter(self, name: str, type_: Type) -> Parameter:
        value, earlier = self._rng.choice(VALUES[type_]), self._rng.choice(VALUES[type_])
        assert not isinstance(value, Absence) and not isinstance(earlier, Absence)
        ended = self._rng.random() < 0.05
        values = (
            ParameterValue(date(2020, 1, 1), earlier),
            ParameterValue(date(2024, 1, 2), value, end=DAY - timedelta(days=1) if ended else None),
        )
        contract = _CONTRACTS.get(name, "")
        return Parameter(name, type_, "", name, values, DAY, timedelta(days=365), contract=contract)

    def _text(self, base: Base) -> str:
        while len(text := show(Trees(self._rng, self._names).of(base, self._rng.choice([1, 2, 3])))) > 1_500:
            pass
        return text

    def _named(self, prefix: str, most: int) -> dict[str, str]:
        return {f"{prefix}{i}": self._text(Base.BOOL) for i in range(self._rng.randint(0, most))}

    def _lets(self) -> dict[str, str]:
        found = {}
        for i in range(self._rng.randint(0, 4)):
            base = self._rng.choice([base for base in BASES if base is not Base.ENUM])
            found[f"let{i}"] = self._text(base)
            self._names[f"let{i}"] = base
        return found

    def _some_rule(self) -> Rule:
        lets = self._lets()
        levels = tuple(
            Level(f"level{i}", self._text(Base.BOOL), self._text(Base.BOOL))
            for i in range(self._rng.choice([0, 1, 2, 3, 4, 4, 7]))
        )
        marks = self._named("mark", self._rng.choice([0, 1, 2, 2, _MANY]))
        stages = [self._stage(f"{level.name}/notice", level.name) for level in levels] or [self._stage("notice", "")]
        return Rule(
            "made/rule", "made", "made", "service", "made", date(2023, 1, 1), (), tuple(stages),
            occurrence=("d1", "b1"),
            terms=tuple(self._rng.sample(sorted(self._names), 3)),
            card=MARGIN,
            channels=("sms",),
            when="" if levels else self._text(Base.BOOL),
            levels=levels,
            lets=lets,
            holds=self._named("hold", 2),
            marks=marks,
            gates=self._gates(),
            unless=self._named("no", 2),
            needs=self._named("need", 2),
        )  # fmt: skip

    def _gates(self) -> Gates:
        pick = self._rng.choice
        suitable = self._text(Base.BOOL) if self._rng.random() < 0.3 else ""
        verdicts = {"red": "send", "green": "hold"}
        return Gates(pick(["", STATUS]), verdicts, self._named("reason", 2), suitability=suitable)

    def _stage(self, name: str, level: str) -> Stage:
        deadline = self._rng.choice(["+1h", "T+1 14:30", "T+1d ft", "d1 c1", "T+q1 14:30", "w1"])
        return Stage(name, "at once", deadline, level)


@dataclass(frozen=True)
class Walked:
    """What the plain reading says. `values`: every name of the rule's text with its value."""

    bucket: Bucket
    reason: str
    level: str
    marks: tuple[str, ...]
    cured: frozenset[str]
    values: Mapping[str, Value]


def walk(made: Made, values: Mapping[str, Value], gates: GateInputs, env: Env) -> Walked:
    """The decision on a whole fact of a day on which the rule is in force."""
    return _Walk(made, values, gates, env).walked()


class _Walk:
    def __init__(self, made: Made, values: Mapping[str, Value], gates: GateInputs, env: Env) -> None:
        self.rule, self.parameters, self.gates, self.env = made.rule, made.parameters, gates, env
        self.known: dict[str, Value] = {name: values.get(name, Absence.MISSING) for name in TYPES}
        for name, parameter in made.parameters.items():
            firm = parameter.on(env.business_date)
            value: Value = Absence.MISSING if firm is None else firm
            if parameter.contract and self.known[parameter.contract] is not Absence.EMPTY:
                value = self.known[parameter.contract]
            self.known[name] = value
        for name, text in made.rule.lets.items():
            self.known[name] = self.value(text)

    def value(self, text: str) -> Value:
        return evaluate(parse(text), self.known, self.env)

    def walked(self) -> Walked:
        bucket, reason, level = self._said()
        asked = bucket is not Bucket.INDETERMINATE or reason.startswith(("needs", "?"))
        marks = tuple(n for n, text in self.rule.marks.items() if asked and self.value(text) is True)
        if bucket is Bucket.NOTIFY:
            bucket, reason = self._untold(level) or self._gated() or (bucket, reason)
        cured = frozenset(each.name for each in self.rule.levels if self.value(each.rearm) is True)
        return Walked(bucket, reason.removeprefix("?"), level, marks, cured, self.known)

    def _said(self) -> tuple[Bucket, str, str]:
        rule = self.rule
        for name, text in rule.unless.items():
            found = self.value(text)
            if found is True:
                return self._no(f"unless:{name}")
            if isinstance(found, Absence):
                return Bucket.INDETERMINATE, self._missing(text, f"unless.{name}", found), ""
        tests = [(each.name, each.when, f"levels.{each.name}.when") for each in rule.levels] or [
            ("", rule.when, "when")
        ]
        for level, text, key in tests:
            found = self.value(text)
            if found is True:
                return Bucket.NOTIFY, f"level:{level}" if level else "condition", level
            if isinstance(found, Absence):
                return Bucket.INDETERMINATE, self._missing(text, key, found), ""
        return self._no("condition")

    def _no(self, reason: str) -> tuple[Bucket, str, str]:
        for name, text in self.rule.needs.items():
            found = self.value(text)
            if isinstance(found, Absence):  # marked `?` here: a need that is absent takes no mark away
                return Bucket.INDETERMINATE, "?" + self._missing(text, f"needs.{name}", found), ""
            if found is False:
                return Bucket.INDETERMINATE, f"needs:{name}", ""
        return Bucket.NO_MATCH, reason, ""

    def _missing(self, text: str, last: str, found: Absence) -> str:
        return self._first(names_in(parse(text)), last, found)

    def _first(self, names: tuple[str, ...], last: str, found: Absence) -> str:
        for name in names:
            value = self.known[name]
            if isinstance(value, Absence):
                if name in self.rule.lets:
                    return self._missing(self.rule.lets[name], name, value)
                contract = self.parameters[name].contract if name in self.parameters else ""
                return f"missing:{contract or name}:{value}"
        return f"missing:{last}:{found}"

    def _untold(self, level: str) -> tuple[Bucket, str] | None:
        for name in self.rule.occurrence:
            if isinstance(found := self.known[name], Absence):
                return Bucket.INDETERMINATE, f"missing:{name}:{found}"
        made_at = datetime(
            self.env.business_date.year, self.env.business_date.month, self.env.business_date.day, tzinfo=UTC
        )
        for stage in self.rule.stages_of(level):
            for text in (stage.at, stage.deadline):
                instant = parse_instant(text)
                moment = instant.resolve(self.known, self.env, made_at)
                if isinstance(moment, Absence):
                    return Bucket.INDETERMINATE, self._first(instant.names(), "calendar", moment)
        return None

    def _gated(self) -> tuple[Bucket, str] | None:
        rule = self.rule
        status: Any = self.known[rule.gates.status] if rule.gates.status else None
        facts = GateFacts(
            status,
            {name: self.value(text) for name, text in rule.gates.exclude.items()},
            {name: self.value(text) for name, text in rule.holds.items()},
            self.value(rule.gates.suitability) if rule.gates.suitability else None,
        )
        return gating.verdict_of(gating.run(rule, self.gates, facts))
