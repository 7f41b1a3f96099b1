"""Hold or go: each bound alone, both sides of it, and what a release covers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.rules.holding import FEW, Before, Counts, covers, verdict
from daemon.rules.schema import Cap, Growth

small = st.integers(0, 200)


@pytest.mark.parametrize(
    ("cap", "counts", "held"),
    [
        (Cap(), Counts(0), False),
        (Cap(minimum=5), Counts(4), True),
        (Cap(minimum=5), Counts(5), False),
        (Cap(maximum=5), Counts(5), False),
        (Cap(maximum=5), Counts(6), True),
        (Cap(limit=5), Counts(5), False),
        (Cap(limit=5), Counts(6), True),
        (Cap(), Counts(3, rows=10, source=10), False),
        (Cap(), Counts(3, rows=9, source=10), True),
        (Cap(), Counts(3, rows=11, source=10), True),
        (Cap(), Counts(3, rows=9), False),
        (Cap(), Counts(0, rows=0, source=0), False),
        (Cap(), Counts(0, rows=0, source=1), True),
        (Cap(turnover=Decimal("0.2")), Counts(10, known=50, vanished=10, appeared=2), False),
        (Cap(turnover=Decimal("0.2")), Counts(10, known=50, vanished=11, appeared=3), True),
        (Cap(turnover=Decimal("0.2")), Counts(0, known=50, vanished=50, appeared=0), True),  # an empty answer
        (Cap(turnover=Decimal("0.2")), Counts(0, known=9, vanished=4, appeared=0), False),  # a few may go
        (Cap(turnover=Decimal("0.2")), Counts(0, known=4, vanished=4, appeared=0), True),  # all there were
        (Cap(turnover=Decimal("0.2")), Counts(0, known=2, vanished=2, appeared=0), True),
        (Cap(turnover=Decimal("0.2")), Counts(0, known=1, vanished=1, appeared=0), False),  # one alone may go
        (Cap(rows=1), Counts(0, read=1), False),
        (Cap(rows=1), Counts(0, read=0), True),  # complete, first ever, and empty
    ],
)
def test_a_bound_holds_beyond_it_and_not_at_it(cap: Cap, counts: Counts, held: bool) -> None:
    assert bool(verdict(cap, counts)) is held


def test_turnover_needs_something_known_and_more_than_a_few_gone() -> None:
    cap = Cap(turnover=Decimal("0.1"))
    assert verdict(cap, Counts(0, known=10, vanished=FEW, appeared=0)) != ""
    assert verdict(cap, Counts(0, known=10, vanished=FEW - 1, appeared=0)) == ""
    assert verdict(cap, Counts(10, known=0, vanished=0, appeared=10)) == ""
    assert verdict(cap, Counts(10, known=10, vanished=10, appeared=1)) != ""


def test_the_reason_names_what_was_found_and_what_is_allowed() -> None:
    assert verdict(Cap(maximum=5), Counts(6)) == "6 to notify, expected at most 5"
    assert verdict(Cap(), Counts(3, rows=9, source=10)) == "source counts 10 rows, read 9"
    assert "6 of 10" in verdict(Cap(turnover=Decimal("0.2")), Counts(10, known=10, vanished=6, appeared=3))


TWICE = Cap(growth=Growth(Decimal("1.8"), Decimal("1.8"), 10))


@pytest.mark.parametrize(
    ("counts", "held"),
    [
        (Counts(0, read=18), False),
        (Counts(0, read=19), True),
        (Counts(18), False),
        (Counts(19), True),
        (Counts(20, read=20), True),
        (Counts(5, read=5), False),
    ],
)
def test_a_source_that_doubles_is_held_whether_in_rows_or_in_matches(counts: Counts, held: bool) -> None:
    assert bool(verdict(TWICE, counts, Before(10, 10, "the poll of 07:30"))) is held


def test_growth_says_against_which_reading() -> None:
    assert verdict(TWICE, Counts(3, read=20), Before(10, 3, "the poll of 07:30")) == (
        "20 rows, 10 in the poll of 07:30, allowed 1.8 times as many"
    )
    assert verdict(TWICE, Counts(20, read=12), Before(10, 10, "the largest poll since 2024-01-25")) == (
        "20 to notify, 10 in the largest poll since 2024-01-25, allowed 1.8 times as many"
    )


def test_growth_needs_a_reading_before_and_more_than_the_least() -> None:
    assert verdict(TWICE, Counts(100, read=100)) == ""
    assert verdict(TWICE, Counts(100, read=100), Before(0, 0, "x")) == "", "from nothing, nothing can be said"
    assert verdict(TWICE, Counts(9, read=9), Before(1, 1, "x")) == ""
    assert verdict(TWICE, Counts(10, read=0), Before(1, 1, "x")) != ""


def test_what_growth_does_not_name_it_does_not_look_at() -> None:
    rows = Cap(growth=Growth(rows=Decimal(2), least=1))
    assert verdict(rows, Counts(100, read=20), Before(10, 1, "x")) == ""
    notify = Cap(growth=Growth(notify=Decimal(2), least=1))
    assert verdict(notify, Counts(2, read=100), Before(1, 1, "x")) == ""


@given(small, small, st.decimals("1.01", "9", places=2))
def test_growth_holds_exactly_beyond_the_factor(now: int, then: int, times: Decimal) -> None:
    cap = Cap(growth=Growth(rows=times, least=1))
    assert (verdict(cap, Counts(0, read=now), Before(then, 0, "x")) != "") is (then > 0 and now > then * times)


def test_turnover_is_compared_exactly() -> None:
    third = Counts(3, known=30, vanished=10, appeared=1)
    assert verdict(Cap(turnover=Decimal("0.3333333333333333333333333333")), third) == ""
    assert verdict(Cap(turnover=Decimal("0.3333333333333333333333333332")), third) != ""


@given(small, small, small, small)
def test_without_bounds_only_the_sources_own_count_holds(notify: int, known: int, vanished: int, rows: int) -> None:
    assert verdict(Cap(), Counts(notify, known, vanished, vanished, rows)) == ""
    assert verdict(Cap(), Counts(notify, known, vanished, vanished, rows, rows)) == ""
    assert verdict(Cap(), Counts(notify, known, vanished, vanished, rows, rows + 1)) != ""


@given(small, small, small, small)
def test_a_release_lets_go_what_it_names_and_nothing_more(allowed: int, gone: int, notify: int, vanished: int) -> None:
    found = covers({"notify": allowed, "vanished": gone}, Counts(notify, vanished=vanished))
    assert found is (notify <= allowed and vanished <= gone)


def test_a_release_that_names_nothing_lets_nobody_go() -> None:
    assert covers({}, Counts(0))
    assert not covers({}, Counts(1))
    assert not covers({"notify": 1}, Counts(1, vanished=1))


def test_counts_cover_themselves_by_their_json() -> None:
    counts = Counts(3, 10, 2, 2, 12, 12)
    assert covers(counts.to_json(), counts)
    assert counts.to_json() == {
        "notify": 3, "known": 10, "vanished": 2, "appeared": 2, "rows": 12, "source": 12, "read": 0,
    }  # fmt: skip
    assert "source" not in Counts(3).to_json()
