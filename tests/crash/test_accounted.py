"""The comparison itself finds what it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.audit.record import Record, encode
from daemon.clock import from_micros
from tests.crash.accounted import unaccounted
from tests.outside.logs import published

NOON = 1_706_760_000_000_000
ONE, TWO = "aa" * 16, "bb" * 16


def attempt(number: int, moment: int, message: str, **more: object) -> bytes:
    return encode(
        Record(f"{number:032x}", from_micros(moment), "n1", "attempt", "sys:t", {"message": message, "n": 1, **more})
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Two attempts of one message, one of another, and the answers to them, which count for nothing."""
    leaves = [
        attempt(1, NOON, ONE),
        attempt(2, NOON + 1, ONE, verdict="in_doubt"),
        attempt(3, NOON + 10, ONE),
        attempt(4, NOON + 10, TWO),
        attempt(5, NOON + 11, TWO, verdict="accepted"),
    ]
    published(tmp_path, leaves)
    return tmp_path / "log"


def test_requests_after_their_attempts_are_accounted_for(log: Path) -> None:
    assert unaccounted(log, [(ONE, NOON + 5), (ONE, NOON + 12), (TWO, NOON + 10)]) == []
    assert unaccounted(log, [(ONE, NOON + 5)]) == []


@pytest.mark.parametrize(
    ("arrivals", "count"),
    [
        ([("cc" * 16, NOON + 20)], 1),
        ([(TWO, NOON + 9)], 1),
        ([(TWO, NOON + 12), (TWO, NOON + 13)], 1),
        ([(ONE, NOON + 5), (ONE, NOON + 6), (ONE, NOON + 12)], 2),
    ],
    ids=["a stranger", "before its record", "one more than recorded", "two on one attempt, then a third"],
)
def test_a_request_without_a_record_of_its_own_is_found(log: Path, arrivals: list[tuple[str, int]], count: int) -> None:
    assert len(unaccounted(log, arrivals)) == count
