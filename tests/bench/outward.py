"""Cards rendered, and notices from the poll to the outcome over the stand-in carrier, each beside the plainest Python."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any

from daemon import log
from daemon.cards.render import render
from daemon.demo.driver import CarrierProcess, Driver
from daemon.demo.setup import prepare, secrets_of, settings_for
from daemon.rules.load import load, read_folder
from daemon.shipped import shipped
from daemon.transport import HttpxTransport
from tests.bench import plain
from tests.bench.clockwork import Row, timed

ROOT = Path(__file__).parents[2]
SIGNATURE = "示例证券"


def values_of(n: int) -> dict[str, Any]:
    """What the margin card is filled with."""
    return {
        "account_tail": f"{n % 10_000:04d}",
        "business_date": date(2024, 2, 1),
        "basis": "day_end",
        "as_of": datetime(2024, 2, 1, 7, 0, tzinfo=UTC),
        "ratio": Decimal(12_000 + n % 900) / 10_000,
        "own_ratio": Decimal(12_000 + n % 900) / 10_000,
        "line_call": Decimal("1.30"),
        "line_warning": Decimal("1.40"),
        "line_target": Decimal("1.40"),
        "line_immediate": Decimal("1.12"),
        "to_add": Decimal(n * 100 + 1) / 100,
        "to_repay": Decimal(n * 70 + 1) / 100,
        "deadline": datetime(2024, 2, 2, 7, 0, tzinfo=UTC),
        "amounts_in_sms": False,
    }


def cards(count: int) -> list[Row]:
    """Margin calls rendered: card, suggestions and SMS text."""
    card = load(read_folder(ROOT)).required().cards["margin/maintenance"]
    given = [values_of(n) for n in range(count)]
    simple = [
        {"tail": v["account_tail"], "day": v["business_date"], "ratio": v["ratio"] * 100, "line": v["line_call"] * 100}
        | {"until": v["deadline"], "add": v["to_add"]}
        for v in given
    ]

    def ours() -> None:
        for values in given:
            render(card, values, stage="call/notice", level="call", signature=SIGNATURE)

    return [Row("cards rendered (margin call)", count, timed(ours), timed(lambda: [plain.card(v) for v in simple]))]


def notices(folder: Path, clients: int) -> list[Row]:
    """The demo's two days: what was made and what left, from a cold start to the last outcome; polls, receipts, timers and the
    stepping of the clock are in it. The plain side is what left, one request after the other."""
    log.start("ERROR")
    days = (date(2024, 2, 1), date(2024, 3, 28))
    public = shipped() / "config" / "sample"
    plan = prepare(folder, days=days, clients=clients, seed=7, repeat="honour", profile="calm", public=public)

    async def play() -> float:
        transport = HttpxTransport()
        begun = perf_counter()
        try:
            carrier = CarrierProcess(plan, transport, secrets_of(plan))
            await Driver(plan, carrier, settings_for(plan, shipped()), lambda before, now: None).play()
        finally:
            await transport.aclose()
        return perf_counter() - begun

    seconds = asyncio.run(play())
    with sqlite3.connect(folder / "state" / "duenotice.db") as db:
        made = db.execute("SELECT count(*) FROM notices").fetchone()[0]
        left = db.execute("SELECT count(*) FROM attempts").fetchone()[0]
    simple = _plain_sending(folder, [plain.card(_simple(n)) for n in range(left)])
    return [
        Row("notices made, end to end", made, seconds, simple),
        Row("messages that left, receipts", left, seconds, simple),
    ]


def _simple(n: int) -> dict[str, Any]:
    return {"tail": n, "day": date(2024, 2, 1), "ratio": Decimal(120), "line": 130, "until": "15:00", "add": Decimal(n)}


class _Far(BaseHTTPRequestHandler):
    """Takes whatever comes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *given: object) -> None:
        """Nothing to say."""


def _plain_sending(folder: Path, bodies: list[bytes]) -> float:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Far) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        seconds = timed(lambda: plain.send(folder / "plain.sqlite", server.server_address[1], bodies))
        server.shutdown()
    return seconds
