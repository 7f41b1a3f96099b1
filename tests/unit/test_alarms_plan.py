"""Who is called about a page, and when: at once, wider, again; by each way once; never after somebody has acknowledged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from daemon.alarms.plan import GIVE_UP, WAITS, Page, Roster, Step, Tried, due

NOW = datetime(2024, 2, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROSTER = Roster(
    {"warning": ("robot",), "urgent": ("robot", "mail")},
    (Step(10 * MINUTE, ("chief",)), Step(20 * MINUTE, ("chief", "board"))),
    30 * MINUTE,
)
URGENT = Page(1, "urgent", "s", NOW)
WARNING = Page(2, "warning", "s", NOW)


def told(page: int, step: int, way: str, tries: int = 1, at: datetime = NOW, ok: bool = True) -> Tried:
    return Tried(page, step, way, tries, at, ok)


def ways(pages: list[Page], tried: list[Tried], after: timedelta) -> list[tuple[int, str, tuple[int, ...]]]:
    return [(one.page.id, one.way, one.steps) for one in due(pages, tried, ROSTER, NOW + after)]


def test_first_by_severity() -> None:
    assert ways([URGENT, WARNING], [], timedelta(0)) == [(1, "robot", (0,)), (1, "mail", (0,)), (2, "robot", (0,))]


def test_info_calls_nobody() -> None:
    assert ways([Page(3, "info", "s", NOW)], [], 99 * MINUTE) == []


def test_an_urgent_page_goes_wider_until_acknowledged_and_a_warning_does_not() -> None:
    done = [told(1, 0, "robot"), told(1, 0, "mail"), told(2, 0, "robot")]
    assert ways([URGENT, WARNING], done, 9 * MINUTE) == []
    assert ways([URGENT, WARNING], done, 10 * MINUTE) == [(1, "chief", (1,))]
    assert ways([WARNING], done, 10 * MINUTE) == []  # acknowledged pages are not handed in


def test_the_last_step_comes_again() -> None:
    done = [told(1, 0, "robot"), told(1, 0, "mail"), told(1, 1, "chief"), told(1, 2, "chief"), told(1, 2, "board")]
    assert ways([URGENT], done, 49 * MINUTE) == []
    assert ways([URGENT], done, 50 * MINUTE) == [(1, "chief", (3,)), (1, "board", (3,))]


def test_after_a_stop_one_call_serves_all_the_steps_that_have_passed() -> None:
    assert ways([URGENT], [], 25 * MINUTE) == [
        (1, "robot", (0,)),
        (1, "mail", (0,)),
        (1, "chief", (1, 2)),
        (1, "board", (2,)),
    ]


def test_a_way_that_failed_is_tried_again_later_and_later() -> None:
    for tries, wait in enumerate(WAITS, 1):
        failed = [told(1, 0, "robot", tries, ok=False), told(1, 0, "mail")]
        assert ways([URGENT], failed, wait - timedelta(seconds=1)) == []
        assert ways([URGENT], failed, wait)[:1] == [(1, "robot", (0,))]


def test_where_every_way_of_a_step_fails_the_next_one_does_not_wait() -> None:
    failing = [told(1, 0, way, GIVE_UP, ok=False) for way in ("robot", "mail")]
    assert (1, "chief", (1,)) in ways([URGENT], failing, timedelta(seconds=50))
    failing[0] = told(1, 0, "robot", GIVE_UP - 1, ok=False)
    assert (1, "chief", (1,)) not in ways([URGENT], failing, timedelta(seconds=50))


tries = st.builds(
    Tried,
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from(["robot", "mail", "chief", "board"]),
    st.integers(1, 5),
    st.integers(0, 60).map(lambda m: NOW + m * MINUTE),
    st.booleans(),
)


@given(st.lists(tries, max_size=12, unique_by=lambda t: (t.page, t.step, t.way)), st.integers(0, 200))
def test_no_page_is_told_twice_by_a_way_in_a_step_and_none_is_forgotten(tried: list[Tried], minutes: int) -> None:
    now = NOW + max([minutes * MINUTE, *(one.last - NOW for one in tried)])
    pages = [URGENT, WARNING, Page(3, "urgent", "s", NOW + 5 * MINUTE)]
    found = due(pages, tried, ROSTER, now)
    asked = [(one.page.id, step, one.way) for one in found for step in one.steps]
    assert len(asked) == len(set(asked))
    assert len({(one.page.id, one.way) for one in found}) == len(found)
    settled = {(one.page, one.step, one.way) for one in tried if one.told}
    assert not settled & set(asked)
    waiting = {(one.page, one.step, one.way) for one in tried}
    first = {(page.id, 0, way) for page in pages for way in ROSTER.first[page.severity]}
    assert first - waiting <= set(asked)
