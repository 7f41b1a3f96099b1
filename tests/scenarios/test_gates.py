"""A consent given, a silence ended, a client and a hold released between two polls: the next poll does as they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from daemon.report.heldlines import HeldLine, held_lines
from tests.scenarios.plays import FOUR, ONE, RENUMBERED, SCENARIOS, THREE, TWO
from tests.world import DAY, Play, Result, at, phone


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


def test_a_source_that_doubles_within_its_maximum_is_held_and_says_why(tmp_path: Path) -> None:
    result = play("a source that doubles within its maximum", tmp_path)
    why = "held: 4 rows, 2 in the poll of 07:30, allowed 1.8 times as many"
    assert ("hold:allotments:ipo/payment", why) in result.tasks
    assert {at for name, at in result.told_at.items() if name.startswith((ONE, TWO)) and "noon" in name} == {"12:00"}
    assert {at for name, at in result.told_at.items() if name.startswith((THREE, FOUR))} == {"13:00", "14:30"}
    assert "hold:allotments:ipo/payment" not in result.pages, "a person has released it"


def test_a_fund_source_that_doubles_tells_nobody_new(tmp_path: Path) -> None:
    result = play("a fund source that doubles", tmp_path)
    assert {name.split()[0] for name in result.told_at} == {ONE, TWO}
    why = "held: 4 rows, 2 in the poll of 08:30, allowed 1.5 times as many"
    assert ("hold:fund_holdings:fund/open_window", why) in result.tasks
    assert "hold:fund_holdings:fund/open_window" in result.pages


def test_a_margin_book_that_doubles_pages_and_goes_on_after_its_minutes(tmp_path: Path) -> None:
    result = play("a margin book that doubles", tmp_path)
    assert set(result.told_at.values()) == {"11:45"}
    assert len(result.told_at) == 4
    assert "hold:margin_intraday:margin/maintenance" in result.pages, "until somebody has looked"


def test_a_small_book_that_loses_all_it_had_is_held(tmp_path: Path) -> None:
    result = play("a book that loses all it had", tmp_path)
    (why,) = [reason for key, reason in result.tasks if key == "hold:allotments:ipo/payment"]
    assert why.startswith("held: 2 of 2 known vanished")
    assert not any(n.stage.startswith("correction") for n in result.notices), "nobody is told that it is gone"


def test_a_consent_withdrawn_between_poll_and_claim_is_heeded(tmp_path: Path) -> None:
    result = play("a consent withdrawn before it is due", tmp_path)
    assert result.arrived == ()
    assert result.stages(ONE)["opening"] == "cancelled"


def test_a_rule_stopped_between_two_polls_tells_nobody_any_more(tmp_path: Path) -> None:
    result = play("a rule stopped between two polls", tmp_path)
    assert result.told_at == {f"{ONE} morning": "08:00"}
    assert result.stages(ONE) == {"morning": "delivered", "noon": "cancelled", "last_call": "cancelled"}
    assert result.stages(TWO) == {}, "who came after the stop has no notice at all"


def test_a_renumbered_client_is_one_client_and_told_nothing_twice(tmp_path: Path) -> None:
    result = play("a client renumbered", tmp_path)
    assert result.stages(RENUMBERED) == {"morning": "delivered", "noon": "delivered", "last_call": "delivered"}
    assert [times for *_, times in result.arrived] == [1, 1, 1]
    assert {recipient for recipient, *_ in result.arrived} == {phone(1)}


def test_who_is_held_is_listed_until_a_person_releases_him(tmp_path: Path) -> None:
    seen: list[list[HeldLine]] = []

    def look(play: Play) -> None:
        seen.append(held_lines(play.store, DAY))

    base = SCENARIOS["a client released"]
    Play.new(replace(base, acts=((at("10:00"), look), *base.acts, (at("13:00"), look))), tmp_path / "w").run()
    (one,), after = seen
    assert (one.feed, one.rule, one.reason) == ("allotments", "ipo/payment", "declared:amounts_unchecked")
    assert one.gates == ("declared hold amounts_unchecked",)
    assert after == []


def test_a_rule_stopped_while_its_source_is_down_tells_nobody(tmp_path: Path) -> None:
    result = play("a rule stopped while its source is down", tmp_path)
    assert result.told_at == {f"{ONE} morning": "08:00"}, "what cannot be asked is still gated"


def test_a_late_source_holds_only_what_may_not_speak_unasked(tmp_path: Path) -> None:
    result = play("a late source, and a rule that may speak", tmp_path / "a")
    assert result.told_at[f"{ONE} noon"] == "12:00"
    result = play("a late source, and a rule that may not", tmp_path / "b")
    assert result.told_at[f"{ONE} noon"] == "13:00", "the poll that finds its file lets it go"
    assert ("held:noon", "held when it was due: gate:source") in result.tasks
