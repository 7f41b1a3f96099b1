"""`duenotice carrier`: the stand-in carrier as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from daemon.carrier.profiles import PROFILES
from daemon.carrier.settings import CarrierSettings, load
from daemon.errors import ConfigError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="duenotice carrier", description="A strict stand-in platform; reaches nobody."
    )
    parser.add_argument("--config", type=Path, help="settings as a JSON object; options here win")
    parser.add_argument("--state", type=Path, help="its ledger, a SQLite file")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="the platform's port; 0: any free one, printed once it listens")
    parser.add_argument("--control-port", type=int)
    parser.add_argument("--notify-url", help="where callbacks are posted")
    parser.add_argument("--profile", choices=tuple(PROFILES))
    parser.add_argument("--repeat", choices=("honour", "ignore", "refuse"), help="what a messageId taken before gets")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--mode", choices=("stepped", "real"))
    parser.add_argument("--start", type=datetime.fromisoformat, help="first instant of a stepped clock")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 after SIGTERM, 2 for wrong use, 78 for unusable settings, 75 where a port cannot be had."""
    given: dict[str, Any] = {key: value for key, value in vars(_parser().parse_args(argv)).items() if value is not None}
    config = given.pop("config", None)
    try:
        settings = load(config, **given) if config else CarrierSettings(**{"state": Path("carrier.sqlite"), **given})
    except ConfigError as wrong:
        print(wrong, file=sys.stderr)
        return 78
    from daemon.carrier.run import run_carrier

    try:
        asyncio.run(run_carrier(settings))
    except OSError as taken:
        print(f"duenotice carrier: {taken}", file=sys.stderr)
        return 75
    return 0


if __name__ == "__main__":
    sys.exit(main())
