"""`duenotice run` (the daemon) and `duenotice once` (one pass). Exit codes as in sysexits.h.

0   drained and ended
75  another daemon holds the state folder or leads, the database is away, or a port is taken: try again
74  the store cannot be written
78  configuration, rules or keys are unusable, or the store is of another time than the log: nothing was done
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.clock import SHANGHAI, RealClock

if TYPE_CHECKING:
    from daemon.cli.screen import Screen
    from daemon.settings import Settings

IO_ERROR, TEMPORARY, CONFIG = 74, 75, 78


def add(parsers: Any) -> None:
    """The parsers of `run` and `once`."""
    run = parsers.add_parser(
        "run", help="the daemon", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run.add_argument(
        "--role",
        choices=("all", "poll", "deliver", "web"),
        default="all",
        help="the part of the work that this process does (several processes want PostgreSQL): poll and lead, deliver, take "
        "callbacks; all (default)",
    )
    run.set_defaults(go=go_run)
    once = parsers.add_parser("once", help="do what is due, then end", description="Everything due now, once.")
    once.add_argument("--feed", default="", help="poll this feed now, whatever its schedule says")
    once.add_argument(
        "--at", type=_moment, metavar="TIME", help="as if it were TIME (Asia/Shanghai): decides, needs --dry-run"
    )
    once.add_argument("--dry-run", action="store_true", help="read and decide only: nothing is written, nothing leaves")
    once.set_defaults(go=go_once)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a time such as 2024-02-01T08:00") from None
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def go_run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reloads rules between two passes."""
    from daemon import log

    settings = place.settings_of(args)
    log.start(settings.log.level)
    return _guarded(lambda: asyncio.run(_run(settings, args.role, lambda: place.settings_of(args))))


async def _run(settings: Settings, role: str, reread: Callable[[], Settings]) -> None:
    from daemon.app import App
    from daemon.compose import parts

    app = App(parts(settings, RealClock(), role=role, reread=reread))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    if await app.start():
        await app.run()


def _guarded(work: Any) -> int:
    from daemon.errors import ConfigError, StoreConflict
    from daemon.store.db import CommitUnknown, StoreBusy, StoreUnusable

    try:
        work()
    except ConfigError as wrong:
        print(wrong, file=sys.stderr)
        return CONFIG
    except LookupError as unknown:
        print(f"duenotice: {unknown}", file=sys.stderr)
        return 2
    except (StoreConflict, StoreBusy) as busy:
        print(f"duenotice: {busy}", file=sys.stderr)
        return TEMPORARY
    except (StoreUnusable, CommitUnknown) as broken:
        print(f"duenotice: {broken}", file=sys.stderr)
        return IO_ERROR
    except OSError as broken:
        print(f"duenotice: {broken}", file=sys.stderr)
        return TEMPORARY if broken.errno in (98, 13) else IO_ERROR
    return 0


def go_once(args: argparse.Namespace) -> int:
    """One pass on the configured store; with --dry-run the decisions alone, as counts."""
    from daemon import log
    from daemon.cli import Usage

    if args.at is not None and not args.dry_run:
        raise Usage("--at: expected together with --dry-run; the daemon never acts at another time")
    settings = place.settings_of(args)
    log.start(settings.log.level)
    if args.dry_run:
        return _dry(settings, [args.feed] if args.feed else [], args.at or RealClock().now(), place.screen_of(args))
    return _guarded(lambda: asyncio.run(_once(settings, args.feed)))


def _dry(settings: Settings, feeds: list[str], now: datetime, screen: Screen) -> int:
    from daemon.dryrun import decide_only

    try:
        found = decide_only(settings, feeds, now)
    except LookupError as unknown:
        print(f"duenotice: {unknown}", file=sys.stderr)
        return 2
    rows: list[tuple[object, ...]] = [
        (feed, state.value, rule, bucket, facts)
        for feed, state, rules in found
        for rule, buckets in rules.items()
        for bucket, facts in buckets.items()
    ]
    rows += [(feed, state.value, "", "", "") for feed, state, rules in found if not rules]
    heads = (
        ("采集", "状态", "规则", "去向", "事实")
        if screen.lang == "zh"
        else ("feed", "state", "rule", "bucket", "facts")
    )
    screen.table(heads, rows)
    return 0


async def _once(settings: Settings, feed: str) -> None:
    from daemon.app import App
    from daemon.compose import parts

    app = App(parts(settings, RealClock()))
    await app.start()
    try:
        if feed:
            app.polls.open_now(feed, app.clock.now())  # LookupError: such a feed is not there
        while await app.pass_() or app.busy:  # noqa: ASYNC110 - a poll child's pipe has no event to wait for
            await asyncio.sleep(0.01 if app.busy else 0)
    finally:
        await app.close()
