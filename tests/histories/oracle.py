"""What must be true of a history, written from DESIGN sections 3 and 6 alone: no part of the program is imported.

The oracle hears what happened (words, requests, answers, receipts, time) and says for each obligation what is known, what
may leave and how it ends; `step` compares that with what the program made of it. Times are minutes, states are words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.histories.generate import DAY, Poll, Rule, Word
from tests.histories.obligations import Messages, Note, SeenMessage, Unit

OUR_MOVES_BETWEEN = {
    "retry": ("queued", "claimed", "cancelled", "expired"),
    "queued": ("claimed", "cancelled", "expired"),
    "claimed": ("queued", "cancelled", "expired"),
    "in_doubt": ("queued", "claimed"),
}
"""Where a message may go without a request leaving."""


class Violation(AssertionError):
    """The program did what the design forbids, or left out what it asks for."""


class Oracle:
    """Hears what happens, judges what the program makes of it."""

    def __init__(self, rule: Rule, units: Sequence[str]) -> None:
        self.rule = rule
        self.messages = Messages()
        self.units = {u: Unit(u, rule, self.messages) for u in units}
        self.before: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.silences: set[str] = set()
        self.polls: list[tuple[int, bool, bool]] = []  # day, complete, whether the subject was in it
        self.unsure: dict[str, bool] = {}

    def note(self, id: str) -> Note:
        return self.units[id.split("|")[0]].notes[id]

    def step(self, happened: Sequence[tuple[Any, ...]], notices: Sequence[Mapping[str, Any]],
             messages: Sequence[Mapping[str, Any]], episodes: set[Any]) -> None:  # fmt: skip
        """Hear what happened in one step, then judge what the program knows. Raises Violation."""
        self.messages.picture = messages
        self.links = {n["id"]: n["link"] for n in notices}
        for what in happened:
            getattr(self, f"_{what[0]}")(*what[1:])
        self._judge(notices, messages, episodes)

    # happenings, in order

    def _poll(self, step: Poll) -> None:
        """A business date of complete polls that showed the subject nowhere ends the episodes opened before it."""
        if step.open_hold:
            return
        unit = self.units["u0"]
        opened = {e.day for e in unit.episodes}
        absent = {d for d, complete, _ in self.polls if complete} - {d for d, _, here in self.polls if here} - opened
        for episode in [e for e in unit.episodes if e.open]:
            if any(episode.day < day < step.day for day in absent):
                unit.end(episode)
        self.polls.append((step.day, step.complete, step.words["u0"].how != "absent"))

    def _word(self, now: int, unit: str, started: int, on: int, word: Word, source: str) -> None:
        self.units[unit].hear(word, started, now, on)
        if self.units[unit].silent(now):
            if self.rule.levels or not self.units[unit].moved_after_its_end(now):
                raise Violation(f"{unit}: {word} leaves it neither told nor with a notice nor with a person")
            self.silences.add(unit)

    def _release(self, now: int) -> None:
        for unit in self.units.values():
            for note in unit.notes.values():
                note.held = note.held and bool(note.outcome)

    def _time(self, now: int, notice: str) -> None:
        unit = self.units[notice.split("|")[0]]
        unit.time(unit.notes[notice], now)

    def _outcome(self, now: int, notice: str, outcome: str) -> None:
        note = self.note(notice)
        if self.before.get(notice):
            raise Violation(f"{notice}: a second outcome {outcome} after {self.before[notice]}")
        if not note.outcome:
            self.units[notice.split("|")[0]].final(note, now)
        if note.outcome != outcome:
            raise Violation(f"{notice}: outcome {outcome}, must be {note.outcome or 'open'}")
        self.before[notice] = outcome

    def _unsure(self, now: int, message: str, unsure: bool) -> None:
        self.unsure[message] = unsure

    def _sending(self, now: int, notice: str, id: str, says: str, marks: tuple[str, ...], repeat: bool) -> None:
        message = self.messages.by_id.get(id)
        note = self.note(notice)
        if repeat:
            self._may_repeat(now, note, message, says)
        else:
            self._may_leave(now, note, says, marks, self.unsure.pop(id, False))
        if message is None:
            message = self.messages.first(id, notice, now, says)
        if not repeat:
            message.started, message.says = now, says
        message.own = "sending"

    def _may_leave(self, now: int, note: Note, says: str, marks: tuple[str, ...], unsure: bool) -> None:
        """Nothing leaves after a no, before its instant, while held or after its end; unknown goes by `if_unasked`."""
        unit = self.units[note.id.split("|")[0]]
        wrong = [
            why
            for why, is_so in (
                ("it has its outcome", bool(note.outcome)),
                ("it stands: no", note.stands == "no"),
                ("its stage is not due", now < note.begins),
                ("it is held for a release", note.held),
                (
                    "unknown, and the rule holds",
                    (unsure or note.stands == "unknown") and self.rule.if_unasked == "hold",
                ),
                (f"it says {says}, the newest terms are {note.terms}", says != note.terms),
                ("it is late and not marked so", note.late and "late" not in marks),
                ("its window is over", now >= note.ends and not note.late and not unit.told(note)),
                ("its episode has ended", note.episode >= 0 and not unit.episodes[note.episode].open),
            )
            if is_so
        ]
        if note.correction and not unit.told(note):
            mine = [n for n in unit.notes.values() if n.episode == note.episode]
            last = unit.last_told(mine)
            if last is not None and last[1] == says:
                wrong.append(f"{says} is what was told last")
        if wrong:
            raise Violation(f"{note.id}: a message leaves at {now} although {', and '.join(wrong)}; {note}")

    def _may_repeat(self, now: int, note: Note, message: SeenMessage | None, says: str) -> None:
        """The bytes of one in doubt, and never once a correction of them exists."""
        if message is None or not message.doubted or message.says != says:
            raise Violation(f"{note.id}: a repeat at {now} that is not the bytes of one in doubt")
        unit = self.units[note.id.split("|")[0]]
        for other in unit.notes.values():
            corrects = other.correction and self.links.get(other.id) == note.id
            if corrects and (unit.told(other) or (not other.outcome and other.stands == "yes")):
                raise Violation(f"{note.id}: old bytes repeated at {now} although {other.id} stands")

    def _taken(self, now: int, id: str) -> None:
        """The platform took a request: a second one of a message only where it honours ids, or the rule chose to repeat."""
        message = self.messages.by_id[id]
        message.taken += 1
        if message.taken > 1 and not self.rule.honours_ids and not (message.doubted and self.rule.in_doubt == "repeat"):
            raise Violation(f"{id}: taken twice by a platform that does not honour ids")

    def _verdict(self, now: int, id: str, own: str) -> None:
        message = self.messages.by_id[id]
        message.own = own
        message.doubted = message.doubted or own == "in_doubt"

    def _revoking(self, now: int, id: str) -> None:
        self.messages.by_id[id].own = "revoking"

    def _receipt(self, now: int, id: str, kind: str) -> None:
        self.messages.by_id[id].receipts.add(kind)

    def _pass(self, now: int, whole: bool) -> None:
        """A pass in which nothing failed leaves nothing behind that was due."""
        if not whole:
            return
        for found in self.messages.picture:
            note = self.note(found["notice"])
            goes = note.stands == "yes" and not note.outcome and not note.held and note.begins <= now
            if goes and found["state"] == "queued" and found["due"] <= now and (now < note.ends or note.late):
                raise Violation(f"{found['id']}: due at {found['due']} and left behind by the pass at {now}")

    # judging

    def _judge(
        self, notices: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]], episodes: set[Any]
    ) -> None:
        ids = [n["id"] for n in notices]
        mine = {note.id: note for unit in self.units.values() for note in unit.notes.values()}
        if len(set(ids)) != len(ids) or set(ids) != set(mine):
            raise Violation(f"notices: found {sorted(set(ids) ^ set(mine))} on one side only")
        for found in notices:
            self._judge_notice(found, mine[found["id"]])
        for found in messages:
            self._judge_message(found)
        wanted = {(e.level, e.day, e.number, e.open) for unit in self.units.values() for e in unit.episodes}
        if episodes != wanted:
            raise Violation(f"episodes: found {sorted(episodes - wanted)}, must be {sorted(wanted - episodes)}")
        for unit in self.units.values():
            self._judge_corrections(unit)

    def _judge_notice(self, found: Mapping[str, Any], note: Note) -> None:
        unit = self.units[note.id.split("|")[0]]
        told = unit.told(note)
        if bool(note.correction) != (found["link"] in unit.notes):
            raise Violation(f"{note.id}: linked to {found['link']!r}")
        wanted: dict[str, Any] = {"outcome": note.outcome, "told": told}
        if not note.outcome:
            wanted |= {
                "stands": note.stands,
                "terms": note.terms,
                "late": note.late,
                "held": note.held,
                "begins": note.begins,
                "ends": note.ends,
                "deadline": note.deadline,
            }
        if told:
            last = unit.last_told([note])
            wanted["told_terms"] = last[1] if last else ""
        wrong = {k: (found[k], v) for k, v in wanted.items() if found[k] != v}
        if wrong:
            raise Violation(f"{note.id}: (found, must be) {wrong}")

    def _judge_message(self, found: Mapping[str, Any]) -> None:
        message = self.messages.by_id.get(found["id"])
        state, note = found["state"], self.note(found["notice"])
        if message is None:
            if state not in ("queued", "claimed", "cancelled", "expired"):
                raise Violation(f"{found['id']}: {state}, but nothing ever left")
        else:
            if state in OUR_MOVES_BETWEEN.get(message.own, ()):
                message.own = state
            if message.doubted and state in ("cancelled", "expired"):
                raise Violation(f"{found['id']}: {state} although it was in doubt")
            wanted = message.state if state not in ("queued", "claimed") else state
            if (state, found["contradicted"]) != (wanted, message.contradicted):
                raise Violation(
                    f"{found['id']}: {state}, contradicted {found['contradicted']}; must be {wanted}, "
                    f"{message.contradicted} by {message.own} and {sorted(message.receipts)}"
                )
        if note.outcome and state in ("queued", "claimed", "retry") and not (message and message.doubted):
            raise Violation(f"{found['id']}: {state} although its notice is {note.outcome}")

    def _judge_corrections(self, unit: Unit) -> None:
        by_episode: dict[int, list[Note]] = {}
        for note in unit.notes.values():
            if note.correction:
                by_episode.setdefault(note.episode, []).append(note)
        for notes in by_episode.values():
            if len(unit.waiting_corrections(notes)) > 1:
                raise Violation(f"{unit.name}: two open corrections")
            if sorted(n.correction for n in notes) != list(range(1, len(notes) + 1)):
                raise Violation(f"{unit.name}: corrections are numbered {[n.correction for n in notes]}")

    def at_the_end(self, arrived: Sequence[str], last: int) -> None:
        """Every notice has its outcome; of a message, at most one has arrived unless the rule chose to repeat."""
        for unit in self.units.values():
            for note in unit.notes.values():
                if not note.outcome and note.deadline + self.rule.window + DAY < last:
                    raise Violation(f"{note.id}: no outcome by {last}, deadline {note.deadline}")
        for id in set(arrived):
            chose = self.messages.by_id[id].doubted and self.rule.in_doubt == "repeat" and not self.rule.honours_ids
            if arrived.count(id) > 1 and not chose:
                raise Violation(f"{id}: arrived {arrived.count(id)} times")
