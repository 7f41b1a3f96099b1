"""Asking again before a message leaves: is what the notice says still so?

What is known is trusted while it is younger than the rule's `fresh:` and the stage has no condition; else the claim's
subjects are asked by key under the notice's own rule set, one query per claim and feed, and what that finds is recorded
and brings the notices up to date before it decides about the claim. Gates run again either way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from daemon.clock import from_micros, micros
from daemon.decide.inputs import Inputs, pack, unpack
from daemon.decide.lines import Line, LineMaker
from daemon.decide.reading import FactRows, FeedReader, Known
from daemon.errors import SourceChanged, SourceUnavailable
from daemon.log import logger
from daemon.model.kinds import FactKind, Feed
from daemon.model.notices import CORRECTION, SeenAs
from daemon.model.states import Stands
from daemon.notices.renewal import Renewal, Word, absence, word_of
from daemon.notices.writer import ACTOR, Book
from daemon.rules.schema import Rule
from daemon.sources.reading import NotAskable
from daemon.store import asks, gates_rows, seals, trail, worklist
from daemon.store.db import Store, Tx
from daemon.store.outbox import Claim
from daemon.world import World

MOST_KEYS = 200
"""Keys in one query (DESIGN section 3, Asking again)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One claim with what its notice was last made or renewed from."""

    claim: Claim
    inputs: Inputs
    rule: Rule


def questions(store: Store, claims: Sequence[Claim], worlds: Callable[[str], World]) -> list[Question]:
    """Open the sealed inputs of claims that are not repeats of one in doubt."""
    wanted = [claim for claim in claims if not claim.message["ever_in_doubt"]]
    with store.read() as tx:
        raw = seals.get_many(tx, [claim.notice["inputs"] for claim in wanted])
    found = []
    for claim in wanted:
        world = worlds(claim.notice["rule_set"])
        rule = world.ruleset.rules[claim.notice["rule"]]
        inputs = unpack(raw[claim.notice["inputs"]], world.ruleset.kinds[rule.kind])
        found.append(Question(claim, inputs, rule))
    return found


def is_trusted(question: Question, now: datetime) -> bool:
    """Whether what is known needs no asking: young enough, under its own rule set, a stage without a condition."""
    notice, rule = question.claim.notice, question.rule
    stage = next((s for s in rule.stages if s.name == notice["stage"]), None)
    if stage is not None and stage.condition:
        return False
    return now - from_micros(notice["known_at"]) <= rule.fresh and question.inputs.rule_set == notice["rule_set"]


def confirms(question: Question, word: Word) -> bool:
    """Whether a word only says again what the notice was made from: nothing of it moves."""
    notice, line = question.claim.notice, word.line
    if line is None or word.how != SeenAs.MATCH or notice["stands"] != Stands.YES.value:
        return False
    if notice["stage"].startswith(CORRECTION):  # what was told meanwhile may have made it needless
        return False
    return line.fact.values == question.inputs.fact.values and line.fact.items == question.inputs.fact.items


class Asker:
    """Asks for the claims of one pass."""

    def __init__(self, store: Store, worlds: Callable[[str], World]) -> None:
        self.store, self.worlds = store, worlds

    def ask(self, open_questions: Sequence[Question], now: datetime) -> set[str]:
        """Ask, record, renew. Returns the notices that could not be asked and must go by their rule's `if_unasked`."""
        unasked: set[str] = set()
        groups: dict[tuple[str, str], list[Question]] = defaultdict(list)
        for question in open_questions:
            groups[question.claim.notice["rule_set"], question.claim.notice["feed"]].append(question)
        for (digest, feed_name), group in groups.items():
            world = self.worlds(digest)
            kind, feed = world.feed(feed_name)
            for start in range(0, len(group), MOST_KEYS):
                unasked |= self._ask_feed(world, kind, feed, group[start : start + MOST_KEYS], now)
        return unasked

    def _ask_feed(self, world: World, kind: FactKind, feed: Feed, group: Sequence[Question], now: datetime) -> set[str]:
        trusted = [q for q in group if is_trusted(q, now)]
        others = [q for q in group if not is_trusted(q, now)]
        lines: dict[str, list[Line]] = {}
        asked: set[str] = set()
        unasked: set[str] = set()
        barred: list[Question] = []
        if others:
            try:
                lines, asked = self._answers(world, kind, feed, others, now)
            except NotAskable:
                with self.store.read() as tx:
                    source = gates_rows.source_state(tx, feed.name, now)
                known = [(q.inputs.fact, q.inputs.members) for q in others]
                self._sort(self._lines(world, kind, known, now, source), lines)
            except (SourceUnavailable, SourceChanged) as reason:
                logger.warning(
                    "a source cannot be asked; the rule's choice decides", action="ask", feed=feed.name, why=str(reason)
                )
                unasked = {q.claim.notice["id"] for q in others}
                barred = self._barred(world, kind, others, lines, now)
        if trusted:
            known = [(q.inputs.fact, q.inputs.members) for q in trusted]
            self._sort(self._lines(world, kind, known, now), lines)
        known_now = [q for q in group if q.claim.notice["id"] not in unasked]
        self._renew(world, feed, [*known_now, *barred], lines, asked, now)
        return unasked

    def _barred(
        self, world: World, kind: FactKind, group: Sequence[Question], lines: dict[str, list[Line]], now: datetime
    ) -> list[Question]:
        """Of those that could not be asked, what a gate stops by what is known: a stopped rule, a silence, a withdrawn consent
        needs no source. Their lines are added."""
        known = [(q.inputs.fact, q.inputs.members) for q in group]
        found: dict[str, list[Line]] = {}
        self._sort(self._lines(world, kind, known, now), found)
        stopped = {SeenAs.NO, SeenAs.HELD}
        barred = [
            q
            for q in group
            if (word := self._word(q, found.get(q.inputs.fact.subject, []))).line is not None
            and word.how in stopped
            and word.why.startswith(("gate:", "declared:"))
        ]
        lines.update({q.inputs.fact.subject: found[q.inputs.fact.subject] for q in barred})
        return barred

    def _answers(
        self, world: World, kind: FactKind, feed: Feed, group: Sequence[Question], now: datetime
    ) -> tuple[dict[str, list[Line]], set[str]]:
        """What the sources say of these subjects now: lines by subject key, and which subjects were asked for."""
        lines: dict[str, list[Line]] = {}
        by_date: dict[object, dict[str, Known]] = defaultdict(dict)
        for question in group:
            mine = by_date[question.inputs.fact.business_date]
            old = mine.get(question.inputs.fact.subject)
            rows = question.inputs.members + (old.rows if old else ())
            mine[question.inputs.fact.subject] = Known(
                question.inputs.fact.subject, rows, question.inputs.fact.business_date
            )
        for known in by_date.values():
            wanted = list(known.values())
            reader = FeedReader(world.ruleset, world.sources)
            _, answer = reader.ask(feed, wanted, business_date=wanted[0].business_date, now=now)
            facts: list[FactRows] = [pair for pairs in answer.values() for pair in pairs]
            self._sort(self._lines(world, kind, facts, now), lines)
        return lines, {q.inputs.fact.subject for q in group}

    def _lines(
        self, world: World, kind: FactKind, facts: Sequence[FactRows], now: datetime, source: str = ""
    ) -> list[Line]:
        return list(LineMaker(self.store, world.ruleset, world.deciders, kind, source).lines(facts, now))

    @staticmethod
    def _sort(found: Sequence[Line], into: dict[str, list[Line]]) -> None:
        for line in found:
            into.setdefault(line.fact.subject, []).append(line)

    def _renew(
        self,
        world: World,
        feed: Feed,
        group: Sequence[Question],
        lines: Mapping[str, list[Line]],
        asked: set[str],
        now: datetime,
    ) -> None:
        """Record each answer, then let it bring the notice up to date, in one transaction a rule."""
        by_rule: dict[str, dict[tuple[int, str], tuple[Question, Word]]] = defaultdict(dict)
        for question in group:
            word = self._word(question, lines.get(question.inputs.fact.subject, []))
            by_rule[question.rule.name][word.key] = question, word
        for name, pairs in by_rule.items():
            with self.store.write() as tx:
                for started, found in self._by_start(tx, pairs.values(), asked, now).items():
                    notice = found[0][0].claim.notice
                    book = Book(
                        world.ruleset.rules[name],
                        notice["rule_set"],
                        feed.name,
                        feed.basis,
                        notice["run"],
                        now,
                        notice["record"],
                    )
                    Renewal(book, world.deciders[name], world.env, started).take(tx, [word for _, word in found])
                    for question, word in found:
                        if word.how == SeenAs.HELD:
                            self._call(tx, question, word, now)

    @staticmethod
    def _call(tx: Tx, question: Question, word: Word, now: datetime) -> None:
        """What a gate holds at the claim waits for a person, who learns of it before the next poll."""
        notice = question.claim.notice
        worklist.open_task(
            tx,
            f"held:{notice['id']}",
            f"held when it was due: {word.why}",
            now=now,
            rule=notice["rule"],
            notice=notice["id"],
            subject=notice["subject"],
            deadline=from_micros(notice["deadline"]),
            cause=word.cause or notice["record"],
        )

    def _by_start(
        self, tx: Tx, pairs: Iterable[tuple[Question, Word]], asked: set[str], now: datetime
    ) -> dict[datetime, list[tuple[Question, Word]]]:
        """Answers by the start of the reading they come from, each asked one recorded first; what only confirms is left out."""
        found: dict[datetime, list[tuple[Question, Word]]] = defaultdict(list)
        for question, word in pairs:
            if question.inputs.fact.subject in asked:
                recorded = replace(word, cause=self._recorded(tx, question, word, now))
                found[now].append((question, recorded))
            elif not confirms(question, word):
                found[question.inputs.started].append((question, word))
        return found

    @staticmethod
    def _word(question: Question, found: Sequence[Line]) -> Word:
        rule, notice = question.rule, question.claim.notice
        levels = bool(rule.levels)
        text = "" if levels else notice["occurrence"]
        for line in found:
            word = word_of(line, rule.name, levels)
            if word.key == (notice["subject"], text):
                return word
        return absence(
            (notice["subject"], text),
            notice["client"],
            question.inputs.fact.business_date,
            has_levels=levels,
            complete=False,
        )

    def _recorded(self, tx: Tx, question: Question, word: Word, now: datetime) -> str:
        notice = question.claim.notice
        bucket = word.line.decisions[question.rule.name].bucket.value if word.line else "absent"
        raw = b""
        if word.line is not None:
            raw = pack(
                word.line.fact,
                word.line.members,
                word.line.gates[question.rule.name],
                word.line.decisions[question.rule.name],
                rule_set=notice["rule_set"],
                rule=question.rule.name,
                started=now,
            )
        record = trail.append(
            tx,
            "notice",
            t=now,
            cause=notice["record"],
            actor=ACTOR,
            client=notice["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={"notice": notice["id"], "change": "asked", "stands": word.how, "reason": word.why},
            commit={"answer": raw},
        )
        sealed = seals.put(tx, notice["client"], "ask", raw, now)
        asks.add(
            tx,
            notice=notice["id"],
            at=micros(now),
            reading_started=micros(now),
            bucket=bucket,
            reason=word.why,
            sealed=sealed,
            record=record,
        )
        return record
