"""Corrections: what was told is no longer so. Pure.

There is one open correction per occurrence. It takes over newer terms until it leaves; when the terms come back it rests
and ends `cancelled` with its window. Once one exists, the old bytes are never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from daemon.model.notices import CORRECTION, Change, MakeNotice, NoticeView, RenewNotice, Seen, SeenAs, StagePlan
from daemon.model.states import Stands

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
    told = last_told(notices)
    if told is None:
        return []
    waiting = next((n for n in notices if n.is_correction and n.waits), None)
    if waiting is not None and seen.started < waiting.known_at:
        return []
    wanted = wanted_terms(seen, correct_gone=correct_gone)
    if wanted is None:
        if waiting is None:
            return []
        stands = Stands.UNKNOWN if seen.how == SeenAs.UNKNOWN else Stands.NO
        return [_renew(waiting, stands, seen.why, waiting.terms, waiting.marks)]
    if wanted == told.told_terms:
        return [_renew(waiting, Stands.NO, "the terms told hold again", wanted, waiting.marks)] if waiting else []
    marks = (*(m for m in seen.marks if m != GONE), *((GONE,) if wanted == GONE else ()))
    if waiting is not None:
        return [_renew(waiting, Stands.YES, "terms changed", wanted, marks, take=wanted != GONE)]
    number = 1 + sum(n.is_correction for n in notices)
    deadline = max(n.deadline for n in notices)
    plan = StagePlan(f"{CORRECTION}{number}", now, deadline, deadline, True, told.late, told.level)
    return [
        MakeNotice(
            plan,
            Stands.YES,
            "terms changed",
            episode,
            correction_of=told.id,
            correction=number,
            held=held,
            marks=marks,
            terms=wanted,
        )
    ]


def _renew(
    n: NoticeView, stands: Stands, why: str, terms: str, marks: tuple[str, ...], *, take: bool = False
) -> RenewNotice:
    return RenewNotice(n.id, stands, why, terms, n.not_before, n.window_end, n.deadline, marks, take_inputs=take)
