"""What one rule remembers of one reading: the word on every unit that has notices or episodes, and the matches."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from daemon.clock import micros
from daemon.decide.lines import Line
from daemon.model.decisions import Bucket
from daemon.notices.renewal import UnitKey, Word, word_of
from daemon.rules.schema import Rule
from daemon.store import noticebook, subjects
from daemon.store.db import Tx


@dataclass
class Heard:
    """What one rule must remember of a reading: its matches, and the word on every unit that has notices or episodes."""

    rule: Rule
    known: dict[UnitKey, int]  # unit -> client
    episodes: dict[tuple[int, str], int] = field(default_factory=dict)  # (subject, level) -> the open one
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    matches: list[Word] = field(default_factory=list)
    words: dict[UnitKey, Word] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)  # subjects of whom a line, undecided, names no occurrence
    present: list[int] = field(default_factory=list)
    for_a_person: dict[str, list[int]] = field(default_factory=dict)  # why -> subjects

    def hear(self, line: Line) -> None:
        decision = line.decisions[self.rule.name]
        key = decision.bucket.value, decision.reason
        self.counts[key] = self.counts.get(key, 0) + 1
        if decision.bucket in (Bucket.HELD, Bucket.INDETERMINATE):
            self.for_a_person.setdefault(f"{decision.bucket.value} {decision.reason}", []).append(line.subject)
        for mark in decision.marks:
            self.for_a_person.setdefault(f"mark {mark}", []).append(line.subject)
        word = word_of(line, self.rule.name, bool(self.rule.levels))
        if self.rule.levels:
            self.present.append(line.subject)
        if word.key in self.known:
            self.words[word.key] = word
        elif decision.bucket is Bucket.NOTIFY:
            self.matches.append(word)
        elif decision.bucket is Bucket.INDETERMINATE and not decision.occurrence and not self.rule.levels:
            self.unsure.add(line.subject)

    def episode_of(self, line: Line) -> int | None:
        """The open episode that a line belongs to, by its level."""
        return self.episodes.get((line.subject, line.decisions[self.rule.name].level))

    def of(self, bucket: Bucket) -> int:
        return sum(n for (b, _), n in self.counts.items() if b == bucket.value)


def heard_before(tx: Tx, rule: Rule, feed: str, now: datetime) -> Heard:
    """What the ledger knows of a rule's units before a reading: those with notices or episodes, and whose they are."""
    episodes: dict[tuple[int, str], int] = {}
    if rule.levels:
        open_ = noticebook.open_episodes(tx, rule.name, feed)
        units = [(subject, "") for subject in open_]
        episodes = {(subject, row["level"]): row["id"] for subject, rows in open_.items() for row in rows}
    else:
        units = list({*noticebook.waiting(tx, rule.name, feed), *noticebook.told(tx, rule.name, feed, micros(now))})
    clients = subjects.clients_of(tx, {subject for subject, _ in units})
    return Heard(rule, {unit: clients[unit[0]] for unit in units}, episodes)
