"""Every scenario with a kill at every step: after each commit, and after each message that the gateway has taken.

What a kill leaves is a copy of the folder at that step; a new daemon on it must come to the same end: the same messages on the
handsets, each once, the same notices with the same outcomes, the same calls for a person.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenarios.plays import SCENARIOS
from tests.world import Result, killed

DELICATE = (
    "short, paid, short again",
    "corrected while in doubt",
    "corrected back after it left",
    "an empty answer before the claim",
    "a client released",
    "a minor, of age, a minor",
    "a margin source that doubles",
    "two episodes on one day",
)
"""Played with a few kills each in every run of the tests; all of them with every kill in the slow ones."""

STEPS = 70
"""About as many as a scenario has."""


def some(name: str) -> Callable[[int], bool]:
    """Three seeded steps."""
    chosen = random.Random(zlib.crc32(name.encode())).sample(range(5, STEPS), 3)
    return lambda step: step in chosen


def every(name: str) -> Callable[[int], bool]:
    """Every step of the delicate ones, every seventh of the others, of the first 140: a poll that waits repeats itself."""
    offset = zlib.crc32(name.encode()) % 7
    return lambda step: step <= 2 * STEPS and (name in DELICATE or step % 7 == offset)


def differences(whole: Result, after: Result) -> list[str]:
    """What is not the same, in words. A kill while a message is in `sending`, at a gateway that then never takes a repeat,
    leaves what nobody can know: such an end is its own, and only has to be an honest one."""
    if any(n.outcome == "in_doubt" and n not in whole.notices for n in after.notices):
        return dishonest(whole, after)
    found = []
    for name in ("arrived", "notices", "tasks"):
        expected, got = Counter(getattr(whole, name)), Counter(getattr(after, name))
        found += [f"{name}: missing {one}" for one in expected - got]
        found += [f"{name}: surplus {one}" for one in got - expected]
    return [] if by_another_channel(whole, after) else found


def by_another_channel(whole: Result, after: Result) -> bool:
    """A kill in `sending` at a gateway whose answers are lost leaves a doubt that a correction bars from being repeated; the
    next channel then tells: nobody is told less or twice, and every notice and task is the same."""

    def who(result: Result) -> Counter[tuple[str, int]]:
        return Counter((one[0], one[3]) for one in result.arrived)

    return who(whole) == who(after) and (whole.notices, whole.tasks) == (after.notices, after.tasks)


def dishonest(whole: Result, after: Result) -> list[str]:
    """What an end with a doubt of its own may not be: less told, told twice, without an outcome, unknown to a person."""
    found = [f"arrived: missing {one}" for one in set(whole.arrived) - set(after.arrived)]
    found += [f"arrived more than once: {one}" for one in after.arrived if one[3] != 1]
    found += [f"no outcome: {n}" for n in after.notices if n.outcome is None]
    if "doubt" not in [task for task, _ in after.tasks]:
        found.append("nobody is told of the doubt")
    return found


def play_with_kills(name: str, folder: Path, wanted: Callable[[int], bool]) -> None:
    whole, after = killed(SCENARIOS[name], folder, wanted)
    wrong = {step: diff for step, result in after if (diff := differences(whole, result))}
    assert not wrong, "\n".join(f"step {step}: {line}" for step, lines in wrong.items() for line in lines)


@pytest.mark.parametrize("name", DELICATE)
def test_a_kill_changes_neither_messages_nor_outcomes(name: str, tmp_path: Path) -> None:
    play_with_kills(name, tmp_path, some(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_many_kills_change_neither_messages_nor_outcomes(name: str, tmp_path: Path) -> None:
    play_with_kills(name, tmp_path, every(name))
