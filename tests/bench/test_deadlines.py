"""A gateway that is down for a minute: none is late in silence, and a person knew before each expiry."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.bench import deadlines


@pytest.mark.slow
def test_with_the_gateway_down_for_a_minute_nothing_is_late_or_lost_in_silence(tmp_path: Path) -> None:
    found, arrivals = deadlines.run(tmp_path)
    assert found.wrong == []
    assert found.outcomes == {
        "desk/brief": Counter(expired=125), "desk/debt": Counter(delivered=250), "desk/marked": Counter(delivered=125),
    }  # fmt: skip
    assert found.marked == 125
    # the judge itself: the same ledger an hour later is late, and says so for each but the marked ones
    later = [(id, moment + 3_600_000_000) for id, moment in arrivals]
    assert len(deadlines.judge(tmp_path, later, 500).wrong) == 250
