"""What a simulation left in its scratch store, as values: notices with their words and instants, holds."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import RowMapping, select

from daemon.cards import sms
from daemon.clock import SHANGHAI, from_micros, micros
from daemon.errors import CalendarEnd, DueNoticeError
from daemon.model.calendar import Calendar
from daemon.report.simulated import Planned, sorted_notices
from daemon.store import gates_rows, pages, seals
from daemon.store.db import Tx
from daemon.store.rows import chunks
from daemon.store.tables import messages, notices
from daemon.world import World

NOT_DUE = "not due in these days"


def planned(tx: Tx, world: World, start: datetime, days: Collection[str]) -> tuple[Planned, ...]:
    """The notices made since `start` for these business dates."""
    query = select(notices).where(notices.c.made_at >= micros(start), notices.c.business_date.in_(list(days)))
    rows = list(tx.execute(query).mappings())
    bodies = _bodies(tx, [row["id"] for row in rows])
    return sorted_notices([_planned(row, bodies.get(row["id"], {}), world.ruleset.calendar) for row in rows])


def _bodies(tx: Tx, ids: list[str]) -> dict[str, dict[str, str]]:
    """Notice -> what its first message says."""
    found: dict[str, str] = {}
    for part in chunks(ids):
        query = select(messages.c.notice, messages.c.body).where(
            messages.c.notice.in_(part), messages.c.body.is_not(None)
        )
        for notice, body in tx.execute(query.order_by(messages.c.generation.desc(), messages.c.channel.desc())):
            found[notice] = body
    plain: dict[str, bytes] = {}
    for part in chunks(list(found.values())):
        plain |= seals.get_many(tx, list(part))
    return {notice: json.loads(plain[body]) for notice, body in found.items()}


def _planned(row: RowMapping, body: dict[str, str], calendar: Calendar) -> Planned:
    told = row["told_at"]
    why = "" if told is not None else row["outcome_why"] or ("" if row["outcome"] else row["stands_why"]) or NOT_DUE
    text = body.get("sms_text", "")
    return Planned(
        row["rule"],
        row["client"],
        row["subject"],
        row["occurrence"],
        row["stage"],
        row["business_date"],
        _iso(row["not_before"]),
        _iso(row["deadline"]),
        "" if told is None else _iso(told),
        why,
        '"late"' in row["marks"],
        _off(row, calendar),
        body.get("title", ""),
        body.get("description", ""),
        text,
        sms.parts(text),
    )


def _off(row: RowMapping, calendar: Calendar) -> str:
    """`past`: the deadline was over when the notice was made; `no_session`: it lies on a day on which nobody can act."""
    if row["deadline"] <= row["made_at"]:
        return "past"
    try:
        day = from_micros(row["deadline"]).astimezone(SHANGHAI).date()
        return "" if calendar.is_session(day) else "no_session"
    except CalendarEnd:
        return ""


def _iso(value: int) -> str:
    return from_micros(value).astimezone(SHANGHAI).isoformat()


def holds_of(tx: Tx) -> tuple[tuple[str, str, str], ...]:
    """Feed, rule and reason of each hold that opened."""
    found = {(hold.feed, hold.rule, hold.reason) for hold in gates_rows.holds_of(tx, open_only=False)}
    return tuple(sorted(found))


def faults_of(tx: Tx) -> tuple[str, ...]:
    """What the daemon would have called a person for: cards that cannot be filled in. Raises DueNoticeError where delivery
    broke: then the rest of the result says too little."""
    found = [(row["key"], row["sentence"]) for row in pages.pages_of(tx)]
    broken = [sentence for key, sentence in found if key.startswith("deliver:")]
    if broken:
        raise DueNoticeError(f"the simulation broke: {'; '.join(broken)}")
    return tuple(sorted({sentence for key, sentence in found if key.startswith("render:")}))
