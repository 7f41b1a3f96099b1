"""Corrections: what was told is no longer so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.notices import Change, MakeNotice, NoticeView, SeenAs
from daemon.model.states import Outcome, Stands
from daemon.notices.corrections import GONE, correct, last_told
from daemon.notices.standing import LATE
from tests.builders_rules import load_changed
from tests.histories.build import after, applied, at, day, made, makes, note, planner, renews, seen, tell, windows

TOLD = note("morning", ends=720, deadline=900, told=480, known=420, last=False)
LAST = note("last", ends=900, known=420)


def ask(
    *notices: NoticeView, how: str = SeenAs.MATCH, terms: str = "t2", started: float = 500, gone: bool = False,
    correct_gone: bool = True, held: bool = False, marks: tuple[str, ...] = (),
) -> list[Change]:  # fmt: skip
    word = seen(how, terms=terms, started=started, gone=gone, marks=marks)
    return correct(notices, word, at(started), correct_gone=correct_gone, held=held)


def corrected(*notices: NoticeView, terms: str = "t2", started: float = 500) -> NoticeView:
    """The correction that these terms make."""
    (make,) = makes(ask(*notices, terms=terms, started=started))
    return made(make, at(started), at(started))


def test_what_is_not_told_needs_no_correction() -> None:
    assert ask(LAST) == []
    assert ask() == []


def test_other_terms_than_those_told_make_one_linked_correction() -> None:
    (make,) = ask(TOLD, LAST, marks=("differs",))
    assert isinstance(make, MakeNotice)
    assert (make.plan.stage, make.correction, make.correction_of) == ("correction/1", 1, "morning")
    assert (make.stands, make.terms, make.held, make.marks) == (Stands.YES, "t2", False, ("differs",))
    assert (make.plan.at, make.plan.deadline, make.plan.window_end) == (at(500), at(900), at(900))


def test_the_terms_told_make_none() -> None:
    assert ask(TOLD, LAST, terms="t1") == []


def test_it_is_the_terms_told_that_count_not_those_known() -> None:
    assert ask(replace(TOLD, terms="t2"), terms="t2") != []
    assert ask(replace(TOLD, terms="t2"), terms="t1") == []


def test_it_is_held_where_the_rule_says_so() -> None:
    assert makes(ask(TOLD, held=True))[0].held


def test_one_that_has_not_left_is_rendered_anew() -> None:
    first = corrected(TOLD)
    changes = ask(TOLD, first, terms="t3", started=510, marks=("differs",))
    assert makes(changes) == []
    change = renews(changes)["correction/1"]
    assert (change.stands, change.terms, change.marks, change.take_inputs) == (Stands.YES, "t3", ("differs",), True)


def test_it_rests_when_the_terms_come_back_and_wakes_when_they_change_again() -> None:
    first = corrected(TOLD)
    back = renews(ask(TOLD, first, terms="t1", started=510))["correction/1"]
    assert (back.stands, back.why) == (Stands.NO, "the terms told hold again")
    resting = applied(first, back, at(510))
    again = ask(TOLD, resting, terms="t2", started=520)
    assert makes(again) == []
    assert renews(again)["correction/1"].stands is Stands.YES


def test_the_number_rises_when_one_has_left() -> None:
    first = tell(corrected(TOLD), 505)
    assert makes(ask(TOLD, first, terms="t2", started=510)) == []
    (make,) = makes(ask(TOLD, first, terms="t1", started=520))
    assert (make.plan.stage, make.correction, make.correction_of) == ("correction/2", 2, "correction/1")


def test_the_number_of_one_that_ended_without_leaving_is_not_taken_again() -> None:
    ended = replace(corrected(TOLD), outcome=Outcome.CANCELLED)
    assert makes(ask(TOLD, ended, terms="t3", started=520))[0].plan.stage == "correction/2"


def test_one_that_expired_after_the_deadline_is_not_made_again_with_the_same_terms() -> None:
    expired = replace(corrected(TOLD), outcome=Outcome.EXPIRED)
    assert ask(TOLD, expired, terms="t2", started=910) == []
    assert makes(ask(TOLD, expired, terms="t3", started=910))
    assert makes(ask(TOLD, expired, terms="t2", started=899))


@pytest.mark.parametrize(
    ("how", "stands"), [(SeenAs.UNKNOWN, Stands.UNKNOWN), (SeenAs.NO, Stands.NO), (SeenAs.HELD, Stands.NO)]
)
def test_a_word_that_names_no_terms_makes_none_and_lets_the_open_one_rest_or_be_unknown(
    how: str, stands: Stands
) -> None:
    assert ask(TOLD, how=how) == []
    change = renews(ask(TOLD, corrected(TOLD), how=how, started=510))["correction/1"]
    assert (change.stands, change.terms, change.take_inputs) == (stands, "t2", False)


def test_a_fact_gone_after_telling_is_a_correction_where_the_rule_says_so() -> None:
    (make,) = makes(ask(TOLD, how=SeenAs.NO, gone=True))
    assert (make.terms, make.marks) == (GONE, (GONE,))
    assert ask(TOLD, how=SeenAs.NO, gone=True, correct_gone=False) == []
    assert ask(TOLD, how=SeenAs.NO, gone=False) == []
    assert ask(TOLD, how=SeenAs.UNKNOWN, gone=True) == []


def test_what_is_gone_and_comes_back_before_the_correction_leaves_lets_it_rest() -> None:
    (make,) = makes(ask(TOLD, how=SeenAs.NO, gone=True))
    waiting = made(make, at(500), at(500))
    assert renews(ask(TOLD, waiting, terms="t1", started=510))["correction/1"].stands is Stands.NO
    other = renews(ask(TOLD, waiting, terms="t2", started=510))["correction/1"]
    assert (other.stands, other.terms, other.marks) == (Stands.YES, "t2", ())


def test_what_comes_back_after_the_correction_left_is_corrected_again() -> None:
    (make,) = makes(ask(TOLD, how=SeenAs.NO, gone=True))
    gone = tell(made(make, at(500), at(500)), 505)
    assert makes(ask(TOLD, gone, how=SeenAs.NO, gone=True, started=510)) == []
    (back,) = makes(ask(TOLD, gone, terms="t1", started=520))
    assert (back.plan.stage, back.terms, back.marks) == ("correction/2", "t1", ())


@pytest.mark.parametrize(
    ("how", "terms", "stands"),
    [
        (SeenAs.MATCH, "t2", Stands.YES),
        (SeenAs.MATCH, "t3", Stands.NO),
        (SeenAs.MATCH, "t1", Stands.NO),
        (SeenAs.NO, "", Stands.NO),
        (SeenAs.UNKNOWN, "", Stands.UNKNOWN),
    ],
)
def test_the_fallback_of_a_told_correction_leaves_only_while_its_terms_are_the_newest(
    how: str, terms: str, stands: Stands
) -> None:
    first = tell(corrected(TOLD), 505)
    change = renews(ask(TOLD, first, how=how, terms=terms, started=510))["correction/1"]
    assert (change.stands, change.terms) == (stands, "t2")
    ended = replace(first, outcome=Outcome.DELIVERED)
    assert renews(ask(TOLD, ended, how=how, terms=terms, started=510)) == {}


def test_a_correction_rests_when_a_refusal_undoes_what_it_corrects() -> None:
    untold = replace(TOLD, told=False, told_at=None, told_terms="")
    change = renews(ask(untold, corrected(TOLD), terms="t3", started=510))["correction/1"]
    assert (change.stands, change.why) == (Stands.NO, "nothing is told")


def test_an_older_reading_than_what_was_told_corrects_nothing() -> None:
    assert ask(TOLD, LAST, started=419) == []
    assert ask(replace(TOLD, known_at=at(470)), started=469) == []
    assert ask(TOLD, replace(LAST, known_at=at(600)), started=500) == []
    assert ask(TOLD, replace(corrected(TOLD), known_at=at(600)), terms="t1", started=550) == []


def test_a_late_correction_keeps_its_mark() -> None:
    late = replace(corrected(TOLD), late="send_marked", marks=(LATE,))
    assert renews(ask(TOLD, late, terms="t3", started=910))["correction/1"].marks == (LATE,)


def test_it_has_until_the_latest_deadline_of_what_was_told_or_of_the_fact_as_it_is_now() -> None:
    moved = planner(*windows(("morning", 2400), deadline=2900))
    word = seen(plan=moved, started=1000, terms="t2")
    (make,) = makes(correct([TOLD, LAST], word, at(1000), correct_gone=False, held=False))
    assert (make.plan.window_end, make.plan.deadline) == (at(2900), at(2900))
    change = renews(correct([TOLD, corrected(TOLD)], word, at(1000), correct_gone=False, held=False))["correction/1"]
    assert (change.window_end, change.deadline) == (at(2900), at(2900))
    sooner = seen(plan=planner(*windows(("morning", 480), deadline=600)), started=500, terms="t2")
    assert makes(correct([TOLD], sooner, at(500), correct_gone=False, held=False))[0].plan.deadline == at(900)


def test_the_last_told_is_by_the_time_of_telling() -> None:
    assert last_told([]) is None
    assert last_told([LAST]) is None
    later = note("noon", told=500)
    assert last_told([later, TOLD]) is later


def test_an_episodes_correction_belongs_to_it() -> None:
    key = ("call", day(), 2)
    (make,) = makes(correct([TOLD], seen(terms="t2", started=500), at(500), correct_gone=False, held=True, episode=key))
    assert make.episode == key
    assert make.held


steps = st.lists(
    st.tuples(st.sampled_from(["t1", "t2", "t3", GONE, "?", "leave", "end"]), st.integers(1, 3)), max_size=14
)


@given(steps)
def test_one_open_correction_at_a_time_and_the_last_told_terms_are_the_measure(walk: list[tuple[str, int]]) -> None:
    notices, now = [TOLD, LAST], 500
    for what, wait in walk:
        now += wait
        waiting = [n for n in notices if n.is_correction and n.waits]
        if what in ("leave", "end"):
            for n in waiting[:1]:
                if n.stands is Stands.NO and what == "leave":
                    continue
                end = tell(n, now) if what == "leave" else replace(n, outcome=Outcome.CANCELLED)
                notices[notices.index(n)] = end
            continue
        how = {GONE: SeenAs.NO, "?": SeenAs.UNKNOWN}.get(what, SeenAs.MATCH)
        changes = ask(*notices, how=how, terms=what, started=now, gone=what == GONE)
        notices = after(notices, changes, at(now), at(now))
        waiting = [n for n in notices if n.is_correction and n.waits]
        told = last_told(notices)
        assert told is not None
        assert len(waiting) <= 1
        if what != "?":
            wanted = [n for n in waiting if n.stands is Stands.YES]
            assert [n.terms for n in wanted] == ([] if told.told_terms == what else [what])
        stages = sorted(n.stage for n in notices if n.is_correction)
        assert stages == sorted(f"correction/{i + 1}" for i in range(len(stages)))


@pytest.mark.parametrize(
    ("gone", "reason", "taken_back"),
    [
        ("true", "absent", True),
        ("true", "unless:withdrawn", True),
        ("false", "absent", False),
        ("[withdrawn]", "unless:withdrawn", True),
        ("[withdrawn]", "unless:nothing_held", False),
        ("[withdrawn]", "absent", False),
        ("[withdrawn, absent]", "absent", True),
        ("[condition]", "condition", True),
    ],
)
def test_a_rule_names_the_reasons_for_which_it_takes_back(gone: str, reason: str, taken_back: bool) -> None:
    loaded = load_changed("rules/fund/open_window.yaml", "gone: [withdrawn]", f"gone: {gone}")
    rule = loaded.required().rules["fund/open_window"]
    assert rule.takes_back(reason) is taken_back
