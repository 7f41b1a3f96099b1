"""`duenotice alarms list|ack|clock`: what called a person, who has seen it, and who believes a clock that stepped."""

from __future__ import annotations

import argparse
from typing import Any

from daemon.cli import Usage, labels, place
from daemon.cli.place import screen_of
from daemon.cli.screen import at

NAMES = ("id", "key", "severity", "sentence", "acknowledged_by")
TIMES = ("at", "acknowledged_at")


def add(parsers: Any) -> None:
    """The parser of `alarms`."""
    commands = place.subparsers(parsers, "alarms", "What called a person.")
    listed = commands.add_parser("list", help="pages that nobody has acknowledged, newest first")
    listed.add_argument("--all", action="store_true", help="also those that somebody has, or whose cause is over")
    listed.add_argument("--limit", type=int, default=200, help="at most so many (default 200)")
    place.listing(listed)
    listed.set_defaults(go=go_list)
    text = "say that a person has seen a page; what caused it stays as it is"
    ack = commands.add_parser("ack", help=text, description=f"{text}. If it recurs, the page comes again.")
    ack.add_argument("key", metavar="KEY", help="the page's key, as `alarms list` shows it")
    place.by_name(ack)
    ack.set_defaults(go=go_ack)
    text = "say that the wall clock, which stepped, is right: the daemon follows it again with its next pass"
    clock = commands.add_parser(
        "clock", help=text, description=f"{text}. Timers and deadlines then are the wall clock's."
    )
    place.by_name(clock)
    clock.set_defaults(go=go_clock)


def go_list(args: argparse.Namespace) -> int:
    """A table; 1 where a page waits."""
    from daemon.store import pages

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        rows = pages.pages_of(tx, open_only=not args.all, limit=args.limit)
    if args.json:
        screen.json([{n: row[n] for n in NAMES} | {n: at(row[n]) for n in TIMES} for row in rows])
    else:
        zh, en = ("时间", "级别", "键", "内容", "已阅"), ("at", "severity", "key", "sentence", "seen by")
        shown = [
            (at(r["at"]), screen.label(labels.SEVERITIES, r["severity"]), r["key"], r["sentence"], r["acknowledged_by"])
            for r in rows
        ]
        screen.table(zh if screen.lang == "zh" else en, shown)
    return 1 if any(row["acknowledged_at"] is None for row in rows) else 0


def go_ack(args: argparse.Namespace) -> int:
    """Acknowledge one page, in a person's name."""
    from daemon.store import pages

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        record = pages.acknowledge_by(tx, args.key, by=args.by, reason=args.reason, now=place.now())
    if record is None:
        raise Usage(f"page {args.key!r}: found none that waits, expected a key that `alarms list` shows")
    screen.line(screen.say(f"已阅 {args.key}；记录 {record}", f"acknowledged {args.key}; record {record}"))
    return 0


def go_clock(args: argparse.Namespace) -> int:
    """Believe the wall clock, in a person's name."""
    from daemon.store import clocksteps

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        record = clocksteps.confirm(tx, by=args.by, reason=args.reason, now=place.now())
    if record is None:
        raise Usage("alarms clock: found no step of the clock that lasts, expected one that `alarms list` shows")
    screen.line(
        screen.say(
            f"已确认系统时钟；记录 {record}", f"the wall clock is believed from the next pass on; record {record}"
        )
    )
    return 0
