"""One obligation as the design has it: what is known of it, whether it stands, what is made, corrected and ended.

Written from DESIGN sections 3 and 6 alone; no part of the program is imported. Times are minutes, states are words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.histories.generate import Rule, Word

RANK = ["accepted", "revoke_failed", "revoked", "undelivered", "delivered"]
RAISED_BY = {
    "sent": "accepted",
    "handed": "accepted",
    "revoke_failed": "revoke_failed",
    "revoked": "revoked",
    "failed": "undelivered",
    "delivered": "delivered",
}
FALSE_TOGETHER = [{"delivered", "undelivered"}, {"delivered", "revoked"}, {"revoked", "revoke_failed"}]
BEST = ["delivered", "handed_to_sms", "accepted_unconfirmed", "in_doubt", "undeliverable", "expired"]
UNKNOWN = ("indeterminate", "reject")


@dataclass(slots=True)
class SeenMessage:
    """A message as the oracle knows it from requests, answers and receipts."""

    id: str
    notice: str
    started: int
    says: str
    own: str = "sending"
    doubted: bool = False
    receipts: set[str] = field(default_factory=set)
    taken: int = 0

    @property
    def state(self) -> str:
        """A function of our last move and the set of receipts: receipts only raise."""
        seen = {RAISED_BY[k] for k in self.receipts}
        top = max((RANK.index(s) for s in seen), default=-1)
        own = 0 if self.own in ("accepted", "revoking") else -1
        return self.own if own >= top else RANK[top]

    @property
    def told(self) -> bool:
        """In `sending`, accepted, in doubt or further; a proved refusal undoes it."""
        return self.doubted or self.state not in ("queued", "claimed", "retry", "rejected", "cancelled", "expired")

    @property
    def contradicted(self) -> bool:
        seen = {RAISED_BY[k] for k in self.receipts}
        refused = self.own in ("rejected", "retry", "expired", "cancelled")
        return (refused and bool(seen)) or any(pair <= seen for pair in FALSE_TOGETHER)

    @property
    def outcome(self) -> str:
        state = "in_doubt" if self.doubted and self.state in ("queued", "claimed", "retry") else self.state
        if state == "delivered":
            return "delivered"
        if state in ("rejected", "revoked", "undelivered"):
            return "undeliverable"
        if state in ("retry", "queued", "claimed", "expired", "cancelled"):
            return "expired"
        if "handed" in self.receipts:
            return "handed_to_sms"
        return "accepted_unconfirmed" if state in ("accepted", "revoke_failed") else "in_doubt"


@dataclass(slots=True)
class Note:
    """One obligation's notice."""

    id: str
    stage: str
    level: str
    episode: int
    made: int
    begins: int
    ends: int
    deadline: int
    last: bool
    terms: str
    stands: str
    correction: int = 0
    late: bool = False
    held: bool = False
    gone: bool = False
    outcome: str = ""


@dataclass(slots=True)
class Episode:
    """One episode of a level: the `number`-th of its day."""

    index: int
    level: str
    day: int
    number: int
    opened: int
    open: bool = True


class Messages:
    """Every message that something ever left of, and the program's picture of all."""

    def __init__(self) -> None:
        self.by_id: dict[str, SeenMessage] = {}
        self.by_notice: dict[str, list[SeenMessage]] = {}
        self.picture: Sequence[Mapping[str, Any]] = ()

    def of(self, notice: str) -> list[SeenMessage]:
        return self.by_notice.get(notice, [])

    def first(self, id: str, notice: str, now: int, says: str) -> SeenMessage:
        message = self.by_id[id] = SeenMessage(id, notice, now, says)
        self.by_notice.setdefault(notice, []).append(message)
        return message

    def unborn(self, notice: str) -> bool:
        """Whether a message of this notice exists of which nothing ever left."""
        return any(m["notice"] == notice and m["id"] not in self.by_id for m in self.picture)


class Unit:
    """One (rule, subject, occurrence), or with levels (rule, subject, basis)."""

    def __init__(self, name: str, rule: Rule, messages: Messages) -> None:
        self.name, self.rule, self.all_messages = name, rule, messages
        self.notes: dict[str, Note] = {}
        self.episodes: list[Episode] = []
        self.word: Word | None = None
        self.known = -1
        self.deadlines: dict[str, int] = {}  # as they were before the newest word

    # what is told

    def messages(self, note: Note) -> list[SeenMessage]:
        return self.all_messages.of(note.id)

    def told(self, note: Note) -> bool:
        return any(m.told for m in self.messages(note))

    def last_told(self, notes: Iterable[Note]) -> tuple[str, str] | None:
        """(notice, terms) told last among these."""
        found = [(m.started, n.stage, n.id, m.says) for n in notes for m in self.messages(n) if m.told]
        return max(found)[2:] if found else None

    def level_told(self, episode: Episode) -> str:
        """Which level's notice tells this episode: its own, or a worse one's since it opened."""
        for note in self.notes.values():
            worse = note.level in self.rule.levels[: self.rule.levels.index(episode.level)]
            for m in self.messages(note):
                if m.told and (note.episode == episode.index or (worse and self._told_at(note) >= episode.opened)):
                    return note.level
        return ""

    def worse_told(self, episode: Episode) -> bool:
        worse = self.rule.levels[: self.rule.levels.index(episode.level)]
        return any(
            n.level in worse and self.told(n) and self._told_at(n) >= episode.opened for n in self.notes.values()
        )

    def _told_at(self, note: Note) -> int:
        return max(m.started for m in self.messages(note) if m.told)

    # words

    def hear(self, word: Word, started: int, now: int, on: int) -> None:
        """A word counts unless something newer is known."""
        if not self.notes and word.how != "match":
            return
        if started < self.known:
            return
        self.known, self.word = started, word
        self.deadlines = {n.id: n.deadline for n in self.notes.values()}
        if self.rule.levels:
            self._episodes(word, now, on)
            self._renew_levels(word, now)
            for episode in [e for e in self.episodes if e.open]:
                notes = [n for n in self.notes.values() if n.episode == episode.index]
                if word.how == "match" and not self.reached(episode.level, word):
                    for note in notes:
                        note.stands = "no" if note.correction and not note.outcome else note.stands
                else:
                    self._correct(notes, word, now, episode)
        else:
            for note in self._stages():
                self._take(note, word, self.stands(note, word), now)
            self._make_stages(word, now)
            self._correct(list(self.notes.values()), word, now, None)

    def stands(self, note: Note, word: Word) -> str:
        """yes, no, unknown: by the word, and by the stage's condition."""
        if word.how in UNKNOWN:
            return "unknown"
        if word.how == "absent":
            return "no" if word.complete and not self.rule.levels else "unknown"
        if word.how != "match":
            return "no"
        said = word.conditions.get(note.stage.split("/")[-1], "yes")
        return {"yes": "yes", "no": "no", "?": "unknown"}[said]

    def reached(self, level: str, word: Word) -> bool:
        return word.how == "match" and self.rule.levels.index(word.level) <= self.rule.levels.index(level)

    def plan(self, word: Word, level: str, made: int) -> list[tuple[str, int, int, int, bool]]:
        """(stage, begins, ends, deadline, last): a window ends at the next stage's instant, the last one's at the deadline."""
        base = made if self.rule.levels else word.shift
        instants = [base + m for _, m in self.rule.stages] + [base + self.rule.deadline]
        names = [f"{level}/{n}" if level else n for n, _ in self.rule.stages]
        deadline = instants[-1]
        return [(n, instants[i], instants[i + 1], deadline, i + 1 == len(names)) for i, n in enumerate(names)]

    def _stages(self) -> list[Note]:
        return [n for n in self.notes.values() if not n.correction and not n.outcome]

    def _take(self, note: Note, word: Word, stands: str, now: int) -> None:
        """Terms and whether it stands; instants only while it is not told."""
        note.stands = stands
        if word.how == "match":
            note.terms = word.terms
        if word.how in ("match", "no_match", "suppressed", "held") and not self.told(note):
            for stage, begins, ends, deadline, _ in self.plan(word, note.level, note.made):
                if stage == note.stage:
                    note.begins, note.ends, note.deadline = begins, ends, deadline
        note.late = note.late and now >= note.deadline

    def _make_stages(self, word: Word, now: int, level: str = "", episode: Episode | None = None) -> bool:
        """One for each stage whose window is not over; if all are, and none exists, the last. True: one of them is due."""
        if word.how != "match":
            return False
        plan = self.plan(word, level, now)
        where = f"{level}#{episode.day}.{episode.number}" if episode else ""
        mine = [n for n in self.notes.values() if not n.correction and (episode is None or n.episode == episode.index)]
        todo = [p for p in plan if now < p[2]] or ([] if mine else plan[-1:])
        due = False
        for stage, begins, ends, deadline, last in todo:
            id = f"{self.name}|{where}|{stage}"
            if id in self.notes:
                continue
            note = Note(
                id, stage, level, episode.index if episode else -1, now, begins, ends, deadline, last, word.terms, ""
            )
            note.stands = self.stands(note, word)
            note.late = now >= deadline and self.rule.late == "send_marked"
            self.notes[id] = note
            due = due or note.stands != "no"
        return due

    # levels

    def _episodes(self, word: Word, now: int, on: int) -> None:
        """Ended by the level's rearm, or given up untold and reached again; opened for the level and all milder ones."""
        for e in [e for e in self.episodes if e.open]:
            rearmed = word.how in ("match", "no_match", "suppressed") and e.level in word.cured
            mine = [n for n in self.notes.values() if n.episode == e.index and not n.correction]
            given_up = mine and all(n.outcome in ("cancelled", "superseded") for n in mine) and not self.level_told(e)
            if given_up if self.reached(e.level, word) else rearmed:
                self.end(e)
        for level in self.rule.levels:
            if self.reached(level, word) and not any(e.open and e.level == level for e in self.episodes):
                number = 1 + sum(e.level == level and e.day == on for e in self.episodes)
                self.episodes.append(Episode(len(self.episodes), level, on, number, now))

    def end(self, episode: Episode) -> None:
        """The end cancels what has not left; what is told sends nothing more."""
        episode.open = False
        for note in self.notes.values():
            if note.episode == episode.index and not note.outcome:
                if self.told(note):
                    note.stands = "no"
                else:
                    note.outcome = "cancelled"

    def _renew_levels(self, word: Word, now: int) -> None:
        """The worst open level that is not told goes; a milder one rests while a worse one is due, and is superseded once
        a worse one has told."""
        worse_due = False
        for level in self.rule.levels:
            episode = next((e for e in self.episodes if e.open and e.level == level), None)
            if episode is None:
                continue
            mine = [n for n in self.notes.values() if n.episode == episode.index and not n.correction]
            due = False
            for note in [n for n in mine if not n.outcome]:
                if self.worse_told(episode) and not self.told(note):
                    note.outcome = "superseded"
                    continue
                below = word.how == "match" and not self.reached(level, word)
                rests = below or worse_due or self.worse_told(episode)
                self._take(note, word, "no" if rests else self.stands(note, word), now)
                due = due or (note.stands != "no" and not self.told(note))
            if not worse_due and self.reached(level, word) and not self.level_told(episode) and not mine:
                due = self._make_stages(word, now, level, episode)
            worse_due = worse_due or due

    # corrections

    def waiting_corrections(self, notes: Iterable[Note]) -> list[Note]:
        return [n for n in notes if n.correction and not n.outcome and not self.told(n)]

    def _correct(self, notes: Sequence[Note], word: Word, now: int, episode: Episode | None) -> None:
        """Where the terms differ from those last told there is one open correction."""
        last = self.last_told(notes)
        if last is None:
            for note in self.waiting_corrections(notes):
                note.stands = "no"
            return
        told = last[1]
        wanted = word.terms if word.how == "match" else ""
        gone = word.how == "no_match" or (word.how == "absent" and word.complete and not self.rule.levels)
        if gone and self.rule.gone:
            wanted = "gone"
        waiting = self.waiting_corrections(notes)
        level = episode.level if episode else ""
        unsure = "unknown" if word.how in UNKNOWN or (word.how == "absent" and not gone) else "no"
        for note in [n for n in notes if n.correction and not n.outcome and self.told(n)]:
            mine = self.last_told([note])
            holds = mine is not None and mine[1] == wanted
            note.stands = ("yes" if holds else "no") if wanted else unsure
        for note in waiting:
            if not wanted:
                note.stands = unsure
            elif wanted == told:
                note.stands, note.terms = "no", wanted
            else:
                note.stands, note.terms, note.gone = "yes", wanted, wanted == "gone"
                if word.how == "match":
                    note.deadline = note.ends = max([note.deadline, *(p[3] for p in self.plan(word, level, note.made))])
                note.late = note.late and now >= note.deadline
        if waiting or not wanted or wanted == told:
            return
        deadline = max(self.deadlines[n.id] for n in notes if n.id in self.deadlines)
        if word.how == "match":
            deadline = max([deadline, *(p[3] for p in self.plan(word, level, now))])
        old = [n for n in notes if n.correction]
        if now >= deadline and old and old[-1].outcome == "expired" and old[-1].terms == wanted:
            return  # the rule's `late:` has decided about these terms
        where = f"{level}#{episode.day}.{episode.number}" if episode else ""
        n = len(old) + 1
        id = f"{self.name}|{where}|correction/{n}"
        self.notes[id] = Note(
            id, f"correction/{n}", level, episode.index if episode else -1, now, now, deadline, deadline, True, wanted, "yes",
            n, now >= deadline and self.rule.late == "send_marked", self.rule.held, wanted == "gone",
        )  # fmt: skip

    # time

    def time(self, note: Note, now: int) -> None:
        """A window ends: cancelled while it does not stand, superseded by the next, or `late:` decides."""
        if note.outcome or self.told(note) or now < note.ends:
            return
        if note.stands == "no":
            note.outcome = "cancelled"
        elif not note.last:
            note.outcome = "superseded"
        elif self.rule.late == "drop":
            note.outcome = "expired"
        else:
            note.late = True

    def final(self, note: Note, now: int) -> None:
        """At the deadline plus the receipt window: its best message's."""
        if note.outcome or now < max(note.deadline, note.made) + self.rule.window:
            return
        found = {m.outcome for m in self.messages(note)} | ({"expired"} if self.all_messages.unborn(note.id) else set())
        note.outcome = next(o for o in BEST if o in found)

    def silent(self, now: int) -> bool:
        """Whether this word says that the client must be told, and no notice tells, waits or is with a person."""
        word = self.word
        if word is None or word.how != "match":
            return False
        notes = list(self.notes.values())
        if self.rule.levels:
            open_ = [e for e in self.episodes if e.open and self.reached(e.level, word) and not self.level_told(e)]
            worst = min(open_, key=lambda e: self.rule.levels.index(e.level), default=None)
            if worst is None:
                return False
            worse = self.rule.levels[: self.rule.levels.index(worst.level)]
            due = [n for n in notes if n.level in worse and not n.outcome and n.stands != "no" and not self.told(n)]
            notes = [n for n in notes if n.episode == worst.index] + due
        else:
            plan = self.plan(word, "", now)
            if not any(now < ends and word.conditions.get(stage, "yes") == "yes" for stage, _, ends, _, _ in plan):
                return False
        return all(n.outcome in ("cancelled", "superseded") for n in notes)

    def moved_after_its_end(self, now: int) -> bool:
        """The one silence that the identity of an obligation leaves: its stages ended untold, then its dates moved on."""
        if self.word is None:
            return False
        moved = [(stage, ends) for stage, _, ends, _, _ in self.plan(self.word, "", now) if now < ends]
        ended = {n.stage: n.ends for n in self.notes.values() if not n.correction}
        return all(stage in ended and ended[stage] < ends for stage, ends in moved)
