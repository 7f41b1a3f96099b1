"""Margin over a day: episodes, contracts, levels, and a call that comes too late."""

from __future__ import annotations

import json
from pathlib import Path

from tests.scenarios.plays import SCENARIOS
from tests.world import Play, Result, phone

CONTRACT, OTHER = "9000000001", "9000000002"


def play(name: str, folder: Path) -> Result:
    """One scenario without a kill."""
    return Play.new(SCENARIOS[name], folder / "w").run()


def test_a_second_episode_of_one_day_is_told_again(tmp_path: Path) -> None:
    result = play("two episodes on one day", tmp_path)
    assert [n.outcome for n in result.notices] == ["delivered", "delivered"]
    numbers = [json.loads(n.occurrence)["number"] for n in result.notices]
    assert numbers == ["1", "2"]
    assert len(result.texts(phone(1))) == 2


def test_two_contracts_of_one_client_are_two_notices(tmp_path: Path) -> None:
    result = play("two contracts of one client", tmp_path)
    assert {n.who for n in result.notices} == {CONTRACT, OTHER}
    assert len(result.texts(phone(1))) == 2


def test_a_worse_level_supersedes_what_has_not_left(tmp_path: Path) -> None:
    result = play("a worse level supersedes", tmp_path)
    assert result.stages(CONTRACT) == {"urgent/notice": "delivered", "warning/notice": "superseded"}
    assert len(result.arrived) == 1


def test_a_call_whose_source_was_down_past_its_deadline_goes_marked_late(tmp_path: Path) -> None:
    result = play("a source down past the deadline", tmp_path)
    ((_, _, text, times),) = result.arrived
    assert text.startswith("（补发）追加担保物通知")
    assert times == 1
    assert "failed:margin_day_end" not in result.pages  # open while it lasted; closed when the poll ran
