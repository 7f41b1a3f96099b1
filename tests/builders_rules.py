"""Rule sets for tests: the shipped one, and copies of it with some text replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

from daemon.clock import SHANGHAI
from daemon.model.kinds import Value
from daemon.rules.cases import build
from daemon.rules.decider import Decider
from daemon.rules.evaluate import Env
from daemon.rules.load import Loaded, load, read_folder
from daemon.rules.schema import RuleSet
from daemon.yamlfile import YMap
from daemon.yamlfile import load as load_yaml

ROOT = Path(__file__).parent.parent
MARGIN = "margin/maintenance"
PAYMENT = "ipo/payment"
FUND = "fund/open_window"


@cache
def shipped_files() -> Mapping[str, bytes]:
    """The files of the repository's own rule set."""
    return read_folder(ROOT)


@cache
def shipped() -> RuleSet:
    """The repository's own rule set."""
    return load(shipped_files()).required()


@cache
def decider(rule: str = MARGIN) -> Decider:
    """The compiled rule of the shipped set."""
    return Decider(shipped(), shipped().rules[rule])


def changed(path: str, old: str, new: str) -> dict[str, bytes]:
    """The shipped files with the first `old` in `path` replaced. Raises AssertionError where there is none."""
    text = shipped_files()[path].decode()
    assert old in text, f"{path} has no {old!r}"
    return {**shipped_files(), path: text.replace(old, new, 1).encode()}


def load_changed(path: str, old: str, new: str) -> Loaded:
    """What such files load as."""
    return load(changed(path, old, new))


BAD = sorted((ROOT / "tests" / "corpus" / "rules_bad").glob("*.yaml"))
"""One file a mistake: `path`, the text to `replace` there and `by` what, and what the finding `says` and says in Chinese (`zh`)."""


def mistake(path: Path) -> YMap:
    """A file of BAD, with `<U+202E>` in `by` as that character: the strict loader reads no file that holds it."""
    bad = load_yaml(path.read_bytes(), path.name)
    bad["by"] = re.sub("<U[+]([0-9A-F]{4})>", lambda code: chr(int(code[1], 16)), bad["by"])
    return bad


@cache
def loaded_mistake(path: Path) -> Loaded:
    """What the shipped files with a mistake of BAD load as."""
    bad = mistake(path)
    return load_changed(bad["path"], bad["replace"], bad["by"])


def env(day: date = date(2024, 2, 1)) -> Env:
    """The exchange's calendar and a business date."""
    return Env(shipped().calendar, day)


def given(rule: str = MARGIN, **values: object) -> dict[str, Value]:
    """The fact of the rule's first case, before its formulas, with these values in place of its own."""
    case = next(case for case in shipped().cases if case.rule == rule)
    return {**case.given, **{name: _typed(value) for name, value in values.items()}}


def fact(rule: str = MARGIN, **values: object) -> dict[str, Value]:
    """The same after the kind's formulas; a formula's own field may be given too."""
    case = next(case for case in shipped().cases if case.rule == rule)
    made, _ = build(shipped(), case)
    return {**made, **{name: _typed(value) for name, value in values.items()}}


def local(text: str) -> datetime:
    """`2024-02-01 21:35` of Asia/Shanghai, in UTC."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=SHANGHAI).astimezone(UTC)


def _typed(value: object) -> Value:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value  # type: ignore[return-value]
