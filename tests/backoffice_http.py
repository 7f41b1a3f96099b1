"""A back office that answers over HTTP, on a thread of its own: pages of two rows out of a file, or answers handed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

Said: TypeAlias = tuple[int, bytes]
"""HTTP status and body."""


class Service:
    """`kept` is a JSON list of rows; absent, every answer is 503. `answers` takes the place of that: path and query -> answer."""

    def __init__(self, kept: Path | None = None, answers: Callable[[str], Said] | None = None) -> None:
        self._kept, self.asked = kept, list[tuple[str, str]]()
        answer = answers or self._page

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler) -> None:
                self.asked.append((handler.path, handler.headers.get("authorization", "")))
                status, body = answer(handler.path)
                handler.send_response(status)
                handler.send_header("content-length", str(len(body)))
                if 300 <= status < 400:
                    handler.send_header("location", "/elsewhere")
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, format: str, *args: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _page(self, path: str) -> Said:
        assert self._kept is not None
        if not self._kept.exists():
            return 503, b""
        asked = parse_qs(urlsplit(path).query)
        rows = json.loads(self._kept.read_text())
        if "codes" in asked:
            rows = [row for row in rows if row["FundCode"] in asked["codes"][0].split(",")]
        start = int(asked.get("cursor", ["0"])[0])
        whole = {"rows": len(rows), "as_of": "2024-02-01T20:00:00"}
        after = start + 2 if start + 2 < len(rows) else None
        return 200, json.dumps({"data": {"items": rows[start : start + 2], "next": after, "whole": whole}}).encode()
