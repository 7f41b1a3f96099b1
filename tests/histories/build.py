"""Views, words and plans for tests of the pure flow, in minutes from one midnight (UTC)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from daemon.model.kinds import Absence
from daemon.model.notices import (
    Change,
    CloseNotice,
    EndEpisode,
    EpisodeView,
    MakeNotice,
    NoticeView,
    OpenEpisode,
    Planner,
    RenewNotice,
    Seen,
    SeenAs,
    StagePlan,
)
from daemon.model.states import Outcome, Stands

DAY0 = date(2024, 2, 1)
ZERO = datetime(2024, 2, 1, tzinfo=UTC)
LEVELS = ("urgent", "call", "warning", "attention")


def at(minute: float) -> datetime:
    """The moment so many minutes after midnight of the first day."""
    return ZERO + timedelta(minutes=minute)


def minute(moment: datetime) -> int:
    """The inverse of `at`."""
    return int((moment - ZERO) / timedelta(minutes=1))


def day(n: int = 0) -> date:
    """The n-th day from the first."""
    return DAY0 + timedelta(days=n)


def windows(
    *stages: tuple[str, int],
    deadline: int,
    late: str = "drop",
    level: str = "",
    conditions: dict[str, bool | Absence] | None = None,
) -> tuple[StagePlan, ...]:
    """Stages with their instants, one after the other, the last one's window ending at the deadline."""
    ends = [*(instant for _, instant in stages[1:]), deadline]
    return tuple(
        StagePlan(
            name, at(instant), at(end), at(deadline), (conditions or {}).get(name, True), late, level, end == deadline
        )
        for (name, instant), end in zip(stages, ends, strict=True)
    )


def planner(*plans: StagePlan) -> Planner:
    """A planner that gives these stages for every level."""

    def plan(level: str, business_date: date, made_at: datetime) -> tuple[StagePlan, ...]:
        return plans

    return plan


def at_once(late: str = "send_marked", lasts: int = 60, after: Sequence[tuple[str, int]] = ()) -> Planner:
    """The planner of a rule with levels: `level/notice` at once, then `after`: stages so many minutes later."""

    def plan(level: str, business_date: date, made_at: datetime) -> tuple[StagePlan, ...]:
        start = minute(made_at)
        stages = [(f"{level}/notice", start), *((f"{level}/{name}", start + later) for name, later in after)]
        return windows(*stages, deadline=start + lasts, late=late, level=level)

    return plan


def seen(
    how: str = SeenAs.MATCH,
    *,
    started: float = 0,
    plan: Planner | None = None,
    why: str = "",
    terms: str = "t1",
    marks: tuple[str, ...] = (),
    level: str = "",
    cured: Iterable[str] = (),
    gone: bool = False,
    on: date = DAY0,
) -> Seen:
    """One reading's word; terms only for a match."""
    match = how == SeenAs.MATCH
    return Seen(
        how,
        why or how,
        at(started),
        on,
        plan or planner(),
        terms if match else "",
        marks,
        level,
        frozenset(cured),
        gone,
    )


def made(make: MakeNotice, now: datetime, started: datetime, id: str = "", episode: int | None = None) -> NoticeView:
    """The notice that a `MakeNotice` makes."""
    plan = make.plan
    return NoticeView(
        id or plan.stage,
        plan.stage,
        now,
        plan.at,
        plan.window_end,
        plan.deadline,
        plan.late,
        make.stands,
        make.why,
        started,
        make.terms,
        held=make.held,
        episode=episode,
        level=plan.level,
        marks=make.marks,
        last=plan.last,
    )


def applied(notice: NoticeView, change: Change, started: datetime) -> NoticeView:
    """The notice after a renewal or an outcome that is its own; else as it was."""
    if isinstance(change, RenewNotice) and change.id == notice.id:
        return replace(
            notice,
            stands=change.stands,
            why=change.why,
            terms=change.terms,
            not_before=change.not_before,
            window_end=change.window_end,
            deadline=change.deadline,
            marks=change.marks,
            known_at=max(notice.known_at, started),
        )
    if isinstance(change, CloseNotice) and change.id == notice.id:
        return replace(notice, outcome=change.outcome)
    return notice


def after(
    notices: Sequence[NoticeView], changes: Sequence[Change], started: datetime, now: datetime
) -> list[NoticeView]:
    """The notices once the changes are written (episodes apart)."""
    found = []
    for notice in notices:
        for change in changes:
            notice = applied(notice, change, started)
        found.append(notice)
    return found + [made(m, now, started) for m in makes(changes)]


def tell(notice: NoticeView, when: float, terms: str | None = None) -> NoticeView:
    """The notice once a message of it is in `sending`."""
    return replace(notice, told=True, told_at=at(when), told_terms=notice.terms if terms is None else terms)


def note(
    id: str,
    stage: str = "",
    *,
    stands: Stands = Stands.YES,
    known: float = 0,
    begins: float = 0,
    ends: float = 60,
    deadline: float | None = None,
    late: str = "drop",
    terms: str = "t1",
    told: float | None = None,
    told_terms: str | None = None,
    outcome: Outcome | None = None,
    episode: int | None = None,
    level: str = "",
    marks: tuple[str, ...] = (),
    last: bool = True,
) -> NoticeView:
    """A notice; `told`: the minute its message was in `sending`."""
    view = NoticeView(
        id,
        stage or id,
        at(0),
        at(begins),
        at(ends),
        at(ends if deadline is None else deadline),
        late,
        stands,
        "",
        at(known),
        terms,
        outcome=outcome,
        episode=episode,
        level=level,
        marks=marks,
        last=last,
    )
    return view if told is None else tell(view, told, told_terms)


def episode(id: int, level: str, *, opened: float = 0, on: int = 0, number: int = 1, open: bool = True) -> EpisodeView:
    """An episode of a level, opened at a minute of a day."""
    return EpisodeView(id, level, day(on), number, at(opened), open, day(on))


def makes(changes: Iterable[Change]) -> list[MakeNotice]:
    """The notices that changes make."""
    return [c for c in changes if isinstance(c, MakeNotice)]


def renews(changes: Iterable[Change]) -> dict[str, RenewNotice]:
    """The renewals, by notice."""
    return {c.id: c for c in changes if isinstance(c, RenewNotice)}


def closes(changes: Iterable[Change]) -> dict[str, tuple[Outcome, str]]:
    """The outcomes given, by notice."""
    return {c.id: (c.outcome, c.why) for c in changes if isinstance(c, CloseNotice)}


def opens(changes: Iterable[Change]) -> list[tuple[str, date, int]]:
    """The episodes opened."""
    return [(c.level, c.opened_on, c.number) for c in changes if isinstance(c, OpenEpisode)]


def ends(changes: Iterable[Change]) -> list[int]:
    """The episodes ended."""
    return [c.id for c in changes if isinstance(c, EndEpisode)]
