"""Does a notice still stand, and which stages are to be made: rules without levels. Pure.

Every function takes what is known (views, one reading's word, `now`) and returns changes; nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from daemon.model.kinds import Absence
from daemon.model.notices import Change, CloseNotice, MakeNotice, NoticeView, RenewNotice, Seen, SeenAs, StagePlan
from daemon.model.states import Outcome, Stands

LATE = "late"
"""The mark of a notice that goes after its deadline."""


def standing(seen: Seen, plan: StagePlan | None) -> tuple[Stands, str]:
    """Whether a stage stands by a reading's word, with the reason."""
    if seen.how == SeenAs.MATCH:
        condition = True if plan is None else plan.condition
        if isinstance(condition, Absence):
            return Stands.UNKNOWN, f"missing:condition ({condition.value})"
        return (Stands.YES, seen.why) if condition else (Stands.NO, "condition")
    if seen.how == SeenAs.UNKNOWN:
        return Stands.UNKNOWN, seen.why
    return Stands.NO, seen.why


def stages_to_make(existing: Iterable[str], plans: Sequence[StagePlan], now: datetime) -> list[StagePlan]:
    """One for each stage whose window is not over; when every window is over and none was ever made, the last one."""
    have = set(existing)
    todo = [p for p in plans if p.stage not in have and now < p.window_end]
    if not todo and not have and plans:
        return [plans[-1]]
    return todo


def overtaken(notices: Iterable[NoticeView], seen: Seen) -> bool:
    """Whether something newer than this word is known of the same obligation: then it changes nothing."""
    return any(seen.started < n.known_at for n in notices)


def renewed(
    notice: NoticeView, seen: Seen, plan: StagePlan | None, stands: Stands, why: str, now: datetime
) -> RenewNotice | None:
    """The renewal of a notice without outcome by a word that is not older than what it is known from; else None.

    One that is told keeps its instants; whether it stands, and the terms and inputs, are for its fallbacks.
    """
    if seen.started < notice.known_at or notice.outcome is not None:
        return None
    at, end, deadline = notice.not_before, notice.window_end, notice.deadline
    if plan is not None and not notice.told:
        at, end, deadline = plan.at, plan.window_end, plan.deadline
    match = seen.how == SeenAs.MATCH
    terms = seen.terms if match and seen.terms else notice.terms
    marks = marks_of(notice, seen.marks if match else notice.marks, deadline, now)
    return RenewNotice(notice.id, stands, why, terms, at, end, deadline, marks, take_inputs=match)


def marks_of(notice: NoticeView, marks: tuple[str, ...], deadline: datetime, now: datetime) -> tuple[str, ...]:
    """These marks for a notice; one that goes late stays marked so while its deadline lies behind."""
    late = LATE in notice.marks and now >= deadline
    return (*(m for m in marks if m != LATE), *((LATE,) if late else ()))


def renew(notices: Sequence[NoticeView], seen: Seen, now: datetime) -> list[Change]:
    """What one reading's word changes for the stages of one occurrence (corrections apart)."""
    if overtaken(notices, seen):
        return []
    changes: list[Change] = []
    plans = {p.stage: p for p in seen.plan("", seen.business_date, now)}
    stages = [n for n in notices if not n.is_correction]
    for notice in stages:
        mine = {p.stage: p for p in seen.plan("", seen.business_date, notice.made_at)}.get(notice.stage)
        stands, why = standing(seen, mine)
        change = renewed(notice, seen, mine, stands, why, now)
        if change:
            changes.append(change)
    if seen.how == SeenAs.MATCH:
        for plan in stages_to_make((n.stage for n in stages), tuple(plans.values()), now):
            stands, why = standing(seen, plan)
            changes.append(MakeNotice(plan, stands, why, marks=seen.marks, terms=seen.terms))
    return changes


def sweep(notice: NoticeView, now: datetime) -> Change | None:
    """What the passing of time alone does to a notice that waits: a window ends, a deadline passes."""
    if not notice.waits or now < notice.window_end:
        return None
    if notice.stands is Stands.NO:
        return CloseNotice(notice.id, Outcome.CANCELLED, notice.why)
    if not notice.last:
        return CloseNotice(notice.id, Outcome.SUPERSEDED, "the next stage's window begins")
    if notice.late == "drop":
        return CloseNotice(notice.id, Outcome.EXPIRED, "the deadline passed before it could leave")
    if LATE in notice.marks:
        return None
    return RenewNotice(
        notice.id,
        notice.stands,
        notice.why,
        notice.terms,
        notice.not_before,
        notice.window_end,
        notice.deadline,
        (*notice.marks, LATE),
        take_inputs=False,
    )


def untold(notices: Sequence[NoticeView], seen: Seen, now: datetime) -> StagePlan | None:
    """The first stage of a match that would go untold: every stage was closed without telling, and this one's window lies ahead
    again because the dates moved. Its identity is taken, so no notice can be made; a person must tell."""
    stages = [n for n in notices if not n.is_correction]
    if seen.how != SeenAs.MATCH or not stages or any(n.told or n.outcome is None for n in stages):
        return None
    plans = seen.plan("", seen.business_date, now)
    closed = {n.stage for n in stages if n.outcome in (Outcome.CANCELLED, Outcome.SUPERSEDED)}
    return next((p for p in plans if p.stage in closed and p.condition is True and now < p.window_end), None)


def with_late(plan: StagePlan, marks: tuple[str, ...], now: datetime) -> tuple[str, ...]:
    """The marks of a notice made after its deadline."""
    return (*marks, LATE) if now >= plan.deadline and plan.late == "send_marked" and LATE not in marks else marks


def at_once(plan: StagePlan, now: datetime) -> StagePlan:
    """The same plan, due now."""
    return replace(plan, at=now)
