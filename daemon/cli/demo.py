"""`duenotice demo`: real trading days from end to end, in minutes, reaching nobody."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.screen import Screen
from daemon.clock import SHANGHAI

if TYPE_CHECKING:
    from daemon.demo.driver import Plan

DAYS = (date(2024, 2, 1), date(2024, 3, 28))
FOLDER = Path("duenotice-demo")


def add(parsers: Any) -> None:
    """The parser of `demo`."""
    text = (
        "Plays real trading days with synthetic clients: allotments to pay, a fund window, margin accounts falling with the "
        "real (adjusted) closes; the stand-in carrier runs in a process of its own and reaches nobody."
    )
    parser = parsers.add_parser("demo", help=text, description=text)
    parser.add_argument("--days", type=_days, default=DAYS, metavar="D1,D2", help="sessions the sample covers")
    parser.add_argument("--clients", type=int, default=10_000, help="how many clients (default 10000)")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic clients")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where everything goes (default ./duenotice-demo)")
    parser.add_argument(
        "--repeat", choices=("honour", "ignore"), default="honour", help="what the carrier does with a repeated id"
    )
    parser.add_argument("--profile", default="calm", help="the carrier's weather: calm, busy, worst")
    parser.set_defaults(go=go)


def _days(text: str) -> tuple[date, ...]:
    return tuple(sorted({place.day(part) for part in text.split(",")}))


def go(args: argparse.Namespace) -> int:
    """Play, then show what came of it. 0 when the trail verifies."""
    from daemon import log
    from daemon.demo.setup import prepare
    from daemon.shipped import shipped

    if not 100 <= args.clients <= 200_000:
        raise Usage(f"--clients: found {args.clients}, expected 100 to 200000")
    log.start("ERROR")
    screen = Screen(args.lang)
    root = shipped()
    require_sessions(args.days, root)
    try:
        plan = prepare(
            args.folder, days=args.days, clients=args.clients, seed=args.seed, repeat=args.repeat, profile=args.profile,
            public=root / "config" / "sample",
        )  # fmt: skip
    except ValueError as other:
        raise Usage(str(other)) from None
    asyncio.run(_play(plan, root, _progress(screen)))
    from daemon.cli.demo_summary import summarise

    return summarise(plan, screen)


def require_sessions(days: tuple[date, ...], root: Path) -> None:
    """Raise Usage for a day on which the exchange is closed."""
    from daemon.rules.load import load, read_folder

    calendar = load(read_folder(root)).required().calendar
    for day in days:
        if not calendar.is_session(day):
            raise Usage(f"--days: {day} is no session of the exchange")


async def _play(plan: Plan, root: Path, say: Callable[[datetime, datetime], None]) -> None:
    from daemon.demo.driver import CarrierProcess, Driver
    from daemon.demo.setup import secrets_of, settings_for
    from daemon.transport import HttpxTransport

    transport = HttpxTransport()
    try:
        carrier = CarrierProcess(plan, transport, secrets_of(plan))
        await Driver(plan, carrier, settings_for(plan, root), say).play()
    finally:
        await transport.aclose()


def _progress(screen: Screen) -> Callable[[datetime, datetime], None]:
    """One line that moves on a terminal; one line a day elsewhere."""
    moving = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    seen: set[date] = set()

    def say(before: datetime, now: datetime) -> None:
        local = now.astimezone(SHANGHAI)
        if moving:
            sys.stderr.write(f"\r{local:%Y-%m-%d %H:%M:%S} ")
            sys.stderr.flush()
        elif local.date() not in seen:
            sys.stderr.write(f"{local:%Y-%m-%d}\n")
        seen.add(local.date())

    return say
