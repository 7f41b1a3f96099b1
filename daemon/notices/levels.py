"""Rules with levels: episodes open and end, the worst untold level is told, milder ones rest. Pure.

An episode is opened by the first fact at its level or worse, ended by the level's `rearm:` or by a day of absence. It is told
by its own notice or a worse level's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from daemon.model.notices import (
    Change,
    CloseNotice,
    EndEpisode,
    EpisodeView,
    MakeNotice,
    NoticeView,
    OpenEpisode,
    RenewNotice,
    Seen,
    SeenAs,
)
from daemon.model.states import Outcome, Stands
from daemon.notices.corrections import correct, rest
from daemon.notices.standing import overtaken, renewed, stages_to_make, standing

NOT_TOLD = "ended without having been told"


class _Levels:
    """One reading's word against the episodes and notices of one subject and basis."""

    def __init__(
        self,
        episodes: Sequence[EpisodeView],
        notices: Sequence[NoticeView],
        seen: Seen,
        order: Sequence[str],
        now: datetime,
    ) -> None:
        self.episodes, self.notices, self.seen, self.order, self.now = episodes, notices, seen, tuple(order), now
        self.open = {e.level: e for e in episodes if e.open}
        self.changes: list[Change] = []
        self.fresh: dict[str, OpenEpisode] = {}

    def reached(self, level: str) -> bool:
        """Whether the fact is at this level or worse."""
        return self.seen.how == SeenAs.MATCH and self.order.index(self.seen.level) <= self.order.index(level)

    def told(self, level: str) -> bool:
        """By its own notice, or by a worse level's since its episode opened."""
        episode = self.open.get(level)
        if episode is None:
            return False
        return self._teller(episode) != "" or any(n.told and n.episode == episode.id for n in self.notices)

    def _teller(self, episode: EpisodeView) -> str:
        """The worse level whose notice has told since this episode opened; its own episode may have ended."""
        worse = self.order[: self.order.index(episode.level)]
        since = episode.opened_at
        tellers = (n.level for n in self.notices if n.told and n.level in worse and (n.told_at or self.now) >= since)
        return next(tellers, "")

    def of(self, episode: EpisodeView) -> list[NoticeView]:
        return [n for n in self.notices if n.episode == episode.id and not n.is_correction]

    def end_and_open(self) -> None:
        """Episodes that are rearmed end, levels that are reached open; a level given up untold opens anew when it recurs."""
        sure = self.seen.how in (SeenAs.MATCH, SeenAs.NO)
        for level, episode in list(self.open.items()):
            mine = self.of(episode)
            given_up = bool(mine) and all(n.outcome in _UNTOLD for n in mine) and not self.told(level)
            if sure and level in self.seen.cured and not self.reached(level):
                self._end(episode, "rearmed")
            elif given_up and self.reached(level):
                self._end(episode, NOT_TOLD)
        if self.seen.how == SeenAs.MATCH:
            for level in self.order[self.order.index(self.seen.level) :]:
                if level not in self.open:
                    self._open(level)

    def _end(self, episode: EpisodeView, why: str) -> None:
        self.changes.extend(_ended(episode, self.notices, why))
        del self.open[episode.level]

    def _open(self, level: str) -> None:
        day = self.seen.business_date
        number = 1 + max((e.number for e in self.episodes if e.level == level and e.opened_on == day), default=0)
        self.fresh[level] = OpenEpisode(level, day, number)
        self.changes.append(self.fresh[level])

    def renew(self) -> None:
        """Bring each open level's notices up to date, worst first, and make those of the worst reached level that is not told
        and has none, unless a worse one is due."""
        due = ""
        for level in self.order:
            episode = self.open.get(level)
            stands = self._renew(episode, due) if episode else Stands.NO
            if not due and self.reached(level) and not self.told(level) and not (episode and self.of(episode)):
                stands = self._make(level)
            if stands is not Stands.NO:
                due = due or level

    def _renew(self, episode: EpisodeView, worse_due: str) -> Stands:
        """Renew one episode's notices; returns how what waits of it stands."""
        strongest = Stands.NO
        for notice in self.of(episode):
            change = self._renewed(notice, episode, worse_due)
            if change is not None:
                self.changes.append(change)
            if isinstance(change, RenewNotice) and notice.waits:
                strongest = max(strongest, change.stands, key=_STRENGTH.__getitem__)
        return strongest

    def _renewed(self, notice: NoticeView, episode: EpisodeView, worse_due: str) -> Change | None:
        teller = self._teller(episode)
        if teller and notice.waits:
            return CloseNotice(notice.id, Outcome.SUPERSEDED, f"told by {teller}")
        plans = self.seen.plan(episode.level, episode.opened_on, notice.made_at)
        plan = next((p for p in plans if p.stage == notice.stage), None)
        stands, why = standing(self.seen, plan)
        if self.seen.how == SeenAs.MATCH and not self.reached(episode.level):
            stands, why = Stands.NO, f"level:{self.seen.level}"
        elif teller:
            stands, why = Stands.NO, f"told by {teller}"
        elif worse_due and stands is not Stands.NO:
            stands, why = Stands.NO, f"{worse_due} is due"
        return renewed(notice, self.seen, plan, stands, why, self.now)

    def correct(self, *, gone: bool, held: bool) -> None:
        """The corrections of every open episode; one whose level the fact does not reach now rests."""
        for level, episode in self.open.items():
            mine = [n for n in self.notices if n.episode == episode.id]
            key = (level, episode.opened_on, episode.number)
            if self.reached(level) or self.seen.how != SeenAs.MATCH:
                self.changes.extend(correct(mine, self.seen, self.now, correct_gone=gone, held=held, episode=key))
            else:
                why = f"level:{self.seen.level}"
                self.changes.extend(rest(n, Stands.NO, why) for n in mine if n.is_correction and not n.outcome)

    def _make(self, level: str) -> Stands:
        opened: OpenEpisode | EpisodeView = self.fresh.get(level) or self.open[level]
        day, number = opened.opened_on, opened.number
        plans = self.seen.plan(level, day, self.now)
        strongest = Stands.NO
        for plan in stages_to_make((), plans, self.now):
            stands, why = standing(self.seen, plan)
            strongest = max(strongest, stands, key=_STRENGTH.__getitem__)
            self.changes.append(
                MakeNotice(plan, stands, why, (level, day, number), marks=self.seen.marks, terms=self.seen.terms)
            )
        return strongest


_STRENGTH = {Stands.NO: 0, Stands.UNKNOWN: 1, Stands.YES: 2}
_UNTOLD = (Outcome.CANCELLED, Outcome.SUPERSEDED)
"""Outcomes of a notice that time alone closed and that reached no person: an expired one has its task."""


def _ended(episode: EpisodeView, notices: Sequence[NoticeView], why: str) -> list[Change]:
    """The end of an episode: what waits is cancelled, what is told sends no fallback any more."""
    mine = [n for n in notices if n.episode == episode.id and n.outcome is None]
    return [
        EndEpisode(episode.id, why),
        *(CloseNotice(n.id, Outcome.CANCELLED, why) if n.waits else rest(n, Stands.NO, why) for n in mine),
    ]


def renew_levels(
    episodes: Sequence[EpisodeView],
    notices: Sequence[NoticeView],
    seen: Seen,
    order: Sequence[str],
    now: datetime,
    *,
    correct_gone: bool,
    correct_held: bool,
) -> list[Change]:
    """What one reading's word changes for one subject and basis. `order`: the rule's levels, worst first.

    `notices`: those of the open episodes, and of the worse ones that have told since these opened.
    """
    if overtaken(notices, seen):
        return []
    state = _Levels(episodes, notices, seen, order, now)
    state.end_and_open()
    state.renew()
    state.correct(gone=correct_gone, held=correct_held)
    return state.changes


def end_absent(episodes: Sequence[EpisodeView], notices: Sequence[NoticeView]) -> list[Change]:
    """A business date of complete polls without the subject: its episodes end, what has not left is cancelled."""
    return [change for e in episodes if e.open for change in _ended(e, notices, "absent for a business date")]
