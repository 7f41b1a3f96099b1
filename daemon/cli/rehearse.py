"""`duenotice rehearse`: a trading day against the stand-in carrier's worst weather, in virtual time, held against the promises."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.screen import Screen

if TYPE_CHECKING:
    from datetime import datetime

    from daemon.demo.driver import Plan
    from daemon.rehearse.promises import Played

FAULTS = ("calm", "busy", "worst")


def add(parsers: Any) -> None:
    """The parser of `rehearse`."""
    text = (
        "Plays one trading day of the sample back office against the stand-in carrier in one process and in virtual time: errors, "
        "answers lost after acceptance, throttling, lost, late, doubled and reordered receipts, failed revokes, handsets off. "
        "Prints what became of the notices and the first broken promise, with the command that repeats it; then exits with 1."
    )
    parser = parsers.add_parser("rehearse", help=text, description=text)
    parser.add_argument("--day", type=place.day, required=True, metavar="D", help="a session that the sample covers")
    parser.add_argument("--faults", choices=FAULTS, default="worst", help="the carrier's weather (default worst)")
    parser.add_argument(
        "--seed", type=int, default=1, help="of clients, handsets and faults; the same gives the same day"
    )
    parser.add_argument("--clients", type=int, default=300, help="how many clients (default 300)")
    parser.add_argument(
        "--repeat", choices=("honour", "ignore"), default="honour", help="what the carrier does with a repeated id"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder in which the day is left")
    place.listing(parser)
    parser.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Play, hold against the promises; 1 where one is broken."""
    from daemon import log
    from daemon.cli.demo import require_sessions
    from daemon.shipped import shipped

    if not 100 <= args.clients <= 20_000:
        raise Usage(f"--clients: found {args.clients}, expected 100 to 20000")
    if args.keep is not None and args.keep.exists():
        raise Usage(f"--keep: {args.keep} is there already, expected a new folder")
    log.start("ERROR")
    screen = Screen(args.lang)
    root = shipped()
    require_sessions((args.day,), root)
    folder = Path(tempfile.mkdtemp(prefix="duenotice-rehearsal-")) if args.keep is None else args.keep
    try:
        return _rehearse(args, folder, root, screen)
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def _rehearse(args: argparse.Namespace, folder: Path, root: Path, screen: Screen) -> int:
    from daemon.rehearse import promises
    from daemon.rehearse.play import play
    from daemon.settings_files import load_settings

    def say(before: datetime, now: datetime) -> None:
        screen.progress(screen.show(now))

    plan: Plan = asyncio.run(
        play(
            folder,
            args.day,
            profile=args.faults,
            seed=args.seed,
            clients=args.clients,
            repeat=args.repeat,
            root=root,
            say=say,
        )
    )
    screen.progress("")
    settings = load_settings(plan.folder / "config" / "duenotice.yaml")
    with place.store_of(settings) as store:
        day = promises.read_day(plan, settings, store)
        found = promises.broken(day)
        _show(args, screen, day, found)
    return 1 if any(found.values()) else 0


def again(args: argparse.Namespace) -> str:
    """The command that plays the same day."""
    return (
        f"duenotice rehearse --day {args.day} --faults {args.faults} --seed {args.seed} --clients {args.clients} "
        f"--repeat {args.repeat} --keep DIR"
    )


def _show(args: argparse.Namespace, screen: Screen, day: Played, found: dict[str, list[str]]) -> None:
    from daemon.cli import labels
    from daemon.rehearse import promises

    table = promises.outcome_table(day)
    if args.json:
        rules = [{"rule": rule, "outcomes": counts, "tasks": tasks} for rule, counts, tasks in table]
        screen.json({"rules": rules, "requests": len(day.requests), "broken": found, "again": again(args)})
        return
    words = sorted({outcome for _, counts, _ in table for outcome in counts})
    heads = (
        screen.say("规则", "rule"),
        *(screen.label(labels.OUTCOMES, word) for word in words),
        screen.say("待办", "tasks"),
    )
    screen.table(heads, [(rule, *(counts.get(word, 0) for word in words), tasks) for rule, counts, tasks in table])
    screen.line(
        screen.say(f"到达平台的请求 {len(day.requests)} 次", f"{len(day.requests)} requests reached the platform")
    )
    screen.line()
    for zh, en, _ in promises.PROMISES:
        screen.line(f"{'✗' if found[en] else '✓'} {screen.say(zh, en)}")
        for sentence in found[en]:
            screen.line(sentence, indent=4)
    if any(found.values()):
        screen.line()
        screen.line(screen.say("重现：", "again: ") + again(args))
