"""`duenotice`: one noun a module, imported when its command runs. Importing this package loads nothing heavy.

    main(["rules", "check"]) -> 0

A noun's module has `add(parsers)`, which makes its parser, and `go(args) -> int` (or a function that a sub-command names by
`set_defaults(go=…)`). `args` has `config` (a Path) and `lang` ('zh', 'en', or '' where only the configuration says) beside
the command's own. Exit: 0 good, 1 a finding, 2 wrong use; what `run` adds stands in its module.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import __version__
from daemon.errors import ConfigError, DueNoticeError

CONFIG = Path("config/duenotice.yaml")
IO_ERROR = 74
"""`sysexits.h` EX_IOERR: a file, a folder or the database cannot be read or written."""
UNUSABLE = 78
"""`sysexits.h` EX_CONFIG: what `run` ends with when its configuration is unusable."""


class Usage(Exception):
    """A command was called in a way that cannot be meant; exit 2."""


@dataclass(frozen=True, slots=True)
class Noun:
    """A command: the module under this package and its one line of help."""

    module: str
    zh: str
    en: str

    def help(self, lang: str) -> str:
        return self.zh if lang == "zh" else self.en


NOUNS: Mapping[str, Noun] = {
    "demo": Noun("demo", "用真实交易日演示全流程", "the whole loop on real sample days"),
    "rehearse": Noun(
        "rehearse", "在最坏情形下排演一个交易日", "a trading day in the worst weather, held against the promises"
    ),
    "init": Noun("init", "建立新安装：配置、规则、模板、密钥", "a new installation: config, rules, templates, keys"),
    "check": Noun("check", "检查一切可能出错之处", "everything that can be wrong"),
    "run": Noun("run", "运行守护进程", "the daemon"),
    "once": Noun("run", "运行一遍后退出", "one pass, then end"),
    "status": Noun("status", "运行状态、当日漏斗、积压、期限", "roles, funnel of the day, backlog, deadlines"),
    "rules": Noun(
        "rules",
        "规则：检查、用例、解释、重演、模拟、比较、签名、历史、停用",
        "rules: check, test, explain, replay, simulate, diff, sign, history, stop",
    ),
    "cards": Noun("cards", "卡片：预览", "cards: preview"),
    "notices": Noun("notices", "通知：列表、详情、扣留与放行、静默", "notices: list, show, held, release, silence"),
    "clients": Noun(
        "clients", "客户：改号、授权、限制与销毁", "clients: renumbered accounts, consents, restrict and shred"
    ),
    "worklist": Noun("worklist", "待办：列表、领取、关闭", "worklist: list, take, close"),
    "alarms": Noun("alarms", "告警：列表、已阅、确认时钟", "alarms: list, ack, clock"),
    "report": Noun("report", "报表：每日完整性、判定底稿", "reports: the daily proof, a sheet in clear"),
    "audit": Noun("audit", "审计链：查看、验证、导出", "audit trail: show, verify, export"),
    "keys": Noun("keys", "密钥：新建、状态、轮换、重新包裹、销毁", "keys: init, status, rotate, rewrap, shred"),
    "backup": Noun("backup", "备份：运行中封存为一个文件并核验", "one sealed file, made while the daemon runs"),
    "restore": Noun("backup", "恢复：解出、与日志核对、演练", "unpack a backup, hold it against the log, drill"),
    "carrier": Noun("carrier", "模拟运营商平台", "the stand-in carrier alone"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command. Never raises but for an error of ours, and never exits by itself."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        return _command(given)
    except SystemExit as ended:  # argparse: help, version, wrong use
        return ended.code if isinstance(ended.code, int) else 2
    except Usage as wrong:
        print(f"duenotice: {wrong}", file=sys.stderr)
        return 2
    except ConfigError as wrong:
        common, rest = everywhere().parse_known_args(given)
        _tell(wrong, common.lang or language(os.environ))
        return UNUSABLE if rest[:1] in (["run"], ["once"]) else 1
    except DueNoticeError as wrong:
        print(f"duenotice: {wrong}", file=sys.stderr)
        return wrong.exit_code
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the reader is gone; the flush at exit must not fail
        return 0
    except OSError as wrong:
        print(f"duenotice: {wrong.filename or 'a file'}: {wrong.strerror or wrong}", file=sys.stderr)
        return IO_ERROR
    except KeyboardInterrupt:
        return 130


def _tell(wrong: ConfigError, lang: str) -> None:
    """What is unusable, each finding in the language."""
    from daemon.cli.findings import said

    own = str(wrong).splitlines()
    print("\n".join(own[: len(own) - len("\n".join(map(str, wrong.findings)).splitlines())]), file=sys.stderr)
    for finding in wrong.findings:
        print(said(finding, lang), file=sys.stderr)


def _command(given: Sequence[str]) -> int:
    if given[:1] == ["carrier"]:  # has options of its own, with its own --config
        from daemon.carrier.__main__ import main as carrier

        return carrier(given[1:])
    common, rest = everywhere().parse_known_args(given)
    lang = common.lang or language(os.environ)
    noun = rest[0] if rest and rest[0] in NOUNS else ""
    parser = tree(lang, noun)
    if not rest:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(rest)
    args.config, args.lang = common.config, lang
    return int(args.go(args))


def everywhere() -> argparse.ArgumentParser:
    """The options that every command takes, wherever they stand."""
    parser = argparse.ArgumentParser(prog="duenotice", add_help=False, allow_abbrev=False)
    default = Path(os.environ.get("DUENOTICE_CONFIG") or CONFIG)
    parser.add_argument("--config", type=Path, default=default, metavar="FILE")
    parser.add_argument("--lang", choices=("zh", "en"), default="")
    return parser


def tree(lang: str, noun: str) -> argparse.ArgumentParser:
    """The parser, with the arguments of one noun; of the others only names and help."""
    parser = argparse.ArgumentParser(
        prog="duenotice",
        description="Due Notice: every client who must be told is told, in time, and it can be proved.",
        epilog="Everywhere: --config FILE (or $DUENOTICE_CONFIG; default config/duenotice.yaml), --lang zh|en.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"duenotice {__version__}")
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    mine = NOUNS[noun].module if noun else ""
    for name, one in NOUNS.items():
        if one.module != mine:
            parsers.add_parser(name, help=one.help(lang))
        elif name not in parsers.choices:  # a module may have several nouns, and adds them all
            _add(importlib.import_module(f"daemon.cli.{one.module}"), parsers, noun)
    return parser


def _add(module: Any, parsers: Any, noun: str) -> None:
    """Have a module make its parsers; where it names no function for the noun, its `go` is run."""
    module.add(parsers)
    made = parsers.choices[noun]
    if made.get_default("go") is None:
        made.set_defaults(go=getattr(module, "go", None))


def language(env: Mapping[str, str]) -> str:
    """The language of the locale: 'zh', 'en', or '' where it names none."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        found = env.get(name, "").lower()
        if found:
            return "zh" if found.startswith("zh") else "en" if found.startswith("en") else ""
    return ""
