"""What the passing of time and the answers of channels do to notices: windows, timers, fallback, outcomes.

Each function takes one notice and is called in the caller's transaction; finding what is due is the store's job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, update

from daemon.clock import from_micros, micros
from daemon.model.notices import CloseNotice, RenewNotice
from daemon.model.states import OPEN, PROVED_NOT_ARRIVED, MessageState, Outcome, as_known, outcome_of
from daemon.notices.standing import sweep
from daemon.notices.whom import contacts_of, ids_of, message_row
from daemon.notices.writer import ACTOR, Book, close, timers_of
from daemon.rules import passage
from daemon.rules.schema import Rule
from daemon.store import noticebook, outbox, trail, worklist
from daemon.store.tables import messages, notices

GONE_TO_SMS = "the platform handed it to the SMS network"


def book_of(rule: Rule, row: RowMapping, now: datetime, cause: str | None = None) -> Book:
    """The book to write a notice's changes in, outside any poll."""
    return Book(rule, row["rule_set"], row["feed"], "", row["run"], now, cause or row["record"])


def window_ended(tx: Connection, rule: Rule, row: RowMapping, now: datetime) -> None:
    """A window is over: cancelled, superseded, expired, or from now on late (standing.sweep)."""
    if is_stuck(outbox.of_notice(tx, row["id"])):
        finish(tx, rule, row, now, why="no channel could take it")
        return
    change = sweep(noticebook.view(row), now)
    if not isinstance(change, RenewNotice | CloseNotice):
        return
    book = book_of(rule, row, now)
    if isinstance(change, RenewNotice):
        _mark_late(tx, book, row, change)
    else:
        close(tx, book, row["client"], change)


def _mark_late(tx: Connection, book: Book, row: RowMapping, change: RenewNotice) -> None:
    record = trail.append(
        tx,
        "notice",
        t=book.now,
        cause=row["record"],
        actor=ACTOR,
        client=row["client"],
        rule=row["rule"],
        rule_set=row["rule_set"],
        data={"notice": row["id"], "change": "late", "stage": row["stage"], "late": True, "marks": list(change.marks)},
    )
    noticebook.renew_notice(tx, row["id"], {"marks": json.dumps(change.marks), "record": record})
    worklist.open_task(
        tx,
        f"late:{row['id']}",
        "the deadline passed; it goes out marked late",
        now=book.now,
        rule=row["rule"],
        notice=row["id"],
        subject=row["subject"],
        cause=record,
    )


def cancel(tx: Connection, rule: Rule, row: RowMapping, now: datetime, *, why: str) -> None:
    """A waiting notice of a rule that is no longer in force, or is stopped: it never leaves."""
    change = CloseNotice(row["id"], Outcome.CANCELLED, why)
    close(tx, book_of(rule, row, now), row["client"], change)


def timer_due(tx: Connection, rule: Rule, row: RowMapping, now: datetime) -> None:
    """A forward timer: open the next channel or a task, unless the notice is served already; then set the next timer."""
    timers = timers_of(rule, row["stage"])
    index = row["timer"]
    if index < len(timers) and row["stands"] != "no" and not row["held"]:
        served = is_served(rule, outbox.of_notice(tx, row["id"]))
        if not served and timers[index].do == "next_channel":
            next_channel(tx, rule, row, now, why="forward timer")
        elif not served:
            open_call(tx, rule, row, now, "no receipt that serves in time")
    following = index + 1
    due = None
    if following < len(timers):
        due = micros(from_micros(row["next_timer"]) + timers[following].after - timers[index].after)
    tx.execute(update(notices).where(notices.c.id == row["id"]).values(timer=following, next_timer=due))


def is_served(rule: Rule, rows: Sequence[RowMapping]) -> bool:
    """Whether a receipt on a channel that the rule's `discharge:` names serves the notice."""
    return any(passage.serves(rule, row["channel"], _receipt(row)) for row in rows)


def _receipt(row: RowMapping) -> str:
    """The strongest receipt of a message that still counts, '' where there is none."""
    if row["state"] == MessageState.DELIVERED.value:
        return "delivered"
    if row["handed_to_sms_at"] is not None and row["state"] not in {s.value for s in PROVED_NOT_ARRIVED}:
        return "handed_to_sms"
    return "accepted" if row["state"] == MessageState.ACCEPTED.value else ""


def _may_leave(row: RowMapping) -> bool:
    """Whether a message of the notice is still on its way out; one that rests behind the same address is not."""
    return row["state"] in {s.value for s in OPEN} and row["why"] != outbox.ONE_ADDRESS


def open_call(tx: Connection, rule: Rule, row: RowMapping, now: datetime, reason: str) -> None:
    """A phone task for a notice that no channel serves."""
    worklist.open_task(
        tx,
        f"call:{row['id']}",
        reason,
        now=now,
        rule=rule.name,
        notice=row["id"],
        subject=row["subject"],
        deadline=from_micros(row["deadline"]),
        cause=row["record"],
    )


def next_channel(tx: Connection, rule: Rule, row: RowMapping, now: datetime, *, why: str) -> bool:
    """Open the next channel of the rule's order for every contact; cancel what of the others has never been in `sending`,
    ask to revoke what may be under way. False, with a phone task, when no channel is left."""
    rows = outbox.of_notice(tx, row["id"])
    contacts = contacts_of(rule, row["contacts"])
    used = {m["channel"] for m in rows if m["role"] in contacts}
    channel = passage.next_channel(rule, used)
    if not channel:
        if not any(_may_leave(m) for m in rows):
            open_call(tx, rule, row, now, f"no channel left ({why})")
        return False
    under_way = [m for m in rows if m["state"] in ("sending", "accepted", "in_doubt")]
    places = [(role, channel, 1) for role in contacts]
    record = trail.append(
        tx,
        "message",
        t=now,
        cause=row["record"],
        actor=ACTOR,
        client=row["client"],
        rule=rule.name,
        rule_set=row["rule_set"],
        data={
            "message": row["id"],
            "state": "queued",
            "notice": row["id"],
            "channel": channel,
            "messages": ids_of(tx, row["client"], row["id"], places),
            "reason": why,
            "overlap": bool(under_way),
        },
    )
    noticebook.cancel_messages(tx, row["id"], MessageState.CANCELLED.value, f"{channel} takes over", record)
    outbox.add(
        tx,
        [
            message_row(rule, tx, dict(row), role, channel, micros(now), row["deadline"], record)
            for role, channel, _ in places
        ],
    )
    for message in under_way:
        if message["state"] in ("accepted", "in_doubt"):
            revoke(tx, row, message, now, cause=record, why=f"{channel} takes over")
    return True


def revoke(tx: Connection, row: RowMapping, message: RowMapping, now: datetime, *, cause: str, why: str) -> None:
    """Have a message called back, with its record: its receipt may come before the answer of the gateway is kept."""
    record = trail.append(
        tx,
        "message",
        t=now,
        cause=cause,
        actor=ACTOR,
        client=row["client"],
        rule=row["rule"],
        rule_set=row["rule_set"],
        data={
            "message": message["id"],
            "state": MessageState.REVOKING.value,
            "notice": row["id"],
            "from": message["state"],
            "reason": why,
        },
    )
    tx.execute(
        update(messages)
        .where(messages.c.id == message["id"], messages.c.fence == message["fence"])
        .values(
            state=MessageState.REVOKING.value,
            own=MessageState.REVOKING.value,
            record=record,
            due=micros(now),
            fence=messages.c.fence + 1,
        )
    )


def after_message(tx: Connection, rule: Rule, notice: RowMapping, message: Mapping[str, Any], now: datetime) -> None:
    """A message came to rest: if nothing more may arrive by it, the next channel opens; if the SMS network has it, ours is
    needless."""
    state = MessageState(message["state"])
    if notice["outcome"] is not None:
        return
    if message["handed_to_sms_at"] is not None and message["channel"] != "sms":
        noticebook.cancel_messages(tx, notice["id"], MessageState.CANCELLED.value, GONE_TO_SMS, message["record"])
        return
    if state in PROVED_NOT_ARRIVED and state not in (MessageState.CANCELLED, MessageState.EXPIRED):
        others = outbox.of_notice(tx, notice["id"])
        if rule.together and any(MessageState(m["state"]) not in PROVED_NOT_ARRIVED for m in others):
            return
        if is_served(rule, others) or any(_may_leave(m) for m in others):
            return
        next_channel(tx, rule, notice, now, why=f"{message['channel']} {state.value}")


def is_stuck(rows: Sequence[RowMapping]) -> bool:
    """Whether every message of a notice has come to rest without arriving, so that nothing more can leave."""
    return bool(rows) and not any(_may_leave(m) or MessageState(m["state"]) not in PROVED_NOT_ARRIVED for m in rows)


def finish(
    tx: Connection, rule: Rule, row: RowMapping, now: datetime, why: str = "deadline and receipt window over"
) -> Outcome:
    """The outcome of a notice by its best message: at its deadline plus the receipt window, or when nothing more can leave."""
    rows = outbox.of_notice(tx, row["id"])
    known = [
        (as_known(MessageState(m["state"]), ever_in_doubt=m["ever_in_doubt"]), m["handed_to_sms_at"] is not None)
        for m in rows
    ]
    found = outcome_of(known)
    served = is_served(rule, rows)
    word = "yes" if served else "unknown" if found in (Outcome.IN_DOUBT, Outcome.ACCEPTED_UNCONFIRMED) else "no"
    record = trail.append(
        tx,
        "outcome",
        t=now,
        cause=row["record"],
        actor=ACTOR,
        client=row["client"],
        rule=rule.name,
        rule_set=row["rule_set"],
        data={
            "notice": row["id"],
            "outcome": found.value,
            "served_as_agreed": word,
            "reason": why,
        },
    )
    if noticebook.close_notice(tx, row["id"], found.value, why, micros(now), record, word):
        state = MessageState.EXPIRED.value
        noticebook.cancel_messages(tx, row["id"], state, why, record)
        if not served:
            open_call(tx, rule, row, now, f"outcome {found.value}: not served as the rule asks")
    return found


def receipt_window(rule: Rule, row: RowMapping) -> datetime:
    """When a notice's outcome is final."""
    return from_micros(row["deadline"]) + rule.receipt_window
