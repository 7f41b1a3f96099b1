"""What the trail says of one business date: which rows there must be, and what each must say. Pure: records in, words out.

A record belongs to the date by what it names: polls and new notices carry the business date, what follows names its notice
or message. Records come in the order of appending, so a cause is heard before its effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from daemon.clock import SHANGHAI

Leaf: TypeAlias = Mapping[str, Any]

KINDS = ("poll", "notice", "message", "attempt", "receipt", "uplink", "outcome", "task", "release", "silence",
         "rules.stopped", "erase.sheets")  # fmt: skip
"""The record kinds that `DayTrail` hears."""

BEFORE = timedelta(days=31)
"""So long before a business date its first record may lie: a poll is opened when it is due, not earlier."""


@dataclass(slots=True)
class PollWord:
    """A ledger row. `moves`: every state it was given, (time, state, reason); `runs`: numbers of runs that were started; `ends`:
    run's number -> the state it ended in, none for one that crashed; `readings`: run's number -> the record of its reading."""

    feed: str
    due: str
    record: str = ""
    state: str = ""
    run: int = 0
    reason: str = ""
    moves: list[tuple[str, str, str]] = field(default_factory=list)
    runs: set[int] = field(default_factory=set)
    ends: dict[int, str] = field(default_factory=dict)
    readings: dict[int, Leaf] = field(default_factory=dict)


@dataclass(slots=True)
class NoticeWord:
    """A notice. `records`: all that may stand in its row or its messages' rows; `outcome`: the record that gave it; `messages`: the
    ids of all that were made for it."""

    made: Leaf
    record: str
    stands: str
    marks: list[str]
    outcome: Leaf | None = None
    records: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class MessageWord:
    """A message that something was said of. `own`: our last own move as far as records tell; `tries`: attempts begun."""

    notice: str
    own: str = "queued"
    tries: int = 0
    records: set[str] = field(default_factory=set)
    receipts: bool = False


@dataclass(slots=True)
class AttemptWord:
    """An attempt, and the record of its end."""

    notice: str
    started: Leaf
    ended: Leaf | None = None


@dataclass(slots=True)
class TaskWord:
    """A task since it was opened; `last`: the newest record of it."""

    opened: Leaf
    last: Leaf


@dataclass(slots=True)
class DayTrail:
    """Words by identity: polls by (feed, due), notices and messages by id, attempts by (message, number), receipts, tasks,
    silences, releases and stops by the record that made them; `erased`: the hashes of sheets whose time to be kept was over."""

    day: date
    polls: dict[tuple[str, str], PollWord] = field(default_factory=dict)
    notices: dict[str, NoticeWord] = field(default_factory=dict)
    messages: dict[str, MessageWord] = field(default_factory=dict)
    attempts: dict[tuple[str, int], AttemptWord] = field(default_factory=dict)
    receipts: dict[str, Leaf] = field(default_factory=dict)
    uplinks: dict[str, Leaf] = field(default_factory=dict)
    tasks: dict[str, TaskWord] = field(default_factory=dict)
    silences: dict[str, Leaf] = field(default_factory=dict)
    releases: dict[str, Leaf] = field(default_factory=dict)
    hold_ends: dict[str, Leaf] = field(default_factory=dict)
    stops: dict[str, Leaf] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    orphans: int = 0
    _chains: dict[str, str] = field(default_factory=dict)  # newest record of a task -> the one that opened it

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The date's first moment in Asia/Shanghai, and the next date's."""
        first = datetime(self.day.year, self.day.month, self.day.day, tzinfo=SHANGHAI)
        return first, first + timedelta(days=1)

    def hear(self, leaves: Iterable[Leaf]) -> DayTrail:
        """Take records of `KINDS` in order; returns itself."""
        hear = {"poll": self._poll, "notice": self._notice, "message": self._message, "attempt": self._attempt,
                "receipt": self._receipt, "uplink": self._uplink, "outcome": self._outcome, "task": self._task,
                "release": self._release, "silence": self._silence, "rules.stopped": self._stop,
                "erase.sheets": self._erase}  # fmt: skip
        for leaf in leaves:
            hear[leaf["kind"]](leaf, leaf["data"])
        return self

    def is_of_day(self, leaf: Leaf) -> bool:
        """Whether a record was made on the date."""
        first, end = self.span
        return first <= datetime.fromisoformat(leaf["t"]) < end

    def _poll(self, leaf: Leaf, data: Leaf) -> None:
        if data.get("business_date") != self.day.isoformat():
            return
        word = self.polls.setdefault((data["feed"], data["due"]), PollWord(data["feed"], data["due"]))
        if "sheets" in data:
            word.readings[data["run"]] = leaf
            return
        word.record, word.state, word.reason = leaf["id"], data["state"], data.get("reason", "")
        word.moves.append((leaf["t"], data["state"], word.reason))
        if data["state"] == "running":
            word.runs.add(data["run"])
            word.run = data["run"]
        else:
            word.ends[data["run"]] = data["state"]

    def _notice(self, leaf: Leaf, data: Leaf) -> None:
        change, id = data.get("change"), data["notice"]
        if change == "made":
            if data.get("business_date") == self.day.isoformat():
                self.notices[id] = NoticeWord(leaf, leaf["id"], data["stands"], list(data.get("marks", ())))
                self.notices[id].records.add(leaf["id"])
                self.notices[id].messages.update(data.get("messages", ()))
            return
        word = self.notices.get(id)
        if word is None or change not in ("renewed", "late"):
            return
        word.record = leaf["id"]
        word.records.add(leaf["id"])
        word.marks = list(data.get("marks", ()))
        word.stands = data.get("stands", word.stands)
        word.messages.update(data.get("messages", ()))

    def _message(self, leaf: Leaf, data: Leaf) -> None:
        word = self.notices.get(data.get("notice", ""))
        if word is None:
            return
        if data["message"] == data["notice"]:
            word.messages.update(data.get("messages", ()))
            word.records.add(leaf["id"])
            return
        self._own(data["notice"], data["message"], data["state"], leaf["id"])

    def _own(self, notice: str, message: str, own: str, record: str) -> MessageWord:
        word = self.messages.setdefault(message, MessageWord(notice))
        word.own = own
        word.records.add(record)
        return word

    def _attempt(self, leaf: Leaf, data: Leaf) -> None:
        if data.get("notice") not in self.notices:
            return
        key = data["message"], data["n"]
        if "verdict" not in data:
            self.attempts[key] = AttemptWord(data["notice"], leaf)
            self._own(data["notice"], data["message"], "sending", leaf["id"]).tries = data["n"]
            return
        attempt = self.attempts.get(key)
        if attempt is None or attempt.ended is not None:
            return  # a sender that came too late settles nothing: the first end holds
        attempt.ended = leaf
        self._own(data["notice"], data["message"], f"ended {data['verdict']}", leaf["id"])

    def _receipt(self, leaf: Leaf, data: Leaf) -> None:
        word = self.messages.get(data.get("message", ""))
        if word is not None:
            self.receipts[leaf["id"]] = leaf
            word.receipts = True
            word.records.add(leaf["id"])
        elif "message" not in data and self.is_of_day(leaf):
            self.orphans += 1

    def _uplink(self, leaf: Leaf, data: Leaf) -> None:
        self.uplinks[leaf["id"]] = leaf

    def _outcome(self, leaf: Leaf, data: Leaf) -> None:
        word = self.notices.get(data["notice"])
        if word is not None:
            word.outcome = word.outcome or leaf
            word.records.add(leaf["id"])

    def _task(self, leaf: Leaf, data: Leaf) -> None:
        if data["change"] == "opened":
            about = data.get("notice")
            if about in self.notices if about else self.is_of_day(leaf):
                self.tasks[leaf["id"]] = TaskWord(leaf, leaf)
                self._chains[leaf["id"]] = leaf["id"]
            return
        opened = self._chains.pop(leaf.get("cause", ""), None)
        if opened is not None:
            self.tasks[opened].last = leaf
            self._chains[leaf["id"]] = opened

    def _release(self, leaf: Leaf, data: Leaf) -> None:
        if "hold" in data:
            self.hold_ends[data["hold"]] = leaf
        else:
            self.releases[leaf["id"]] = leaf

    def _silence(self, leaf: Leaf, data: Leaf) -> None:
        if data.get("ended"):
            began = self.silences.pop(leaf.get("cause", ""), None)
            if began is None:
                return
        self.silences[leaf["id"]] = leaf

    def _stop(self, leaf: Leaf, data: Leaf) -> None:
        self.stops[leaf["id"]] = leaf

    def _erase(self, leaf: Leaf, data: Leaf) -> None:
        self.erased.update(sheet["sha256"] for sheet in data["sheets"])
