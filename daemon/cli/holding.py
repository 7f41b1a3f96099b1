"""`duenotice notices held|holds|silence`: who waits for a person, which polls are held, what a person has silenced."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.cli.screen import at
from daemon.clock import SHANGHAI
from daemon.yamlfile import parse_span

if TYPE_CHECKING:
    from daemon.store.db import Store

EVERY = "*"


def add(commands: Any) -> None:
    """The parsers, under `notices`."""
    held = commands.add_parser(
        "held", help="whom the newest polls of a day hold, by subject, until a person releases them"
    )
    held.add_argument("--day", type=place.day, metavar="DATE", help="business date; default: today")
    held.add_argument("--rule", default="", help="only this rule")
    place.listing(held)
    held.set_defaults(go=go_held)
    holds = commands.add_parser("holds", help="polls that are held, with what was counted")
    holds.add_argument("--all", action="store_true", help="also those that have ended")
    place.listing(holds)
    holds.set_defaults(go=go_holds)
    silence = commands.add_parser("silence", help="keep a rule from telling a client, or anybody, until a moment")
    _silence(silence.add_subparsers(metavar="COMMAND", required=True))


def _silence(commands: Any) -> None:
    start = commands.add_parser("start", help="silence a rule; it ends at a moment, never by being forgotten")
    start.add_argument("--rule", required=True, metavar="RULE", help="the rule, or * for every rule")
    whom = start.add_mutually_exclusive_group(required=True)
    whom.add_argument("--client", metavar="KEY", help="a client (all that is its) or one contract")
    whom.add_argument("--everyone", action="store_true", help="the rule tells nobody")
    text = "2024-02-01T18:00 in Asia/Shanghai, or a length from now such as 2h or 3d"
    start.add_argument("--until", required=True, type=moment, metavar="MOMENT", help=text)
    place.by_name(start)
    start.set_defaults(go=go_start)
    end = commands.add_parser("end", help="end a silence before its time")
    end.add_argument("id", type=int, metavar="ID", help="the silence, as `silence list` numbers it")
    place.by_name(end)
    end.set_defaults(go=go_end)
    listed = commands.add_parser("list", help="silences with author, reason and end")
    listed.add_argument("--all", action="store_true", help="also those that are over")
    place.listing(listed)
    listed.set_defaults(go=go_silences)


def moment(text: str) -> datetime | timedelta:
    """A moment in Asia/Shanghai, or a length from now; an argparse error for anything else."""
    span = parse_span(text)
    if span is not None:
        return span
    try:
        found = datetime.strptime(text, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 -- the zone is Shanghai's, set below
    except ValueError:
        expected = "a moment such as 2024-02-01T18:00, or a length such as 2h"
        raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}") from None
    return found.replace(tzinfo=SHANGHAI)


def go_held(args: argparse.Namespace) -> int:
    """A table; clients are numbers. 1 where somebody is held."""
    from daemon.report.heldlines import held_lines

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        found = held_lines(store, args.day or place.today(), args.rule)
    if args.json:
        screen.json([one.to_json() for one in found])
    else:
        zh, en = ("对象", "规则", "数据", "原因", "关口"), ("subject", "rule", "feed", "reason", "gates")
        rows = [(one.subject, one.rule, one.feed, one.reason, "; ".join(one.gates)) for one in found]
        screen.table(zh if screen.lang == "zh" else en, rows)
    return 1 if found else 0


def go_holds(args: argparse.Namespace) -> int:
    """A table, oldest first. 1 where one is open."""
    from daemon.store import gates_rows

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        found = gates_rows.holds_of(tx, open_only=not args.all)
    if args.json:
        names = ("id", "feed", "rule", "reason", "counts", "open", "allowed", "gone")
        screen.json(
            [{n: getattr(h, n) for n in names} | {"since": h.since.astimezone(SHANGHAI).isoformat()} for h in found]
        )
    else:
        zh, en = ("编号", "数据", "规则", "自", "原因", "状态"), ("id", "feed", "rule", "since", "reason", "state")
        words = {True: screen.say("扣留中", "open"), False: screen.say("已结束", "ended")}
        rows = [
            (h.id, h.feed, h.rule, f"{h.since.astimezone(SHANGHAI):%Y-%m-%d %H:%M}", h.reason, words[h.open])
            for h in found
        ]
        screen.table(zh if screen.lang == "zh" else en, rows)
    return 1 if any(h.open for h in found) else 0


def go_start(args: argparse.Namespace) -> int:
    """Silence, in a person's name."""
    from daemon.store import gates_rows

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        subject = None if args.everyone else _subject(store, args.client)
        _known_rule(store, args.rule)
        now = place.now()
        until = now + args.until if isinstance(args.until, timedelta) else args.until
        if until <= now:
            raise Usage(f"--until: found {at_text(until)}, expected a moment ahead")
        with store.write() as tx:
            id, record = gates_rows.silence(
                tx, args.rule, subject, until=until, reason=args.reason, by=args.by, now=now
            )
    zh = f"已静默 {args.rule}，编号 {id}，至 {at_text(until)}；记录 {record}"
    screen.line(screen.say(zh, f"silenced {args.rule}, number {id}, until {at_text(until)}; record {record}"))
    return 0


def at_text(moment: datetime) -> str:
    """A moment as a person reads it here."""
    return f"{moment.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def _subject(store: Store, key: str) -> int:
    """The number of a client, which silences all that is its, or of one contract. Raises Usage."""
    from daemon.report.explain import find_client

    digest = place.active_digest(store)
    with store.read() as tx:
        found = find_client(tx, place.worlds(store)(digest) if digest else None, key)
    if found is None:
        raise Usage("--client: found a key that was never seen here, expected a client or a contract")
    client, numbers = found
    return client if client in numbers else numbers[0]


def _known_rule(store: Store, rule: str) -> None:
    digest = place.active_digest(store)
    known = sorted(place.worlds(store)(digest).ruleset.rules) if digest else []
    if rule != EVERY and rule not in known:
        raise Usage(f"--rule: found {rule!r}, expected {EVERY} or one of {', '.join(known)}")


def go_end(args: argparse.Namespace) -> int:
    """End a silence, in a person's name."""
    from daemon.errors import StoreConflict
    from daemon.store import gates_rows

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.write() as tx:
        try:
            record = gates_rows.end_silence(tx, args.id, by=args.by, reason=args.reason, now=place.now())
        except StoreConflict as wrong:
            raise Usage(str(wrong)) from None
    screen.line(screen.say(f"静默 {args.id} 已结束；记录 {record}", f"silence {args.id} has ended; record {record}"))
    return 0


def go_silences(args: argparse.Namespace) -> int:
    """A table, oldest first."""
    from daemon.store import gates_rows

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store, store.read() as tx:
        rows = gates_rows.all_silences(tx, None if args.all else place.now())
    names = ("id", "rule", "subject", "reason", "actor")
    if args.json:
        screen.json([{n: row[n] for n in names} | {n: at(row[n]) for n in ("since", "until")} for row in rows])
        return 0
    zh, en = (
        ("编号", "规则", "对象", "原因", "由", "自", "至"),
        ("id", "rule", "subject", "reason", "by", "since", "until"),
    )
    everyone = screen.say("所有人", "everyone")
    shown = [
        (r["id"], r["rule"], r["subject"] or everyone, r["reason"], r["actor"], at(r["since"]), at(r["until"]))
        for r in rows
    ]
    screen.table(zh if screen.lang == "zh" else en, shown)
    return 0
