"""The plainest Python for each step: what someone would write in an afternoon, exact but without any of the promises."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import socket
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

QUERY = """SELECT a.*, c.line_attention, c.line_warning, c.line_call, c.line_target, c.line_immediate, c.topup_days,
                  k.client_status
           FROM margin_assets a LEFT JOIN margin_contract c ON c.credit_account = a.credit_account
           LEFT JOIN client k ON k.client_id = a.client_id
           WHERE a.init_date = '2024-02-01' AND a.basis = 'day_end' ORDER BY a.credit_account"""
MONEY = ("cash_asset", "market_value", "other_assets", "fin_compact_balance", "short_value", "fare_interest")
PERCENT = ("per_assurescale_value", "line_attention", "line_warning", "line_call", "line_target", "line_immediate")


def read(path: Path) -> list[dict[str, Any]]:
    """All rows."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(QUERY)]


def convert(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Text to exact decimals, dates, instants."""
    found = []
    for row in rows:
        made = dict(row)
        for name in MONEY:
            made[name] = Decimal(row[name])
        for name in PERCENT:
            made[name] = Decimal(row[name]) / 100
        made["init_date"] = date.fromisoformat(row["init_date"])
        made["as_of"] = datetime.fromisoformat(row["as_of"])
        found.append(made)
    return found


def level(fact: dict[str, Any]) -> str:
    """The margin rule in six lines."""
    debts = fact["fin_compact_balance"] + fact["short_value"] + fact["fare_interest"]
    if debts == 0 or fact["client_status"] != "0" or fact["as_of"].date() != fact["init_date"]:
        return ""
    for name in ("immediate", "call", "warning", "attention"):
        if fact["per_assurescale_value"] < fact[f"line_{name}"]:
            return name
    return ""


def decide(facts: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Every fact with its level."""
    return [(fact, level(fact)) for fact in facts]


def number(path: Path, keys: Sequence[str]) -> dict[str, int]:
    """A number for each key, kept in a table."""
    found = {key: n for n, key in enumerate(keys, 1)}
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE numbers (key TEXT PRIMARY KEY, number INTEGER)")
        db.executemany("INSERT INTO numbers VALUES (?, ?)", found.items())
    return found


def sheet(path: Path, decided: Iterable[tuple[dict[str, Any], str]]) -> str:
    """A CSV file with a line for each fact, and its hash."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        for fact, word in decided:
            writer.writerow([*fact.values(), word])
    return hashlib.sha256(path.read_bytes()).hexdigest()


def notices(path: Path, decided: Iterable[tuple[dict[str, Any], str]]) -> int:
    """A row for each match, in one transaction."""
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE notices (account TEXT, day TEXT, level TEXT, state TEXT, PRIMARY KEY (account, day, level))"
        )
        made = [(f["credit_account"], f["init_date"].isoformat(), word, "queued") for f, word in decided if word]
        db.executemany("INSERT INTO notices VALUES (?, ?, ?, ?)", made)
    return len(made)


CARD = (
    "您的信用账户尾号{tail}，{day}日终清算维持担保比例为{ratio:.2f}%，已低于追保线{line:.0f}%。"
    "请于{until}前追加担保物或归还负债，估算需追加{add:,.2f}元（以日终清算为准）。咨询电话：10900000000"
)


def card(values: dict[str, Any]) -> bytes:
    """A text filled in, as JSON."""
    text = CARD.format(**values)
    buttons = [{"reply": "我已知悉"}, {"open": "https://m.example.com/margin", "text": "查看账户"}]
    return json.dumps({"title": "追保通知", "description": text, "suggestions": buttons}, ensure_ascii=False).encode()


def send(path: Path, port: int, bodies: Sequence[bytes]) -> int:
    """Row, request, answer, row: one after the other over one connection, a commit each."""
    link = http.client.HTTPConnection("127.0.0.1", port)
    link.connect()
    link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, body BLOB, state TEXT)")
        for n, body in enumerate(bodies):
            db.execute("INSERT INTO outbox VALUES (?, ?, 'sending')", (n, body))
            db.commit()
            link.request("POST", "/messages", body, {"content-type": "application/json"})
            answer = link.getresponse()
            answer.read()
            db.execute("UPDATE outbox SET state = 'accepted' WHERE id = ?", (n,))
            db.commit()
    return len(bodies)
