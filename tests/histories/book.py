"""Notices, episodes and messages in memory: words come in, the pure parts decide, what they ask for is written.

The order is that of a poll: what exists is brought up to date, then what is new is made; written as writer.py writes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from daemon.model.kinds import Absence
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
    StagePlan,
)
from daemon.model.states import (
    OPEN,
    TOLD,
    MessageState,
)
from daemon.notices.standing import with_late
from tests.histories.build import applied, at, day, made, minute, windows
from tests.histories.generate import History, Poll, Word
from tests.histories.parts import Carrier, Flow, Inputs, Message

S = MessageState
SEEN = {
    "match": SeenAs.MATCH,
    "no_match": SeenAs.NO,
    "suppressed": SeenAs.NO,
    "held": SeenAs.HELD,
    "indeterminate": SeenAs.UNKNOWN,
    "reject": SeenAs.UNKNOWN,
}
CONDITION: dict[str, bool | Absence] = {"yes": True, "no": False, "?": Absence.MISSING}


class Book:
    """What is known in one history. `happened` is emptied by who reads it."""

    def __init__(self, history: History, flow: Flow | None = None) -> None:
        self.history, self.rule, self.flow = history, history.rule, flow or Flow()
        self.notices: dict[str, NoticeView] = {}
        self.unit_of: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.inputs: dict[str, Inputs] = {}
        self.timers: dict[str, int | None] = {}
        self.messages: dict[str, Message] = {}
        self.episodes: dict[int, EpisodeView] = {}
        self.seen_on: dict[int, int] = {}
        self.ran_on: list[int] = []
        self.tasks: set[str] = set()
        self.carrier = Carrier(random.Random(history.seed + 1), self.rule.honours_ids)
        self.happened: list[tuple[Any, ...]] = []

    # pictures for the oracle: plain values

    def notices_seen(self) -> list[dict[str, Any]]:
        return [
            {
                "id": v.id,
                "stands": v.stands.value,
                "terms": v.terms,
                "begins": minute(v.not_before),
                "ends": minute(v.window_end),
                "deadline": minute(v.deadline),
                "late": "late" in v.marks,
                "held": v.held,
                "told": v.told,
                "told_terms": v.told_terms,
                "outcome": v.outcome.value if v.outcome else "",
                "link": self.links[v.id],
            }
            for v in self.notices.values()
        ]

    def messages_seen(self) -> list[dict[str, Any]]:
        return [
            {"id": m.id, "notice": m.notice, "state": m.state.value, "due": m.due, "contradicted": m.contradicted}
            for m in self.messages.values()
        ]

    def episodes_seen(self) -> set[tuple[str, int, int, bool]]:
        return {(e.level, (e.opened_on - day(0)).days, e.number, e.open) for e in self.episodes.values()}

    # polls

    def poll(self, step: Poll) -> None:
        self.happened.append(("poll", step))
        if step.open_hold:
            return
        if self.rule.levels:
            self._end_absent(step)
        known = {self.unit_of[n] for n in self.notices}
        order = [*(u for u in self.history.units if u in known), *(u for u in self.history.units if u not in known)]
        for unit in order[: step.crash or 0]:  # dies after so many units, and runs again
            self._hear(unit, step.words[unit], step.started, step.at, step.day, "poll")
        for unit in order:
            self._hear(unit, step.words[unit], step.started, step.at, step.day, "poll")
        if self.rule.levels and step.words["u0"].how != "absent":
            self.seen_on.update({e.id: step.day for e in self.episodes.values() if e.open})
        if step.complete:
            self.ran_on.append(step.day)

    def _end_absent(self, step: Poll) -> None:
        """The newest business date before this one did not show the subject in any complete poll."""
        before = max((d for d in self.ran_on if d < step.day), default=None)
        open_ = [e for e in self.episodes.values() if e.open]
        if before is not None and open_ and all(self.seen_on[e.id] < before for e in open_):
            changes = self.flow.end_absent(open_, list(self.notices.values()))
            self._write("u0", changes, None, step.started, step.at)

    def _hear(self, unit: str, word: Word, started: int, now: int, on: int, source: str) -> None:
        """One word on one unit, as renewal.py takes it."""
        views = [v for v in self.notices.values() if self.unit_of[v.id] == unit]
        seen = self._seen(word, started, on)
        changes: list[Change]
        if self.rule.levels:
            if not any(e.open for e in self.episodes.values()) and word.how != "match":
                return
            episodes = [e for e in self.episodes.values() if e.open or e.opened_on == seen.business_date]
            changes = self.flow.renew_levels(
                episodes, views, seen, self.rule.levels, at(now),
                correct_gone=self.rule.gone, correct_held=self.rule.held,
            )  # fmt: skip
        else:
            if not views and word.how != "match":
                return
            changes = self.flow.renew(views, seen, at(now))
            changes += self.flow.correct(views, seen, at(now), correct_gone=self.rule.gone, held=self.rule.held)
        self.happened.append(("word", now, unit, started, on, word, source))
        self._write(unit, changes, word, started, now)

    def _seen(self, word: Word, started: int, on: int) -> Seen:
        if word.how == "absent":
            sure = word.complete and not self.rule.levels
            return Seen(SeenAs.NO if sure else SeenAs.UNKNOWN, "absent", at(started), day(on), gone=sure)
        match = word.how == "match"
        planned = word.how in ("match", "no_match", "suppressed", "held")
        return Seen(
            SEEN[word.how],
            word.how,
            at(started),
            day(on),
            self._planner(word) if planned else lambda *_: (),
            word.terms if match or word.how == "held" else "",
            (),
            word.level,
            word.cured,
            word.how == "no_match",
        )

    def _planner(self, word: Word) -> Any:
        rule = self.rule

        def plan(level: str, business_date: date, made_at: datetime) -> tuple[StagePlan, ...]:
            base = minute(made_at) if rule.levels else word.shift
            stages = [(f"{level}/{n}" if level else n, base + m) for n, m in rule.stages]
            names = zip((s for s, _ in stages), (n for n, _ in rule.stages), strict=True)
            said = {s: CONDITION[word.conditions.get(n, "yes")] for s, n in names}
            return windows(*stages, deadline=base + rule.deadline, late=rule.late, level=level, conditions=said)

        return plan

    # writing, as writer.py does

    def _write(self, unit: str, changes: Sequence[Change], word: Word | None, started: int, now: int) -> None:
        for change in changes:
            if isinstance(change, OpenEpisode):
                id = len(self.episodes) + 1
                self.episodes[id] = EpisodeView(id, change.level, change.opened_on, change.number, at(now))
                self.seen_on[id] = (change.opened_on - day(0)).days
            elif isinstance(change, EndEpisode):
                self.episodes[change.id] = replace(self.episodes[change.id], open=False)
            elif isinstance(change, MakeNotice):
                assert word is not None, "a notice is made from a fact"
                self._make(unit, change, word, started, now)
            else:
                self._change(change, word, started, now)

    def _make(self, unit: str, change: MakeNotice, word: Word, started: int, now: int) -> None:
        mine = next((e for e in self.episodes.values() if (e.level, e.opened_on, e.number) == change.episode), None)
        where = "" if mine is None else f"{mine.level}#{(mine.opened_on - day(0)).days}.{mine.number}"
        id = f"{unit}|{where}|{change.plan.stage}"
        if id in self.notices:
            return
        view = made(change, at(now), at(started), id, mine.id if mine else None)
        view = replace(view, marks=with_late(change.plan, change.marks, at(now)))
        if mine is not None:
            view = replace(view, level=mine.level)
        self.notices[id], self.unit_of[id], self.links[id] = view, unit, change.correction_of
        self.inputs[id] = Inputs(word, started)
        start = max(minute(view.not_before), now)
        self.timers[id] = start + self.rule.fallback if len(self.rule.channels) > 1 else None
        self._add(id, self.rule.channels[0], minute(view.not_before))

    def _add(self, notice: str, channel: str, due: int) -> None:
        message = Message(notice, channel, due, raise_=self.flow.with_receipts)
        assert message.id not in self.messages
        self.messages[message.id] = message

    def _change(self, change: RenewNotice | CloseNotice, word: Word | None, started: int, now: int) -> None:
        view = self.notices[change.id]
        self.notices[change.id] = applied(view, change, at(started))
        if isinstance(change, CloseNotice):
            assert view.outcome is None
            self.happened.append(("outcome", now, change.id, change.outcome.value))
            self._cancel(change.id, S.EXPIRED if change.outcome.value == "expired" else S.CANCELLED)
            self.timers[change.id] = None
            if change.outcome.value == "expired":
                self.tasks.add(change.id)
            return
        if change.take_inputs and word is not None:
            self.inputs[change.id] = Inputs(word, started)
        for m in self._of(change.id):
            if m.state in (S.QUEUED, S.RETRY) and m.tries == 0 and view.not_before != change.not_before:
                m.due = minute(change.not_before)

    def _cancel(self, notice: str, state: MessageState) -> None:
        for m in self._of(notice):
            if m.state in OPEN and not m.ever_in_doubt:
                m.move(state)

    def _of(self, notice: str) -> list[Message]:
        return [m for m in self.messages.values() if m.notice == notice]

    def _tell(self, notice: str) -> None:
        """Whether a notice is told, when last and what, from its messages."""
        told = [m for m in self._of(notice) if m.state in TOLD or m.ever_in_doubt]
        last = max(told, key=lambda m: m.started, default=None)
        self.notices[notice] = replace(
            self.notices[notice],
            told=last is not None,
            told_at=None if last is None else at(last.started),
            told_terms="" if last is None else last.says,
        )
