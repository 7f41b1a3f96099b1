"""Finds what comes with the program: beside the package in a checkout, in `share/duenotice` of an installed wheel."""

from __future__ import annotations

import site
import sys
from collections.abc import Iterator
from pathlib import Path

from daemon.errors import ConfigError

NAMES = ("rules", "templates", "config")
SHARE = "share/duenotice"


def shipped() -> Path:
    """The folder that holds `rules templates config systemd` as shipped. Raises ConfigError where there is none."""
    places = list(_roots())
    for place in places:
        if all((place / name).is_dir() for name in NAMES):
            return place
    raise ConfigError(f"shipped folders {', '.join(NAMES)}: found in none of {', '.join(map(str, places))}")


def _roots() -> Iterator[Path]:
    """A checkout has its pyproject.toml beside the package; a wheel's data lies under the prefix it was installed into."""
    package = Path(__file__).resolve().parent
    if (package.parent / "pyproject.toml").is_file():
        yield package.parent
    for prefix in dict.fromkeys((sys.prefix, sys.base_prefix, site.getuserbase())):
        yield Path(prefix) / SHARE
    yield package.parent / SHARE  # pip install --target
