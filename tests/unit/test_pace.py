"""Slots of a gateway: never more in any second than it grants, and none of them late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.deliver.pace import Pace


def test_without_a_bound_nothing_waits() -> None:
    pace = Pace(0)
    assert [pace.take(1.0) for _ in range(1000)] == [0.0] * 1000


def test_slots_are_evenly_spaced_and_unused_time_is_lost() -> None:
    pace = Pace(4)
    assert [pace.take(10.0) for _ in range(3)] == [0.0, 0.25, 0.5]
    assert pace.take(20.0) == 0.0


@given(st.integers(1, 50), st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_no_second_has_more_than_it_grants(per_second: int, pauses: list[float]) -> None:
    pace, elapsed, sent = Pace(per_second), 5.0, []
    for pause in pauses:
        elapsed += pause
        wait = pace.take(elapsed)
        assert wait >= 0
        sent.append(elapsed + wait)
    assert sent == sorted(sent)
    for first, beyond in zip(sent, sent[per_second:], strict=False):
        assert beyond - first >= 1 - 1e-6
