"""The platform's own memory, one SQLite file: every request, every message taken, every callback still to be pushed.

A request and all that follows from it are one transaction, committed before the request is answered, so what the ledger
says was taken was taken whatever then becomes of either side. Times are UTC microseconds on the platform's clock.
Durable against a kill of any process (WAL, synchronous NORMAL); a power cut is not its concern.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from daemon.carrier.plan import Plan, Taken
from daemon.clock import from_micros, micros

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS request (
    request_no INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, call TEXT NOT NULL, message_id TEXT NOT NULL,
    recipient TEXT NOT NULL, kind TEXT NOT NULL, body_hash TEXT NOT NULL, taken INTEGER NOT NULL, answer TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS request_by_recipient ON request (recipient);
CREATE TABLE IF NOT EXISTS message (
    request_no INTEGER PRIMARY KEY REFERENCES request, message_id TEXT NOT NULL, recipient TEXT NOT NULL,
    conversation_id TEXT NOT NULL, contribution_id TEXT NOT NULL,
    reach_at INTEGER, closed_at INTEGER NOT NULL, revoked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS message_by_id ON message (message_id);
CREATE INDEX IF NOT EXISTS message_by_recipient ON message (recipient);
CREATE TABLE IF NOT EXISTS push (
    push_no INTEGER PRIMARY KEY, due INTEGER NOT NULL, request_no INTEGER, path TEXT NOT NULL, body TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS push_due ON push (due, push_no) WHERE done = 0;
CREATE TABLE IF NOT EXISTS handset (msisdn TEXT PRIMARY KEY, kind TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Push:
    """One part of a callback still to be acknowledged: `path` is `status` (may share a callback) or `messages`."""

    push_no: int
    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Copy:
    """One message taken: whether and since when it can no longer be called back."""

    request_no: int
    closed_at: datetime
    revoked: bool


Receipt: TypeAlias = tuple[int, dict[str, Any]]
"""When it came about, in microseconds, and its entry."""


class Ledger:
    """Opened by one process; all calls from one thread. `gather`: receipts fall due on whole multiples of so many
    seconds."""

    def __init__(self, path: Path, gather: float) -> None:
        self._gather = max(1, _us(gather))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def get(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row["value"])

    def put(self, **values: str) -> None:
        """All of `values` in one transaction."""
        with closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())
            cursor.execute("COMMIT")

    def refused(self, at: datetime, call: str, message_id: str, recipient: str, body_hash: str, answer: str) -> None:
        """A request that changed nothing."""
        self._request(at, call, message_id, recipient, "", body_hash, False, answer)

    def take(self, at: datetime, taken: Taken, body_hash: str, answer: str, course: Plan, sender: str) -> None:
        """A message taken, with every receipt that will come of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            number = self._request(
                at, "messages", taken.message_id, taken.recipient, taken.kind, body_hash, True, answer
            )
            start = micros(at)
            reach = None if course.reach is None else start + _us(course.reach)
            self._db.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    number,
                    taken.message_id,
                    taken.recipient,
                    taken.conversation_id,
                    taken.contribution_id,
                    reach,
                    start + _us(course.closed),
                ),
            )
            for report in course.reports:
                when = start + _us(report.after)
                body = delivery_info(taken.message_id, taken.recipient, sender, report.status, when, report.code)
                for copy in range(report.copies):
                    self.push(self._gathered(when + copy * 1_500_000), number, "status", body)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _request(
        self, at: datetime, call: str, message_id: str, recipient: str, kind: str, digest: str, taken: bool, answer: str
    ) -> int:
        row = (micros(at), call, message_id, recipient, kind, digest, int(taken), answer)
        cursor = self._db.execute("INSERT INTO request VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        number = cursor.lastrowid
        assert number is not None
        return number

    def _gathered(self, when: int) -> int:
        return -(-when // self._gather) * self._gather

    def push(self, due: int, request_no: int | None, path: str, body: dict[str, Any]) -> None:
        """A callback part for `due`."""
        self._db.execute(
            "INSERT INTO push (due, request_no, path, body) VALUES (?, ?, ?, ?)",
            (due, request_no, path, json.dumps(body, ensure_ascii=False)),
        )

    def taken_before(self, message_id: str) -> bool:
        """Whether a message of this id was taken, ever."""
        row = self._db.execute("SELECT 1 FROM message WHERE message_id = ?", (message_id,)).fetchone()
        return row is not None

    def count_of(self, table: Literal["request", "message"], recipient: str) -> int:
        """How many requests for, or messages taken for, `recipient`."""
        query = f"SELECT count(*) FROM {table} WHERE recipient = ?"  # the table is a word of this module  # nosec B608
        return int(self._db.execute(query, (recipient,)).fetchone()[0])

    def copies(self, message_id: str, recipient: str) -> list[Copy]:
        """Every message of this id taken for `recipient`."""
        query = "SELECT request_no, closed_at, revoked FROM message WHERE message_id = ? AND recipient = ?"
        rows = self._db.execute(query, (message_id, recipient))
        return [Copy(row["request_no"], from_micros(row["closed_at"]), bool(row["revoked"])) for row in rows]

    def revoke(
        self, at: datetime, message_id: str, recipient: str, digest: str, called_back: Sequence[Copy], push: Receipt
    ) -> None:
        """A revoke and the receipt of its result. Those `called_back` reach nobody, their receipts are dropped."""
        when, body = push
        numbers = [(copy.request_no,) for copy in called_back]
        self._db.execute("BEGIN IMMEDIATE")
        self._request(at, "revoke", message_id, recipient, "", digest, bool(called_back), "0")
        self._db.executemany("UPDATE message SET revoked = 1, reach_at = NULL WHERE request_no = ?", numbers)
        self._db.executemany("DELETE FROM push WHERE request_no = ? AND done = 0", numbers)
        self.push(self._gathered(when), None, "status", body)
        self._db.execute("COMMIT")

    def due(self, now: datetime, limit: int) -> list[Push]:
        """The next callback: the first part that is due, with up to `limit` status parts if it is one."""
        query = "SELECT push_no, path, body FROM push WHERE done = 0 AND due <= ? ORDER BY due, push_no LIMIT ?"
        rows = self._db.execute(query, (micros(now), limit)).fetchall()
        found = [Push(row["push_no"], row["path"], json.loads(row["body"])) for row in rows]
        if found and found[0].path != "status":
            return found[:1]
        return [part for part in found if part.path == "status"]

    def done(self, parts: Sequence[Push]) -> None:
        """These parts were acknowledged."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("UPDATE push SET done = 1 WHERE push_no = ?", [(part.push_no,) for part in parts])
        self._db.execute("COMMIT")

    def waiting(self, now: datetime) -> tuple[int, int, datetime | None]:
        """Parts due and not acknowledged, parts not yet due, and when the first of those is due."""
        at = micros(now)
        query = "SELECT coalesce(sum(due <= ?), 0), coalesce(sum(due > ?), 0), min(iif(due > ?, due, NULL))"
        pending, later, first = self._db.execute(f"{query} FROM push WHERE done = 0", (at, at, at)).fetchone()
        return int(pending), int(later), None if first is None else from_micros(first)

    def handset(self, msisdn: str) -> str | None:
        """The handset that was set for this number by hand."""
        row = self._db.execute("SELECT kind FROM handset WHERE msisdn = ?", (msisdn,)).fetchone()
        return None if row is None else str(row["kind"])

    def set_handset(self, msisdn: str, kind: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO handset VALUES (?, ?)", (msisdn, kind))

    def last_to(self, recipient: str) -> tuple[str, str]:
        """Conversation and contribution id of the newest message to `recipient`; empty where there is none."""
        query = "SELECT conversation_id, contribution_id FROM message WHERE recipient = ? ORDER BY request_no DESC"
        row = self._db.execute(query, (recipient,)).fetchone()
        return ("", "") if row is None else (str(row[0]), str(row[1]))

    def requests(self, now: datetime, after: int, limit: int) -> list[dict[str, Any]]:
        """Requests numbered above `after`, in order; `delivered`: how often that request's message has reached its
        handset."""
        query = (
            "SELECT r.*, coalesce(m.reach_at <= ?, 0) AS delivered, coalesce(m.revoked, 0) AS revoked FROM request r "
            "LEFT JOIN message m USING (request_no) WHERE request_no > ? ORDER BY request_no LIMIT ?"
        )
        return [_shown(dict(row)) for row in self._db.execute(query, (micros(now), after, limit))]

    def totals(self, now: datetime) -> dict[str, int]:
        """Requests, messages taken, messages that reached a handset, ids that reached one more than once."""
        reached = "SELECT count(*) AS n FROM message WHERE reach_at <= ? GROUP BY message_id"
        query = (
            "SELECT (SELECT count(*) FROM request), (SELECT count(*) FROM message), coalesce(sum(n), 0), "  # nosec B608
            f"coalesce(sum(n > 1), 0) FROM ({reached})"
        )
        row: Iterable[int] = self._db.execute(query, (micros(now),)).fetchone()
        return dict(zip(("requests", "taken", "delivered", "delivered_twice"), map(int, row), strict=True))


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def delivery_info(
    message_id: str, recipient: str, sender: str, status: str, due: int, code: str = ""
) -> dict[str, Any]:
    """One entry of deliveryInfoList. The recipient stands in senderAddress, the chatbot in destinationAddress."""
    info = {
        "messageId": message_id,
        "dateTime": from_micros(due).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": status,
        "destinationAddress": sender,
        "senderAddress": f"tel:+86{recipient}",
    }
    return info | ({"errorCode": code, "errorMessage": "see section 9"} if code else {})


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    row["received_at"] = from_micros(row["received_at"]).isoformat()
    row["taken"], row["revoked"] = bool(row["taken"]), bool(row["revoked"])
    return row
