"""`duenotice worklist list|take|close`: what waits for a person."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.cli.screen import at

if TYPE_CHECKING:
    from daemon.store.db import Tx

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
    text = "take a task: it is yours until you close it, and shows whom to call and what to say"
    taken = commands.add_parser("take", help=text, description=f"{text}. Showing numbers leaves a record.")
    taken.add_argument("id", type=int, metavar="ID", help="the task, as `worklist list` numbers it")
    place.by_name(taken)
    place.listing(taken)
    taken.set_defaults(go=go_take)
    _close(commands)


def _close(commands: Any) -> None:
    from daemon.store.worklist import RESULTS

    closed = commands.add_parser("close", help="close a task with what came of it")
    closed.add_argument("id", type=int, metavar="ID", help="the task")
    closed.add_argument("--result", choices=RESULTS, required=True, help="what came of it")
    text = "the SHA-256 of the call's recording, in hexadecimal"
    closed.add_argument("--recording", type=place.sha256, default="", metavar="HEX", help=text)
    place.by_name(closed)
    closed.set_defaults(go=go_close)


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


def go_take(args: argparse.Namespace) -> int:
    """Whom to call, what to say, until when. The record that the numbers were shown is committed first."""
    from daemon.errors import StoreConflict
    from daemon.store import trail, worklist
    from daemon.store.subjects import client_of

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        try:
            with store.write() as tx:
                worklist.take(tx, args.id, by=args.by, now=place.now())
                row = worklist.task(tx, args.id)
                client = None if row["subject"] is None else client_of(tx, row["subject"])
                if client is not None:
                    data = {"by": args.by, "reason": args.reason, "what": row["key"], "fields": ["contacts", "text"]}
                    actor = f"person:{args.by}"
                    trail.append(
                        tx, "access", t=place.now(), actor=actor, client=client, cause=row["record"], data=data
                    )
        except StoreConflict as taken:
            raise Usage(str(taken)) from None
        with store.read() as tx:
            shown = _shown(tx, dict(row), client)
    if args.json:
        screen.json(shown)
        return 0
    lines = (
        ("期限", "until", shown["deadline"]),
        ("规则", "rule", shown["rule"] or "-"),
        ("原因", "reason", shown["reason"]),
        ("对象", "subject", shown["subject"]),
        *(("联系", "contact", f"{c['role']} {c['channel']} {c['address']}") for c in shown["contacts"]),
        ("应告知", "to say", shown["text"] or "-"),
    )
    for zh, en, value in lines:
        screen.line(f"{screen.say(zh, en)}: {value}")
    return 0


def _shown(tx: Tx, row: Mapping[str, Any], client: int | None) -> dict[str, Any]:
    """The task with its client's current contacts and the newest text of its notice, in clear."""
    from daemon.report.queries import newest_text
    from daemon.store import contacts

    known = [] if client is None else contacts.contacts_of(tx, client)
    listed = [{"role": c.role, "channel": c.channel, "address": contacts.address_of(tx, c)} for c in known]
    plain = {name: row[name] for name in ("id", "key", "reason", "rule", "subject", "notice")}
    text = "" if row["notice"] is None else newest_text(tx, row["notice"])
    return plain | {"deadline": at(row["deadline"]), "contacts": listed, "text": text}


def go_close(args: argparse.Namespace) -> int:
    """Done, once; 2 where it is closed already or another person's."""
    from daemon.errors import StoreConflict
    from daemon.store import worklist

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        more = {"reason": args.reason} | ({"recording": args.recording} if args.recording else {})
        try:
            row = worklist.task(tx, args.id)
            if row["taken_by"] not in (None, args.by):
                raise StoreConflict(f"task {args.id}: {row['taken_by']} has taken it, expected that person to close it")
            record = worklist.close(tx, args.id, by=args.by, result=args.result, now=place.now(), **more)
        except StoreConflict as wrong:
            raise Usage(str(wrong)) from None
    screen.line(screen.say(f"任务 {args.id} 已关闭；记录 {record}", f"task {args.id} is closed; record {record}"))
    return 0
