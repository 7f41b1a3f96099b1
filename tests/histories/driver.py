"""Plays a history with the program's pure parts on notices and messages in memory.

The order of things is that of a poll (renew, make), of a delivery pass (leases, windows, timers, doubts, outcomes; claim,
ask, prepare, send, settle) and of the outbox (fences apart: one process). Every step leaves a list of plain happenings and
a picture of what is known, for the oracle to judge.
"""

from __future__ import annotations

import random
from dataclasses import replace

from daemon.model.notices import (
    CloseNotice,
    NoticeView,
    RenewNotice,
)
from daemon.model.states import (
    OPEN,
    PROVED_NOT_ARRIVED,
    MessageState,
    as_known,
    contradicts,
    may_move,
)
from tests.histories.book import Book
from tests.histories.build import at, minute
from tests.histories.generate import DAY, Pass, Poll, Step
from tests.histories.parts import Message

S = MessageState
DOUBT_WAIT = 10


class Driver(Book):
    """One history under way."""

    def step(self, step: Step) -> None:
        for message, kind in self.carrier.due(step.at):
            self._receipt(self.messages[message], kind, step.at)
        if isinstance(step, Poll):
            self.poll(step)
        elif isinstance(step, Pass):
            self._pass(step)
        else:
            for id, view in self.notices.items():
                if view.held and view.outcome is None:
                    self.notices[id] = replace(view, held=False)
            self.happened.append(("release", step.at))

    # a delivery pass

    def _pass(self, step: Pass) -> None:
        rng = random.Random(step.seed)
        for _ in range(12):
            self._upkeep(step.at)
            if not self._deliver(step, rng) or step.crash:
                break
        whole = not step.crash and set(step.answers) == {"accepted"} and None not in step.asks.values()
        self.happened.append(("pass", step.at, whole))

    def _upkeep(self, now: int) -> None:
        for m in self.messages.values():
            if m.own is S.CLAIMED:
                m.move(S.QUEUED)
            elif m.own is S.SENDING:
                m.move(S.IN_DOUBT)
                m.due = now + DOUBT_WAIT
                self.happened.append(("verdict", now, m.id, "in_doubt"))
            elif m.state is S.RETRY and m.due <= now:
                m.move(S.QUEUED)
        for view in list(self.notices.values()):
            self.happened.append(("time", now, view.id))
            change = self.flow.sweep(view, at(now))
            if isinstance(change, RenewNotice | CloseNotice):
                self._change(change, None, minute(view.known_at), now)
        for id, due in list(self.timers.items()):
            if due is not None and due <= now:
                self._timer(id, now)
        for m in list(self.messages.values()):
            if m.state is S.IN_DOUBT and m.due <= now:
                self._resolve(m, now)
        for view in list(self.notices.values()):
            self._finish(view, now)

    def _timer(self, id: str, now: int) -> None:
        view, used = self.notices[id], len(self._of(id))
        if view.outcome is None and view.stands.value != "no" and not view.held and not self._served(id):
            self._next_channel(id, now)
        more = view.outcome is None and used + 1 < len(self.rule.channels)
        self.timers[id] = now + self.rule.fallback if more else None

    def _served(self, id: str) -> bool:
        return any(m.state is S.DELIVERED for m in self._of(id))

    def _next_channel(self, id: str, now: int) -> None:
        mine = self._of(id)
        used = {m.channel for m in mine}
        channel = next((c for c in self.rule.channels if c not in used), None)
        if channel is None:
            self.tasks.add(id)
            return
        self._cancel(id, S.CANCELLED)
        self._add(id, channel, now)
        for m in mine:
            if m.state in (S.ACCEPTED, S.IN_DOUBT) and may_move(m.own, S.REVOKING, ever_in_doubt=m.ever_in_doubt):
                self._revoke(m, now)

    def _revoke(self, m: Message, now: int) -> None:
        m.move(S.REVOKING)
        self.happened.append(("revoking", now, m.id))
        if self.rule.revokes:
            self.carrier.revoke(m.id, now)

    def _resolve(self, m: Message, now: int) -> None:
        """In doubt for long enough: repeat where the platform honours ids or the rule says so, else revoke, else a task."""
        view = self.notices[m.notice]
        bound = m.tries >= 5 or view.outcome is not None or self._corrected(m.notice)
        repeats = self.rule.honours_ids or (self.rule.in_doubt == "repeat" and not self.rule.revokes)
        if not bound and repeats:
            m.move(S.QUEUED)
            m.due = now
        elif not bound and self.rule.revokes:
            self._revoke(m, now)
        else:
            self.tasks.add(m.notice)
            m.due = now + 100 * DAY

    def _corrected(self, notice: str) -> bool:
        """Whether a correction of this notice stands: then its old bytes are never repeated."""
        found = [self.notices[n] for n, corrects in self.links.items() if corrects == notice]
        return any(v.told or (v.waits and v.stands.value == "yes") for v in found)

    def _finish(self, view: NoticeView, now: int) -> None:
        end = max(minute(view.deadline), minute(view.made_at)) + self.rule.window
        if view.outcome is not None or end > now:
            return
        known = ((as_known(m.state, ever_in_doubt=m.ever_in_doubt), "handed" in m.receipts) for m in self._of(view.id))
        outcome = self.flow.outcome_of(known)
        self.notices[view.id] = replace(view, outcome=outcome)
        self.happened.append(("outcome", now, view.id, outcome.value))
        self._cancel(view.id, S.EXPIRED)
        self.timers[view.id] = None
        self.tasks.add(view.id)

    def _deliver(self, step: Pass, rng: random.Random) -> bool:
        claims = self._claim(step.at)
        if not claims or step.crash == "claimed":
            return False
        unasked = {c.id for c in claims if not c.ever_in_doubt and self._ask(c, step)}
        going = [c for c in claims if self._goes(c, c.id in unasked, step.at)]
        for message in going:
            answer = rng.choice(step.answers)
            self._send(message, answer, step)
        return True

    def _claim(self, now: int) -> list[Message]:
        """What is due, one message of a unit at a time: what it tells bears on the next one."""
        found: dict[str, Message] = {}
        for m in sorted(self.messages.values(), key=lambda m: (m.due, m.id)):
            view = self.notices[m.notice]
            rests = view.stands.value == "no" and not m.ever_in_doubt
            if m.state is S.QUEUED and m.due <= now and view.outcome is None and not view.held and not rests:
                found.setdefault(self.unit_of[m.notice], m)
        for m in found.values():
            m.move(S.CLAIMED)
        return list(found.values())

    def _ask(self, m: Message, step: Pass) -> bool:
        """Ask again, or trust what is young enough; gates are looked at either way. True: could not be asked."""
        view, unit, inputs = self.notices[m.notice], self.unit_of[m.notice], self.inputs[m.notice]
        on = step.at // DAY
        conditional = view.stage.split("/")[-1] in self.rule.conditions
        if not conditional and step.at - minute(view.known_at) <= self.rule.fresh:
            word = (
                replace(inputs.word, how="suppressed", level="", cured=frozenset())
                if unit in step.withdrawn
                else inputs.word
            )
            self._hear(unit, word, inputs.started, step.at, on, "trusted")
            return False
        answer = step.asks[unit]
        if answer is None:
            return True
        self._hear(unit, answer, step.at, step.at, on, "ask")
        return False

    def _goes(self, m: Message, unasked: bool, now: int) -> bool:
        view = self.notices[m.notice]
        if m.own is not S.CLAIMED:
            return False
        if m.ever_in_doubt and self._corrected(m.notice):
            self.tasks.add(m.notice)
            m.move(S.QUEUED)
            m.due = now + 100 * DAY
            return False
        if m.ever_in_doubt:
            return True
        due = max(now, minute(view.not_before))
        rests = view.outcome is not None or view.held or view.stands.value == "no" or due > now or self._over(view, now)
        unsure = unasked or view.stands.value == "unknown"
        if rests or (unsure and self.rule.if_unasked == "hold") or self._needless(view):
            m.move(S.QUEUED)
            m.due = due if rests else now + max(self.rule.fresh, 1)
            return False
        if unsure:
            self.tasks.add(m.notice)
        self.happened.append(("unsure", now, m.id, unsure))
        return True

    @staticmethod
    def _over(view: NoticeView, now: int) -> bool:
        """Its window ended by what was just asked: time decides first."""
        return view.waits and now >= minute(view.window_end) and "late" not in view.marks

    def _needless(self, view: NoticeView) -> bool:
        """A correction whose terms are those last told by now."""
        if not view.is_correction or view.told:
            return False
        mine = [
            v for v in self.notices.values()
            if v.told and self.unit_of[v.id] == self.unit_of[view.id] and v.episode == view.episode
        ]  # fmt: skip
        last = max(mine, key=lambda v: v.told_at or v.made_at, default=None)
        return last is not None and last.told_terms == view.terms

    def _send(self, m: Message, answer: str, step: Pass) -> None:
        now, view = step.at, self.notices[m.notice]
        repeat = m.ever_in_doubt
        m.tries += 1
        m.move(S.SENDING)
        if not repeat:
            m.started, m.says, m.marks = now, view.terms, view.marks
        self.happened.append(("sending", now, m.notice, m.id, m.says, m.marks, repeat))
        self._tell(m.notice)
        if step.crash == "committed":
            return
        if answer in ("accepted", "lost"):
            self.carrier.take(m.id, now)
            self.happened.append(("taken", now, m.id))
        if step.crash == "answered":
            return
        self._settle(m, answer, now)

    def _settle(self, m: Message, answer: str, now: int) -> None:
        own = {"accepted": S.ACCEPTED, "refused": S.REJECTED, "busy": S.RETRY}.get(answer, S.IN_DOUBT)
        if m.ever_in_doubt and own in (S.REJECTED, S.RETRY):
            own = S.IN_DOUBT
        m.move(own)
        m.due = now + (DOUBT_WAIT if own is S.IN_DOUBT else 2)
        self.happened.append(("verdict", now, m.id, own.value))
        self._tell(m.notice)
        self._after(m, now)

    def _receipt(self, m: Message, kind: str, now: int) -> None:
        if kind not in m.receipts:
            m.receipts.append(kind)
        self.happened.append(("receipt", now, m.id, kind))
        if m.own in OPEN and m.ever_in_doubt:  # the repeat of one in doubt that a receipt makes needless
            m.own = S.IN_DOUBT
        m.state = m.own if m.own in OPEN - {S.RETRY} else m.raise_(m.own, m.raised)
        m.contradicted = contradicts(m.own, m.raised)
        self._tell(m.notice)
        self._after(m, now)

    def _after(self, m: Message, now: int) -> None:
        """A message came to rest: if nothing more may arrive by it, the next channel opens."""
        if self.notices[m.notice].outcome is not None:
            return
        if "handed" in m.receipts and m.channel != "sms":
            self._cancel(m.notice, S.CANCELLED)
            return
        if m.state in PROVED_NOT_ARRIVED - {S.CANCELLED, S.EXPIRED}:
            others = self._of(m.notice)
            if not self._served(m.notice) and not any(o.state in OPEN for o in others):
                self._next_channel(m.notice, now)
