"""Rules with levels: episodes open and end, the worst untold level is told, milder ones rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.kinds import Absence
from daemon.model.notices import (
    Change,
    EndEpisode,
    EpisodeView,
    MakeNotice,
    NoticeView,
    OpenEpisode,
    Seen,
    SeenAs,
    StagePlan,
)
from daemon.model.states import Outcome, Stands
from daemon.notices.levels import end_absent, renew_levels
from tests.histories.build import (
    LEVELS,
    applied,
    at,
    at_once,
    closes,
    day,
    ends,
    episode,
    made,
    makes,
    note,
    opens,
    seen,
    tell,
    windows,
)


@dataclass
class Book:
    """One subject's episodes and notices, written as the store writes them."""

    episodes: list[EpisodeView] = field(default_factory=list)
    notices: list[NoticeView] = field(default_factory=list)
    order: Sequence[str] = LEVELS
    gone: bool = False
    held: bool = True

    def hear(
        self, how: str = SeenAs.MATCH, level: str = "", *, now: float, cured: Iterable[str] = (), on: int = 0,
        terms: str = "t1", started: float | None = None, gone: bool = False, late: str = "send_marked",
    ) -> list[Change]:  # fmt: skip
        word = seen(
            how, level=level, started=now if started is None else started, cured=cured, on=day(on), terms=terms,
            plan=at_once(late), gone=gone,
        )  # fmt: skip
        return self.take(word, now)

    def take(self, word: Seen, now: float) -> list[Change]:
        changes = renew_levels(
            self.episodes, self.notices, word, self.order, at(now), correct_gone=self.gone, correct_held=self.held
        )
        self.write(changes, word, now)
        return changes

    def write(self, changes: Sequence[Change], word: Seen, now: float) -> None:
        for change in changes:
            if isinstance(change, OpenEpisode):
                id = len(self.episodes) + 1
                self.episodes.append(EpisodeView(id, change.level, change.opened_on, change.number, at(now)))
            elif isinstance(change, EndEpisode):
                self.episodes = [replace(e, open=e.open and e.id != change.id) for e in self.episodes]
            elif isinstance(change, MakeNotice):
                self._make(change, word, now)
            else:
                self.notices = [applied(n, change, word.started) for n in self.notices]

    def _make(self, change: MakeNotice, word: Seen, now: float) -> None:
        (mine,) = (e for e in self.episodes if (e.level, e.opened_on, e.number) == change.episode)
        id = f"{mine.level}{mine.id}:{change.plan.stage}"
        assert id not in {n.id for n in self.notices}
        self.notices.append(made(change, at(now), word.started, id, mine.id))

    def tell(self, level: str, when: float, *, refused: bool = False) -> None:
        """The newest open notice of a level is in `sending`, or its telling is undone."""
        id = [n for n in self.notices if n.level == level and n.outcome is None][-1].id
        new = {n.id: replace(n, told=False, told_at=None) if refused else tell(n, when) for n in self.notices}
        self.notices = [new[n.id] if n.id == id else n for n in self.notices]

    def close(self, level: str, outcome: Outcome) -> None:
        self.notices = [
            replace(n, outcome=outcome) if n.level == level and n.outcome is None else n for n in self.notices
        ]

    def open(self) -> list[str]:
        return [e.level for e in self.episodes if e.open]

    def waiting(self) -> dict[str, Stands]:
        return {n.level: n.stands for n in self.notices if n.waits and not n.is_correction}


def levels_of(changes: Iterable[Change]) -> list[str]:
    return [m.plan.level for m in makes(changes) if not m.correction]


# opening


def test_a_fact_at_a_level_opens_it_and_all_milder_ones_and_makes_the_notice_of_the_worst() -> None:
    book = Book()
    changes = book.hear(level="call", now=0)
    assert opens(changes) == [(level, day(), 1) for level in ("call", "warning", "attention")]
    assert levels_of(changes) == ["call"]
    assert makes(changes)[0].episode == ("call", day(), 1)


@pytest.mark.parametrize("how", [SeenAs.NO, SeenAs.UNKNOWN, SeenAs.HELD])
def test_what_is_no_match_opens_nothing(how: str) -> None:
    assert Book().hear(how, now=0) == []


def test_the_same_word_again_makes_nothing_and_opens_nothing() -> None:
    book = Book()
    book.hear(level="call", now=0)
    again = book.hear(level="call", now=5)
    assert (opens(again), makes(again), ends(again)) == ([], [], [])


def test_it_is_made_again_where_a_crash_left_the_episode_without_its_notice() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.notices.clear()
    assert levels_of(book.hear(level="warning", now=5)) == ["warning"]


# telling


def test_worse_is_told_anew_and_the_milder_one_rests_then_is_superseded() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    assert levels_of(book.hear(level="call", now=10)) == ["call"]
    book.hear(level="call", now=12)
    assert book.waiting() == {"warning": Stands.NO, "call": Stands.YES}
    book.tell("call", 15)
    changes = book.hear(level="call", now=20)
    assert closes(changes) == {"warning2:warning/notice": (Outcome.SUPERSEDED, "told by call")} or list(
        closes(changes).values()
    ) == [(Outcome.SUPERSEDED, "told by call")]
    assert makes(changes) == []


def test_worse_is_told_although_the_milder_one_is_told() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.tell("warning", 1)
    assert levels_of(book.hear(level="call", now=10)) == ["call"]


def test_a_milder_fact_while_the_worse_one_is_told_makes_nothing() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    changes = book.hear(level="warning", now=10)
    assert (makes(changes), ends(changes)) == ([], [])
    assert sorted(book.open()) == ["attention", "call", "warning"]


def test_a_milder_fact_while_the_worse_one_is_not_told_makes_the_milder_notice_and_lets_the_worse_rest() -> None:
    book = Book()
    book.hear(level="call", now=0)
    assert levels_of(book.hear(level="warning", now=10)) == ["warning"]
    assert book.waiting() == {"call": Stands.NO, "warning": Stands.YES}


def test_a_refusal_undoes_the_telling() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    book.tell("call", 1, refused=True)
    assert levels_of(book.hear(level="warning", now=10)) == ["warning"]


def test_a_milder_one_opened_after_the_worse_one_was_told_is_told_by_its_own_notice() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    book.hear(SeenAs.NO, now=10, cured=["warning", "attention"])
    assert book.open() == ["call"]
    assert levels_of(book.hear(level="warning", now=20)) == ["warning"]


def test_such_a_milder_one_is_told_also_while_the_fact_is_at_the_worse_level() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    book.hear(SeenAs.NO, now=10, cured=["warning", "attention"])
    assert levels_of(book.hear(level="call", now=20)) == ["warning"]


def test_what_a_worse_one_told_stays_told_when_that_one_ends() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.hear(level="call", now=10)
    book.tell("call", 15)
    changes = book.hear(level="warning", now=20, cured=["call"])
    assert "call" not in book.open()
    assert makes(changes) == []
    assert [o for o, _ in closes(changes).values()] == [Outcome.SUPERSEDED]


def test_a_told_milder_ones_fallback_rests_while_a_worse_one_is_due_and_after_that_has_told() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.tell("warning", 1)
    book.hear(level="call", now=10)
    book.hear(level="call", now=11)
    told = next(n for n in book.notices if n.level == "warning")
    assert (told.stands, told.why) == (Stands.NO, "call is due")
    book.tell("call", 12)
    book.hear(level="call", now=13)
    told = next(n for n in book.notices if n.level == "warning")
    assert (told.stands, told.outcome) == (Stands.NO, None)


# standing


@pytest.mark.parametrize(
    ("how", "stands"), [(SeenAs.NO, Stands.NO), (SeenAs.HELD, Stands.NO), (SeenAs.UNKNOWN, Stands.UNKNOWN)]
)
def test_absent_is_unknown_and_the_rest_as_without_levels(how: str, stands: Stands) -> None:
    book = Book()
    book.hear(level="call", now=0)
    changes = book.hear(how, now=5)
    assert book.waiting() == {"call": stands}
    assert (ends(changes), makes(changes), closes(changes)) == ([], [], {})


def test_an_older_reading_neither_ends_nor_opens_nor_renews() -> None:
    book = Book()
    book.hear(level="warning", now=10)
    for how, level in ((SeenAs.NO, ""), (SeenAs.MATCH, "urgent"), (SeenAs.UNKNOWN, "")):
        assert book.hear(how, level, now=20, started=9, cured=["warning"]) == []


def test_a_condition_that_cannot_be_told_makes_the_notice_unknown() -> None:
    def plan(level: str, business_date: date, made_at: object) -> tuple[StagePlan, ...]:
        stage = f"{level}/notice"
        return windows((stage, 0), deadline=60, level=level, conditions={stage: Absence.MISSING})

    word = replace(seen(level="call"), plan=plan)
    book = Book()
    assert [m.stands for m in makes(book.take(word, 0))] == [Stands.UNKNOWN]


# ending


def test_an_episode_ends_when_its_level_is_rearmed_and_what_has_not_left_is_cancelled() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    changes = book.hear(SeenAs.NO, now=10, cured=["warning"])
    assert ends(changes) == [1]
    assert closes(changes) == {"warning1:warning/notice": (Outcome.CANCELLED, "rearmed")}
    assert book.open() == ["attention"]


def test_the_end_of_an_episode_stops_the_fallback_of_what_it_has_told() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.tell("warning", 1)
    changes = book.hear(SeenAs.NO, now=10, cured=["warning"])
    assert closes(changes) == {}
    assert [(n.stands, n.why) for n in book.notices] == [(Stands.NO, "rearmed")]
    book.hear(level="warning", now=20)
    assert book.notices[0].stands is Stands.NO


@pytest.mark.parametrize("how", [SeenAs.UNKNOWN, SeenAs.HELD])
def test_what_is_not_known_ends_nothing(how: str) -> None:
    book = Book()
    book.hear(level="warning", now=0)
    assert ends(book.hear(how, now=10, cured=["warning"])) == []


def test_a_level_that_is_rearmed_and_reached_by_one_fact_stays_open() -> None:
    book = Book()
    book.hear(level="call", now=0)
    assert ends(book.hear(level="call", now=10, cured=["call"])) == []


def test_a_call_ends_only_by_its_own_cured_flag() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    for now, how, level in ((10, SeenAs.NO, ""), (20, SeenAs.MATCH, "attention"), (30, SeenAs.UNKNOWN, "")):
        book.hear(how, level, now=now, cured=["urgent", "warning", "attention"])
        assert "call" in book.open()
    book.hear(SeenAs.NO, now=40, cured=["call"])
    assert "call" not in book.open()


def test_the_next_one_on_the_same_day_has_number_two_and_on_another_day_one() -> None:
    book = Book()
    book.hear(level="attention", now=0)
    book.tell("attention", 1)
    book.hear(SeenAs.NO, now=10, cured=["attention"])
    changes = book.hear(level="attention", now=20)
    assert opens(changes) == [("attention", day(), 2)]
    assert [m.episode for m in makes(changes)] == [("attention", day(), 2)]
    book.hear(SeenAs.NO, now=30, cured=["attention"])
    assert opens(book.hear(level="attention", now=1500, on=1)) == [("attention", day(1), 1)]


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.SUPERSEDED])
def test_a_level_given_up_untold_opens_anew_when_it_is_reached_again(outcome: Outcome) -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.hear(SeenAs.NO, now=10)
    book.close("call", outcome)
    assert makes(book.hear(SeenAs.NO, now=15)) == []
    changes = book.hear(level="call", now=20)
    assert ends(changes) == [1]
    assert opens(changes) == [("call", day(), 2)]
    assert levels_of(changes) == ["call"]


def test_stages_partly_superseded_and_partly_cancelled_untold_are_given_up_too() -> None:
    eps = [episode(1, "attention")]
    notices = [
        note("a", "attention/notice", outcome=Outcome.SUPERSEDED, episode=1, level="attention"),
        note("b", "attention/again", outcome=Outcome.CANCELLED, episode=1, level="attention"),
    ]
    book = Book(eps, notices)
    assert levels_of(book.hear(level="attention", now=20)) == ["attention"]


def test_what_expired_is_not_given_up_because_a_person_has_it() -> None:
    book = Book()
    book.hear(level="attention", now=0, late="drop")
    book.close("attention", Outcome.EXPIRED)
    changes = book.hear(level="attention", now=90)
    assert (ends(changes), makes(changes)) == ([], [])


def test_a_business_date_of_absence_ends_every_open_episode_and_cancels_what_waits() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    book.hear(level="urgent", now=10)
    changes = end_absent(book.episodes, book.notices)
    book.write(changes, seen(started=1500), 1500)
    assert book.open() == []
    assert [(n.level, n.stands, n.outcome) for n in book.notices] == [
        ("call", Stands.NO, None),
        ("urgent", Stands.YES, Outcome.CANCELLED),
    ]


# corrections


def test_other_terms_correct_what_was_told_in_each_reached_episode() -> None:
    book = Book()
    book.hear(level="call", now=0)
    book.tell("call", 1)
    (make,) = makes(book.hear(level="call", now=10, terms="t2"))
    assert (make.plan.stage, make.episode, make.held) == ("correction/1", ("call", day(), 1), True)
    assert make.plan.deadline == at(70)


@pytest.mark.parametrize(
    ("how", "level", "stands"),
    [
        (SeenAs.NO, "", Stands.NO),
        (SeenAs.HELD, "", Stands.NO),
        (SeenAs.UNKNOWN, "", Stands.UNKNOWN),
        (SeenAs.MATCH, "attention", Stands.NO),
    ],
)
def test_an_open_correction_rests_with_its_level(how: str, level: str, stands: Stands) -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.tell("warning", 1)
    book.hear(level="warning", now=10, terms="t2")
    book.hear(how, level, now=20, terms="t2")
    assert book.notices[-1].is_correction
    assert book.notices[-1].stands is stands


def test_the_end_of_an_episode_cancels_its_correction() -> None:
    book = Book()
    book.hear(level="warning", now=0)
    book.tell("warning", 1)
    book.hear(level="warning", now=10, terms="t2")
    book.hear(SeenAs.NO, now=20, cured=["warning"])
    assert [n.outcome for n in book.notices] == [None, Outcome.CANCELLED]


# whatever comes

hows = st.sampled_from([SeenAs.MATCH, SeenAs.MATCH, SeenAs.NO, SeenAs.UNKNOWN, SeenAs.HELD])
steps = st.lists(
    st.tuples(hows, st.sampled_from(LEVELS), st.sets(st.sampled_from(LEVELS)), st.sampled_from(["", "tell", "close"])),
    max_size=12,
)


@given(steps)
def test_a_match_always_leaves_the_worst_untold_level_with_a_notice_that_may_go(
    walk: list[tuple[str, str, set[str], str]],
) -> None:
    book = Book()
    for now, (how, level, cured, then) in enumerate(walk):
        match = how == SeenAs.MATCH
        before = book.open()
        changes = book.hear(how, level if match else "", now=now, cured=cured)
        reached = LEVELS[LEVELS.index(level) :] if match else ()
        assert set(reached) <= set(book.open())
        gone = [x for x in before if x not in book.open()]
        assert all(x in cured and x not in reached for x in gone)
        assert all(n.outcome is not None or n.stands is Stands.NO for n in book.notices if not opened(book, n))
        assert len(levels_of(changes)) <= 1
        yes = [n.level for n in book.notices if n.waits and n.stands is Stands.YES and not n.is_correction]
        untold = [x for x in reached if not told(book, x)]
        if match:
            assert yes == untold[:1]
        pairs = [(e.level, e.opened_on, e.number) for e in book.episodes]
        assert len(set(pairs)) == len(pairs)
        if then == "tell" and yes:
            book.tell(yes[0], now)
        if then == "close" and book.waiting():
            worst = min(book.waiting(), key=LEVELS.index)
            if book.waiting()[worst] is Stands.NO:
                book.close(worst, Outcome.CANCELLED)


def opened(book: Book, notice: NoticeView) -> bool:
    return any(e.open and e.id == notice.episode for e in book.episodes)


def told(book: Book, level: str) -> bool:
    """By its own notice, or a worse level's since its episode opened."""
    (mine,) = (e for e in book.episodes if e.open and e.level == level)
    return any(
        n.told
        and (
            n.episode == mine.id
            or (LEVELS.index(n.level) < LEVELS.index(level) and (n.told_at or at(0)) >= mine.opened_at)
        )
        for n in book.notices
    )
