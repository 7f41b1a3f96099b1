"""`duenotice check`: everything that can be wrong before it matters, each with its place; nothing is changed or sent."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.cli.findings import said
from daemon.cli.place import screen_of
from daemon.errors import ConfigError, DueNoticeError, Finding
from daemon.yamlfile import near

if TYPE_CHECKING:
    from daemon.rules.load import Loaded
    from daemon.rules.schema import RuleSet
    from daemon.settings import Settings

RULES = ".."
"""Where the rule folder is, seen from the configuration, when the configuration cannot say (the default of `rules.folder`)."""
CLASH = "python-daemon"
"""A distribution that installs a package of the same name as ours."""


def add(parsers: Any) -> None:
    """The parser of `check`."""
    text = "Everything that can be wrong: configuration, rules, cards, cases, keys, file modes; exit 1 if anything is."
    parser = parsers.add_parser("check", help=text, description=text)
    parser.add_argument("--sources", action="store_true", help="also reach every source and compare its columns")
    place.listing(parser)


def go(args: argparse.Namespace) -> int:
    """All findings; 1 if there is any."""
    findings: list[Finding] = [*_packages()]
    settings: Settings | None = None
    warnings: list[Finding] = []
    try:
        settings = place.settings_of(args)
    except ConfigError as wrong:
        findings += wrong.findings or [_whole(str(args.config), "configuration", wrong)]
        findings += _of_folder(args.config.parent / RULES)  # the rules can be read all the same
    if settings is not None:
        findings += _of_settings(settings, warnings, reach=args.sources)
    screen = screen_of(args)
    if args.json:
        names = ("path", "line", "column", "key", "found", "allowed", "hint")
        told = [("error", f) for f in findings] + [("warning", f) for f in warnings]
        screen.json([{"severity": s} | {name: getattr(f, name) for name in names} for s, f in told])
        return 1 if findings else 0
    for finding in findings:
        screen.line(said(finding, screen.lang))
    for warning in warnings:
        screen.line(f"{screen.say('提示', 'warning')}: {said(warning, screen.lang)}")
    count = len(findings)
    good = screen.say("没有发现错误", "nothing is wrong")
    screen.line(
        screen.say(f"共 {count} 处错误", f"{count} {'finding' if count == 1 else 'findings'}") if count else good
    )
    return 1 if findings else 0


def _whole(path: str, key: str, wrong: Exception, allowed: str = "none of this") -> Finding:
    return Finding(path, 0, 0, key, str(wrong).splitlines()[0], allowed)


def _packages() -> Iterator[Finding]:
    """Whether another distribution has put its files into our package."""
    try:
        found = metadata.version(CLASH)
    except metadata.PackageNotFoundError:
        return
    yield Finding(CLASH, 0, 0, "package", f"version {found}", "none: it installs a package `daemon` too, over ours")


def _of_settings(settings: Settings, warnings: list[Finding], *, reach: bool) -> Iterator[Finding]:
    """Every mistake of a configuration that could be read; what is only near goes to `warnings`."""
    yield from _keys(settings)
    yield from _modes(settings)
    loaded = _loaded(settings.path(settings.rules.folder))
    if isinstance(loaded, Finding):
        yield loaded
        return
    yield from loaded.findings
    if loaded.ruleset is not None:
        yield from _cases(loaded.ruleset)
    if loaded.read is not None:
        yield from _names(settings, loaded.read)
        yield from _reviews(loaded.read, warnings)
    if reach and loaded.ruleset is not None:
        yield from _reach(settings, loaded.ruleset)


def _of_folder(folder: Path) -> Iterator[Finding]:
    """Every mistake of a rule folder."""
    loaded = _loaded(folder)
    yield from [loaded] if isinstance(loaded, Finding) else loaded.findings


def _loaded(folder: Path) -> Loaded | Finding:
    """The folder's files as the daemon reads them; a finding where they cannot be had."""
    from daemon.rules.load import load, read_folder

    try:
        return load(read_folder(folder))
    except ConfigError as wrong:
        return _whole(str(folder), "rules.folder", wrong)


def _keys(settings: Settings) -> Iterator[Finding]:
    """Whether the keys and every secret can be read."""
    from daemon.settings import credentials_folder

    credentials = credentials_folder(os.environ)
    try:
        place.keyring_of(settings)
    except ConfigError as wrong:
        yield _whole("duenotice.yaml", "keys.file", wrong, "a key file of mode 0600, as `duenotice init` makes one")
    for name, key in _secrets(settings):
        try:
            settings.secret(name, credentials)
        except ConfigError as wrong:
            yield _whole(key.split(".")[0] + ".yaml", key, wrong, "a secret file of mode 0600, or a credential")


def _secrets(settings: Settings) -> Iterator[tuple[str, str]]:
    """(name of the secret, key that names it)."""
    if settings.store.url_file:
        yield settings.store.url_file, "duenotice.store.url_file"
    for name, source in settings.sources.items():
        for key in ("url_file", "token_file"):
            if found := getattr(source, key):
                yield found, f"sources.{name}.{key}"
    for name, way in settings.alarms.ways.items():
        for key in ("url_file", "secret_file", "password_file", "to_file"):
            if found := getattr(way, key, ""):
                yield found, f"duenotice.alarms.ways.{name}.{key}"
    if settings.alarms.heartbeat:
        yield settings.alarms.heartbeat.url_file, "duenotice.alarms.heartbeat.url_file"
    for name, gateway in settings.gateways.items():
        for key in ("app_key_file", "callback_token_file", "secret_file", "callback_secret_file"):
            if found := getattr(gateway, key, ""):
                yield found, f"channels.gateways.{name}.{key}"


def _modes(settings: Settings) -> Iterator[Finding]:
    """Who else may read the state, or write what decides."""
    state = settings.path(settings.state)
    for path in (state, *sorted(state.glob("*.db*"))):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield Finding(str(path), 0, 0, "mode", f"{mode:04o}", "0700 for the folder, 0600 for its files")
    folder = settings.path(settings.rules.folder)
    decides = [p for name in ("rules", "templates") for p in (folder / name).rglob("*")] + sorted(
        settings.folder.glob("*.yaml")
    )
    for path in decides:
        if not path.is_symlink() and path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o002:
            yield Finding(
                str(path), 0, 0, "mode", f"{mode:04o}", "nothing that everybody may write: it decides who is told"
            )


def _reviews(made: RuleSet, warnings: list[Finding]) -> Iterator[Finding]:
    """Reviews that are overdue, or dated ahead of the day; those that fall due within 30 days are warnings."""
    from daemon.rules.reviews import reviews

    today = place.today()
    for review in reviews(made, today):
        trail = f"parameters.{review.parameter}.reviewed_on"
        allowed = f"a review by {review.reviewed_by}, then its day"
        if review.reviewed_on > today:
            yield Finding(review.path, review.line, 1, trail, str(review.reviewed_on), f"a day up to {today}")
        elif review.state == "overdue":
            found = f"a review of {review.reviewed_on}, overdue since {review.due_on}"
            yield Finding(review.path, review.line, 1, trail, found, allowed, "nothing can be signed until then")
        elif review.state == "due":
            found = f"a review of {review.reviewed_on}, the next one due by {review.due_on}"
            warnings.append(Finding(review.path, review.line, 1, trail, found, allowed))


def _cases(made: RuleSet) -> Iterator[Finding]:
    from daemon.rules.cases import run_cases

    for result in run_cases(made):
        for fault in result.faults:
            key, _, rest = fault.partition(": ")
            found, _, expected = rest.removeprefix("found ").partition(", expected ")
            yield Finding(
                result.case.path,
                result.case.line,
                1,
                f"{result.case.name}: {key}",
                found,
                expected or "as the case says",
            )


def _names(settings: Settings, made: RuleSet) -> Iterator[Finding]:
    """Sources and channels that rules name and the configuration does not have."""
    for kind in made.kinds.values():
        for feed in kind.feeds:
            for part in feed.parts:
                if part.source not in settings.sources:
                    key = f"feeds.{feed.name}.parts.{part.name}.source"
                    allowed = ", ".join(sorted(settings.sources)) or "none is configured"
                    yield Finding(
                        kind.path,
                        0,
                        0,
                        key,
                        f"the source '{part.source}'",
                        allowed,
                        near(part.source, settings.sources),
                    )
    for rule in made.rules.values():
        for channel in rule.channels:
            if not settings.channels.get(channel):
                allowed = ", ".join(sorted(settings.channels)) or "none is configured"
                yield Finding(
                    rule.path,
                    rule.line,
                    1,
                    "channels",
                    f"the channel '{channel}'",
                    allowed,
                    near(channel, settings.channels),
                )


def _reach(settings: Settings, made: RuleSet) -> Iterator[Finding]:
    """Whether each part's source answers in the shape that its mapping expects."""
    from daemon.app_parts import open_sources
    from daemon.settings import credentials_folder
    from daemon.sources import SourceConfig

    credentials = credentials_folder(os.environ)
    try:
        configs = {name: SourceConfig.from_mapping(name, settings.source(name)) for name in settings.sources}
        secrets = {n: settings.secret(n, credentials) for c in configs.values() for n in c.secret_names}
        sources = open_sources(configs, secrets)
    except ConfigError as wrong:
        yield _whole("sources.yaml", "sources", wrong)
        return
    day, now = place.today(), place.now()
    for kind in made.kinds.values():
        for feed in kind.feeds:
            for part in feed.parts:
                source = sources.get(part.source)
                if source is None or part.format not in ("sql", "http"):
                    continue
                try:
                    with source.read(part, business_date=day, now=now):
                        pass
                except DueNoticeError as wrong:
                    yield _whole(
                        kind.path, f"feeds.{feed.name}.parts.{part.name}", wrong, "an answer with every column mapped"
                    )
