"""`duenotice init DIR`: the folder of a new installation, as shipped, with keys of its own."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daemon.cli.place import screen_of
from daemon.errors import ConfigError
from daemon.shipped import shipped

COPIED = ("rules", "templates")
KEYS = "keys.json"
MAIN = "duenotice.yaml"


def add(parsers: Any) -> None:
    """The parser of `init`."""
    text = (
        "A new installation in DIR: config/, rules/, templates/ as shipped, and a key file. Nothing there is replaced."
    )
    parser = parsers.add_parser("init", help=text, description=text)
    parser.add_argument("dir", type=Path, metavar="DIR")


def go(args: argparse.Namespace) -> int:
    """Copy, make keys, say what comes next. Raises ConfigError before anything is written where something is in the way."""
    from daemon.security.keyring import Keyring

    target: Path = args.dir
    wanted = list(_wanted(target))
    if there := [str(to) for _, to in wanted if to.exists()] + [
        str(k) for k in (target / "config" / KEYS,) if k.exists()
    ]:
        raise ConfigError(f"{target}: found {', '.join(there[:3])}, expected a folder without them")
    for source, to in wanted:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)
    keys = target / "config" / KEYS
    Keyring.create(keys)
    screen = screen_of(args)
    config = target / "config" / MAIN
    screen.line(
        screen.say(
            f"已建立 {len(wanted)} 个文件和密钥文件 {keys}（权限 0600）",
            f"{len(wanted)} files and the key file {keys} (mode 0600)",
        )
    )
    screen.line(
        screen.say(
            "密钥文件不在数据库里，也不在它的备份里：请另外妥善保存。",
            "The key file is in no database and in no backup of one: keep a copy elsewhere.",
        )
    )
    screen.line(screen.say("接下来：", "Next:"))
    for text in (f"duenotice --config {config} check", f"duenotice --config {config} run"):
        screen.line(text, 2)
    screen.line(
        screen.say(
            f"规则集尚未签署（开发模式）：两人如何签署见 {target / 'rules' / 'README.md'} 的 Signing 一节。",
            f"The rule set is not signed (development mode): how two people sign it, {target / 'rules' / 'README.md'} says.",
        )
    )
    return 0


def _wanted(target: Path) -> Iterator[tuple[Path, Path]]:
    """(shipped file, where it goes): the rule folders whole, of the configuration the files at its top."""
    for folder in COPIED:
        root = shipped() / folder
        yield from (
            (path, target / folder / path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()
        )
    root = shipped() / "config"
    yield from (
        (path, target / "config" / path.name) for path in sorted(root.iterdir()) if path.is_file() and path.name != KEYS
    )
