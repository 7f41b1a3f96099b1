"""A consent given, a silence ended, a client and a hold released between two polls: the next poll does as they say."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.plays import ONE, SCENARIOS, TWO
from tests.world import Play, Result


def play(name: str, folder: Path) -> Result:
    """One scenario without a kill."""
    return Play.new(SCENARIOS[name], folder / "w").run()


def test_the_poll_after_a_silence_tells_what_still_can_be_told(tmp_path: Path) -> None:
    result = play("a silence ended", tmp_path)
    assert result.told_at[f"{ONE} morning"] == "11:50"


def test_the_poll_after_a_release_tells_what_was_held_for_want_of_a_price(tmp_path: Path) -> None:
    result = play("a client released", tmp_path)
    assert result.told_at == {f"{ONE} morning": "11:50"}


def test_the_poll_after_a_consent_tells(tmp_path: Path) -> None:
    result = play("a consent given", tmp_path)
    assert result.told_at == {f"{ONE} opening": "13:30"}
    assert result.stages(ONE) == {"opening": "delivered", "closing": None}


def test_a_source_that_doubles_makes_nothing_new_until_a_person_releases_it(tmp_path: Path) -> None:
    result = play("a source that doubles", tmp_path)
    assert result.told_at[f"{ONE} noon"] == "12:00", "what was decided earlier goes on what is known"
    assert result.told_at[f"{TWO} noon"] == "13:00", "the feed runs at once when the hold is released"


def test_a_margin_source_that_doubles_pages_and_goes_on_by_itself(tmp_path: Path) -> None:
    result = play("a margin source that doubles", tmp_path)
    assert set(result.told_at.values()) == {"10:15"}
    assert len(result.arrived) == 2
    assert "hold:margin_intraday:margin/maintenance" in result.pages
