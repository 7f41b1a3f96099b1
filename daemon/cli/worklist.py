"""`duenotice worklist list`: what waits for a person."""

from __future__ import annotations

import argparse
from typing import Any

from daemon.cli import place
from daemon.cli.place import screen_of
from daemon.cli.screen import at

NAMES = ("id", "key", "reason", "rule", "feed", "notice", "subject", "detail", "taken_by", "closed_by", "result")
TIMES = ("deadline", "opened_at", "closed_at")


def add(parsers: Any) -> None:
    """The parser of `worklist`."""
    commands = place.subparsers(parsers, "worklist", "What waits for a person.")
    listed = commands.add_parser("list", help="tasks, the nearest deadline first")
    listed.add_argument("--all", action="store_true", help="also those that are closed")
    listed.add_argument("--limit", type=int, default=200, help="at most so many (default 200)")
    place.listing(listed)
    listed.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """A table; clients are numbers."""
    from daemon.store import worklist

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        rows = worklist.tasks_of(tx, open_only=not args.all, limit=args.limit)
    if args.json:
        screen.json([{n: row[n] for n in NAMES} | {n: at(row[n]) for n in TIMES} for row in rows])
        return 0
    zh = ("编号", "期限", "规则", "对象", "原因", "领取人", "结果")
    heads = zh if screen.lang == "zh" else ("id", "deadline", "rule", "subject", "reason", "taken by", "result")
    screen.table(
        heads,
        [
            (
                r["id"],
                at(r["deadline"]),
                r["rule"] or r["feed"] or "-",
                r["subject"],
                r["reason"],
                r["taken_by"],
                r["result"],
            )
            for r in rows
        ],
    )
    return 0
