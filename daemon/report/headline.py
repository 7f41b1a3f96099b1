"""Told or not, and the first thing that made it so: one headline for each rule of a client's day. Pure but for `asked`.

Looked at in this order: a notice that has told; a notice that has not, with what stands in its way; a line to notify that became no
notice; the line that came nearest to telling; no line at all. `code` is of a closed list (`CODES`), `about` has what its sentence
names, `cause` the condition with its figures or the gate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from daemon.clock import from_micros, micros
from daemon.model.kinds import Absence as Lack
from daemon.model.states import OPEN, MessageState, PollState
from daemon.report.explain import Absence, Cause, ClientDay, LineStory, NoticeStory, stage_cause
from daemon.rules.evaluate import Trace
from daemon.rules.schema import RuleSet

CODES = (
    "told", "undeliverable", "in_doubt", "waiting", "correction_held", "resting", "unknown", "retrying", "queued",
    "cancelled", "superseded", "expired", "held_poll", "told_before", "no_notice", "held", "indeterminate", "not_whole",
    "suppressed", "no_match", "not_effective", "rejected", "not_in_population", "erased", "gone", "changed", "poll_late",
    "poll_failed", "poll_missed", "poll_skipped", "poll_waits", "no_poll", "no_such_rule", "never_seen",
)  # fmt: skip
"""Every code: the first says that the client was told, the next two that something left and what is known of it."""

ORDER = ("notify", "held", "indeterminate", "suppressed", "no_match")
NOT_ARRIVED = ("undeliverable", "in_doubt")


@dataclass(frozen=True, slots=True)
class Headline:
    """One rule's. `at`: when it came so, as far as that is a moment; `cause`: None where there is no condition or gate."""

    rule: str
    code: str
    at: datetime | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    cause: Cause | None = None

    @property
    def told(self) -> bool:
        """Whether something has left that may have arrived."""
        return self.code in ("told", "in_doubt")


Asked = Callable[[NoticeStory], Cause | None]
"""What the newest answer of asking again shows to be the cause of a notice's not standing."""


def headlines(
    found: ClientDay, ruleset: RuleSet | None, rule: str, now: datetime, asked: Asked = lambda story: None
) -> tuple[Headline, ...]:
    """One for each rule that the day could have told the client by: of the polls due, of lines and of notices; of `rule` alone
    where one is named. `ruleset`: the one that is active."""
    if found.client is None:
        return (Headline(rule, "never_seen"),)
    feeds = _feeds(ruleset)
    names = {rule} if rule else _rules(found, feeds)
    if rule and rule not in feeds and rule not in _named(found):
        return (Headline(rule, "no_such_rule"),)
    return tuple(_of_rule(found, name, feeds.get(name, frozenset()), now, asked) for name in sorted(names))


def _feeds(ruleset: RuleSet | None) -> dict[str, frozenset[str]]:
    """Rule -> the feeds that could tell by it."""
    if ruleset is None:
        return {}
    return {
        rule.name: frozenset(feed.name for feed in ruleset.kinds[rule.kind].feeds) for rule in ruleset.rules.values()
    }


def _named(found: ClientDay) -> set[str]:
    """The rules that lines, sheets and notices of the day speak of."""
    named = {one.rule for one in found.lines} | {one.rule for one in found.absences if one.rule}
    return named | {story.notice["rule"] for story in found.notices}


def _rules(found: ClientDay, feeds: Mapping[str, frozenset[str]]) -> set[str]:
    polled = {one.poll.feed for one in found.absences}
    return _named(found) | {name for name, mine in feeds.items() if mine & polled}


def _of_rule(found: ClientDay, rule: str, feeds: frozenset[str], now: datetime, asked: Asked) -> Headline:
    notices = [story for story in found.notices if story.notice["rule"] == rule]
    lines = [line for line in found.lines if line.rule == rule]
    absences = [one for one in found.absences if one.rule == rule or (not one.rule and one.poll.feed in feeds)]
    told = [story for story in notices if story.notice["told_at"] is not None]
    if told:
        return _told(rule, told)
    if notices:
        return _not_told(rule, notices, lines, now, asked)
    if lines:
        return _by_line(rule, lines, absences)
    return _without_line(rule, absences)


def _told(rule: str, stories: Sequence[NoticeStory]) -> Headline:
    """The first that left; one that is known not to have arrived, or of which that is not known, only where no other did."""
    arrived = [story for story in stories if story.notice["outcome"] not in NOT_ARRIVED]
    story = min(arrived or stories, key=lambda one: int(one.notice["told_at"]))
    row = story.notice
    about = {"stage": row["stage"], "outcome": row["outcome"] or "open", "channels": _channels(story)}
    if arrived:
        return Headline(rule, "told", from_micros(row["told_at"]), about)
    return Headline(rule, row["outcome"], from_micros(row["told_at"]), about | {"why": _undelivered(story)})


def _channels(story: NoticeStory) -> list[str]:
    return sorted({one.message["channel"] for one in story.messages if one.attempts})


def _undelivered(story: NoticeStory) -> str:
    """The carrier's last word on the messages of a notice, else our own."""
    for one in reversed(story.messages):
        for receipt in reversed(one.receipts):
            if receipt["kind"] == "failed":
                return f"{one.message['channel']}: {receipt['code'] or 'failed'}"
        for attempt in reversed(one.attempts):
            if attempt["verdict"] not in (None, "accepted"):
                return f"{one.message['channel']}: {attempt['verdict']} {attempt['code'] or ''}".rstrip()
        if one.message["state"] == MessageState.REJECTED.value:
            return f"{one.message['channel']}: {one.message['why']}"
    return ""


def _not_told(
    rule: str, stories: Sequence[NoticeStory], lines: Sequence[LineStory], now: datetime, asked: Asked
) -> Headline:
    """What stands in the way of a notice: of one that may still leave first, else of the first that was due."""
    open_ = [story for story in stories if story.notice["outcome"] is None]
    story = min(open_ or stories, key=lambda one: (one.notice["not_before"], one.notice["made_at"]))
    row = story.notice
    if row["outcome"] is not None:
        return _ended(rule, story, lines, asked)
    about = {"stage": row["stage"], "why": row["stands_why"], "not_before": from_micros(row["not_before"])}
    made = from_micros(row["made_at"])
    if row["held"]:
        return Headline(rule, "correction_held", made, about)
    if row["stands"] == "no":
        return Headline(
            rule, "resting", from_micros(row["known_at"]), about, asked(story) or _last_cause(lines, row["stage"])
        )
    if row["not_before"] > micros(now):
        return Headline(rule, "waiting", made, about)
    if row["stands"] == "unknown":
        return Headline(
            rule, "unknown", from_micros(row["known_at"]), about, asked(story) or _last_cause(lines, row["stage"])
        )
    wait = next((m.message for m in story.messages if m.message["state"] in {state.value for state in OPEN}), None)
    if wait is not None and wait["tries"]:
        return Headline(rule, "retrying", made, about | {"why": _undelivered(story), "due": from_micros(wait["due"])})
    return Headline(rule, "queued", made, about | {"why": wait["why"] if wait is not None else ""})


def _ended(rule: str, story: NoticeStory, lines: Sequence[LineStory], asked: Asked) -> Headline:
    row = story.notice
    at = from_micros(row["outcome_at"])
    about = {"stage": row["stage"], "why": row["outcome_why"] or "", "deadline": from_micros(row["deadline"])}
    if row["outcome"] == "cancelled":
        return Headline(rule, "cancelled", at, about, asked(story) or _last_cause(lines, row["stage"]))
    if row["outcome"] in ("undeliverable", "in_doubt"):
        return Headline(rule, row["outcome"], at, about | {"why": _undelivered(story) or about["why"]})
    if row["outcome"] == "expired":
        made = from_micros(row["made_at"])
        return Headline(rule, "expired", at, about | {"late": made > about["deadline"], "made": made})
    return Headline(rule, row["outcome"], at, about)


def _last_cause(lines: Sequence[LineStory], stage: str) -> Cause | None:
    """The cause of the newest line that does not ask to notify, or not in this stage."""
    for line in sorted(lines, key=lambda one: one.poll.due, reverse=True):
        cause = line.cause if line.line.bucket != "notify" else stage_cause(line.explanation, stage)
        if cause is not None:
            return cause
    return None


def _by_line(rule: str, lines: Sequence[LineStory], absences: Sequence[Absence]) -> Headline:
    """The first line of the bucket nearest to telling."""
    story = min(lines, key=lambda one: (ORDER.index(one.line.bucket), one.poll.due))
    bucket, reason = story.line.bucket, story.line.reason
    about: dict[str, Any] = {
        "poll": story.poll.id,
        "feed": story.poll.feed,
        "reason": reason,
        "level": story.line.level,
    }
    at = story.poll.due
    if bucket == "notify":
        if story.held:
            return Headline(rule, "held_poll", at, about | {"why": story.poll.reason})
        code = "told_before" if story.poll.state is PollState.RAN else "no_notice"
        return Headline(rule, code, at, about, story.cause)
    if reason == "not_whole":
        return Headline(rule, "not_whole", at, about | {"rejects": _places(story.rejects)}, story.cause)
    if reason == "not_effective":
        return Headline(rule, "not_effective", at, about, story.cause)
    if bucket == "indeterminate":
        lets = {note.key.removeprefix("let."): note.trace for note in story.explanation.lets}
        about["lacking"] = lacking(story.cause.trace, lets) if story.cause and story.cause.trace else []
    return Headline(rule, bucket, at, about, story.cause)


def lacking(trace: Trace, lets: Mapping[str, Trace]) -> list[tuple[str, str]]:
    """(operand, kind of its absence) of every name in a condition that has no value; of a `let`, what it lacks itself."""
    if trace.children:
        return list(dict.fromkeys(one for child in trace.children for one in lacking(child, lets)))
    if not isinstance(trace.value, Lack):
        return []
    inner = lets.get(trace.text)
    return (lacking(inner, lets) if inner is not None else []) or [(trace.text, trace.value.value)]


def _places(rejects: Sequence[Any]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in ("file", "line", "column", "expected")} for row in rejects]


_UNDECIDED = {
    PollState.LATE: "poll_late",
    PollState.FAILED: "poll_failed",
    PollState.MISSED: "poll_missed",
    PollState.SKIPPED: "poll_skipped",
    PollState.DUE: "poll_waits",
    PollState.RUNNING: "poll_waits",
    PollState.RAN: "no_poll",
    PollState.HELD: "no_poll",
}


def _without_line(rule: str, absences: Sequence[Absence]) -> Headline:
    """No line in any poll: a row of the client was rejected, the client is in no population, or nothing was decided."""
    if not absences:
        return Headline(rule, "no_poll")
    for one in absences:
        if one.mine:
            return Headline(rule, "rejected", one.poll.due, {"feed": one.poll.feed, "rejects": _places(one.mine)})
    for code, why in (("gone", "gone"), ("changed", "changed"), ("erased", "kept_no_more")):
        one_ = next((one for one in absences if one.why == why), None)
        if one_ is not None:
            about: dict[str, Any] = {"feed": one_.poll.feed, "poll": one_.poll.id}
            about |= {"since": one_.erased.since, "days": one_.erased.days} if one_.erased else {}
            return Headline(rule, code, one_.poll.due, about)
    decided = [one for one in absences if one.why == "no_line"]
    if decided:
        feeds = sorted({one.poll.feed for one in decided})
        rejects = len({(r["file"], r["line"]) for one in decided for r in one.rejects if r["subject"] is None})
        about = {"feeds": feeds, "polls": len(decided), "strangers": rejects}
        return Headline(rule, "not_in_population", decided[0].poll.due, about)
    one = max(absences, key=lambda one: (_weight(one), -one.poll.due.timestamp()))
    return Headline(rule, _UNDECIDED[one.poll.state], one.poll.due, {"feed": one.poll.feed, "why": one.poll.reason})


def _weight(one: Absence) -> int:
    """Of several polls that decided nothing, the one that says most."""
    return {PollState.FAILED: 3, PollState.LATE: 2, PollState.MISSED: 1}.get(one.poll.state, 0)


def told_first(found: Sequence[Headline]) -> Iterator[Headline]:
    """Those that told, then those that were nearest to it."""
    yield from sorted(found, key=lambda one: (CODES.index(one.code), one.rule))
