"""The calendar as a value: T+n in sessions, and an error instead of a guess outside it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import CalendarEnd
from daemon.model.calendar import Calendar

FIRST, LAST = date(2024, 1, 1), date(2024, 12, 31)
SPAN = (LAST - FIRST).days


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    offsets = draw(st.sets(st.integers(0, SPAN), min_size=1, max_size=60))
    return Calendar("t", "1", FIRST, LAST, tuple(FIRST + timedelta(days=n) for n in sorted(offsets)))


DAYS = st.integers(0, SPAN).map(lambda n: FIRST + timedelta(days=n))


def plain_add(calendar: Calendar, day: date, n: int) -> date | None:
    """T+n by walking day by day; None where the walk leaves the calendar."""
    step = timedelta(days=1 if n >= 0 else -1)
    at, left = day, abs(n)
    if n == 0:
        left, at = 1, day - step
    while left:
        at += step
        if not calendar.first <= at <= calendar.last:
            return None
        left -= at in calendar.sessions
    return at


@given(calendars(), DAYS, st.integers(-8, 8))
def test_add_is_what_a_walk_over_the_days_finds(calendar: Calendar, day: date, n: int) -> None:
    expected = plain_add(calendar, day, n)
    if expected is None:
        with pytest.raises(CalendarEnd):
            calendar.add(day, n)
    else:
        assert calendar.add(day, n) == expected


@given(calendars(), DAYS, DAYS)
def test_between_counts_the_sessions_after_start_up_to_end(calendar: Calendar, start: date, end: date) -> None:
    low, high = min(start, end), max(start, end)
    count = sum(low < day <= high for day in calendar.sessions)
    assert calendar.between(start, end) == (count if start <= end else -count)


@given(calendars(), DAYS)
def test_a_day_is_a_session_only_if_listed(calendar: Calendar, day: date) -> None:
    assert calendar.is_session(day) == (day in calendar.sessions)


@pytest.mark.parametrize("day", [FIRST - timedelta(days=1), LAST + timedelta(days=1)])
def test_a_day_outside_is_an_error_and_no_guess(day: date) -> None:
    calendar = Calendar("t", "1", FIRST, LAST, (date(2024, 6, 3),))
    for ask in (lambda: calendar.is_session(day), lambda: calendar.add(day, 1), lambda: calendar.between(day, FIRST)):
        with pytest.raises(CalendarEnd, match=str(day)):
            ask()


def test_an_error_names_calendar_day_and_bounds() -> None:
    calendar = Calendar("t", "1", FIRST, LAST, (date(2024, 6, 3),))
    with pytest.raises(CalendarEnd, match=r"calendar t: session \+2 from 2024-06-01 .* 2024-01-01\.\.2024-12-31"):
        calendar.add(date(2024, 6, 1), 2)
