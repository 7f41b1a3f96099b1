"""When the stages of a match fall due: instants, windows, quiet hours, conditions (DESIGN section 3). Pure.
 A stage's window begins at its instant, moved out of the quiet hours where that stays inside the window, and ends at
the next stage's instant of the same level or at its own deadline, whichever comes first. A span in a deadline
(`+30m`) counts from the stage's instant before quiet hours moved it; `at once` is the moment the plan is made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from daemon.model.kinds import Absence, Value
from daemon.model.notices import StagePlan
from daemon.rules.evaluate import Env
from daemon.rules.functions import SHANGHAI
from daemon.rules.instants import Instant, parse_instant
from daemon.rules.schema import Rule, Stage

CALENDAR = "calendar"
"""What is named as missing when an instant has all its operands and still cannot be told: a session beyond the
calendar."""


@dataclass(frozen=True, slots=True)
class _Parsed:
    stage: Stage
    at: Instant
    deadline: Instant


class Planner:
    """The stages of one rule, parsed once. `dated`: names whose value is a matter of the business date alone."""

    def __init__(self, rule: Rule, dated: frozenset[str] = frozenset()) -> None:
        self._quiet = tuple(time.fromisoformat(text) for text in rule.quiet) if rule.quiet else None
        levels = [level.name for level in rule.levels] or [""]
        self._stages = {level: tuple(_parsed(stage) for stage in rule.stages_of(level)) for level in levels}
        self._named = {level: any(not dated.issuperset(_names(one)) for one in self._stages[level]) for level in levels}
        self._dated: dict[tuple[str, date], tuple[str, Absence] | None] = {}

    def untold(self, level: str, values: Callable[[], Mapping[str, Value]], env: Env) -> tuple[str, Absence] | None:
        """The first instant of a level that cannot be told: the absent operand (or `calendar`) and the kind of its absence.

        Where no instant names more than what the date gives, the answer is looked for once a business date.
        """
        if self._named[level]:
            return self._untold(level, values(), env)
        key = (level, env.business_date)
        if key not in self._dated:
            self._dated[key] = self._untold(level, values(), env)
        return self._dated[key]

    def _untold(self, level: str, values: Mapping[str, Value], env: Env) -> tuple[str, Absence] | None:
        made_at = _midnight(env)
        for parsed in self._stages[level]:
            for instant in (parsed.at, parsed.deadline):
                found = instant.resolve(values, env, made_at)
                if isinstance(found, Absence):
                    return _first_absent(instant, values, found)
        return None

    def plan(
        self,
        level: str,
        values: Mapping[str, Value],
        env: Env,
        made_at: datetime,
        conditions: Mapping[str, bool | Absence],
    ) -> tuple[StagePlan, ...] | Absence:
        """The stages of a level in the order of the file; an absence where one instant cannot be told, because a
        window ends at another stage's instant. `conditions`: stage -> what its `if:` gives; a stage without one is
        not in it."""
        parsed, times = self._stages[level], []
        for one in parsed:
            at = one.at.resolve(values, env, made_at)
            if isinstance(at, Absence):
                return at
            deadline = one.deadline.resolve(values, env, at)
            if isinstance(deadline, Absence):
                return deadline
            times.append((at, deadline))
        return tuple(self._planned([one.stage for one in parsed], times, conditions))

    def _planned(
        self,
        stages: Sequence[Stage],
        times: Sequence[tuple[datetime, datetime]],
        conditions: Mapping[str, bool | Absence],
    ) -> list[StagePlan]:
        plans: list[StagePlan] = []
        for stage, (at, deadline) in zip(reversed(stages), reversed(times), strict=True):
            end = min(deadline, plans[-1].at) if plans else deadline
            condition = conditions.get(stage.name, True)
            moved = self._out_of_quiet(at, end)
            plans.append(StagePlan(stage.name, moved, end, deadline, condition, stage.late, stage.level, not plans))
        return plans[::-1]

    def _out_of_quiet(self, at: datetime, end: datetime) -> datetime:
        """The end of the quiet hours that hold `at`, where that is before the window's end; else `at`."""
        if self._quiet is None:
            return at
        begins, ends = self._quiet
        local = at.astimezone(SHANGHAI)
        clock = local.time()
        if not (begins <= clock < ends if begins <= ends else clock >= begins or clock < ends):
            return at
        day = local.date() + timedelta(days=1 if clock >= ends else 0)
        moved = datetime.combine(day, ends, SHANGHAI).astimezone(at.tzinfo)
        return moved if moved < end else at


def _parsed(stage: Stage) -> _Parsed:
    return _Parsed(stage, parse_instant(stage.at), parse_instant(stage.deadline))


def _names(one: _Parsed) -> tuple[str, ...]:
    return (*one.at.names(), *one.deadline.names())


def _midnight(env: Env) -> datetime:
    return datetime.combine(env.business_date, time(), SHANGHAI).astimezone(UTC)


def _first_absent(instant: Instant, values: Mapping[str, Value], found: Absence) -> tuple[str, Absence]:
    for name in instant.names():
        value = values.get(name, Absence.MISSING)
        if isinstance(value, Absence):
            return name, value
    return CALENDAR, found
