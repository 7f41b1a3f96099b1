"""What a client's status does to a notice, from the start and when it changes between the poll and the claim."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.plays import GUARDIAN, ONE, SCENARIOS
from tests.world import Play, Result, phone

MINE = phone(1)


def play(name: str, folder: Path) -> Result:
    """One scenario without a kill."""
    return Play.new(SCENARIOS[name], folder / "w").run()


def recipients(result: Result) -> set[str]:
    return {recipient for recipient, *_ in result.arrived}


@pytest.mark.parametrize("name", ["a minor", "a minor by the time it is due"])
def test_a_minors_notice_goes_to_the_guardian_alone(name: str, tmp_path: Path) -> None:
    result = play(name, tmp_path)
    assert result.stages(ONE)["morning"] == "delivered"
    assert recipients(result) == {GUARDIAN}
    assert [times for *_, times in result.arrived] == [1, 1, 1]


def test_a_notice_redirected_and_redirected_back_reaches_the_guardian_once(tmp_path: Path) -> None:
    result = play("a minor, of age, a minor", tmp_path)
    assert recipients(result) == {GUARDIAN}
    noon = [state for stage, _, state in result.messages if stage == "noon"]
    assert sorted(noon) == ["cancelled", "cancelled", "delivered"]


def test_who_is_of_age_by_the_time_it_is_due_is_told_himself(tmp_path: Path) -> None:
    result = play("of age by the time it is due", tmp_path)
    assert recipients(result) == {MINE}
    assert ("morning", "rcs", "cancelled") in result.messages, "what waited for the guardian"


def test_a_minor_without_a_guardians_address_is_a_call_for_a_person(tmp_path: Path) -> None:
    result = play("a minor without a guardian", tmp_path)
    assert result.arrived == ()
    assert any(key == "call:morning" for key, _ in result.tasks)


@pytest.mark.parametrize("name", ["special care", "special care by the time it is due"])
def test_special_care_gets_the_notice_and_a_call_at_once(name: str, tmp_path: Path) -> None:
    result = play(name, tmp_path)
    assert recipients(result) == {MINE}
    assert ("call:morning", "client status special_care: a call as well") in result.tasks


def test_a_death_between_poll_and_claim_holds_the_notice_and_calls_a_person(tmp_path: Path) -> None:
    result = play("deceased by the time it is due", tmp_path)
    assert result.arrived == ()
    assert ("held:morning", "held when it was due: gate:status") in result.tasks
    assert result.stages(ONE)["morning"] == "cancelled"


def test_a_freeze_does_not_stand_before_a_margin_call(tmp_path: Path) -> None:
    result = play("frozen, and a call", tmp_path)
    assert recipients(result) == {MINE}
    assert [n.outcome for n in result.notices] == ["delivered"]
