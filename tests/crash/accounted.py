"""A gateway's ledger against the attempts in the published log: each request has a record of its own, made before it came."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from daemon.audit.checkpoint import parse
from daemon.audit.folder import folder_reader
from daemon.audit.record import parse_time
from daemon.audit.tree import bundles, read_bundle
from daemon.clock import micros


def begun_in(log: Path) -> dict[str, list[int]]:
    """Message -> the moments (microseconds) of the records that an attempt begins, in order of the log."""
    read = folder_reader(log)
    found: dict[str, list[int]] = {}
    for number, width in bundles(parse(read("checkpoint")).checkpoint.size):
        for raw in read_bundle(read, number, width):
            leaf = json.loads(raw)
            if leaf["kind"] == "attempt" and "verdict" not in leaf["data"]:
                found.setdefault(leaf["data"]["message"], []).append(micros(parse_time(leaf["t"])))
    return found


def unaccounted(log: Path, arrivals: Iterable[tuple[str, int]]) -> list[str]:
    """The requests, (message, microseconds) in order, to which no earlier record of an attempt belongs that belongs to no request
    before it. One clock for both sides."""
    begun, seen = begun_in(log), dict[str, int]()
    wrong = []
    for message, moment in arrivals:
        seen[message] = seen.get(message, 0) + 1
        earlier = sum(t <= moment for t in begun.get(message, ()))
        if earlier < seen[message]:
            wrong.append(f"request {seen[message]} of {message} came with {earlier} attempts recorded before it")
    return wrong
