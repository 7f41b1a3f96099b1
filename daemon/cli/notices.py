"""`duenotice notices list|show|release`; held, holds and silence are in holding.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, holding, labels, place
from daemon.cli.place import screen_of
from daemon.cli.screen import Screen, at

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from daemon.store.db import Store, Tx

COUNTS = ("notify", "vanished")
"""The counts that a release allows."""

STATES = ("open", "held", "told", *(name for name in labels.OUTCOMES if name != "open"))


def add(parsers: Any) -> None:
    """The parser of `notices`."""
    commands = place.subparsers(parsers, "notices", "What clients are told.")
    listed = commands.add_parser("list", help="notices of a business date, with what became of them")
    listed.add_argument("--day", type=place.day, metavar="DATE", help="business date; default: all")
    listed.add_argument("--rule", default="", help="only this rule")
    listed.add_argument("--state", choices=STATES, default="", help="only these")
    listed.add_argument("--limit", type=int, default=200, help="at most so many (default 200)")
    place.listing(listed)
    listed.set_defaults(go=go_list)
    show = commands.add_parser("show", help="one notice with messages, attempts and receipts")
    show.add_argument("id", metavar="ID", help="the notice, or the beginning of its id")
    place.listing(show)
    show.set_defaults(go=go_show)
    _release(commands)
    holding.add(commands)


def _release(commands: Any) -> None:
    text = "let go what waits for a person: a hold of a poll, a correction, a client's declared hold"
    release = commands.add_parser("release", help=text, description=text)
    what = release.add_mutually_exclusive_group(required=True)
    what.add_argument("--hold", type=int, metavar="ID", help="a hold of a poll, as `status` lists it")
    what.add_argument("--notice", metavar="ID", help="a held correction, or the beginning of its id")
    what.add_argument("--client", metavar="KEY", help="a client or contract held by its rule; with --rule and --day")
    what.add_argument("--subject", type=int, metavar="N", help="the same by its number, as `notices held` lists it")
    release.add_argument(
        "--allow",
        nargs="+",
        default=[],
        metavar="COUNT=N",
        help="with --hold: notify=N and vanished=N, or 'seen' for what was seen",
    )
    release.add_argument("--gone", action="store_true", help="with --hold: also take what is gone as gone")
    release.add_argument("--rule", default="", help="with --client or --subject: the rule that holds")
    release.add_argument("--day", type=place.day, metavar="DATE", help="with --client or --subject: the business date")
    place.by_name(release)
    release.set_defaults(go=go_release)


def go_list(args: argparse.Namespace) -> int:
    """A table, oldest first."""
    from daemon.cli.explain_json import notice_row_json
    from daemon.report import queries

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        rows = queries.notices_of(tx, day=args.day, rule=args.rule, state=args.state, limit=args.limit)
    if args.json:
        screen.json([notice_row_json(row) for row in rows])
        return 0
    zh = ("编号", "规则", "阶段", "业务日期", "对象", "成立", "发出", "期限", "结果")
    heads = (
        zh
        if screen.lang == "zh"
        else ("id", "rule", "stage", "date", "subject", "stands", "told", "deadline", "outcome")
    )
    screen.table(heads, [_row(screen, row) for row in rows])
    if len(rows) == args.limit:
        screen.line(
            screen.say(f"只列出前 {args.limit} 条，用 --limit 看更多", f"the first {args.limit}; --limit shows more")
        )
    return 0


def _row(screen: Screen, row: RowMapping) -> tuple[object, ...]:
    outcome = screen.label(labels.OUTCOMES, row["outcome"] or "open")
    held = screen.say("，扣住", ", held") if row["held"] and not row["outcome"] else ""
    return (
        row["id"][:16],
        row["rule"],
        row["stage"],
        row["business_date"],
        row["subject"],
        screen.label(labels.STANDS, row["stands"]),
        at(row["told_at"]),
        at(row["deadline"]),
        outcome + held,
    )


def go_show(args: argparse.Namespace) -> int:
    """One notice with all that followed."""
    from daemon.cli.explain_json import notice_json
    from daemon.cli.explaining import print_notice
    from daemon.report.explain import notice_story

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        story = notice_story(tx, one_notice(tx, args.id))
    if args.json:
        screen.json(notice_json(story))
    else:
        print_notice(screen, story)
    return 0


def one_notice(tx: Tx, id: str) -> RowMapping:
    """The one notice whose id begins so. Raises Usage."""
    from daemon.report import queries

    rows = queries.notices_of(tx, id=id, limit=2) if id else []
    if len(rows) != 1:
        raise Usage(f"notice {id!r}: found {'several' if rows else 'none'} whose id begins so, expected one")
    return rows[0]


def go_release(args: argparse.Namespace) -> int:
    """Let go one thing, in a person's name."""
    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        if args.hold is not None:
            _end_hold(store, args, screen)
        elif args.notice is not None:
            _correction(store, args, screen)
        else:
            return _client(store, args, screen)
    return 0


def _end_hold(store: Store, args: argparse.Namespace, screen: Screen) -> None:
    from daemon.store import gates_rows

    with store.write() as tx:
        hold = next((one for one in gates_rows.holds_of(tx) if one.id == args.hold), None)
        if hold is None:
            raise Usage(f"hold {args.hold}: found no open hold of that number, expected one that `status` lists")
        allowed = allowances(args.allow, hold.counts)
        record = gates_rows.end_hold(
            tx, hold.id, by=args.by, reason=args.reason, allowed=allowed, now=place.now(), gone=args.gone
        )
    counts = ", ".join(f"{name}={count}" for name, count in allowed.items())
    screen.line(
        screen.say(
            f"已放行 {hold.rule}（{hold.feed}）：{counts}；记录 {record}",
            f"released {hold.rule} ({hold.feed}): {counts}; record {record}",
        )
    )


def allowances(given: list[str], seen: Mapping[str, int]) -> dict[str, int]:
    """The counts that a release allows: `notify=120 vanished=3`, or `seen`. Raises Usage: what is not named is not allowed."""
    if given == ["seen"]:
        return {name: seen.get(name, 0) for name in COUNTS}
    allowed: dict[str, int] = {}
    for text in given:
        name, equals, number = text.partition("=")
        if name not in COUNTS or not equals or not number.isdecimal() or not number.isascii():
            raise Usage(f"--allow: found {text!r}, expected 'seen', or notify=N and vanished=N")
        allowed[name] = int(number)
    if "notify" not in allowed:
        counts = ", ".join(f"{name}={seen.get(name, 0)}" for name in COUNTS)
        raise Usage(f"--allow: found no notify=N, expected it: the poll saw {counts}")
    return {name: allowed.get(name, 0) for name in COUNTS}


def _correction(store: Store, args: argparse.Namespace, screen: Screen) -> None:
    from daemon.store import gates_rows, noticebook, worklist

    with store.write() as tx:
        row = one_notice(tx, args.notice)
        if not row["held"] or row["outcome"]:
            raise Usage(
                f"notice {row['id'][:16]}: found one that is not held, expected a held correction without outcome"
            )
        record = gates_rows.release(
            tx,
            "correction",
            row["rule"],
            row["subject"],
            row["occurrence"],
            by=args.by,
            reason=args.reason,
            now=place.now(),
        )
        noticebook.renew_notice(tx, row["id"], {"held": False, "record": record})
        worklist.close_key(tx, f"correction:{row['id']}", by=args.by, result="released", now=place.now())
    screen.line(
        screen.say(
            f"已放行更正 {row['id'][:16]}；记录 {record}", f"released correction {row['id'][:16]}; record {record}"
        )
    )


def _client(store: Store, args: argparse.Namespace, screen: Screen) -> int:
    """Release what the newest lines of the day hold of a client, or of a subject; 1 where none is held."""
    from daemon.report.explain import find_client
    from daemon.report.heldlines import held_lines
    from daemon.store import gates_rows

    if not args.rule or args.day is None:
        raise Usage("release: found no --rule or no --day, expected both with --client or --subject")
    numbers: tuple[int, ...] = (args.subject,)
    if args.client is not None:
        digest = place.active_digest(store)
        with store.read() as tx:
            known = find_client(tx, place.worlds(store)(digest) if digest else None, args.client)
        numbers = known[1] if known else ()
    held = [line for line in held_lines(store, args.day, args.rule) if line.subject in numbers]
    if not held:
        screen.line(screen.say("没有被扣住的判定", "nothing of this client is held"))
        return 1
    with store.write() as tx:
        for line in held:
            record = gates_rows.release(
                tx, "client", args.rule, line.subject, line.occurrence, by=args.by, reason=args.reason, now=place.now()
            )
            screen.line(screen.say(f"已放行 {line.reason}；记录 {record}", f"released {line.reason}; record {record}"))
    screen.line(screen.say("下一次轮询时生效", "takes effect with the next poll"))
    return 0
