"""Coverage: what counts as covered, and that a case left out leaves exactly its things uncovered, with their place."""

from __future__ import annotations

import pytest

from daemon.rules.coverage import coverage_of
from tests.builders_mini import CASES, NAME, mini


def missing(*left_out: str) -> list[str]:
    cases = tuple(case for case in CASES if not any(name in case for name in left_out))
    return [str(item) for item in coverage_of(mini(cases=cases), NAME).missing()]


def test_full_cases_cover_everything() -> None:
    found = coverage_of(mini(), NAME)
    assert found.missing() == ()
    assert found.sufficient
    groups = ("conditions", "levels", "stages", "timers", "gates")
    assert {group: found.of(group) for group in groups} == {
        "conditions": (3, 3),
        "levels": (2, 2),
        "stages": (2, 2),
        "timers": (1, 1),
        "gates": (5, 5),
    }


@pytest.mark.parametrize(
    ("left_out", "expected"),
    [
        (("a line that cannot be read",), ["rules/desk/debt.yaml:8: when: owed > line absent"]),
        (
            ("on the line", "a debt that is paid"),
            ["rules/desk/debt.yaml:8: when: owed > line false", "rules/desk/debt.yaml:8: when: not met"],
        ),
        (("the rule is stopped",), ["rules/desk/debt.yaml:18: gates.stopped: stopping"]),
        (("a silence",), ["rules/desk/debt.yaml:18: gates.silence: stopping"]),
        (("a late source",), ["rules/desk/debt.yaml:18: gates.source: late, passed"]),
        (
            ("a cent over the line",),
            [
                "rules/desk/debt.yaml:13: stages.notice.at: stated",
                "rules/desk/debt.yaml:14: stages.notice.deadline: stated",
                "rules/desk/debt.yaml:16: stages.notice.after: timer 1, next_channel, stated",
            ],
        ),
    ],
)
def test_case_left_out_leaves_its_things_uncovered(left_out: tuple[str, ...], expected: list[str]) -> None:
    assert missing(*left_out) == expected


def test_case_that_fails_covers_nothing() -> None:
    wrong = tuple(case.replace("bucket: suppressed", "bucket: held") for case in CASES)
    found = [str(item) for item in coverage_of(mini(cases=wrong), NAME).missing("gates")]
    assert found == [
        "rules/desk/debt.yaml:18: gates.stopped: stopping",
        "rules/desk/debt.yaml:18: gates.silence: stopping",
    ]
