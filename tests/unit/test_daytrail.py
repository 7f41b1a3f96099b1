"""What the trail says of a date: what counts, what comes too late, what belongs to another day."""

from __future__ import annotations

from datetime import date
from typing import Any

from daemon.report.daytrail import DayTrail

DAY = date(2024, 2, 1)
NOTICE, MESSAGE = "a" * 64, "b" * 32


def leaf(
    id: str, kind: str, data: dict[str, Any], t: str = "2024-02-01T01:00:00.000000Z", **more: Any
) -> dict[str, Any]:
    return {"id": id, "kind": kind, "t": t, "data": data, **more}


def made(day: str = "2024-02-01") -> dict[str, Any]:
    data = {"notice": NOTICE, "change": "made", "stands": "yes", "business_date": day, "messages": [MESSAGE]}
    return leaf("made", "notice", data, client=7)


def attempt(id: str, verdict: str = "") -> dict[str, Any]:
    end = {"verdict": verdict} if verdict else {}
    return leaf(id, "attempt", {"message": MESSAGE, "n": 1, "notice": NOTICE, **end})


def test_the_first_end_of_an_attempt_holds() -> None:
    said = DayTrail(DAY).hear([made(), attempt("start"), attempt("doubt", "in_doubt"), attempt("late", "accepted")])
    found = said.attempts[MESSAGE, 1]
    assert found.ended is not None
    assert found.ended["id"] == "doubt"
    assert said.messages[MESSAGE].own == "ended in_doubt"


def test_what_follows_a_notice_of_another_date_is_not_of_this_one() -> None:
    said = DayTrail(DAY).hear([made("2024-01-31"), attempt("start")])
    assert not said.notices
    assert not said.attempts


def test_the_first_outcome_of_a_notice_holds() -> None:
    ends = [
        leaf(id, "outcome", {"notice": NOTICE, "outcome": word}) for id, word in (("x", "expired"), ("y", "cancelled"))
    ]
    said = DayTrail(DAY).hear([made(), *ends])
    outcome = said.notices[NOTICE].outcome
    assert outcome is not None
    assert outcome["id"] == "x"


def test_a_task_is_of_the_date_it_was_opened_on_in_shanghai() -> None:
    opened = {"task": "k", "change": "opened", "reason": "r"}
    moments = {"before": "2024-01-31T15:59:59.999999Z", "first": "2024-01-31T16:00:00.000000Z",
               "last": "2024-02-01T15:59:59.999999Z", "after": "2024-02-01T16:00:00.000000Z"}  # fmt: skip
    said = DayTrail(DAY).hear([leaf(id, "task", opened, t) for id, t in moments.items()])
    assert set(said.tasks) == {"first", "last"}


def test_a_task_is_followed_from_taking_to_closing() -> None:
    chain = [
        leaf("1", "task", {"task": "k", "change": "opened"}),
        leaf("2", "task", {"task": "k", "change": "taken", "by": "li"}, cause="1"),
        leaf("3", "task", {"task": "k", "change": "closed", "by": "li"}, t="2024-02-05T01:00:00.000000Z", cause="2"),
        leaf("4", "task", {"task": "k", "change": "closed", "by": "li"}, cause="elsewhere"),
    ]
    assert DayTrail(DAY).hear(chain).tasks["1"].last["id"] == "3"
