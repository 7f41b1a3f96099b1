"""Notices, messages, attempts, receipts and tasks of a date against the trail. Pure; crosscheck.py says what the words mean.

The record that makes a message names it; that its notice, contact, channel and generation are its own is told by its id, an HMAC
of them under the client's key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from daemon.clock import from_micros
from daemon.model.states import TOLD, MessageState, with_receipts
from daemon.report.dayrows import DayRows, Row
from daemon.report.daytrail import DayTrail, MessageWord, NoticeWord
from daemon.report.differences import Discrepancy, differences
from daemon.store.receipts import RAISES
from daemon.store.trail import format_time

MessageIds = Callable[[int, str, str, str, int], str]
"""(client, notice, role, channel, generation) -> the message's id, '' where the client's keys are destroyed."""


OWN_AFTER: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"queued", "claimed", "in_doubt"}),
    "rejected": frozenset({"rejected"}),
    "revoking": frozenset({"revoking"}),
    "sending": frozenset({"sending"}),
    "ended accepted": frozenset({"accepted"}),
    "ended permanent": frozenset({"rejected"}),
    "ended ours": frozenset({"rejected"}),
    "ended transient": frozenset({"retry", "queued", "claimed"}),
    "ended throttled": frozenset({"retry", "queued", "claimed"}),
    "ended auth": frozenset({"retry", "queued", "claimed"}),
    "ended in_doubt": frozenset({"in_doubt"}),
}
"""What the last record of a message leaves its own state at: a claim, and a retry that falls due, have none."""
STATES = frozenset(state.value for state in MessageState)
GIVEN_UP = frozenset({"cancelled", "expired", "revoking"})
"""Own states that a record of the notice, or of another message of it, gives."""


def notices(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    sent: dict[str, bool] = {}
    for message in rows.messages:
        told = bool(message["tries"]) and message["state"] in {state.value for state in TOLD}
        sent[message["notice"]] = told or sent.get(message["notice"], False)
    for row in rows.notices:
        word = said.notices.get(row["id"])
        if word is None:
            yield Discrepancy("notices", row["id"], "unknown", f"rule {row['rule']}, client {row['client']}")
        else:
            yield from _notice(row, word, said, told=sent.get(row["id"], False))
    for id in said.notices.keys() - {row["id"] for row in rows.notices}:
        made = said.notices[id].made
        yield Discrepancy("notices", id, "missing", f"rule {made['rule']}, client {made['client']}")


def _notice(row: Row, word: NoticeWord, said: DayTrail, *, told: bool) -> Iterator[Discrepancy]:
    made, data = word.made, word.made["data"]
    end = word.outcome["data"] if word.outcome else {}
    record = word.outcome["id"] if word.outcome else word.record
    let_go = said.releases.get(row["record"])
    if let_go is not None and let_go.get("client") == row["client"] and not word.outcome and not row["held"]:
        record = row["record"]  # a held correction that a person let go
    pairs = [
        ("rule", row["rule"], made.get("rule")),
        ("rule_set", row["rule_set"], made.get("set")),
        ("client", row["client"], made.get("client")),
        ("subject", row["subject"], data["subject"]),
        ("stage", row["stage"], data["stage"]),
        ("feed", row["feed"], data["feed"]),
        ("made_at", format_time(from_micros(row["made_at"])), made["t"]),
        ("stands", row["stands"], word.stands),
        ("marks", row["marks"], json.dumps(word.marks)),
        ("outcome", row["outcome"], end.get("outcome")),
        ("outcome_why", row["outcome_why"], end.get("reason")),
        ("served", row["served"], end.get("served_as_agreed")),
        ("told", row["told_at"] is not None, told),
        ("record", row["record"], record),
    ]
    return differences("notices", row["id"], pairs)


def messages(rows: DayRows, said: DayTrail, ids: MessageIds) -> Iterator[Discrepancy]:
    """Messages: those that a record made, in the state that records and receipts leave them in."""
    held = {row["id"]: row for row in rows.notices}
    kinds: dict[str, list[MessageState]] = {}
    for receipt in rows.receipts:
        if receipt["kind"] in RAISES:
            kinds.setdefault(receipt["message"], []).append(RAISES[receipt["kind"]])
    acknowledged = {row["record"]: row["message"] for row in rows.uplinks}
    seen = set()
    for row in rows.messages:
        place = row["notice"], row["role"], row["channel"], row["generation"]
        word = said.notices.get(row["notice"])
        if word is None or row["id"] not in word.messages or ids(row["client"], *place) not in ("", row["id"]):
            yield Discrepancy("messages", row["id"], "unknown", " ".join(map(str, place)))
            continue
        seen.add(row["id"])
        yield from _message(row, said, kinds.get(row["id"], []), acknowledged)
    for notice, word in said.notices.items():
        for id in sorted(word.messages - seen) if notice in held else ():
            yield Discrepancy("messages", id, "missing", f"notice {notice}")


def _message(
    row: Row, said: DayTrail, receipts: list[MessageState], acknowledged: Mapping[str, str]
) -> Iterator[Discrepancy]:
    notice, word = said.notices[row["notice"]], said.messages.get(row["id"], MessageWord(row["notice"]))
    known = row["tries"] and row["own"] in STATES
    state = with_receipts(MessageState(row["own"]), receipts).value if known else row["own"]
    yield from differences("messages", row["id"], [("state", row["state"], state), ("tries", row["tries"], word.tries)])
    mine, others = row["record"] in word.records, _of_others(row, notice, said)
    if acknowledged.get(row["record"]) == row["id"]:
        mine = True
    if not mine and not others:
        yield Discrepancy("messages", row["id"], "differs", f"record: {row['record']}, which is not of this message")
        return
    allowed = OWN_AFTER.get(word.own, frozenset())
    if row["ever_in_doubt"] or word.receipts:
        allowed |= {"in_doubt"}
    if others:
        allowed |= GIVEN_UP
    if row["own"] not in allowed:
        yield Discrepancy("messages", row["id"], "differs", f"own: {row['own']}, recorded {word.own}")


def _of_others(row: Row, notice: NoticeWord, said: DayTrail) -> bool:
    """Whether the row's record is one of its notice's, or of another message of the notice."""
    if row["record"] in notice.records:
        return True
    others = (said.messages[id] for id in notice.messages if id != row["id"] and id in said.messages)
    return any(row["record"] in other.records for other in others)


def attempts(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    seen = set()
    for row in rows.attempts:
        key = row["message"], row["number"]
        word = said.attempts.get(key)
        if word is None or key in seen:
            yield Discrepancy("attempts", str(row["id"]), "unknown", f"message {key[0]}, number {key[1]}")
            continue
        seen.add(key)
        end = word.ended
        pairs = [
            ("record", row["record"], word.started["id"]),
            ("gateway", row["gateway"], word.started["data"]["gateway"]),
            ("verdict", row["verdict"], end["data"]["verdict"] if end else None),
            ("settled", row["settled"], end["id"] if end else None),
        ]
        yield from differences("attempts", row["id"], pairs)
    for key in said.attempts.keys() - seen:
        yield Discrepancy("attempts", f"{key[0]} {key[1]}", "missing", f"notice {said.attempts[key].notice}")


def receipts(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    twice = Counter(row["record"] for row in rows.receipts)
    seen = set()
    for row in rows.receipts:
        word = said.receipts.get(row["record"])
        if word is None or row["record"] in seen:
            what = "twice" if twice[row["record"]] > 1 and word else "unknown"
            yield Discrepancy("receipts", str(row["id"]), what, f"message {row['message']}")
            continue
        seen.add(row["record"])
        data = word["data"]
        pairs = [("message", row["message"], data.get("message")), ("kind", row["kind"], data["state"])]
        yield from differences(
            "receipts", row["id"], [*pairs, ("code", row["code"] or "none", data.get("code", "none"))]
        )
    for record in said.receipts.keys() - seen:
        yield Discrepancy(
            "receipts", f"record {record}", "missing", f"message {said.receipts[record]['data']['message']}"
        )


def tasks(rows: DayRows, said: DayTrail) -> Iterator[Discrepancy]:
    opened = {word.last["id"]: id for id, word in said.tasks.items()}
    seen = set()
    for row in rows.tasks:
        id = opened.get(row["record"])
        word = said.tasks[id] if id else None
        if word is None or id in seen or word.opened["data"]["task"] != row["key"]:
            yield Discrepancy("tasks", str(row["id"]), "twice" if id in seen else "unknown", f"key {row['key']}")
            continue
        seen.add(id)
        data, end = word.opened["data"], word.last["data"]
        closed = end if end["change"] == "closed" else {}
        pairs = [
            ("reason", row["reason"], data.get("reason", "")),
            ("rule", row["rule"], word.opened.get("rule", "")),
            ("notice", row["notice"], data.get("notice")),
            ("opened_at", format_time(from_micros(row["opened_at"])), word.opened["t"]),
            ("closed_by", row["closed_by"], closed.get("by")),
            ("result", row["result"], closed.get("result")),
            ("closed", row["closed_at"] is not None, bool(closed)),
        ]
        yield from differences("tasks", row["id"], pairs)
    for id in said.tasks.keys() - seen:
        data = said.tasks[id].opened["data"]
        yield Discrepancy("tasks", data["task"], "missing", f"record {id}: {data.get('reason', '')}")
