"""`duenotice rules test`: cases, what they cover, and the mistakes that they would not notice."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli import place
from daemon.cli.place import screen_of
from daemon.cli.screen import Screen

if TYPE_CHECKING:
    from daemon.rules.testing import RuleReport, TestReport

HELP = "run the cases; show what they cover, and which mistakes they would not notice"
DESCRIPTION = (
    "Runs the cases of every rule and counts what they cover. With --coverage everything that is not covered is listed, and "
    "levels, timers and gates must be covered whole. With --mutants the rules are run again with one small mistake each: the "
    "case to write is printed for every mistake that no case notices, and the score must reach rules.mutation_score of the "
    "configuration. --report writes what `rules sign` asks for, and looks at everything. Ends with 1 where a case fails or "
    "what was asked for is not reached."
)


def add(commands: Any) -> None:
    """The parser of `rules test`."""
    test = commands.add_parser("test", help=HELP, description=DESCRIPTION)
    place.folder_argument(test)
    test.add_argument("--rule", default="", metavar="R", help="only this rule, such as margin/maintenance")
    test.add_argument(
        "--coverage", action="store_true", help="list what no case covers, and demand levels, timers, gates"
    )
    test.add_argument(
        "--mutants", action="store_true", help="count the mistakes that the cases notice, and demand the score"
    )
    test.add_argument("--report", type=Path, metavar="FILE", help="write the test report, canonical JSON, of all rules")
    place.listing(test)
    test.set_defaults(go=go)


def go(args: argparse.Namespace) -> int:
    """Print what was asked for; 1 where it is not reached."""
    from daemon.cli import Usage
    from daemon.rules.testing import test_report

    made = place.rules_of(args)
    screen = screen_of(args)
    if args.rule and args.rule not in made.rules:
        raise Usage(f"rules test: found the rule {args.rule!r}, expected one of {', '.join(sorted(made.rules))}")
    if args.rule and args.report:
        raise Usage("rules test: found --rule beside --report, expected a report of all rules")
    everything = args.report is not None
    names = [args.rule] if args.rule else None

    def progress(rule: str, done: int, of: int) -> None:
        screen.progress(f"{rule} {done}/{of}")

    report = test_report(made, names, mutants=args.mutants or everything, progress=progress)
    screen.progress("")
    if args.report is not None:
        args.report.write_text(report.text(), "utf-8")
    minimum = minimum_of(args) if report.score is not None else Decimal(0)
    if args.json:
        screen.json({**report.to_json(), "digest": report.digest})
    else:
        _show(screen, report, args, minimum)
    return 0 if _reached(report, args, minimum) else 1


def minimum_of(args: argparse.Namespace) -> Decimal:
    """The score that the configuration asks for; of a folder named without a configuration the default."""
    from daemon.errors import ConfigError
    from daemon.settings import RuleSettings

    try:
        return place.settings_of(args).rules.mutation_score
    except ConfigError:
        if args.dir is None:
            raise
        return RuleSettings().mutation_score


def _reached(report: TestReport, args: argparse.Namespace, minimum: Decimal) -> bool:
    if report.failed:
        return False
    if (args.coverage or args.report) and not all(found.sufficient for found in report.coverage.values()):
        return False
    return report.score is None or report.score >= minimum


def _show(screen: Screen, report: TestReport, args: argparse.Namespace, minimum: Decimal) -> None:
    for result in report.failed:
        for text in str(result).splitlines():
            screen.line(text)
    if args.coverage:
        for found in report.coverage.values():
            for item in found.missing():
                screen.line(screen.say(f"未覆盖 {item}", f"not covered {item}"))
    for rule in report.rules.values():
        _show_mutants(screen, rule)
    _table(screen, report)
    if report.score is not None:
        screen.line(
            screen.say(
                f"最低变异得分 {report.score}，要求 {minimum}",
                f"lowest mutation score {report.score}, asked for {minimum}",
            )
        )
    if args.report is not None:
        where = report.digest, args.report
        screen.line(screen.say("测试报告 {} 写入 {}", "test report {} written to {}").format(*where))


def _show_mutants(screen: Screen, rule: RuleReport) -> None:
    if rule.tally is None:
        return
    for found in rule.tally.equivalents:
        screen.line(screen.say(f"等价 {found.mutant}", f"equivalent {found.mutant}"))
        screen.line(f"{found.proof}: {found.because}", 2)
    for mutant in rule.tally.survivors:
        screen.line(screen.say(f"无用例发现 {mutant}", f"no case notices {mutant}"))
        for text in rule.to_write[str(mutant)].splitlines():
            screen.line(text)


def _table(screen: Screen, report: TestReport) -> None:
    from daemon.rules.coverage import GROUPS

    zh = ("规则", "用例", "不符", "条件", "级别", "阶段", "计时", "闸门", "变异", "发现", "等价", "得分")
    en = ("rule", "cases", "failed", *GROUPS, "mutants", "noticed", "equivalent", "score")
    rows = [_row(rule) for _, rule in sorted(report.rules.items())]
    wide = len(zh) if report.score is not None else len(zh) - 4
    screen.table((en if screen.lang == "en" else zh)[:wide], [row[:wide] for row in rows])


def _row(rule: RuleReport) -> tuple[object, ...]:
    from daemon.rules.coverage import GROUPS

    covered = ["{}/{}".format(*rule.coverage.of(group)) for group in GROUPS]
    tally = rule.tally
    counts = (tally.made, tally.killed, len(tally.equivalents), tally.score) if tally else ("-",) * 4
    return rule.rule, rule.cases, len(rule.failed), *covered, *counts
