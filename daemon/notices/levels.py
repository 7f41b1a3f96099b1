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
from daemon.notices.corrections import correct
from daemon.notices.standing import renewed, stages_to_make, standing

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
        """By its own notice or a worse level's, since its episode opened."""
        episode = self.open.get(level)
        if episode is None:
            return False
        worse = set(self.order[: self.order.index(level) + 1])
        return any(
            n.told and n.level in worse and (n.episode == episode.id or (n.told_at or self.now) >= episode.opened_at)
            for n in self.notices
        )

    def of(self, episode: EpisodeView) -> list[NoticeView]:
        return [n for n in self.notices if n.episode == episode.id and not n.is_correction]

    def end_and_open(self) -> None:
        """Episodes that are rearmed end, levels that are reached open; a level given up untold opens anew when it recurs."""
        sure = self.seen.how in (SeenAs.MATCH, SeenAs.NO)
        for level, episode in list(self.open.items()):
            mine = self.of(episode)
            given_up = bool(mine) and all(n.outcome is Outcome.CANCELLED for n in mine) and not self.told(level)
            if sure and level in self.seen.cured and not self.reached(level):
                self._end(episode, "rearmed")
            elif given_up and self.reached(level):
                self._end(episode, NOT_TOLD)
        if self.seen.how == SeenAs.MATCH:
            for level in self.order[self.order.index(self.seen.level) :]:
                if level not in self.open:
                    self._open(level)

    def _end(self, episode: EpisodeView, why: str) -> None:
        self.changes.append(EndEpisode(episode.id, why))
        self.changes.extend(
            CloseNotice(n.id, Outcome.CANCELLED, why) for n in self.notices if n.episode == episode.id and n.waits
        )
        del self.open[episode.level]

    def _open(self, level: str) -> None:
        day = self.seen.business_date
        number = 1 + max((e.number for e in self.episodes if e.level == level and e.opened_on == day), default=0)
        self.fresh[level] = OpenEpisode(level, day, number)
        self.changes.append(self.fresh[level])

    def renew(self) -> dict[str, Stands]:
        """Bring waiting notices up to date, worst level first; returns how each open level's waiting notices stand."""
        due: dict[str, Stands] = {}
        worse_due = ""
        for level in self.order:
            episode = self.open.get(level)
            if episode is None:
                continue
            for notice in (n for n in self.of(episode) if n.waits):
                change = self._renewed(notice, episode, worse_due)
                if change is None:
                    due.setdefault(level, notice.stands)
                elif isinstance(change, RenewNotice):
                    due[level] = max(due.get(level, Stands.NO), change.stands, key=_STRENGTH.__getitem__)
                    self.changes.append(change)
                else:
                    self.changes.append(change)
            if due.get(level, Stands.NO) is not Stands.NO:
                worse_due = worse_due or level
        return due

    def _renewed(self, notice: NoticeView, episode: EpisodeView, worse_due: str) -> Change | None:
        worse = self.order[: self.order.index(episode.level)]
        teller = next((w for w in worse if w in self.open and self._told_itself(w, episode.opened_at)), None)
        if teller:
            return CloseNotice(notice.id, Outcome.SUPERSEDED, f"told by {teller}")
        plans = self.seen.plan(episode.level, episode.opened_on, notice.made_at)
        plan = next((p for p in plans if p.stage == notice.stage), None)
        stands, why = standing(self.seen, plan)
        if self.seen.how == SeenAs.MATCH and not self.reached(episode.level):
            stands, why = Stands.NO, f"level:{self.seen.level}"
        elif worse_due and stands is not Stands.NO:
            stands, why = Stands.NO, f"{worse_due} is due"
        return renewed(notice, self.seen, plan, stands, why, self.now)

    def _told_itself(self, level: str, since: datetime) -> bool:
        episode = self.open[level]
        return any(n.told and n.episode == episode.id and (n.told_at or self.now) >= since for n in self.notices)

    def make(self, due: dict[str, Stands]) -> None:
        """The stages of the worst reached level that is not told and has no notice, unless a worse one is due."""
        if self.seen.how != SeenAs.MATCH:
            return
        for level in self.order:
            if not self.reached(level) or self.told(level) or due.get(level, Stands.NO) is not Stands.NO:
                if self.told(level) or due.get(level, Stands.NO) is not Stands.NO:
                    return
                continue
            if level in self.open and self.of(self.open[level]):
                continue
            self._make(level)
            return

    def _make(self, level: str) -> None:
        opened: OpenEpisode | EpisodeView = self.fresh.get(level) or self.open[level]
        day, number = opened.opened_on, opened.number
        plans = self.seen.plan(level, day, self.now)
        for plan in stages_to_make((), plans, self.now):
            stands, why = standing(self.seen, plan)
            self.changes.append(
                MakeNotice(plan, stands, why, (level, day, number), marks=self.seen.marks, terms=self.seen.terms)
            )


_STRENGTH = {Stands.NO: 0, Stands.UNKNOWN: 1, Stands.YES: 2}


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
    """What one reading's word changes for one subject and basis. `order`: the rule's levels, worst first."""
    state = _Levels(episodes, notices, seen, order, now)
    state.end_and_open()
    due = state.renew()
    state.make(due)
    for level, episode in state.open.items():
        if state.reached(level) or seen.gone:
            mine = [n for n in notices if n.episode == episode.id]
            key = (level, episode.opened_on, episode.number)
            state.changes.extend(correct(mine, seen, now, correct_gone=correct_gone, held=correct_held, episode=key))
    return state.changes


def end_absent(episodes: Sequence[EpisodeView], notices: Sequence[NoticeView]) -> list[Change]:
    """A business date of complete polls without the subject: its episodes end, what has not left is cancelled."""
    changes: list[Change] = []
    for episode in episodes:
        if episode.open:
            changes.append(EndEpisode(episode.id, "absent for a business date"))
            changes.extend(
                CloseNotice(n.id, Outcome.CANCELLED, "absent for a business date")
                for n in notices
                if n.episode == episode.id and n.waits
            )
    return changes
