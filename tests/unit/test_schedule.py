"""When polls fall due: on sessions, by the exchange calendar, in Asia/Shanghai."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.clock import SHANGHAI
from daemon.errors import CalendarEnd
from daemon.model.kinds import Feed
from daemon.rules.load import load, read_folder
from daemon.schedule import Timetable, entry
from tests.files import ROOT

RULES = load(read_folder(Path(ROOT))).required()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


def feed(*schedule: str, date: str = "today") -> Feed:
    return Feed("f", "k", "b", (), schedule, date=date)


def timetable(*schedule: str, date: str = "today") -> Timetable:
    table = Timetable(RULES)
    one = feed(*schedule, date=date)
    table.entries = [entry(one, text) for text in schedule]
    return table


def shown(table: Timetable, after: str, until: str) -> list[tuple[str, bool]]:
    found = table.due(moment(after), moment(until))
    return [(f"{d.at.astimezone(SHANGHAI):%m-%d %H:%M}", bool(d.skip)) for d in found]


def test_a_due_time_outside_the_sessions_is_skipped_not_forgotten() -> None:
    # 2024-02-09 is a civil workday without a session; 10 and 11 are a weekend
    assert shown(timetable("07:30 sessions"), "2024-02-08T00:00", "2024-02-12T00:00") == [
        ("02-08 07:30", False), ("02-09 07:30", True), ("02-10 07:30", True), ("02-11 07:30", True),
    ]  # fmt: skip


def test_every_so_many_minutes_between_two_times_both_inclusive() -> None:
    found = shown(timetable("every 15m 09:45-10:30 sessions"), "2024-02-01T00:00", "2024-02-01T23:59")
    assert [text for text, _ in found] == ["02-01 09:45", "02-01 10:00", "02-01 10:15", "02-01 10:30"]


def test_the_span_is_open_at_its_start_and_closed_at_its_end() -> None:
    table = timetable("07:30 sessions")
    assert shown(table, "2024-02-01T07:30", "2024-02-01T07:31") == []
    assert shown(table, "2024-02-01T07:29", "2024-02-01T07:30") == [("02-01 07:30", False)]


def test_a_feed_of_the_session_before_speaks_of_it() -> None:
    table = timetable("07:30 sessions", date="previous_session")
    (due,) = table.due(moment("2024-02-19T00:00"), moment("2024-02-19T12:00"))
    assert due.business_date == date(2024, 2, 8)


def test_the_next_due_time_passes_over_what_is_skipped() -> None:
    found = timetable("07:30 sessions").next(moment("2024-02-08T08:00"))
    assert found is not None
    assert found.at == moment("2024-02-19T07:30")


def test_past_the_calendars_end_nothing_is_guessed() -> None:
    table = timetable("07:30 sessions")
    end = datetime.combine(RULES.calendar.last, datetime.min.time(), SHANGHAI)
    after = (end + timedelta(hours=20)).astimezone(UTC)
    assert table.next(after) is None
    with pytest.raises(CalendarEnd):
        table.due(after, after + timedelta(days=2))


@pytest.mark.parametrize("text", ["7:30 sessions", "07:30", "every 15m 09:45 sessions", "07:30 weekdays"])
def test_an_entry_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        entry(feed(text), text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_looking_often_finds_what_looking_once_finds(steps: list[int]) -> None:
    often, once = timetable("07:30 sessions", "every 30m 09:30-11:30 sessions"), Timetable(RULES)
    once.entries = often.entries
    start = moment("2024-02-06T00:00")
    at, found = start, []
    for step in steps:
        found += often.due(at, at + timedelta(minutes=step))
        at += timedelta(minutes=step)
    assert found == once.due(start, at)
