"""The daily proof of the demo's days: every client in one bucket, every reading adds up, every row is as the trail says.

Who is in a population is counted in the back office, by sqlite3.
"""

from __future__ import annotations

import pytest

from tests.acceptance.played import Played

DAYS = ("2024-02-01", "2024-03-28")


@pytest.mark.parametrize("day", DAYS)
def test_a_day_is_complete_against_source_and_trail(demo: Played, day: str) -> None:
    shown = demo.found("report", "completeness", "--day", day, code=None)
    assert shown["findings"] == []
    assert shown["gaps"] == []
    assert shown["head_wrong"] == ""
    assert {one["why"] for one in shown["reconciled"]} == {""}
    assert any(one["clients"] > 0 for one in shown["populations"])
    for one in shown["populations"]:
        assert sum(one["buckets"].values()) == one["clients"]
        assert one["twice"] == []
    assert sum(one["notices"] for one in shown["notices"]) > 0


def test_the_margin_population_is_the_back_offices(demo: Played) -> None:
    shown = demo.found("report", "completeness", "--day", DAYS[0], code=None)
    with demo.counter() as db:
        query = "SELECT count(DISTINCT client_id) FROM margin_assets WHERE init_date = ? AND basis = 'day_end'"
        (clients,) = db.execute(query, (DAYS[0],)).fetchone()
    one = next(p for p in shown["populations"] if p["feed"] == "margin_day_end")
    assert one["clients"] == clients
