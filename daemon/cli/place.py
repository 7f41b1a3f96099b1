"""Where a command works: the configuration, its store opened, the rule sets kept in it; and the options that name a person."""

from __future__ import annotations

import argparse
import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.screen import Screen
from daemon.clock import SHANGHAI, RealClock
from daemon.errors import ConfigError
from daemon.yamlfile import parse_date

if TYPE_CHECKING:
    from daemon.rules.load import Loaded
    from daemon.rules.schema import RuleSet
    from daemon.security.keyring import Keyring
    from daemon.settings import Settings
    from daemon.store.db import Store
    from daemon.world import World


def settings_of(args: argparse.Namespace) -> Settings:
    """The configuration that `--config` names; its language where neither option nor locale says one. Raises ConfigError."""
    from daemon.settings_files import load_settings

    settings = load_settings(args.config, os.environ)
    args.lang = args.lang or settings.lang
    return settings


def keyring_of(settings: Settings) -> Keyring:
    """The keys. Raises KeyUnusable."""
    from daemon.security.keyring import Keyring
    from daemon.settings import credentials_folder

    credentials = credentials_folder(os.environ)
    return Keyring.load(settings.secret_path(settings.keys.file, credentials), credentials)


@contextmanager
def store_of(settings: Settings) -> Iterator[Store]:
    """The store, which must be there already: a command that looks makes none. Raises ConfigError, StoreUnusable."""
    from daemon.settings import credentials_folder
    from daemon.store.db import Store, plain_errors
    from daemon.store.engine import FILE_NAME

    folder, url = settings.path(settings.state), ""
    if settings.store.url_file:
        url = settings.secret(settings.store.url_file, credentials_folder(os.environ))
    elif not (folder / FILE_NAME).is_file():
        raise ConfigError(f"{folder}: found no store, expected one that `duenotice run` or `duenotice demo` has made")
    with plain_errors(folder):
        store = Store.open(folder, keyring=keyring_of(settings), node=settings.node, url=url)
        try:
            yield store
        finally:
            store.close()


def worlds(store: Store) -> Callable[[str], World]:
    """Rule sets of the store by digest, compiled; no source can be reached through them."""
    from daemon.app_parts import worlds_of

    return worlds_of(store, {})


def active_digest(store: Store) -> str:
    """The digest of the active rule set, '' where none was ever active."""
    from daemon.store import rulesets

    with store.read() as tx:
        active = rulesets.active(tx)
    return "" if active is None else active.digest


def loaded(args: argparse.Namespace) -> Loaded:
    """The rule folder that DIR names, else the configured one. Raises ConfigError where there is none."""
    from daemon.rules.load import load, read_folder

    folder: Path | None = args.dir
    if folder is None:
        settings = settings_of(args)
        folder = settings.path(settings.rules.folder)
    return load(read_folder(folder))


def rules_of(args: argparse.Namespace) -> RuleSet:
    """The same, which must be good. Raises FindingsError."""
    return loaded(args).required()


def now() -> datetime:
    """The moment at which a command works."""
    return RealClock().now()


def today() -> date:
    """The day in Asia/Shanghai."""
    return now().astimezone(SHANGHAI).date()


def screen_of(args: argparse.Namespace) -> Screen:
    """The screen, once the language is known."""
    return Screen(args.lang)


def day(text: str) -> date:
    """`2024-02-01`, or an argparse error."""
    found = parse_date(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a date such as 2024-02-01")
    return found


def name(text: str) -> str:
    """A person's own name as it stands in records: no spaces, at most 64 characters."""
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f-\xa0]{1,64}", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a name without spaces, at most 64 characters")
    return text


def reason(text: str) -> str:
    """Why, in at most 500 characters on one line."""
    if not text.strip() or len(text) > 500 or re.search(r"[\x00-\x1f\x7f]", text):
        raise argparse.ArgumentTypeError("expected a reason of 1 to 500 characters on one line")
    return text


def sha256(text: str) -> str:
    """A digest in hexadecimal."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("expected 64 hexadecimal digits in lower case")
    return text


def by_name(parser: argparse.ArgumentParser) -> None:
    """The options of a command that changes or reveals something: who, and why."""
    parser.add_argument("--by", type=name, required=True, metavar="NAME", help="who does this; stands in the trail")
    parser.add_argument("--reason", type=reason, required=True, metavar="TEXT", help="why; stands in the trail")


def by_account(parser: argparse.ArgumentParser) -> None:
    """The same options of a command that shows what is known of one client: who asks is the account, where no name is given."""
    account = pwd.getpwuid(os.getuid()).pw_name
    text = f"who asks; stands in the trail (default: the account, {account})"
    parser.add_argument("--by", type=name, default=account, metavar="NAME", help=text)
    parser.add_argument("--reason", type=reason, default="asked", metavar="TEXT", help="why; stands in the trail")


def record_access(store: Store, args: argparse.Namespace, what: str, *, client: int | None = None) -> None:
    """Record who looks at what, before it is shown."""
    from daemon.store import trail

    data = {"by": args.by, "reason": args.reason, "what": what}
    with store.write() as tx:
        trail.append(tx, "access", t=now(), actor=f"person:{args.by}", client=client, data=data)


def listing(parser: argparse.ArgumentParser) -> None:
    """The option of a command that lists something."""
    parser.add_argument("--json", action="store_true", help="for machines: one JSON document")


def folder_argument(parser: argparse.ArgumentParser) -> None:
    """DIR, the folder with `rules/` and `templates/`."""
    text = "the folder that holds rules/ and templates/; default: the configured one"
    parser.add_argument("dir", nargs="?", type=Path, metavar="DIR", help=text)


def subparsers(parsers: Any, noun: str, text: str) -> Any:
    """A noun's parser with room for its sub-commands."""
    return parsers.add_parser(noun, help=text, description=text).add_subparsers(metavar="COMMAND", required=True)
