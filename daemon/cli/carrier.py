"""`duenotice carrier`: the stand-in carrier alone; options and exit codes are those of `daemon.carrier.__main__`."""

from __future__ import annotations

import argparse
from typing import Any


def add(parsers: Any) -> None:
    """A parser that takes everything on; the carrier's own parser reads it."""
    parser = parsers.add_parser("carrier", help="the stand-in carrier alone", add_help=False)
    parser.add_argument("rest", nargs=argparse.REMAINDER)


def go(args: argparse.Namespace) -> int:
    """Hand everything on."""
    from daemon.carrier.__main__ import main

    return main(args.rest)
