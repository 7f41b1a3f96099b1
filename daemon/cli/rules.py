"""`duenotice rules check|explain|replay`; the other sub-commands stand in testing.py, simulating.py, signing.py, acts.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from daemon.cli import acts, place, signing, simulating, testing
from daemon.cli.findings import said
from daemon.cli.place import screen_of


def add(parsers: Any) -> None:
    """The parser of `rules`."""
    commands = place.subparsers(parsers, "rules", "What decides: checked, tested, explained, decided again.")
    _check(commands)
    testing.add(commands)
    _explain(commands)
    _replay(commands)
    simulating.add(commands)
    signing.add(commands)
    acts.add(commands)


def _check(commands: Any) -> None:
    check = commands.add_parser("check", help="every mistake in rules and cards, with file, line and column")
    place.folder_argument(check)
    place.listing(check)
    check.set_defaults(go=go_check)


def _explain(commands: Any) -> None:
    explain = commands.add_parser("explain", help="why a client was told on a day, or was not")
    explain.add_argument("--client", required=True, metavar="KEY", help="the client's key, or a contract's")
    explain.add_argument("--day", type=place.day, required=True, metavar="DATE", help="business date")
    explain.add_argument("--rule", default="", help="only this rule")
    explain.add_argument("--full", action="store_true", help="every line whole, not only what changed")
    place.by_account(explain)
    place.listing(explain)
    explain.set_defaults(go=go_explain)


def _replay(commands: Any) -> None:
    replay = commands.add_parser(
        "replay", help="decide a day again: every line of every sheet, every notice, every ask; or one opened sheet"
    )
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("--day", type=place.day, metavar="DATE", help="business date")
    which.add_argument("--sheet", type=Path, metavar="FILE", help="an opened copy, as `report sheet` writes it")
    place.listing(replay)
    replay.set_defaults(go=go_replay)


def go_check(args: argparse.Namespace) -> int:
    """All findings; 1 if there is any."""
    found = place.loaded(args)
    screen = screen_of(args)
    if args.json:
        screen.json(
            {"digest": found.ruleset.digest if found.ruleset else None, "findings": list(map(_finding, found.findings))}
        )
        return 1 if found.findings else 0
    for finding in found.findings:
        screen.line(said(finding, screen.lang))
    if found.ruleset is None:
        count = len(found.findings)
        screen.line(screen.say(f"共 {count} 处错误", f"{count} {'finding' if count == 1 else 'findings'}"))
        return 1
    made = found.ruleset
    counts = len(made.kinds), len(made.rules), len(made.parameters), len(made.cards), len(made.cases)
    screen.line(
        screen.say(
            "{} 类事实，{} 条规则，{} 个参数，{} 张卡片，{} 个用例：没有错误",
            "{} kinds, {} rules, {} parameters, {} cards, {} cases: no mistakes",
        ).format(*counts)
    )
    screen.line(screen.say(f"规则集 {made.digest}", f"rule set {made.digest}"))
    return 0


def _finding(finding: Any) -> dict[str, Any]:
    names = ("path", "line", "column", "key", "found", "allowed", "hint")
    return {name: getattr(finding, name) for name in names}


def go_explain(args: argparse.Namespace) -> int:
    """What the store knows of a client's day, once it is recorded who asked; 1 where it knows nothing at all."""
    from daemon.cli.explain_json import to_json
    from daemon.cli.explaining import print_day
    from daemon.cli.headlines import sentence
    from daemon.report.explain import asked_cause, explain
    from daemon.report.headline import headlines

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        worlds, digest = place.worlds(store), place.active_digest(store)
        found = explain(store, worlds, digest, args.client, args.day, args.rule)
        ruleset = worlds(digest).ruleset if digest else None
        listed = headlines(found, ruleset, args.rule, place.now(), lambda story: asked_cause(store, worlds, story))
        if found.client is not None:
            place.record_access(store, args, f"explain {args.day} {args.rule}".strip(), client=found.client)
        if args.json:
            screen.json(to_json(found, listed, [sentence(screen, one) for one in listed]))
        else:
            print_day(screen, args.client, found, listed, full=args.full)
    return 1 if found.client is None else 0


def go_replay(args: argparse.Namespace) -> int:
    """Counts by rule and every difference; 1 if there is any."""
    from daemon.cli import Usage
    from daemon.report.replay import replay, replay_copy

    settings = place.settings_of(args)
    screen = screen_of(args)
    with place.store_of(settings) as store:
        worlds = place.worlds(store)
        try:
            result = replay(store, worlds, args.day) if args.sheet is None else replay_copy(store, worlds, args.sheet)
        except (LookupError, OSError) as wrong:
            raise Usage(f"rules replay: {wrong}") from None
    names = ("rule", "sheets", "lines", "notices", "asks", "absent", "kept_no_more", "unreadable", "different")
    rows = [[getattr(rule, name) for name in names] for _, rule in sorted(result.rules.items())]
    if args.json:
        kept = [
            {"what": d.what, "place": d.place, "name": d.name, "recorded": d.recorded, "found": d.found}
            for d in result.differences
        ]
        screen.json(
            {"day": result.day, "rules": [dict(zip(names, row, strict=True)) for row in rows], "differences": kept}
        )
        return 0 if result.identical else 1
    zh = ("规则", "底稿", "行", "通知", "再问", "再问无记录", "过保存期", "无法读取", "不同")
    screen.table(names if screen.lang == "en" else zh, rows)
    for rule, erased in _once(result.erased):
        since, days = screen.show(erased.since), erased.days
        screen.line(
            screen.say(
                f"{rule}：底稿自 {since} 起不再保存（keep {days}d）",
                f"{rule}: kept no more since {since}, by keep {days}d",
            )
        )
    for difference in result.differences:
        screen.line(difference)
    if not result.rules:
        screen.line(screen.say(f"{result.day} 没有可重演的判定", f"{result.day}: nothing was decided"))
    elif result.identical:
        screen.line(screen.say("全部相同", "all identical"))
    else:
        screen.line(screen.say(f"{result.different} 处不同", f"{result.different} different"))
    return 0 if result.identical else 1


def _once(erased: list[Any]) -> list[Any]:
    """Each rule once, with the first of its sheets that are kept no more."""
    return list({rule: (rule, one) for rule, one in reversed(erased)}.values())
