"""What a command prints: sentences in Chinese or English, aligned tables, JSON. Every cell is one line, control characters
escaped, so that nothing kept in the store can move a terminal's cursor.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from daemon.clock import SHANGHAI, from_micros
from daemon.model.kinds import Absence
from daemon.model.money import plain
from daemon.security.masking import escape_line

GAP = "  "


class Screen:
    """Standard output in one language ('en' unless it is 'zh')."""

    def __init__(self, lang: str) -> None:
        self.lang = "zh" if lang == "zh" else "en"

    def say(self, zh: str, en: str) -> str:
        """The one of two wordings."""
        return zh if self.lang == "zh" else en

    def label(self, labels: Mapping[str, tuple[str, str]], word: str) -> str:
        """A closed word of ours (a state, a bucket) in the language; one that is not in the list as it is."""
        zh, en = labels.get(word, (word, word))
        return self.say(zh, en)

    def line(self, text: object = "", indent: int = 0) -> None:
        """One line."""
        print(" " * indent + escape_line(str(text)))

    def head(self, zh: str, en: str) -> None:
        """A heading, with an empty line before it."""
        print()
        self.line(self.say(zh, en))

    def json(self, found: Any) -> None:
        """For machines: one JSON document."""
        print(json.dumps(found, ensure_ascii=False, indent=1, default=jsonable))

    def pairs(self, found: Iterable[tuple[str, object]], indent: int = 0) -> None:
        """Labels and values, the values aligned."""
        rows = [(label, self.show(value)) for label, value in found]
        wide = max((width(label) for label, _ in rows), default=0)
        for label, value in rows:
            self.line(f"{pad(label, wide)}{GAP}{value}", indent)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]], indent: int = 0) -> None:
        """Aligned columns; numbers to the right."""
        kept = list(rows)
        cells = [[escape_line(self.show(value)) for value in row] for row in kept]
        columns = range(len(heads))
        wide = [max([width(heads[i]), *(width(row[i]) for row in cells)]) for i in columns]
        right = [bool(kept) and all(_is_number(row[i]) for row in kept) for i in columns]
        for row in [list(heads), *cells]:
            found = GAP.join(pad(row[i], wide[i], right=right[i]) for i in columns)
            print((" " * indent + found).rstrip())

    def show(self, value: object) -> str:
        """A value for a reader: exact numbers, times in Asia/Shanghai, why something is absent."""
        if isinstance(value, Absence):
            return self.say(*ABSENT[value])
        if value is None:
            return "-"
        if isinstance(value, bool):
            return self.say("是" if value else "否", "yes" if value else "no")
        if isinstance(value, Decimal):
            return plain(value)
        if isinstance(value, datetime):
            return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        return str(value)

    def progress(self, text: str) -> None:
        """Something under way: on a terminal only, on standard error."""
        if sys.stderr.isatty():
            print(f"\r\x1b[K{escape_line(text)}", end="", file=sys.stderr, flush=True)


ABSENT: Mapping[Absence, tuple[str, str]] = {
    Absence.MISSING: ("（缺失）", "(missing)"),
    Absence.EMPTY: ("（空）", "(empty)"),
    Absence.INVALID: ("（无效）", "(invalid)"),
    Absence.STALE: ("（过期）", "(stale)"),
    Absence.AMBIGUOUS: ("（不唯一）", "(ambiguous)"),
}


def width(text: str) -> int:
    """Columns of a terminal: wide and full-width characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, wide: int, *, right: bool = False) -> str:
    """`text` filled up to so many columns."""
    room = " " * (wide - width(text))
    return room + text if right else text + room


def at(value: int | None) -> datetime | None:
    """A time of the store as a moment."""
    return None if value is None else from_micros(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def jsonable(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)
