"""The difference of two simulations: who is told by one side only, who differently; what its digest binds."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from daemon.report.diff import difference, digest_of
from daemon.report.simulated import SHEETS, Planned, Simulation, Used

DAYS = ("2024-02-01", "2024-02-02")
RULE = "margin/maintenance"


def notice(
    client: int, stage: str = "warning/notice", *, day: str = DAYS[0], told: str = "10:05", **more: object
) -> Planned:
    made = Planned(
        RULE, client, client + 100, '{"basis":"intraday"}', stage, day, f"{day}T10:05:00+08:00", f"{day}T22:00:00+08:00",
        f"{day}T{told}:00+08:00" if told else "", title="低于预警线", text="正文", sms="【样例】短信", parts=1,
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


def simulation(digest: str, *notices: Planned, **more: object) -> Simulation:
    buckets = {(DAYS[0], RULE): {n.client: "notify" for n in notices}}
    used = (Used(DAYS[0], "margin_intraday", SHEETS, polls=3, hashes=("a" * 64,)),)
    made = Simulation(
        digest * 64, DAYS, (RULE,), used, buckets, notices, files={"rules/parameters/margin.yaml": digest}
    )
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_client_is_added_removed_or_told_differently_by_the_notices_that_tell() -> None:
    before = simulation("a", notice(1), notice(2), notice(3), notice(4, told=""))
    after = simulation("b", notice(1), notice(2, "attention/notice"), notice(4), notice(5))
    found = difference(before, after)["clients"]
    assert [one["client"] for one in found["added"]] == [4, 5]
    assert [one["client"] for one in found["removed"]] == [3]
    assert [one["client"] for one in found["differently"]] == [2]
    (moved,) = found["differently"]
    assert [n["stage"] for n in moved["before"]] == ["warning/notice"]
    assert [n["stage"] for n in moved["after"]] == ["attention/notice"]


def test_other_words_or_another_instant_are_told_differently() -> None:
    before = simulation("a", notice(1), notice(2), notice(3))
    after = simulation("b", notice(1, text="别的话"), notice(2, told="11:35"), notice(3))
    assert [one["client"] for one in difference(before, after)["clients"]["differently"]] == [1, 2]


def test_the_same_set_makes_no_difference() -> None:
    one = simulation("a", notice(1), notice(2))
    found = difference(one, one)
    assert not any(found["clients"].values())
    assert not found["files"]
    assert not found["samples"]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "c" * 64},
        {"files": {"rules/parameters/margin.yaml": "c"}},
        {"used": (Used(DAYS[0], "margin_intraday", SHEETS, polls=3, hashes=("c" * 64,)),)},
        {"notices": (notice(1), notice(2, late=True))},
        {"buckets": {(DAYS[0], RULE): {1: "notify", 2: "held"}}},
        {"holds": (("margin_intraday", RULE, "2 of at most 1"),)},
    ],
)
def test_the_digest_binds_sets_sources_counts_and_clients(change: dict[str, object]) -> None:
    before = simulation("a", notice(1))
    after = simulation("b", notice(1), notice(2))
    found = difference(before, after)
    assert found["digest"] == digest_of(found) == difference(before, after)["digest"]
    assert difference(before, replace(after, **change))["digest"] != found["digest"]  # type: ignore[arg-type]
    assert json.loads(json.dumps(found)) == found


def test_counts_are_by_day_and_rule_and_parts_by_rule() -> None:
    found = difference(simulation("a", notice(1), notice(2)), simulation("b", notice(1, parts=3)))
    (counts,) = found["counts"]
    assert (counts["day"], counts["before"]["told"], counts["after"]["told"]) == (DAYS[0], 2, 1)
    assert found["sms"] == [
        {"rule": RULE, "before_texts": 2, "before_parts": 2, "after_texts": 1, "after_parts": 3},
    ]


def test_a_notice_whose_instant_is_wrong_is_listed() -> None:
    after = simulation("b", notice(1, off="past"), notice(2, late=True), notice(3))
    found = difference(simulation("a", notice(1)), after)["deadlines"]
    assert found["before"] == []
    assert [(one["client"], one["late"], one["off"]) for one in found["after"]] == [(1, False, "past"), (2, True, "")]


def test_other_days_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="the same days"):
        difference(simulation("a"), simulation("b", days=("2024-02-02", "2024-02-02")))
