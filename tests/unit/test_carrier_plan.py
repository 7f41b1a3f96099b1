"""What becomes of a message by handset, and the seeded draws behind it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.carrier.handsets import Handset, draw, handset_of
from daemon.carrier.plan import TERMINAL, Taken, plan
from daemon.carrier.profiles import FAULTS, PROFILES

CALM = PROFILES["calm"]
TAKEN = Taken("p1", "10012345678", "rcs", sms=True, store=False, reports=(), conversation_id="c", contribution_id="k")

EXPECTED = [  # handset, smsSupported, storeSupported, terminal status and code, reaches the handset
    (Handset.FIVEG, True, True, ("delivered", ""), True),
    (Handset.FIVEG, False, False, ("delivered", ""), True),
    (Handset.SMS_ONLY, True, True, ("deliveredToNetwork", ""), True),
    (Handset.SMS_ONLY, False, True, ("failed", "2"), False),
    (Handset.RCS_OFF, True, False, ("deliveredToNetwork", ""), True),
    (Handset.RCS_OFF, False, False, ("failed", "2"), False),
    (Handset.OFF, True, False, ("deliveredToNetwork", ""), False),
    (Handset.OFF, False, True, ("failed", "4"), False),
    (Handset.BLANK, True, True, ("failed", "1"), False),
    (Handset.REFUSES, True, True, ("failed", "5"), False),
    (Handset.ASLEEP, True, False, ("deliveredToNetwork", ""), True),
    (Handset.ASLEEP, False, False, ("failed", "4"), False),
]


@pytest.mark.parametrize(("handset", "sms", "store", "terminal", "reaches"), EXPECTED)
def test_the_end_by_handset(handset: Handset, sms: bool, store: bool, terminal: tuple[str, str], reaches: bool) -> None:
    course = plan(replace(TAKEN, sms=sms, store=store), handset, CALM, 1, 0)
    ends = [(report.status, report.code) for report in course.reports if report.status in TERMINAL]
    assert ends == [terminal]
    assert (course.reach is not None) is reaches


@given(st.integers(0, 500), st.booleans())
def test_storing_wins_over_falling_back_for_a_handset_that_is_off_the_network(seed: int, sms: bool) -> None:
    course = plan(replace(TAKEN, sms=sms, store=True), Handset.ASLEEP, CALM, seed, 0)
    end = next(report for report in course.reports if report.status in TERMINAL)
    assert (end.status, end.code) in (("delivered", ""), ("failed", "4"))
    assert (course.reach is None) is (end.status == "failed")


@given(st.sampled_from(list(Handset)), st.sampled_from(list(PROFILES)), st.integers(0, 200), st.integers(0, 3))
def test_the_same_draws_give_the_same_course_whatever_the_id(handset: Handset, name: str, seed: int, nth: int) -> None:
    course = plan(TAKEN, handset, PROFILES[name], seed, nth)
    assert course == plan(replace(TAKEN, message_id="other"), handset, PROFILES[name], seed, nth)
    assert all(report.after >= 0 and report.copies in (1, 2) for report in course.reports)


def test_only_the_reports_asked_for_come() -> None:
    course = plan(replace(TAKEN, reports=("failed",)), Handset.FIVEG, CALM, 1, 0)
    assert course.reports == ()
    assert course.reach is not None


def test_the_worst_profile_loses_doubles_and_reorders_receipts() -> None:
    worst = PROFILES["worst"]
    courses = [plan(replace(TAKEN, recipient=f"100{n:08d}"), Handset.FIVEG, worst, 7, 0) for n in range(400)]
    assert any("delivered" not in [report.status for report in course.reports] for course in courses)
    assert any(report.copies == 2 for course in courses for report in course.reports)
    assert any(
        [report.status for report in sorted(course.reports, key=lambda report: report.after)]
        != [report.status for report in course.reports]
        for course in courses
    )


def test_the_population_has_its_shares() -> None:
    found = Counter(handset_of(1, f"100{n:08d}", CALM.shares) for n in range(20_000))
    for kind, share in CALM.shares.items():
        assert abs(found[Handset(kind)] / 20_000 - share) < 0.01
    assert found[Handset.FIVEG] > 13_000


def test_a_number_keeps_its_handset_and_another_seed_deals_anew() -> None:
    numbers = [f"100{n:08d}" for n in range(300)]
    first = [handset_of(1, number, CALM.shares) for number in numbers]
    assert first == [handset_of(1, number, CALM.shares) for number in numbers]
    assert first != [handset_of(2, number, CALM.shares) for number in numbers]


@given(st.integers(), st.text())
def test_a_draw_lies_in_the_unit_interval(seed: int, what: str) -> None:
    assert 0 <= draw(seed, what) < 1


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_sound(name: str) -> None:
    profile = PROFILES[name]
    assert sum(profile.shares.values()) < 1
    assert sum(profile.faults.values()) < 1
    assert set(profile.faults) <= set(FAULTS)
    assert {Handset(kind) for kind in profile.shares}
