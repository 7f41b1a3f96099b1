"""Does a notice still stand, which stages are made, what time alone does: rules without levels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Absence
from daemon.model.notices import NoticeView, RenewNotice, SeenAs
from daemon.model.states import Outcome, Stands
from daemon.notices.standing import LATE, renew, standing, sweep, untold, with_late
from tests.histories.build import applied, at, closes, made, makes, note, planner, renews, seen, tell, windows

DAY = windows(("morning", 480), ("noon", 720), ("last", 870), deadline=900)
PLAN = planner(*DAY)
HOWS = (SeenAs.MATCH, SeenAs.NO, SeenAs.UNKNOWN, SeenAs.HELD)


def day_made(now: float = 420) -> list[NoticeView]:
    """The three notices that a match before the first stage makes."""
    return [made(m, at(now), at(now)) for m in makes(renew((), seen(plan=PLAN, started=now), at(now)))]


@pytest.mark.parametrize(
    ("how", "condition", "stands"),
    [
        (SeenAs.MATCH, True, Stands.YES),
        (SeenAs.MATCH, False, Stands.NO),
        (SeenAs.MATCH, Absence.MISSING, Stands.UNKNOWN),
        (SeenAs.NO, True, Stands.NO),
        (SeenAs.HELD, True, Stands.NO),
        (SeenAs.UNKNOWN, True, Stands.UNKNOWN),
        (SeenAs.UNKNOWN, False, Stands.UNKNOWN),
    ],
)
def test_yes_no_or_unknown_follows_the_word_and_the_stages_condition(
    how: str, condition: bool | Absence, stands: Stands
) -> None:
    found, why = standing(seen(how), replace(DAY[0], condition=condition))
    assert found is stands
    assert why


def test_a_match_without_a_plan_stands() -> None:
    assert standing(seen(), None)[0] is Stands.YES


@pytest.mark.parametrize(
    ("now", "stages"),
    [
        (0, ["morning", "noon", "last"]),
        (480, ["morning", "noon", "last"]),
        (719, ["morning", "noon", "last"]),
        (720, ["noon", "last"]),
        (869, ["noon", "last"]),
        (899, ["last"]),
        (900, ["last"]),
        (9000, ["last"]),
    ],
)
def test_every_stage_whose_window_is_not_over_is_made_and_the_last_one_when_all_are(
    now: int, stages: list[str]
) -> None:
    assert [m.plan.stage for m in makes(renew((), seen(plan=PLAN), at(now)))] == stages


@pytest.mark.parametrize("how", HOWS[1:])
def test_only_a_match_makes_notices(how: str) -> None:
    assert renew((), seen(how, plan=PLAN), at(0)) == []


def test_what_exists_is_not_made_again_even_when_it_has_its_outcome() -> None:
    notices = [replace(n, outcome=Outcome.CANCELLED) for n in day_made()]
    assert makes(renew(notices, seen(plan=PLAN, started=430), at(430))) == []


def test_after_a_crash_between_two_stages_the_missing_ones_are_added() -> None:
    half = day_made()[:1]
    assert [m.plan.stage for m in makes(renew(half, seen(plan=PLAN, started=430), at(430)))] == ["noon", "last"]


def test_a_stage_whose_condition_cannot_be_told_is_made_unknown() -> None:
    plan = windows(("morning", 480), ("noon", 720), deadline=900, conditions={"noon": Absence.STALE})
    first, second = makes(renew((), seen(plan=planner(*plan)), at(0)))
    assert (first.stands, second.stands) == (Stands.YES, Stands.UNKNOWN)
    assert "stale" in second.why


def test_a_notice_not_told_takes_over_terms_marks_instants_window_and_deadline() -> None:
    moved = planner(*windows(("morning", 490), ("noon", 730), ("last", 880), deadline=910))
    word = seen(plan=moved, started=430, terms="t2", marks=("differs",))
    change = renews(renew(day_made(), word, at(430)))["noon"]
    assert (change.terms, change.marks, change.take_inputs) == ("t2", ("differs",), True)
    assert (change.not_before, change.window_end, change.deadline) == (at(730), at(880), at(910))


@pytest.mark.parametrize(("how", "stands"), [(SeenAs.NO, Stands.NO), (SeenAs.UNKNOWN, Stands.UNKNOWN)])
def test_a_word_that_is_no_match_leaves_terms_and_inputs_as_they_are(how: str, stands: Stands) -> None:
    change = renews(renew(day_made(), seen(how, started=430, why="w"), at(430)))["morning"]
    assert (change.stands, change.why, change.terms, change.take_inputs) == (stands, "w", "t1", False)
    assert (change.not_before, change.window_end) == (at(480), at(720))


@pytest.mark.parametrize("how", HOWS)
def test_an_older_reading_changes_nothing_and_makes_nothing(how: str) -> None:
    word = seen(how, plan=PLAN, started=429, terms="t2")
    known = [replace(n, known_at=at(430)) for n in day_made()]
    assert renew(known, word, at(435)) == []
    assert renew(known[:1], word, at(435)) == []


def test_a_word_as_old_as_what_is_known_is_taken() -> None:
    assert renews(renew(day_made(), seen(SeenAs.NO, started=420), at(430)))


def test_a_notice_with_its_outcome_is_never_renewed() -> None:
    notices = [replace(n, outcome=Outcome.SUPERSEDED) for n in day_made()]
    assert renew(notices, seen(SeenAs.NO, started=430), at(430)) == []


def test_a_told_notice_keeps_its_instants_and_learns_whether_it_stands_so_that_no_fallback_leaves_after_a_no() -> None:
    told = tell(day_made()[0], 480)
    change = renews(renew([told], seen(SeenAs.NO, started=490, why="paid"), at(490)))["morning"]
    assert (change.stands, change.why, change.take_inputs) == (Stands.NO, "paid", False)
    moved = planner(*windows(("morning", 500), ("noon", 730), deadline=910))
    change = renews(renew([told], seen(plan=moved, started=490, terms="t2"), at(490)))["morning"]
    assert (change.not_before, change.window_end, change.deadline) == (at(480), at(720), at(900))


def test_a_fallback_of_a_told_notice_says_the_newest_terms() -> None:
    change = renews(renew([tell(day_made()[0], 480)], seen(plan=PLAN, started=490, terms="t2"), at(490)))["morning"]
    assert (change.terms, change.take_inputs) == ("t2", True)


def test_a_correction_is_not_a_stage() -> None:
    correction = note("c", "correction/1", known=420)
    changes = renew([*day_made(), correction], seen(SeenAs.NO, started=430), at(430))
    assert set(renews(changes)) == {"morning", "noon", "last"}
    assert len(makes(renew([correction], seen(plan=PLAN, started=430), at(430)))) == 3


# sweep: what time alone does


@pytest.mark.parametrize(
    ("last", "stands", "late", "outcome"),
    [
        (False, Stands.YES, "drop", Outcome.SUPERSEDED),
        (False, Stands.UNKNOWN, "send_marked", Outcome.SUPERSEDED),
        (False, Stands.NO, "drop", Outcome.CANCELLED),
        (True, Stands.NO, "send_marked", Outcome.CANCELLED),
        (True, Stands.YES, "drop", Outcome.EXPIRED),
        (True, Stands.UNKNOWN, "drop", Outcome.EXPIRED),
    ],
)
def test_a_window_that_ends_gives_its_outcome(last: bool, stands: Stands, late: str, outcome: Outcome) -> None:
    notice = note("n", stands=stands, ends=60, deadline=60 if last else 90, late=late, last=last)
    assert sweep(notice, at(59)) is None
    change = sweep(notice, at(60))
    assert change is not None
    assert closes([change])["n"][0] is outcome


def test_a_late_one_that_is_sent_marked_is_marked_once_and_stays_open() -> None:
    notice = note("n", ends=60, late="send_marked", marks=("differs",))
    change = sweep(notice, at(60))
    assert isinstance(change, RenewNotice)
    assert change.marks == ("differs", LATE)
    assert not change.take_inputs
    assert sweep(applied(notice, change, at(0)), at(61)) is None


def test_a_late_one_that_stands_no_longer_is_cancelled() -> None:
    notice = note("n", stands=Stands.NO, ends=60, late="send_marked", marks=(LATE,))
    change = sweep(notice, at(70))
    assert change is not None
    assert closes([change])["n"][0] is Outcome.CANCELLED


@pytest.mark.parametrize("notice", [note("n", told=10), note("n", outcome=Outcome.CANCELLED)])
def test_time_alone_does_nothing_to_what_is_told_or_ended(notice: NoticeView) -> None:
    assert sweep(notice, at(9999)) is None


def test_the_mark_of_lateness_survives_a_renewal_and_goes_when_the_deadline_moves_on() -> None:
    late = replace(day_made()[2], late="send_marked", marks=("differs", LATE))
    word = seen(plan=PLAN, started=905, marks=("other",))
    assert renews(renew([late], word, at(905)))["last"].marks == ("other", LATE)
    assert renews(renew([late], seen(SeenAs.UNKNOWN, started=905), at(905)))["last"].marks == ("differs", LATE)
    moved = planner(*windows(("last", 900), deadline=1000, late="send_marked"))
    assert renews(renew([late], seen(plan=moved, started=905, marks=("other",)), at(905)))["last"].marks == ("other",)


def test_a_notice_made_after_its_deadline_is_marked_late_where_the_rule_sends_it() -> None:
    plan = windows(("last", 0), deadline=60, late="send_marked")[0]
    assert with_late(plan, ("m",), at(60)) == ("m", LATE)
    assert with_late(plan, ("m",), at(59)) == ("m",)
    assert with_late(replace(plan, late="drop"), ("m",), at(60)) == ("m",)
    assert with_late(plan, (LATE,), at(60)) == (LATE,)


words = st.lists(st.tuples(st.sampled_from(HOWS), st.integers(0, 30), st.sampled_from(["t1", "t2"])), max_size=8)


@given(words)
def test_what_is_known_is_the_newest_word_whatever_the_order_the_words_come_in(
    heard: list[tuple[str, int, str]],
) -> None:
    notice = note("morning", begins=480, ends=900, known=0)
    newest, state = (SeenAs.MATCH, 0, "t1"), notice
    for how, started, terms in heard:
        if started >= newest[1]:
            newest = (how, started, terms)
        word = seen(how, started=started, terms=terms, plan=planner(*windows(("morning", 480), deadline=900)))
        for change in renew([state], word, at(31)):
            state = applied(state, change, word.started)
        wanted = {SeenAs.MATCH: Stands.YES, SeenAs.UNKNOWN: Stands.UNKNOWN}.get(newest[0], Stands.NO)
        assert state.stands is wanted
        assert state.known_at == at(newest[1])
        if newest[0] == SeenAs.MATCH:
            assert state.terms == newest[2]


@given(st.sampled_from(HOWS), st.integers(400, 950), st.integers(400, 950))
def test_the_same_word_twice_changes_nothing_more(how: str, first: int, now: int) -> None:
    notices = day_made(min(first, now))
    word = seen(how, started=max(first, now), plan=PLAN, terms="t2")
    for change in renew(notices, word, at(now)):
        notices = [applied(n, change, word.started) for n in notices]
    again = renew(notices, word, at(now))
    assert makes(again) == []
    assert [applied(n, c, word.started) for n in notices for c in again if getattr(c, "id", "") == n.id] == [
        n for n in notices for c in again if getattr(c, "id", "") == n.id
    ]


def test_dates_that_move_after_every_stage_was_closed_untold_call_a_person() -> None:
    closed = [replace(n, outcome=Outcome.CANCELLED) for n in day_made()]
    moved = seen(plan=planner(*windows(("morning", 1920), ("noon", 2160), ("last", 2310), deadline=2340)), started=1500)
    again = untold(closed, moved, at(1500))
    assert again is not None and at(1500) < again.window_end
    assert makes(renew(closed, moved, at(1500))) == []
    assert not untold(day_made(), moved, at(1500))
    assert not untold([tell(n, 480) for n in closed], moved, at(1500))
    assert not untold(closed, seen(SeenAs.NO, started=1500), at(1500))
