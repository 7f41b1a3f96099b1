"""How long to wait before trying again, and the repetition of reads that are safe to repeat.

The only user of tenacity. Sends are repeated by the outbox, never here: one attempt is one request.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")


def _state(attempt: int) -> tenacity.RetryCallState:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = attempt
    return state


def backoff(attempt: int, base: float, cap: float, rng: random.Random) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): exponential with full jitter.

    Uniform between 0 and min(`cap`, `base` * 2 ** (attempt - 1)). Raises ValueError for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempt {attempt}, expected 1 or more")
    high = tenacity.wait_exponential(multiplier=base, max=cap)(_state(attempt))
    return rng.uniform(0.0, high)


def safe_read(
    read: Callable[[], T],
    *,
    attempts: int,
    base: float,
    cap: float,
    rng: random.Random,
    again: tuple[type[Exception], ...],
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `read` until it returns, at most `attempts` times, waiting by `backoff` after each error listed in `again`.

    Only for calls that change nothing at the other end. Raises the last error itself; other errors pass through at
    once.
    """
    waits = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=lambda state: backoff(state.attempt_number, base, cap, rng),
        retry=tenacity.retry_if_exception_type(again),
        sleep=sleep,
        reraise=True,
    )
    return waits(read)
