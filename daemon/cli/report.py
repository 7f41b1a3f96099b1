"""`duenotice report completeness|sheet`: the daily proof; one poll's decisions as a plain Parquet file, for a named person."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from daemon.cli import Usage, completeness, place
from daemon.cli.place import screen_of


def add(parsers: Any) -> None:
    """The parser of `report`."""
    commands = place.subparsers(parsers, "report", "The daily proof, and what was decided, in clear.")
    completeness.add(commands)
    text = "a sheet as a Parquet file, mode 0600; who asked for it and why is recorded first"
    sheet = commands.add_parser("sheet", help=text, description=text)
    sheet.add_argument("--poll", type=int, required=True, metavar="P", help="the poll's number, as `status` lists it")
    sheet.add_argument("--rule", required=True, metavar="R", help="the rule, such as margin/maintenance")
    sheet.add_argument("--out", type=Path, required=True, metavar="FILE", help="a file that is not there yet")
    place.by_name(sheet)
    sheet.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Record the access, then write. 1 where the sheet is past its time."""
    from daemon.report.explain import sheet_of
    from daemon.store import trail

    settings = place.settings_of(args)
    screen = screen_of(args)
    if args.out.exists():
        raise Usage(f"{args.out}: found a file, expected none: nothing is replaced")
    with place.store_of(settings) as store:
        try:
            row, reader = sheet_of(store, args.poll, args.rule)
        except LookupError as missing:
            raise Usage(str(missing.args[0])) from None
        if reader is None:
            screen.line(screen.say("判定底稿已过保存期", "the sheet is past its time"))
            return 1
        what = f"sheet {row['run']} {row['rule']}"
        data = {
            "by": args.by,
            "reason": args.reason,
            "what": what,
            "count": row["lines"],
            "fields": [n for n, _ in reader.operands],
        }
        with store.write() as tx:
            trail.append(tx, "access", t=place.now(), actor=f"person:{args.by}", rule=args.rule, data=data)
        reader.write_clear(args.out)
    screen.line(screen.say(f"{row['lines']} 行写入 {args.out}", f"{row['lines']} lines written to {args.out}"))
    screen.line(f"sha256 {row['sha256']}")
    return 0
