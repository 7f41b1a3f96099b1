"""A client's day and a notice as JSON; addresses and words stay sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from daemon.cli.screen import at
from daemon.model.values import to_json as to_value
from daemon.model.values import values_json
from daemon.report.explain import Cause, ClientDay, LineStory, MessageStory, NoticeStory
from daemon.rules.evaluate import Trace
from daemon.rules.explaining import ParameterNote

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from daemon.report.headline import Headline


def to_json(found: ClientDay, headlines: Sequence[Headline] = (), sentences: Sequence[str] = ()) -> dict[str, Any]:
    """The whole story for machines, with each headline's sentence as a person reads it."""
    return {
        "day": found.day,
        "client": found.client,
        "subjects": list(found.subjects),
        "told": found.told,
        "headlines": [_headline(one, text) for one, text in zip(headlines, sentences, strict=True)],
        "lines": [line_json(story) for story in found.lines],
        "notices": [notice_json(story) for story in found.notices],
        "absences": [
            {
                "poll": one.poll.id,
                "feed": one.poll.feed,
                "due": one.poll.due,
                "rule": one.rule,
                "why": one.why,
                "rejects": len(one.rejects),
            }
            for one in found.absences
        ],
    }


def _headline(one: Headline, text: str) -> dict[str, Any]:
    names = {name: getattr(one, name) for name in ("rule", "code", "told", "at")}
    return names | {"about": dict(one.about), "cause": _cause_json(one.cause), "sentence": text}


def _cause_json(cause: Cause | None) -> dict[str, Any] | None:
    if cause is None:
        return None
    return {"kind": cause.kind, "key": cause.key, "detail": cause.detail, "trace": _trace_json(cause.trace)}


def line_json(story: LineStory) -> dict[str, Any]:
    line, explained = story.line, story.explanation
    return {
        "poll": story.poll.id,
        "run": story.run,
        "feed": story.poll.feed,
        "due": story.poll.due,
        "rule": story.rule,
        "rule_set": story.rule_set,
        "version": story.version,
        "calendar": explained.calendar,
        "subject": line.subject,
        "fact": dict(story.fact),
        "bucket": line.bucket,
        "reason": line.reason,
        "level": line.level,
        "marks": list(line.marks),
        "held": story.held,
        "as_recorded": story.as_recorded,
        "unchanged": [poll.id for poll in story.unchanged],
        "cause": _cause_json(story.cause),
        "operands": values_json({note.name: note.value for note in explained.operands}),
        "rows": [values_json(item) for item in line.items],
        "parameters": [_parameter_json(note) for note in explained.parameters],
        "conditions": [
            {"key": note.key, "decided": note.decided, "trace": _trace_json(note.trace)}
            for note in (*explained.lets, *explained.conditions)
        ],
        "gates": [{"gate": g.gate, "verdict": g.verdict, "reason": g.reason} for g in line.gates],
    }


def _parameter_json(note: ParameterNote) -> dict[str, Any]:
    return {name: getattr(note, name) for name in ParameterNote.__slots__} | {"value": to_value(note.value)}


def _trace_json(found: Trace | None) -> Any:
    if found is None:
        return None
    return {
        "text": found.text,
        "value": to_value(found.value),
        "parts": [_trace_json(child) for child in found.children],
    }


NOTICE = (
    "id",
    "rule",
    "subject",
    "client",
    "occurrence",
    "stage",
    "rule_set",
    "feed",
    "business_date",
    "marks",
    "stands",
    "stands_why",
    "held",
    "outcome",
    "outcome_why",
    "served",
    "correction_of",
)
NOTICE_TIMES = ("made_at", "not_before", "window_end", "deadline", "known_at", "told_at", "outcome_at")


def notice_row_json(row: RowMapping) -> dict[str, Any]:
    """A notices row without what is sealed."""
    return {name: row[name] for name in NOTICE} | {name: at(row[name]) for name in NOTICE_TIMES}


def notice_json(story: NoticeStory) -> dict[str, Any]:
    """A notice with its asks, messages, attempts and receipts."""
    asked = [{"at": at(ask["at"]), "bucket": ask["bucket"], "reason": ask["reason"]} for ask in story.asks]
    return notice_row_json(story.notice) | {
        "asks": asked,
        "messages": [_message_json(message) for message in story.messages],
    }


def _message_json(story: MessageStory) -> dict[str, Any]:
    names = ("id", "channel", "role", "generation", "state", "tries", "gateway", "why", "ever_in_doubt", "contradicted")
    return {name: story.message[name] for name in names} | {
        "attempts": [
            {n: a[n] for n in ("number", "gateway", "verdict", "code")}
            | {n: at(a[n]) for n in ("started_at", "ended_at")}
            for a in story.attempts
        ],
        "receipts": [{n: r[n] for n in ("kind", "code", "gateway")} | {"at": at(r["at"])} for r in story.receipts],
    }
