"""`duenotice rules simulate|diff`: what another rule set would do on days that are over; nothing is sent or written."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import Usage, place
from daemon.cli.place import screen_of

if TYPE_CHECKING:
    from daemon.rules.schema import RuleSet
    from daemon.settings import Settings
    from daemon.simulate import Bench, Plan
    from daemon.sources import Source
    from daemon.store.db import Store

ACTIVE = "active"


def add(commands: Any) -> None:
    """The parsers of `rules simulate` and `rules diff`."""
    text = (
        "whom a rule set would tell what on days that are over, from kept sheets or from the sources; nothing is sent"
    )
    simulate = commands.add_parser("simulate", help=text, description=text)
    _common(simulate)
    simulate.add_argument("--out", type=Path, metavar="FILE", help="the whole result as JSON; a file not there yet")
    simulate.set_defaults(go=go_simulate)
    text = "whom a rule set would tell, not tell or tell differently beside another one; the result has a digest"
    diff = commands.add_parser("diff", help=text, description=text)
    _common(diff)
    against = "the set before: active (default), the digest of a kept set, or a folder"
    diff.add_argument("--against", default=ACTIVE, metavar="DIGEST|DIR", help=against)
    diff.add_argument(
        "--json", metavar="FILE", help="the result as canonical JSON, which an approval names; - prints it"
    )
    diff.add_argument("--xlsx", type=Path, metavar="FILE", help="also as a workbook; a file that is not there yet")
    diff.add_argument("--html", type=Path, metavar="FILE", help="also as one page; a file that is not there yet")
    diff.add_argument("--reveal", action="store_true", help="show clients' keys; needs --by and --reason")
    diff.add_argument("--by", type=place.name, metavar="NAME", help="who reveals; stands in the trail")
    diff.add_argument("--reason", type=place.reason, metavar="TEXT", help="why; stands in the trail")
    diff.set_defaults(go=go_diff)


def _common(parser: argparse.ArgumentParser) -> None:
    where = "the folder with rules/ and templates/ to try"
    parser.add_argument("--candidate", type=Path, required=True, metavar="DIR", help=where)
    parser.add_argument(
        "--days", type=days, required=True, metavar="A..B", help="business dates, 2024-01-29..2024-02-05"
    )
    parser.add_argument("--rule", action="append", default=[], metavar="R", help="only this rule; may be repeated")


def days(text: str) -> tuple[date, date]:
    """`2024-01-29..2024-02-05`, or one date; else an argparse error."""
    first, _, last = text.partition("..")
    return place.day(first), place.day(last or first)


def go_simulate(args: argparse.Namespace) -> int:
    """Counts by day and rule and what each day was decided from; 1 where a day could not be."""
    from daemon.cli.simulated_sections import of_simulation, unknown
    from daemon.report.diff import canonical_bytes

    settings, screen = place.settings_of(args), screen_of(args)
    _absent(args.out)
    candidate = _folder(args.candidate)
    with place.store_of(settings) as store, _bench(settings, store) as bench:
        plan = _plan(bench, [candidate], args)
        found = bench.simulate(candidate, plan, lambda now: screen.progress(f"{now:%Y-%m-%d %H:%M}"))
    screen.progress("")
    result = found.to_json()
    if args.out is not None:
        _write(args.out, canonical_bytes(result))
    _print(screen, of_simulation(screen, result))
    screen.line()
    screen.line(screen.say(f"结果摘要 {result['digest']}", f"digest of the result {result['digest']}"))
    return 1 if unknown(result["used"]) or result["faults"] else 0


def go_diff(args: argparse.Namespace) -> int:
    """The difference as tables; 1 where a day could not be decided."""
    from daemon.cli.completeness_sections import as_workbook
    from daemon.cli.simulated_sections import as_page, of_difference, samples, unknown
    from daemon.report.diff import canonical_bytes, difference

    settings, screen = place.settings_of(args), screen_of(args)
    if args.reveal != bool(args.by and args.reason):
        raise Usage("rules diff: --reveal goes with --by NAME and --reason TEXT, and they with it")
    for out in (args.xlsx, args.html, None if args.json in (None, "-") else Path(args.json)):
        _absent(out)
    candidate = _folder(args.candidate)
    with place.store_of(settings) as store:
        before = _against(store, args.against)
        with _bench(settings, store) as bench:
            plan = _plan(bench, [before, candidate], args)
            old, new = (
                bench.simulate(one, plan, lambda now: screen.progress(f"{now:%Y-%m-%d %H:%M}"))
                for one in (before, candidate)
            )
            found = difference(old, new)
            names = _revealed(args, store, candidate, bench.sources, found) if args.reveal else None
    screen.progress("")
    if args.json == "-":
        print(canonical_bytes(found).decode(), end="")
    elif args.json is not None:
        _write(Path(args.json), canonical_bytes(found))
    listed = of_difference(screen, found, names)
    if args.xlsx is not None:
        about = [screen.say("差异摘要", "digest of the difference"), found["digest"]]
        _write(args.xlsx, as_workbook(screen, [*listed, samples(screen, found)], about))
    if args.html is not None:
        _write(args.html, as_page(screen, listed, found))
    if args.json != "-":
        _print(screen, listed)
        screen.line()
        screen.line(screen.say(f"差异摘要 {found['digest']}", f"digest of the difference {found['digest']}"))
    return 1 if unknown([*found["used"]["before"], *found["used"]["after"]]) or found["faults"]["after"] else 0


def _print(screen: Any, listed: Any) -> None:
    for one in listed:
        if one.rows:
            screen.head(f"── {one.zh}", f"── {one.en}")
            screen.table(one.heads, one.rows[: one.most])
            left = len(one.rows) - one.most
            if left > 0:
                screen.line(screen.say(f"……另有 {left} 行", f"… and {left} more"))


def _folder(path: Path) -> RuleSet:
    """The rule set of a folder, which must be good. Raises FindingsError."""
    from daemon.rules.load import load, read_folder

    return load(read_folder(path)).required()


def _against(store: Store, text: str) -> RuleSet:
    """The set that `--against` names."""
    from daemon.app_parts import ruleset_of
    from daemon.report.queries import rule_set_digests

    if text == ACTIVE:
        active = place.active_digest(store)
        if not active:
            raise Usage("rules diff: found no active rule set in the store; name a folder or a digest by --against")
        return ruleset_of(store, active)
    if not re.fullmatch(r"[0-9a-f]{8,64}", text):
        return _folder(Path(text))
    with store.read() as tx:
        known = [digest for digest in rule_set_digests(tx) if digest.startswith(text)]
    if len(known) != 1:
        raise Usage(f"rules diff: found {len(known)} kept rule sets that begin with {text}, expected one")
    return ruleset_of(store, known[0])


@contextmanager
def _bench(settings: Settings, store: Store) -> Iterator[Bench]:
    from daemon.app_parts import open_sources
    from daemon.compose import source_configs
    from daemon.log import quiet
    from daemon.simulate import Bench

    signature = next((one.signature for one in settings.gateways.values() if one.signature), "")
    sources = open_sources(*source_configs(settings))
    with quiet(), Bench.open(store, sources, channels=tuple(settings.channels), signature=signature) as bench:
        yield bench


def _plan(bench: Bench, sets: list[RuleSet], args: argparse.Namespace) -> Plan:
    try:
        return bench.plan(sets, args.days[0], args.days[1], args.rule)
    except ValueError as wrong:
        raise Usage(f"rules {args.go.__name__.removeprefix('go_')}: {wrong}") from None


def _revealed(
    args: argparse.Namespace, store: Store, ruleset: RuleSet, sources: Mapping[str, Source], found: Mapping[str, Any]
) -> dict[int, str]:
    """Client's number -> key of everybody in the difference; the access is recorded first."""
    from daemon.simulate.names import keys_of_clients
    from daemon.store import trail

    wanted = {row["client"] for rows in found["clients"].values() for row in rows}
    now: datetime = place.now()
    data = {"by": args.by, "reason": args.reason, "what": f"rules diff {found['digest']}", "count": len(wanted)}
    with store.write() as tx:
        trail.append(tx, "access", t=now, actor=f"person:{args.by}", data={**data, "fields": ["client"]})
    return keys_of_clients(store, ruleset, sources, wanted, place.today(), now)


def _absent(out: Path | None) -> None:
    if out is not None and out.exists():
        raise Usage(f"{out}: found a file, expected none: nothing is replaced")


def _write(out: Path, raw: bytes) -> None:
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
