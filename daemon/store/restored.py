"""What a store that was restored from a backup knows of the time after it: only what the published log says.

    unpacked      `mark_unreconciled`: no parent starts on it
    reconciled    `take_over` has put the log's later records in their places; every obligation that may have been told since
                  is closed by what its messages came to, or is in doubt, with a task: nothing of it is ever sent again

An obligation that the store does not know is *in doubt* when it is made again where the log told of it or its instant lies before
`restored_at`. Acts of people after the backup are taken over where that can only stop something: refusals, stopped rules,
shredded clients; of the others the caller is told, to be done again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, or_, select, update

from daemon.clock import micros
from daemon.errors import ConfigError
from daemon.model.states import TOLD, MessageState, with_receipts
from daemon.store import trail
from daemon.store.db import UNRECONCILED, Tx
from daemon.store.receipts import RAISES
from daemon.store.rows import chunks, get_meta, put_meta
from daemon.store.subjects import COUNTER
from daemon.store.tables import counters, messages, notices, records, subjects

_S = MessageState
NEWS, RESTORED_AT = "restored_news", "restored_at"
_TOLD = "before_restore:"
_SPARE = 1_000_000
"""Client numbers passed over: the backup does not know which were given out after it."""

LOOKS = ("access", "export")
"""Kinds of people's acts that changed nothing."""

WHY = "restored from a backup: it may have been told before"


@dataclass
class Told:
    """What the later records tell of messages and notices. `tried`: message -> its last attempt; `verdict`, `kinds`: what became
    of it; `notices`: those that may have been told, or were closed."""

    tried: dict[str, int] = field(default_factory=dict)
    verdict: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, list[str]] = field(default_factory=dict)
    notices: set[str] = field(default_factory=set)
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    shredded: list[int] = field(default_factory=list)
    stopped: dict[str, bool] = field(default_factory=dict)
    highest: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    records: int = 0

    def hear(self, leaf: Mapping[str, Any]) -> None:
        """Take one record, in the log's order."""
        kind, data = leaf["kind"], leaf["data"]
        self.records += 1
        self.highest = max(self.highest, leaf.get("client") or 0, data.get("subject") or 0)
        if kind == "attempt":
            self._attempt(data)
        elif kind == "receipt" and "message" in data:
            self.kinds.setdefault(data["message"], []).append(data["state"])
        elif kind == "outcome":
            self.notices.add(data["notice"])
        elif kind == "consent" and not data["given"]:
            self.refused.append((leaf["client"], data["category"], data.get("channel", "*")))
        elif kind == "erase.shredded":
            self.shredded.append(leaf["client"])
        elif kind in ("rules.stopped", "rules.started"):
            self.stopped[data["rule"]] = kind == "rules.stopped"
        elif leaf["actor"].startswith("person:") and kind not in LOOKS:
            self.acts[kind] += 1

    def _attempt(self, data: Mapping[str, Any]) -> None:
        message = data["message"]
        self.tried[message] = max(self.tried.get(message, 0), data["n"])
        if "notice" in data:
            self.notices.add(data["notice"])
        if "verdict" in data:
            self.verdict[message] = data["verdict"]
        else:
            self.verdict.pop(message, None)


def mark_unreconciled(tx: Tx) -> None:
    """Let no parent start before `reconciled`."""
    put_meta(tx, UNRECONCILED, "restored from a backup")
    put_meta(tx, NEWS, "")


def is_marked(tx: Tx) -> bool:
    """Whether it is restored and not yet reconciled."""
    return bool(get_meta(tx, UNRECONCILED))


def news_from(tx: Tx) -> int:
    """From which index on the log tells of the time after the backup; the same however often a reconciliation is begun."""
    found = get_meta(tx, NEWS)
    if not found:
        found = str(trail.size(tx))
        put_meta(tx, NEWS, found)
    return int(found)


def reconciled(tx: Tx, told: Told, now: datetime) -> None:
    """From now on parents start; what the log told of is known."""
    put_meta(tx, UNRECONCILED, "")
    put_meta(tx, NEWS, "")
    put_meta(tx, RESTORED_AT, str(micros(now)))
    for id in sorted(told.notices):
        put_meta(tx, _TOLD + id, "")
    raised = update(counters).where(counters.c.name == COUNTER)
    tx.execute(raised.values(value=max(_counted(tx), told.highest) + _SPARE))


def _counted(tx: Tx) -> int:
    return int(tx.execute(select(counters.c.value).where(counters.c.name == COUNTER)).scalar() or 0)


def take_over(tx: Tx, start: int, leaves: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Put records of the log, from index `start` on, in their places: (bytes, what they say). One that the store has without an
    index gets it. Raises ConfigError where it has another one of that id."""
    found = list(leaves)
    have: dict[str, tuple[bytes, int | None]] = {}
    for part in chunks([leaf["id"] for _, leaf in found]):
        query = select(records.c.id, records.c.leaf, records.c.position).where(records.c.id.in_(part))
        have.update({row.id: (bytes(row.leaf), row.position) for row in tx.execute(query)})
    rows = []
    for index, (raw, leaf) in enumerate(found, start):
        known = have.get(leaf["id"])
        if known is None:
            row = {"id": leaf["id"], "kind": leaf["kind"], "client": leaf.get("client"), "leaf": raw, "position": index}
            rows.append(row)
        elif known == (raw, None):
            tx.execute(update(records).where(records.c.id == leaf["id"]).values(position=index))
        else:
            raise ConfigError(f"record {index} of the log: the store has another one of the id {leaf['id']}")
    if rows:
        tx.execute(insert(records), rows)


def doubtful(tx: Tx, told: Told, now: datetime) -> list[str]:
    """The ids of the open notices that may have been told after the backup: those the log tells of, those with a message that was
    due or under way, those whose forward timer was due."""
    waits = messages.c.own.in_((_S.QUEUED.value, _S.CLAIMED.value, _S.RETRY.value)) & (messages.c.due <= micros(now))
    under_way = messages.c.own.in_((_S.SENDING.value, _S.IN_DOUBT.value, _S.REVOKING.value))
    about = select(messages.c.notice).where(or_(waits, under_way))
    due = or_(notices.c.id.in_(about), notices.c.next_timer <= micros(now))
    found = set(tx.execute(select(notices.c.id).where(notices.c.outcome.is_(None), due)).scalars())
    for part in chunks(sorted(told.notices)):
        found.update(row["id"] for row in open_among(tx, part))
    return sorted(found)


def open_among(tx: Tx, ids: Collection[str]) -> list[RowMapping]:
    """Those of these notices that have no outcome."""
    query = select(notices).where(notices.c.outcome.is_(None), notices.c.id.in_(ids))
    return list(tx.execute(query).mappings())


def settle(tx: Tx, told: Told, notice: RowMapping, *, by: str, now: datetime) -> None:
    """Bring the messages of a doubtful notice to what is known of them: accepted or refused where the log says so, raised by the
    receipts in it, else in doubt. One that could not have been due stays, to be cancelled with its notice."""
    told_now = False
    for row in tx.execute(select(messages).where(messages.c.notice == notice["id"])).mappings().all():
        own = _own(row, told, now)
        seen = [RAISES[kind] for kind in told.kinds.get(row["id"], ()) if kind in RAISES]
        state = with_receipts(own, seen) if own not in (_S.QUEUED, _S.CLAIMED, _S.RETRY) else own
        told_now = told_now or state in TOLD
        if (own.value, state.value) == (row["own"], row["state"]):
            continue
        record = trail.append(
            tx,
            "message",
            t=now,
            cause=row["record"],
            actor=f"person:{by}",
            client=row["client"],
            rule=notice["rule"],
            rule_set=notice["rule_set"],
            data={"message": row["id"], "state": own.value, "notice": notice["id"], "from": row["own"], "reason": WHY},
        )
        values = {
            "state": state.value, "own": own.value, "why": WHY, "record": record, "lease_until": None,
            "tries": max(row["tries"], told.tried.get(row["id"], 1)), "fence": row["fence"] + 1,
            "ever_in_doubt": bool(row["ever_in_doubt"]) or own is _S.IN_DOUBT,
        }  # fmt: skip
        tx.execute(update(messages).where(messages.c.id == row["id"]).values(**values))
    if told_now and notice["told_at"] is None:
        said = {"told_at": micros(now), "told_terms": notice["terms"]}
        tx.execute(update(notices).where(notices.c.id == notice["id"]).values(**said))


def _own(row: RowMapping, told: Told, now: datetime) -> MessageState:
    own = MessageState(row["own"])
    if row["id"] in told.tried:
        verdict = told.verdict.get(row["id"])
        if verdict == "accepted":
            return _S.ACCEPTED
        refused = verdict in ("permanent", "ours") and not row["ever_in_doubt"]
        return _S.REJECTED if refused else _S.IN_DOUBT
    if own in (_S.QUEUED, _S.CLAIMED, _S.RETRY):
        return _S.IN_DOUBT if row["due"] <= micros(now) else own
    return _S.IN_DOUBT if own is _S.SENDING else own


def open_notices(tx: Tx) -> int:
    """How many notices have no outcome."""
    return int(tx.execute(select(func.count()).select_from(notices).where(notices.c.outcome.is_(None))).scalar_one())


def is_known(tx: Tx, clients: Collection[int]) -> set[int]:
    """Those of these clients that the store knows and that are not shredded."""
    query = select(subjects.c.number).where(subjects.c.number.in_(clients), subjects.c.commitment_key.is_not(None))
    return set(tx.execute(query).scalars())


class After:
    """What is made again after a restore, in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        found = get_meta(tx, RESTORED_AT)
        self._at = int(found) if found else None

    def is_doubtful(self, notice: str, instant: int) -> bool:
        """Whether a notice that is made now may have been told before the restore: the log told of it, or its instant
        (microseconds) lies before it."""
        return self._at is not None and (instant < self._at or get_meta(self.tx, _TOLD + notice) is not None)

    def in_doubt(self, row: Mapping[str, Any], notice: Mapping[str, Any], actor: str, now: datetime) -> dict[str, Any]:
        """A new message of such a notice: in doubt from the first, never sent; with its record."""
        data = {
            "message": row["id"],
            "state": _S.IN_DOUBT.value,
            "notice": notice["id"],
            "from": row["own"],
            "reason": WHY,
        }
        record = trail.append(
            self.tx, "message", t=now, cause=row["record"], actor=actor, client=row["client"], rule=notice["rule"],
            rule_set=notice["rule_set"], data=data,
        )  # fmt: skip
        return {**row, "state": _S.IN_DOUBT.value, "own": _S.IN_DOUBT.value, "why": WHY, "record": record,
                "ever_in_doubt": True}  # fmt: skip
