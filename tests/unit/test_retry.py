"""Waits and the repetition of safe reads."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.retry import backoff, safe_read


@given(st.integers(1, 200), st.floats(0.01, 10), st.floats(0.01, 1000), st.integers())
def test_a_wait_lies_between_zero_and_the_capped_exponential(attempt: int, base: float, cap: float, seed: int) -> None:
    wait = backoff(attempt, base, cap, random.Random(seed))
    assert 0 <= wait <= cap
    assert wait <= base * 2.0 ** min(attempt - 1, 1000)


def test_the_jitter_is_full_and_repeats_with_its_seed() -> None:
    waits = [backoff(4, 1.0, 60.0, random.Random(seed)) for seed in range(500)]
    assert min(waits) < 0.5
    assert max(waits) > 7.5
    assert waits == [backoff(4, 1.0, 60.0, random.Random(seed)) for seed in range(500)]


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="attempt 0"):
        backoff(0, 1, 1, random.Random(0))


class Flaky:
    """Fails `fails` times with `error`, then gives 'read'."""

    def __init__(self, fails: int, error: Exception) -> None:
        self.calls = 0
        self.fails = fails
        self.error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.fails:
            raise self.error
        return "read"


def read(flaky: Flaky, waited: list[float]) -> str:
    def sleep(seconds: float) -> None:
        waited.append(seconds)

    rng = random.Random(1)
    return safe_read(flaky, attempts=3, base=1.0, cap=8.0, rng=rng, again=(ConnectionError,), sleep=sleep)


def test_a_read_is_repeated_until_it_succeeds() -> None:
    flaky, waited = Flaky(2, ConnectionError("down")), []
    assert read(flaky, waited) == "read"
    assert flaky.calls == 3
    assert len(waited) == 2
    assert waited[0] <= 1.0
    assert waited[1] <= 2.0


def test_the_last_error_itself_comes_out() -> None:
    flaky = Flaky(9, ConnectionError("down"))
    with pytest.raises(ConnectionError, match="down"):
        read(flaky, [])
    assert flaky.calls == 3


def test_an_error_not_listed_comes_out_at_once() -> None:
    flaky = Flaky(9, KeyError("shape"))
    with pytest.raises(KeyError):
        read(flaky, [])
    assert flaky.calls == 1
