"""Stage plans: instants, windows, quiet hours, conditions, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import SHANGHAI
from daemon.model.kinds import Absence, Value
from daemon.model.notices import StagePlan
from daemon.rules.gates import OPEN
from daemon.rules.schema import Rule, Stage
from daemon.rules.stages import CALENDAR, Planner
from tests.builders_rules import FUND, MARGIN, decider, env, fact, local, shipped


def rule(*stages: Stage, quiet: tuple[str, str] | None = None) -> Rule:
    return replace(shipped().rules[FUND], stages=stages, quiet=quiet, levels=())


def stage(name: str, at: str, deadline: str) -> Stage:
    return Stage(name, at, deadline)


def plan(one: Rule, values: dict[str, Value] | None = None, made: str = "2024-02-01 07:00") -> tuple[StagePlan, ...]:
    found = Planner(one).plan("", values or {}, env(), local(made), {})
    assert not isinstance(found, Absence)
    return found


THREE = (
    stage("morning", "T 08:00", "T 16:00"),
    stage("noon", "T 12:00", "T 16:00"),
    stage("last_call", "T 14:30", "T 16:00"),
)


def test_window_runs_to_the_next_instant_and_the_last_one_to_its_deadline() -> None:
    found = plan(rule(*THREE))
    assert [p.at for p in found] == [local(f"2024-02-01 {t}") for t in ("08:00", "12:00", "14:30")]
    assert [p.window_end for p in found] == [local(f"2024-02-01 {t}") for t in ("12:00", "14:30", "16:00")]
    assert [p.last for p in found] == [False, False, True]


def test_window_ends_at_its_own_deadline_where_that_is_earlier() -> None:
    found = plan(rule(stage("opening", "T 09:00", "T 15:00"), stage("closing", "T+5 14:00", "T+5 15:00")))
    assert found[0].window_end == local("2024-02-01 15:00")


def test_span_counts_from_the_instant_of_the_stage() -> None:
    found = plan(rule(stage("one", "at once", "+30m")), made="2024-02-01 10:05")
    assert (found[0].at, found[0].deadline) == (local("2024-02-01 10:05"), local("2024-02-01 10:35"))


def test_quiet_hours_move_an_instant_to_their_end() -> None:
    one = rule(stage("one", "T 22:30", "T+1d 12:00"), quiet=("21:00", "08:00"))
    assert plan(one)[0].at == local("2024-02-02 08:00")
    early = rule(stage("one", "T 06:00", "T 12:00"), quiet=("21:00", "08:00"))
    assert plan(early)[0].at == local("2024-02-01 08:00")


def test_quiet_hours_never_move_an_instant_out_of_its_window() -> None:
    one = rule(stage("one", "T 22:30", "T 23:30"), quiet=("21:00", "08:00"))
    assert plan(one)[0].at == local("2024-02-01 22:30")


def test_window_of_the_stage_before_ends_where_quiet_hours_moved_the_next_one_to() -> None:
    one = rule(stage("one", "T 06:00", "T 12:00"), stage("two", "T 07:00", "T 12:00"), quiet=("06:30", "07:30"))
    found = plan(one)
    assert found[1].at == local("2024-02-01 07:30") == found[0].window_end


def test_quiet_hours_within_a_day() -> None:
    one = rule(stage("one", "T 12:30", "T 18:00"), quiet=("12:00", "13:30"))
    assert plan(one)[0].at == local("2024-02-01 13:30")


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439), st.integers(1, 3000))
def test_a_moved_instant_is_outside_of_the_quiet_hours_and_inside_the_window(at: int, b: int, e: int, n: int) -> None:
    def clock(minutes: int) -> str:
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    if b == e:
        return
    (found,) = plan(rule(stage("one", f"T {clock(at)}", f"T {clock(at)} +{n}m"), quiet=(clock(b), clock(e))))
    unmoved = local(f"2024-02-01 {clock(at)}")
    assert unmoved <= found.at < found.window_end
    if found.at != unmoved:
        assert found.at.astimezone(SHANGHAI).strftime("%H:%M") == clock(e)
        assert found.at - unmoved < timedelta(days=1)


def test_one_absent_instant_makes_the_whole_plan_absent() -> None:
    one = rule(stage("one", "window_start 09:00", "T 16:00"), stage("two", "T 14:00", "T 16:00"))
    assert Planner(one).plan("", {"window_start": Absence.EMPTY}, env(), local("2024-02-01 07:00"), {}) is Absence.EMPTY
    assert Planner(one).untold("", lambda: {"window_start": Absence.EMPTY}, env()) == ("window_start", Absence.EMPTY)


def test_session_beyond_the_calendar_is_named_as_the_calendar() -> None:
    one = rule(stage("one", "T+3 09:00", "T+3 16:00"))
    assert Planner(one).untold("", dict, env(date(2026, 12, 30))) == (CALENDAR, Absence.MISSING)
    assert Planner(one).untold("", dict, env(date(2024, 2, 1))) is None


def test_conditions_are_those_of_the_fact() -> None:
    found = plan_of(FUND, fact(FUND, window_end=Absence.EMPTY))
    assert {p.stage: p.condition for p in found} == {"opening": True, "closing": False}


def plan_of(
    name: str, values: dict[str, Value], day: date = date(2024, 3, 28), level: str = ""
) -> tuple[StagePlan, ...]:
    found = decider(name).plan(level, values, env(day), datetime.combine(day, datetime.min.time(), SHANGHAI))
    assert not isinstance(found, Absence)
    return found


def test_levels_have_their_own_stages() -> None:
    found = plan_of(MARGIN, fact(MARGIN), date(2024, 2, 1), "call")
    assert [(p.stage, p.level, p.late) for p in found] == [("call/notice", "call", "send_marked")]


@pytest.mark.parametrize("name", ["ipo/payment", FUND, MARGIN])
def test_a_match_always_has_a_plan(name: str) -> None:
    for case in (c for c in shipped().cases if c.rule == name):
        values = fact(name, **dict(case.given))
        found = decider(name).decide(values, (), case.whole, OPEN, env(case.business_date))
        if found.terms and found.bucket != "indeterminate":
            plans = decider(name).plan(found.level, values, env(case.business_date), case.made_at)
            assert not isinstance(plans, Absence)
