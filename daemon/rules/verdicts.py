"""What a rule itself says of a fact, before occurrence, instants and gates: one answer a fact, with its reason and marks.

Two programs say it and agree on every fact: the straight code (straight.py), which most facts run through, and the
three-valued program (program.py), which answers for those that leave it and explains. Pure, compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from typing import NamedTuple

from daemon.model.decisions import Bucket
from daemon.model.kinds import Absence, Value
from daemon.rules.compile import Straight, compile_straight
from daemon.rules.evaluate import Env
from daemon.rules.expressions import parse
from daemon.rules.nodes import Node
from daemon.rules.program import Program, Values
from daemon.rules.schema import Rule
from daemon.rules.straight import MAX_CHOICES, StraightWriter


class Verdict(NamedTuple):
    """What the rule says of a fact. `bucket`: NOTIFY for a match, whatever its gates will say, else NO_MATCH or
    INDETERMINATE; `reason`, `level` and `marks` as in a Decision."""

    bucket: Bucket
    reason: str
    level: str = ""
    marks: tuple[str, ...] = ()


class Verdicts:
    """The verdicts of one rule."""

    def __init__(self, rule: Rule, program: Program) -> None:
        self._rule, self._program = rule, program
        self._keys = tuple(first(rule))
        self._reasons = tuple(f"unless:{name}" for name in rule.unless)
        self._levels = tuple(level.name for level in rule.levels)
        self._tests = len(self._reasons) + (len(self._levels) or 1)
        self._needs = tuple(rule.needs)
        self._rearms = self._tests + len(self._needs)
        before = len(rule.gates.exclude) + len(rule.holds)
        self._marked = slice(before, before + len(rule.marks))
        self._straight = self._compiled_verdict()
        self._straight_cured = self._compiled_cured()

    def one(self, values: Mapping[str, Value], env: Env) -> Verdict:
        """The verdict on the operands of one fact."""
        firm = self._program.firm_on(env.business_date)
        if self._straight is None or firm is None:
            return self.walked(values, env)
        return self._straight.one(values, env, firm)  # type: ignore[no-any-return]

    def many(self, facts: Iterable[Mapping[str, Value]], env: Env) -> list[Verdict]:
        """The verdicts on facts of one business date, in order."""
        firm = self._program.firm_on(env.business_date)
        if self._straight is None or firm is None:
            return [self.walked(values, env) for values in facts]
        found: list[Verdict] = []
        self._straight.many(facts, env, firm, found.append)
        return found

    def cured(self, values: Mapping[str, Value], env: Env) -> frozenset[str]:
        """The levels whose `rearm` is true on a whole fact."""
        if not self._levels:
            return frozenset()
        firm = self._program.firm_on(env.business_date)
        if self._straight_cured is None or firm is None:
            return self.walked_cured(values, env)
        return self._straight_cured.one(values, env, firm)  # type: ignore[no-any-return]

    def walked(self, values: Mapping[str, Value], env: Env) -> Verdict:
        """The verdict by the three-valued program."""
        program = self._program
        slots, found = program.start(program.operands(values), env)
        for i in range(self._tests):
            value = found[i]
            if value is False:
                continue
            if isinstance(value, Absence):
                return Verdict(Bucket.INDETERMINATE, program.missing(self._keys[i], value, slots))
            if value is True and i >= len(self._reasons):
                level = self._levels[i - len(self._reasons)] if self._levels else ""
                return Verdict(Bucket.NOTIFY, match_reason(level), level, self._marks(slots, env))
            return self._no(self._reasons[i], found, slots, env)
        return self._no("condition", found, slots, env)

    def walked_cured(self, values: Mapping[str, Value], env: Env) -> frozenset[str]:
        """The cured levels by the three-valued program."""
        found = self._program.start(self._program.operands(values), env)[1][self._rearms :]
        return frozenset(name for name, value in zip(self._levels, found, strict=True) if value is True)

    def _no(self, reason: str, found: Values, slots: Values, env: Env) -> Verdict:
        """A no match, believed only while everything in `needs` is true. Marked like a match: a figure that two sources tell
        apart is a person's matter on either side of a line."""
        bucket = Bucket.NO_MATCH
        for name, value in zip(self._needs, found[self._tests : self._rearms], strict=True):
            if value is not True:
                absent = isinstance(value, Absence)
                reason = self._program.missing(f"needs.{name}", value, slots) if absent else f"needs:{name}"  # type: ignore[arg-type]
                bucket = Bucket.INDETERMINATE
                break
        return Verdict(bucket, reason, "", self._marks(slots, env))

    def _marks(self, slots: Values, env: Env) -> tuple[str, ...]:
        """The marks that are set; one whose expression is absent is not."""
        if not self._rule.marks:
            return ()
        found = self._program.finish(slots, env)[1][self._marked]
        return tuple(name for name, value in zip(self._rule.marks, found, strict=True) if value is True)

    def _compiled_verdict(self) -> Straight | None:
        rule = self._rule
        if len(rule.marks) > MAX_CHOICES:
            return None
        writer = StraightWriter(self._program.names())
        nodes = first(rule)
        then: list[Callable[[], None]] = [partial(self._write_no, writer, reason) for reason in self._reasons]
        then += [partial(self._write_match, writer, level) for level in self._levels or ("",)]
        tests = [(nodes[key], what) for key, what in zip(self._keys, then, strict=False)]
        writer.first_of(tests, partial(self._write_no, writer, "condition"))
        return compile_straight(rule.name, writer, self.walked)

    def _compiled_cured(self) -> Straight | None:
        rule = self._rule
        if not rule.levels or len(rule.levels) > MAX_CHOICES:
            return None
        writer = StraightWriter(self._program.names())
        sets = tuple(frozenset(name for name, yes in chosen if yes) for chosen in _choices(self._levels))
        rearms = [writer.expression(parse(level.rearm)) for level in rule.levels]
        writer.give(f"{writer.constant(sets)}[{writer.place(rearms)}]")
        return compile_straight(f"{rule.name} cured", writer, self.walked_cured)

    def _write_match(self, writer: StraightWriter, level: str) -> None:
        self._write_marked(writer, self._answers(writer, Bucket.NOTIFY, match_reason(level), level))

    def _write_no(self, writer: StraightWriter, reason: str) -> None:
        answer = self._answers(writer, Bucket.NO_MATCH, reason)
        needs = [writer.expression(parse(text)) for text in self._rule.needs.values()]
        if needs:
            unmet = [self._answers(writer, Bucket.INDETERMINATE, f"needs:{name}") for name in self._needs]
            chain = "".join(f"{other} if not {need} else " for other, need in zip(unmet, needs, strict=True))
            writer.hold(chain + answer)
            answer = "o"
        self._write_marked(writer, answer)

    def _write_marked(self, writer: StraightWriter, answers: str) -> None:
        marks = [writer.set_where_there(parse(text)) for text in self._rule.marks.values()]
        writer.give(f"{answers}[{writer.place(marks)}]" if marks else answers)

    def _answers(self, writer: StraightWriter, bucket: Bucket, reason: str, level: str = "") -> str:
        """The constant of a verdict; of one for each set of marks where the rule has some."""
        sets = [tuple(name for name, yes in chosen if yes) for chosen in _choices(tuple(self._rule.marks))]
        made = tuple(Verdict(bucket, reason, level, marks) for marks in sets)
        return writer.constant(made if self._rule.marks else made[0])


def match_reason(level: str) -> str:
    """The reason of a match at a level, '' where the rule has none."""
    return f"level:{level}" if level else "condition"


def first(rule: Rule) -> dict[str, Node]:
    """What decides, in the order of deciding, then what a no match needs, then the rearms."""
    found = {f"unless.{name}": parse(text) for name, text in rule.unless.items()}
    if not rule.levels:
        found["when"] = parse(rule.when)
    found.update({f"levels.{level.name}.when": parse(level.when) for level in rule.levels})
    found.update({f"needs.{name}": parse(text) for name, text in rule.needs.items()})
    found.update({f"levels.{level.name}.rearm": parse(level.rearm) for level in rule.levels})
    return found


def second(rule: Rule) -> dict[str, Node]:
    """What only a match needs, exclusions, declared holds and suitability; and the marks."""
    found = {
        **{f"gates.exclude.{name}": parse(text) for name, text in rule.gates.exclude.items()},
        **{f"hold.{name}": parse(text) for name, text in rule.holds.items()},
        **{f"marks.{name}": parse(text) for name, text in rule.marks.items()},
    }
    if rule.gates.suitability:
        found["gates.suitability"] = parse(rule.gates.suitability)
    return found


def _choices(names: tuple[str, ...]) -> list[list[tuple[str, bool]]]:
    """Every way in which names can be chosen or not, at the place that `StraightWriter.place` computes."""
    return [list(zip(names, way[::-1], strict=True)) for way in product((False, True), repeat=len(names))]
