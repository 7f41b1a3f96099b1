"""Corrections: what was told is no longer so. Pure.

There is one open correction per occurrence. It takes over newer terms until it leaves; when the terms come back it rests
and ends `cancelled` with its window. Once one exists, the old bytes are never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from daemon.model.notices import CORRECTION, Change, MakeNotice, NoticeView, RenewNotice, Seen, SeenAs, StagePlan
from daemon.model.states import Outcome, Stands
from daemon.notices.standing import marks_of, overtaken

GONE = "gone"
"""The terms, and the mark, of a correction that says: what you were told no longer holds."""


def last_told(notices: Sequence[NoticeView]) -> NoticeView | None:
    """The notice whose message told last."""
    told = [n for n in notices if n.told and n.told_at is not None]
    return max(told, key=lambda n: (n.told_at or n.made_at, n.stage), default=None)


def wanted_terms(seen: Seen, *, correct_gone: bool) -> str | None:
    """The terms the client ought to have been told by this word; None where the word does not say."""
    if seen.how == SeenAs.MATCH:
        return seen.terms
    if seen.how == SeenAs.NO and seen.gone and correct_gone:
        return GONE
    return None


def correct(
    notices: Sequence[NoticeView],
    seen: Seen,
    now: datetime,
    *,
    correct_gone: bool,
    held: bool,
    episode: tuple[str, date, int] | None = None,
) -> list[Change]:
    """Compare with the terms last told: make the correction, renew the open one, or let it rest when the terms came back."""
    if overtaken(notices, seen):
        return []
    told = last_told(notices)
    if told is None:
        return [rest(n, Stands.NO, "nothing is told") for n in notices if n.is_correction and n.outcome is None]
    waiting = next((n for n in notices if n.is_correction and n.waits), None)
    wanted = wanted_terms(seen, correct_gone=correct_gone)
    changes: list[Change] = [_kept(n, seen, wanted) for n in notices if n.is_correction and n.told and not n.outcome]
    if waiting is not None:
        return [*changes, _renewed(waiting, told, seen, wanted, now, episode)]
    if wanted is None or wanted == told.told_terms:
        return changes
    deadline = max(_deadline(n, seen, now, episode) for n in notices)
    if now >= deadline and _expired_with(wanted, notices):
        return changes
    number = 1 + sum(n.is_correction for n in notices)
    plan = StagePlan(f"{CORRECTION}{number}", now, deadline, deadline, True, told.late, told.level)
    return [
        *changes,
        MakeNotice(
            plan,
            Stands.YES,
            "terms changed",
            episode,
            correction_of=told.id,
            correction=number,
            held=held,
            marks=_marks(seen, wanted),
            terms=wanted,
        ),
    ]


def _kept(told: NoticeView, seen: Seen, wanted: str | None) -> RenewNotice:
    """A correction that has told: its fallbacks leave only while its terms are the newest."""
    if wanted is None:
        return rest(told, _unsure(seen), seen.why)
    holds = wanted == told.told_terms
    return rest(told, Stands.YES if holds else Stands.NO, "these terms hold" if holds else "newer terms")


def _renewed(
    waiting: NoticeView,
    told: NoticeView,
    seen: Seen,
    wanted: str | None,
    now: datetime,
    episode: tuple[str, date, int] | None,
) -> RenewNotice:
    """The open correction by a newer word: it takes over the terms, rests, or is not known to be needed."""
    if wanted is None:
        return rest(waiting, _unsure(seen), seen.why)
    if wanted == told.told_terms:
        return rest(waiting, Stands.NO, "the terms told hold again", wanted)
    deadline = _deadline(waiting, seen, waiting.made_at, episode)
    marks = marks_of(waiting, _marks(seen, wanted), deadline, now)
    return RenewNotice(
        waiting.id,
        Stands.YES,
        "terms changed",
        wanted,
        waiting.not_before,
        deadline,
        deadline,
        marks,
        take_inputs=wanted != GONE,
    )


def _unsure(seen: Seen) -> Stands:
    return Stands.UNKNOWN if seen.how == SeenAs.UNKNOWN else Stands.NO


def rest(notice: NoticeView, stands: Stands, why: str, terms: str = "") -> RenewNotice:
    """The same notice but for how it stands: nothing leaves of it (`no`), or the rule's choice decides (`unknown`)."""
    return RenewNotice(
        notice.id,
        stands,
        why,
        terms or notice.terms,
        notice.not_before,
        notice.window_end,
        notice.deadline,
        notice.marks,
        take_inputs=False,
    )


def _marks(seen: Seen, wanted: str) -> tuple[str, ...]:
    return (*(m for m in seen.marks if m != GONE), *((GONE,) if wanted == GONE else ()))


def _deadline(notice: NoticeView, seen: Seen, made_at: datetime, episode: tuple[str, date, int] | None) -> datetime:
    """A correction has until the latest deadline, of what was told or of the fact as it is now."""
    if seen.how != SeenAs.MATCH:
        return notice.deadline
    level, day = (episode[0], episode[1]) if episode else ("", seen.business_date)
    return max([notice.deadline, *(p.deadline for p in seen.plan(level, day, made_at))])


def _expired_with(wanted: str, notices: Sequence[NoticeView]) -> bool:
    """Whether the newest correction had these terms and could not leave by its deadline: the rule's `late:` has decided."""
    newest = max((n for n in notices if n.is_correction), key=lambda n: n.made_at, default=None)
    return newest is not None and newest.outcome is Outcome.EXPIRED and newest.terms == wanted
