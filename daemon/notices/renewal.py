"""Bring one rule's notices up to date with what a reading says: the store's views in, the pure parts, the writer out.

Used by a poll for a whole feed and by a claim for some keys. Units are (subject, occurrence), or subjects where the rule has
levels; each call is one transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

from sqlalchemy import Connection

from daemon.clock import SHANGHAI
from daemon.decide.inputs import pack
from daemon.decide.lines import Line
from daemon.model.decisions import Bucket, Decision
from daemon.model.kinds import Absence, Value
from daemon.model.notices import Planner, Seen, SeenAs, StagePlan, no_plan
from daemon.model.values import occurrence_text
from daemon.notices import corrections, levels, standing
from daemon.notices.writer import Book, Unit, Writer
from daemon.rules import gates
from daemon.rules.decider import Decider
from daemon.rules.functions import Env
from daemon.store import noticebook, seals, subjects, worklist
from daemon.store.identity import terms_digest

UnitKey: TypeAlias = tuple[int, str]
"""(subject, occurrence text); the text is '' where the rule has levels."""

HOW = {
    Bucket.NOTIFY: SeenAs.MATCH,
    Bucket.NO_MATCH: SeenAs.NO,
    Bucket.SUPPRESSED: SeenAs.NO,
    Bucket.HELD: SeenAs.HELD,
    Bucket.INDETERMINATE: SeenAs.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Word:
    """What a reading says of one unit. `line` is None where the unit was not in it; then `how` and `why` say what that means."""

    key: UnitKey
    client: int
    line: Line | None
    how: str
    why: str
    business_date: date
    gone: bool = False
    cause: str | None = None


def unit_key(rule_has_levels: bool, line: Line, decision: Decision) -> UnitKey:
    """The unit that a line speaks of."""
    return line.subject, "" if rule_has_levels else occurrence_text(decision.occurrence)


def word_of(line: Line, rule: str, has_levels: bool) -> Word:
    """The word of a line under one rule."""
    decision = line.decisions[rule]
    gone = decision.bucket is Bucket.NO_MATCH
    return Word(
        unit_key(has_levels, line, decision),
        line.client,
        line,
        HOW[decision.bucket],
        decision.reason,
        line.fact.business_date,
        gone,
    )


def planner(decider: Decider, values: Mapping[str, Value], env: Callable[[date], Env]) -> Planner:
    """The stages of a fact by a rule; none where an instant cannot be told (which `decide` finds indeterminate)."""

    def plan(level: str, day: date, made_at: datetime) -> tuple[StagePlan, ...]:
        found = decider.plan(level, values, env(day), made_at)
        return () if isinstance(found, Absence) else found

    return plan


class Renewal:
    """One rule, one reading."""

    def __init__(self, book: Book, decider: Decider, env: Callable[[date], Env], started: datetime) -> None:
        self.book, self.decider, self.env, self.started = book, decider, env, started
        self.rule = book.rule

    def take(self, tx: Connection, words: Sequence[Word]) -> int:
        """Renew, make, correct and end what these words ask for. Returns how many notices were made."""
        subjects.keys_of_many(tx, {w.client for w in words})
        return self._take_levels(tx, words) if self.rule.levels else self._take_stages(tx, words)

    def _take_stages(self, tx: Connection, words: Sequence[Word]) -> int:
        rows = noticebook.of_occurrences(tx, self.rule.name, [w.key for w in words])
        made, writer = 0, Writer(tx, self.book)
        for word in words:
            known = rows.get(word.key, [])
            views = [noticebook.view(r) for r in known]
            seen = self._seen(tx, word)
            if not views and seen.how != SeenAs.MATCH:
                continue
            changes = standing.renew(views, seen, self.book.now)
            changes += corrections.correct(
                views, seen, self.book.now, correct_gone=self.rule.takes_back(word.why), held=self.rule.correct_held
            )
            unit = self._unit(tx, word, known[-1]["inputs"] if word.line is None and known else "")
            writer.write(unit, changes, {r["id"]: r for r in known})
            made += len(unit.made)
            again = standing.untold(views, seen, self.book.now)
            if again is not None:
                self._call(tx, word, known[-1]["id"], again)
        writer.flush()
        return made

    def _call(self, tx: Connection, word: Word, notice: str, plan: StagePlan) -> None:
        """A person must tell what no notice can any more: which stage, from when and until when."""
        worklist.open_task(
            tx,
            f"again:{notice}",
            "the dates moved after every stage had ended untold: no notice can go, tell the client in person",
            now=self.book.now,
            rule=self.rule.name,
            notice=notice,
            subject=word.key[0],
            deadline=plan.deadline,
            detail=f"stage {plan.stage}: from {_clock(plan.at)}, by {_clock(plan.deadline)}",
            cause=word.cause or self.book.cause,
        )

    def _take_levels(self, tx: Connection, words: Sequence[Word]) -> int:
        day = max(w.business_date for w in words)
        episodes, rows = noticebook.of_episodes(tx, self.rule.name, self.book.basis, [w.key[0] for w in words], day)
        order = [level.name for level in self.rule.levels]
        made, writer = 0, Writer(tx, self.book)
        for word in words:
            known = rows.get(word.key[0], [])
            views = [noticebook.view(r) for r in known]
            mine = [noticebook.episode_view(r) for r in episodes.get(word.key[0], ())]
            seen = self._seen(tx, word)
            if not mine and seen.how != SeenAs.MATCH:
                continue
            changes = levels.renew_levels(
                mine,
                views,
                seen,
                order,
                self.book.now,
                correct_gone=self.rule.takes_back(word.why),
                correct_held=self.rule.correct_held,
            )
            unit = self._unit(tx, word, "")
            writer.write(unit, changes, {r["id"]: r for r in known})
            made += len(unit.made)
        writer.flush()
        return made

    def end_absent(self, tx: Connection, words: Sequence[Word]) -> None:
        """End the episodes of subjects that a whole business date did not show."""
        if not words:
            return
        day = max(w.business_date for w in words)
        episodes, rows = noticebook.of_episodes(tx, self.rule.name, self.book.basis, [w.key[0] for w in words], day)
        writer = Writer(tx, self.book)
        for word in words:
            views = [noticebook.view(r) for r in rows.get(word.key[0], ())]
            mine = [noticebook.episode_view(r) for r in episodes.get(word.key[0], ())]
            writer.write(self._unit(tx, word, ""), levels.end_absent(mine, views), {})
        writer.flush()

    def _seen(self, tx: Connection, word: Word) -> Seen:
        if word.line is None:
            return Seen(word.how, word.why, self.started, word.business_date, no_plan, gone=word.gone)
        decision = word.line.decisions[self.rule.name]
        terms = ""
        if decision.terms:
            terms = terms_digest(subjects.keys_of(tx, word.client).commitment_key, decision.terms)
        return Seen(
            word.how,
            word.why,
            self.started,
            word.business_date,
            planner(self.decider, word.line.fact.values, self.env),
            terms,
            decision.marks,
            decision.level,
            decision.cured,
            word.gone,
        )

    def _unit(self, tx: Connection, word: Word, old_inputs: str) -> Unit:
        line = word.line
        if line is None:
            keep = (lambda: old_inputs) if old_inputs else None
            return Unit(word.key[0], word.client, {}, word.business_date, self.started, keep, word.key[1], word.cause)
        decision = line.decisions[self.rule.name]
        sealed: list[str] = []

        def inputs() -> str:
            if not sealed:
                raw = pack(
                    line.fact,
                    line.members,
                    line.gates[self.rule.name],
                    decision,
                    rule_set=self.book.rule_set,
                    rule=self.rule.name,
                    started=self.started,
                )
                sealed.append(seals.put(tx, line.client, "inputs", raw, self.book.now))
            return sealed[0]

        return Unit(
            line.subject,
            line.client,
            dict(decision.occurrence),
            line.fact.business_date,
            self.started,
            inputs,
            "",
            word.cause,
            gates.contacts_of(self.rule, decision.gates) if decision.gates else None,
            gates.call_of(decision.gates),
        )


def _clock(moment: datetime) -> str:
    """A moment as people there read it."""
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def absence(key: UnitKey, client: int, day: date, *, has_levels: bool, complete: bool) -> Word:
    """The word on a unit that a reading did not show: gone from a complete poll, unknown with levels or an incomplete one."""
    if has_levels or not complete:
        return Word(key, client, None, SeenAs.UNKNOWN, "absent", day)
    return Word(key, client, None, SeenAs.NO, "absent", day, gone=True)
