"""rules/calendars/sse.yaml: the sessions are the exchanges', and somebody hears before they run out."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from daemon.clock import SHANGHAI, RealClock
from daemon.errors import CalendarEnd
from daemon.model.calendar import Calendar
from daemon.yamlfile import YMap, load

ROOT = Path(__file__).parents[2]
FILE = ROOT / "rules/calendars/sse.yaml"
WARN_DAYS = 60


def days(texts: list[str]) -> tuple[date, ...]:
    return tuple(date.fromisoformat(text) for text in texts)


@pytest.fixture(scope="module")
def raw() -> YMap:
    return load(FILE.read_bytes(), FILE.name)


@pytest.fixture(scope="module")
def sse(raw: YMap) -> Calendar:
    sessions = tuple(
        date.fromisoformat(f"{month}-{day:02d}") for month, listed in raw["sessions"].items() for day in listed
    )
    first, last = days([raw["first"], raw["last"]])
    return Calendar(raw["name"], raw["version"], first, last, sessions, frozenset(days(raw["make_up_workdays"])))


def test_the_file_has_exactly_the_documented_keys(raw: YMap) -> None:
    assert list(raw) == ["name", "version", "source", "first", "last", "sessions", "half_days", "make_up_workdays"]


def test_sessions_rise_and_lie_inside(sse: Calendar) -> None:
    assert list(sse.sessions) == sorted(set(sse.sessions))
    assert sse.first <= sse.sessions[0] and sse.sessions[-1] <= sse.last


def test_sessions_a_year_are_the_exchanges(sse: Calendar) -> None:
    # domain.md B
    expected = {2019: 244, 2020: 243, 2021: 243, 2022: 242, 2023: 242, 2024: 242, 2025: 243, 2026: 242}
    assert Counter(day.year for day in sse.sessions) == expected


def test_no_weekend_is_a_session_also_when_worked(sse: Calendar) -> None:
    assert all(day.weekday() < 5 for day in sse.sessions)
    for day in days(["2024-02-04", "2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"]):
        assert day in sse.make_up_workdays and not sse.is_session(day)


def test_new_years_eve_2024_is_a_workday_without_a_session(sse: Calendar) -> None:
    eve = date(2024, 2, 9)
    assert not sse.is_session(eve) and eve in sse.make_up_workdays
    assert [day for day in sse.make_up_workdays if day.weekday() < 5] == [eve]


def test_weekday_closures_of_2026(sse: Calendar) -> None:
    # domain.md B
    closed = (
        "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05"
        " 06-19 09-25 10-01 10-02 10-05 10-06 10-07"
    )
    year = [date.fromordinal(n) for n in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal())]
    found = [day for day in year if day.weekday() < 5 and not sse.is_session(day)]
    assert [f"{day:%m-%d}" for day in found] == closed.split()


def test_every_issue_is_paid_two_sessions_after_application_or_in_beijing_on_the_day(sse: Calendar) -> None:
    with (ROOT / "config/sample/issues.csv").open(encoding="utf-8", newline="") as lines:
        issues = [r for r in csv.DictReader(lines) if r["payment_date"] and r["apply_date"] >= "2019"]
    assert len(issues) > 50
    for r in issues:
        apply, paid = days([r["apply_date"], r["payment_date"]])
        assert paid == (apply if r["exchange"] == "BSE" else sse.add(apply, 2)), r["code"]


def test_payment_of_301591_jumps_the_spring_festival(sse: Calendar) -> None:
    assert sse.add(date(2024, 2, 8), 2) == date(2024, 2, 20)


def test_the_first_session_of_2027_is_not_guessed(sse: Calendar) -> None:
    with pytest.raises(CalendarEnd):
        sse.add(date(2026, 12, 31), 1)
    with pytest.raises(CalendarEnd):
        sse.is_session(date(2027, 1, 4))


def test_the_calendar_has_not_run_out(sse: Calendar) -> None:
    left = (sse.last - RealClock().now().astimezone(SHANGHAI).date()).days
    if left < WARN_DAYS:
        warnings.warn(f"{FILE.name}: {left} days left before {sse.last}; add the next year's sessions", stacklevel=1)
    assert left >= 0, f"{FILE.name} ended on {sse.last}: add the next year's sessions"
