"""`duenotice report completeness`: the daily proof on the screen, as JSON, as a workbook, as one page to print."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of
from daemon.cli.screen import Screen

if TYPE_CHECKING:
    from daemon.audit.checkpoint import Checkpoint
    from daemon.cli.completeness_sections import Section
    from daemon.report.completeness import Completeness
    from daemon.settings import Settings
    from daemon.store.db import Store


def add(commands: Any) -> None:
    """The parser of `report completeness`."""
    text = (
        "every client of every population in one bucket, reconciled with the source and with the trail; exit 1 when "
        "something is missing, there twice, unfinished, or other than the trail says"
    )
    parser = commands.add_parser("completeness", help=text, description=text)
    parser.add_argument("--day", type=place.day, required=True, metavar="DATE", help="business date")
    parser.add_argument("--clients", action="store_true", help="list every client's number with its bucket")
    parser.add_argument("--xlsx", type=Path, metavar="FILE", help="also as a workbook; a file that is not there yet")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="also as a page to print; a file that is not there yet"
    )
    place.listing(parser)
    parser.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Prove the day; 1 when the proof finds something."""
    from daemon.app_parts import ruleset_of
    from daemon.cli.completeness_sections import sections
    from daemon.report.completeness import completeness

    settings = place.settings_of(args)
    screen = screen_of(args)
    for out in (args.xlsx, args.html):
        if out is not None and out.exists():
            raise Usage(f"{out}: found a file, expected none: nothing is replaced")
    screen.progress(screen.say("核对中……", "proving …"))
    with place.store_of(settings) as store:
        found = completeness(store, lambda digest: ruleset_of(store, digest), args.day)
        head, wrong, later = _head(settings, store)
    screen.progress("")
    good = found.good and not wrong
    if not (args.json or args.xlsx or args.html):
        _print(screen, found, sections(screen, found, clients=args.clients), _footer(screen, head, wrong, later), good)
    if args.json:
        screen.json(_json(found, head, wrong, good, clients=args.clients))
    if args.xlsx or args.html:
        listed = sections(screen, found, clients=args.clients)
        _write(args, screen, found, listed, _footer(screen, head, wrong, later), good)
    return 0 if good else 1


def _head(settings: Settings, store: Store) -> tuple[Checkpoint | None, str, int]:
    """The trail's signed head, what is wrong with it (its signature, or records that it covers and the store lacks), and how
    many records it does not cover yet. The store is read behind it: what a head covers had its index before."""
    from daemon.audit.checkpoint import open_checkpoint
    from daemon.cli.audit import live_keys
    from daemon.store import trail

    path = settings.path(settings.trail.folder) / "checkpoint"
    if not path.is_file():
        return None, "", 0
    try:
        head = open_checkpoint(path.read_bytes(), live_keys(settings, store))
    except ValueError as reason:
        return None, str(reason), 0
    with store.read() as tx:
        size, waiting = trail.size(tx), trail.waiting(tx)
    if head.size > size:
        return head, f"the trail's head covers {head.size} records, the store has {size} of them", 0
    return head, "", size + waiting - head.size


def _footer(screen: Screen, head: Checkpoint | None, wrong: str, later: int) -> str:
    """The head that a reader compares with the log, and how many records it does not cover yet."""
    if wrong:
        return wrong
    if head is None:
        return screen.say("审计链尚未发布", "nothing of the trail is published yet")
    root = head.root.hex()
    return screen.say(
        f"审计链 {head.origin}：{head.size} 条，总散列 {root}；另有 {later} 条尚未签名",
        f"trail {head.origin}: {head.size} records, root {root}; {later} more are not signed yet",
    )


def _json(found: Completeness, head: Checkpoint | None, wrong: str, good: bool, *, clients: bool) -> dict[str, Any]:
    from daemon.report.completeness import to_json

    shown = to_json(found, clients=clients) | {"good": good}
    signed = None if head is None else {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    return shown | {"head": signed, "head_wrong": wrong}


def _print(screen: Screen, found: Completeness, listed: list[Section], footer: str, good: bool) -> None:
    screen.line(_title(screen, found))
    for one in listed:
        if one.rows:
            screen.head(f"── {one.zh}", f"── {one.en}")
            screen.table(one.heads, [[screen.show(cell) for cell in row] for row in one.rows[: one.most]])
            left = len(one.rows) - one.most
            if left > 0:
                screen.line(screen.say(f"……另有 {left} 行，见 --json", f"… and {left} more, see --json"))
    screen.line()
    screen.line(footer)
    screen.line(_verdict(screen, good))


def _title(screen: Screen, found: Completeness) -> str:
    return screen.say(f"{found.day} 完整性报告", f"completeness of {found.day}")


def _verdict(screen: Screen, good: bool) -> str:
    if good:
        return screen.say(
            "完整：每个客户恰在一类，账与审计链一致", "complete: every client in one bucket, all rows as recorded"
        )
    return screen.say("不完整：见以上各项", "NOT complete: see above")


def _write(
    args: argparse.Namespace, screen: Screen, found: Completeness, listed: list[Section], footer: str, good: bool
) -> None:
    from daemon.cli.completeness_sections import as_page, as_workbook

    title, verdict = _title(screen, found), _verdict(screen, good)
    files = []
    if args.xlsx:
        files.append((args.xlsx, as_workbook(screen, listed, [title, verdict, footer])))
    if args.html:
        files.append((args.html, as_page(screen, listed, title, verdict, footer, good=good)))
    for out, raw in files:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
        if not args.json:
            screen.line(screen.say(f"已写入 {out}", f"written to {out}"))
    if not args.json:
        screen.line(verdict)
