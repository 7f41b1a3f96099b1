"""Findings in the reader's language. What is found and allowed is English in the code; `findings_zh.csv` has the Chinese.

A row of the catalogue is an English phrase with `{}` for what varies and its Chinese, where `{0}`, `{1}` may change the order.
What varies is translated too where it is a phrase itself; what stands in quotes is somebody's name and stays as it is. A
phrase that the catalogue lacks is shown as it is: tests/unit/test_findings.py sees to it that the loaders make none.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import pairwise

from daemon.errors import Finding

DEPTH = 4
"""How deep phrases stand in phrases; more is no phrase of ours."""


def said(finding: Finding, lang: str) -> str:
    """One line: `file:line:column: key: found X, allowed Y (hint)`, or the same in Chinese."""
    if lang != "zh":
        return str(finding)
    found, allowed, hint = (chinese(text) or text for text in (finding.found, finding.allowed, finding.hint))
    place = f"{finding.path}:{finding.line}:{finding.column}" if finding.line else finding.path
    return f"{place}: {finding.key}: 现为{found}，应为{allowed}" + (f"（{hint}）" if hint else "")


def chinese(phrase: str, depth: int = DEPTH) -> str | None:
    """The Chinese of a phrase; None where the catalogue has none."""
    whole, patterns = _catalogue()
    if phrase in whole:
        return whole[phrase]
    if depth == 0:
        return None
    for pattern, quoted, text in patterns:
        if match := pattern.fullmatch(phrase):
            parts = [
                part if is_name else chinese(part, depth - 1) or part
                for part, is_name in zip(match.groups(), quoted, strict=True)
            ]
            return _filled(text, parts)
    return None


def _filled(text: str, parts: list[str]) -> str:
    rest = iter(parts)
    return re.sub(r"\{(\d?)\}", lambda slot: parts[int(slot[1])] if slot[1] else next(rest), text)


@cache
def _catalogue() -> tuple[dict[str, str], tuple[tuple[re.Pattern[str], tuple[bool, ...], str], ...]]:
    """Phrases without and with something that varies; the latter with most fixed text first."""
    rows = list(phrases())
    whole = {en: zh for en, zh in rows if "{}" not in en}
    varying = sorted(((en, zh) for en, zh in rows if "{}" in en), key=lambda row: -len(row[0].replace("{}", "")))
    return whole, tuple((_pattern(en), _quoted(en), zh) for en, zh in varying)


def phrases() -> Iterator[tuple[str, str]]:
    """Every row of the catalogue."""
    text = (files("daemon.cli") / "findings_zh.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines(), strict=True):
        yield row["en"], row["zh"]


def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(map(re.escape, phrase.split("{}"))), re.DOTALL)


def _quoted(phrase: str) -> tuple[bool, ...]:
    """For each thing that varies whether it stands in quotes."""
    pieces = phrase.split("{}")
    return tuple(left.endswith("'") and right.startswith("'") for left, right in pairwise(pieces))
