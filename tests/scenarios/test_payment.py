"""Payment of allotments over one day: what the counter says changes between polls and between poll and claim."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.scenarios.plays import ONE, SCENARIOS
from tests.world import Play, Result, phone

MINE = phone(1)
STALE = "以下内容依据"
"""What a card says that goes on what was known before (its mark `stale_as_of`)."""


def play(name: str, folder: Path) -> Result:
    """One scenario without a kill."""
    return Play.new(SCENARIOS[name], folder / "w").run()


def text(result: Result, words: str) -> str:
    """The one text on the handset that has these words."""
    (found,) = [one for one in result.texts(MINE) if words in one]
    return found


def test_noon_rests_while_the_cash_is_there_and_goes_once_it_is_short_again_in_its_window(tmp_path: Path) -> None:
    result = play("short, paid, short again", tmp_path)
    assert result.stages(ONE) == {"morning": "delivered", "noon": "delivered", "last_call": "delivered"}
    assert result.told_at == {f"{ONE} morning": "08:00", f"{ONE} noon": "14:20", f"{ONE} last_call": "14:30"}
    assert [times for *_, times in result.arrived] == [1, 1, 1]


def test_terms_corrected_after_telling_make_one_linked_correction(tmp_path: Path) -> None:
    result = play("terms corrected", tmp_path)
    assert result.stages(ONE) == {
        "morning": "delivered",
        "noon": "cancelled",
        "last_call": "cancelled",
        "correction/1": "delivered",
    }
    assert [n.correction_of for n in result.notices if n.correction_of] == ["morning"]
    assert "500股" in text(result, "更正")


def test_a_correction_that_has_not_left_ends_cancelled_when_the_terms_come_back(tmp_path: Path) -> None:
    result = play("corrected back before it left", tmp_path)
    assert result.stages(ONE)["correction/1"] == "cancelled"
    assert len(result.texts(MINE)) == 1


def test_a_correction_that_left_is_followed_by_a_second_one_when_the_terms_come_back(tmp_path: Path) -> None:
    result = play("corrected back after it left", tmp_path)
    links = {n.stage: n.correction_of for n in result.notices if n.correction_of}
    assert links == {"correction/1": "morning", "correction/2": "correction/1"}
    assert len(result.texts(MINE)) == 3


def test_what_is_in_doubt_is_never_repeated_once_a_correction_has_told(tmp_path: Path) -> None:
    played = Play.new(SCENARIOS["corrected while in doubt"], tmp_path / "w")
    result = played.run()
    assert result.stages(ONE) == {
        "morning": "delivered",
        "noon": "in_doubt",
        "last_call": "cancelled",
        "correction/1": "delivered",
    }
    assert [n.correction_of for n in result.notices if n.correction_of] == ["noon"]
    assert ("doubt", "in doubt whether it arrived") in result.tasks
    assert played.channel.far.requests == 3, "morning, noon once, correction"


def test_what_is_in_doubt_is_never_repeated_once_a_later_stage_has_told_newer_terms(tmp_path: Path) -> None:
    played = Play.new(SCENARIOS["overtaken while in doubt"], tmp_path / "w")
    result = played.run()
    assert result.stages(ONE)["noon"] == "in_doubt"
    assert "11,330.00元" in text(result, "即将截止")
    assert ("doubt", "in doubt whether it arrived") in result.tasks
    assert played.channel.far.requests == 3, "morning, noon once, last call"


def test_an_answer_that_was_lost_is_asked_for_with_the_same_id(tmp_path: Path) -> None:
    result = play("an answer lost", tmp_path)
    assert result.stages(ONE)["morning"] == "delivered"
    assert len(result.texts(MINE)) == 3
    assert {times for *_, times in result.arrived} == {1}


@pytest.mark.parametrize(
    "name",
    [
        "a null before the claim",
        "a reject before the claim",
        "an empty answer before the claim",
        "a source that cannot be asked",
        "a source that changed at the claim",
    ],
)
def test_what_cannot_be_known_at_the_claim_silences_nobody(name: str, tmp_path: Path) -> None:
    result = play(name, tmp_path)
    assert result.stages(ONE)["noon"] == "delivered"
    assert result.told_at[f"{ONE} noon"] == "12:00"
    assert text(result, STALE), "the card says as of when"
    assert "unknown:noon" in [task for task, _ in result.tasks]


def test_an_error_of_ours_under_one_feed_pages_a_person_and_is_tried_again(tmp_path: Path) -> None:
    result = play("an error of ours at the claim", tmp_path)
    assert result.told_at[f"{ONE} noon"] == "12:10"
    assert "deliver:allotments" in result.pages
    assert len(result.texts(MINE)) == 3


def test_what_is_gone_from_the_next_whole_reading_is_withdrawn(tmp_path: Path) -> None:
    result = play("an empty answer before the claim", tmp_path)
    assert result.stages(ONE) == {
        "morning": "delivered",
        "noon": "delivered",
        "last_call": "cancelled",
        "correction/1": "delivered",
    }
    assert "已不再适用" in text(result, "撤回")


def test_a_file_that_lands_in_the_first_stage_s_window_tells_at_once(tmp_path: Path) -> None:
    result = play("a file lands late", tmp_path)
    assert result.told_at[f"{ONE} morning"] == "08:10"


def test_a_file_that_lands_after_a_stage_goes_on_with_the_next_one(tmp_path: Path) -> None:
    result = play("a file lands after its stage", tmp_path)
    assert result.stages(ONE) == {"noon": "delivered", "last_call": "delivered"}
    assert result.told_at[f"{ONE} noon"] == "12:05"


def test_a_file_that_lands_after_every_stage_is_decided_by_late_and_a_person_knows(tmp_path: Path) -> None:
    result = play("a file lands after every stage", tmp_path)
    assert result.stages(ONE) == {"last_call": "expired"}
    assert "expired:last_call" in [task for task, _ in result.tasks]
    assert not result.arrived


def test_a_file_that_never_lands_calls_a_person_once(tmp_path: Path) -> None:
    result = play("a file never lands", tmp_path)
    assert [task for task, _ in result.tasks] == ["late:allotments:2024-02-01"]


def test_a_rule_folder_that_goes_bad_leaves_the_last_active_set_at_work(tmp_path: Path) -> None:
    good, bad = play("short, paid, short again", tmp_path), play("rules go bad", tmp_path / "bad")
    assert bad.pages == ("rules",)
    assert replace(bad, pages=good.pages) == good


def test_polls_in_processes_of_their_own_come_to_the_same_end(tmp_path: Path) -> None:
    here, apart = play("short, paid, short again", tmp_path), play("real children", tmp_path / "apart")
    assert apart == here
