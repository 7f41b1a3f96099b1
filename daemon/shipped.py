"""Finds the folders that come with the program: beside the package in a checkout, in `share/duenotice` of an installed wheel.

The names are `rules templates config systemd`.
"""

from __future__ import annotations

import site
import sys
from collections.abc import Iterator
from pathlib import Path

from daemon.errors import ConfigError

NAMES = ("rules", "templates", "config", "systemd")
SHARE = "share/duenotice"


def shipped(name: str) -> Path:
    """The shipped folder of this name. Raises ConfigError where it is in none of the places."""
    if name not in NAMES:
        raise ValueError(f"shipped folder {name!r}: expected one of {', '.join(NAMES)}")
    places = [root / name for root in _roots()]
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError(f"shipped folder {name}: found in none of {', '.join(map(str, places))}")


def _roots() -> Iterator[Path]:
    """A checkout has its pyproject.toml beside the package; a wheel's data lies under the prefix it was installed into."""
    package = Path(__file__).resolve().parent
    if (package.parent / "pyproject.toml").is_file():
        yield package.parent
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix, site.getuserbase())):
        yield Path(prefix) / SHARE
    yield package.parent / SHARE  # pip install --target
