"""SIGKILL at every fail point, on three carriers and two databases: nothing lost, nothing doubled, nothing unaccounted for.

`python -m tests.crash --seeds 200` is the same with as many seeds as one has time for.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daemon.failpoints import POINTS
from tests import postgres
from tests.crash.matrix import CARRIERS

ROOT = Path(__file__).parents[2]
WITHOUT: dict[str, set[str]] = {"honours": {"after_query"}, "asked": set(), "blind": {"after_query"}}
"""Points that a carrier's scenario has no way to."""


def crash(*options: str) -> str:
    """The command, in a process of its own: it forks, which a test process with threads should not."""
    command = [sys.executable, "-m", "tests.crash", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def points_of(table: str) -> set[str]:
    return {line.split("|")[2].strip() for line in table.splitlines() if line.startswith("|")} - {"killed at", "-" * 23}


def test_a_kill_between_commit_and_first_byte_loses_and_doubles_nothing() -> None:
    points = ("after_sending_commit", "before_send")
    named = [word for point in points for word in ("--point", point)]
    assert points_of(crash("--seeds", "1", "--carrier", "honours", *named)) == set(points)


@pytest.mark.slow
@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_point_on_sqlite(carrier: str) -> None:
    wanted = set(POINTS) - WITHOUT[carrier]
    named = [word for point in sorted(wanted) for word in ("--point", point)]
    assert points_of(crash("--seeds", "3", "--carrier", carrier, *named)) == wanted


@pytest.mark.slow
def test_every_point_on_postgresql() -> None:
    postgres.needed()
    assert points_of(crash("--seeds", "1", "--store", "postgresql")) == set(POINTS)
