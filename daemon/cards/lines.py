"""The `lines` filter: a list of rows, one line each, through a small pattern, at most N lines.

    rows|lines("{security_name} {quantity}{unit}[（单价{price}元）]，应缴{due|money}元", 6)

A pattern is fixed wording with `{column}`, `{column|filter}` or `{column|filter:argument}` (filters of `filters.py`);
a part in `[ ]` is left out where one of its columns has no value. The third argument joins the lines (a line feed if
absent). Rows beyond N are counted: `等9项` is a line of its own, or follows the last line where they are joined by
another sign. There is nothing else: no attributes, no calls, no nesting.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from daemon.cards.filters import RULES, UNSHOWABLE, VALUE_FILTERS, kind_of
from daemon.model.kinds import Absence

MOST_LINES = 20
_SLOT = re.compile(r"\{([a-z_][a-z0-9_]*)(?:\|([a-z]+)(?::([a-z]+))?)?\}")


@dataclass(frozen=True, slots=True)
class Slot:
    """A column put in, through a filter ('' none) with its argument ('' none)."""

    column: str
    filter: str = ""
    arg: str = ""
    show: Callable[..., str] = field(default=VALUE_FILTERS[""], compare=False, repr=False)


Piece: TypeAlias = str | Slot


@dataclass(frozen=True, slots=True)
class Part:
    """Pieces in order; an optional part is left out where one of its columns has no value."""

    pieces: tuple[Piece, ...]
    optional: bool = False

    def lacks(self, row: Mapping[str, Any]) -> bool:
        """Whether one of its columns has no value in this row."""
        found = [row.get(p.column) for p in self.pieces if isinstance(p, Slot)]
        return any(v is None or isinstance(v, Absence) for v in found)


@lru_cache(maxsize=512)
def parse_pattern(pattern: str) -> tuple[Part, ...]:
    """The parts of a pattern. Raises ValueError naming what was found and what is allowed."""
    parts = []
    for text, optional in _brackets(pattern):
        parts.append(Part(tuple(_pieces(text)), optional))
        if optional and not any(isinstance(p, Slot) for p in parts[-1].pieces):
            raise ValueError(f"found [{text}], allowed a {{column}} inside [ ]")
    return tuple(parts)


def slots(pattern: str) -> Iterator[tuple[Slot, bool]]:
    """Each column of a pattern, and whether it may be absent there."""
    for part in parse_pattern(pattern):
        for piece in part.pieces:
            if isinstance(piece, Slot):
                yield piece, part.optional


def readable(pattern: str) -> tuple[Part, ...]:
    """The parts of a pattern, none of one that cannot be read: a lint looks on, `check.py` tells of it."""
    try:
        return parse_pattern(pattern)
    except ValueError:
        return ()


def wording(pattern: str) -> str:
    """The fixed words of a pattern."""
    return "".join(p for part in readable(pattern) for p in part.pieces if isinstance(p, str))


def lines(rows: Any, pattern: str, most: int = 8, joint: str = "\n") -> str:
    """Show the rows. Raises ValueError when there are none, or a column that is needed has no value."""
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ValueError(f"lines: found {'no rows' if rows == () or rows == [] else kind_of(rows)}, expected rows")
    parts = parse_pattern(pattern)
    text = joint.join([_line(parts, row) for row in rows[:most]])
    if len(rows) <= most:
        return text
    return f"{text}{joint if joint == chr(10) else ''}等{len(rows)}项"


def _line(parts: tuple[Part, ...], row: Mapping[str, Any]) -> str:
    out: list[str] = []
    for part in parts:
        if not (part.optional and part.lacks(row)):
            out += [piece if piece.__class__ is str else _slot(piece, row) for piece in part.pieces]  # type: ignore[arg-type]
    text = "".join(out)
    if UNSHOWABLE.search(text):
        raise ValueError("lines: found a control character in a row, expected visible characters")
    return text


def _slot(slot: Slot, row: Mapping[str, Any]) -> str:
    value = row.get(slot.column)
    if value is None or value.__class__ is Absence:
        raise ValueError(f"lines: found no value of '{slot.column}', expected one")
    return slot.show(value, slot.arg) if slot.arg else slot.show(value)


def _brackets(pattern: str) -> Iterator[tuple[str, bool]]:
    at = 0
    for match in re.finditer(r"\[([^\[\]]*)\]", pattern):
        yield from _plain(pattern[at : match.start()])
        yield match[1], True
        at = match.end()
    yield from _plain(pattern[at:])


def _plain(text: str) -> Iterator[tuple[str, bool]]:
    if "[" in text or "]" in text:
        raise ValueError("found a lone [ or ], allowed [part] without nesting")
    if text:
        yield text, False


def _pieces(text: str) -> Iterator[Piece]:
    at = 0
    for match in _SLOT.finditer(text):
        yield from _words(text[at : match.start()])
        yield _checked(match[1], match[2] or "", match[3] or "")
        at = match.end()
    yield from _words(text[at:])


def _words(text: str) -> Iterator[str]:
    if "{" in text or "}" in text:
        raise ValueError("found a lone { or }, allowed {column}, {column|filter} or {column|filter:argument}")
    if text:
        yield text


def _checked(column: str, filter_: str, arg: str) -> Slot:
    rule = RULES.get(filter_)
    if rule is None:
        raise ValueError(f"found the filter '{filter_}', allowed {', '.join(f for f in RULES if f)}")
    if arg and arg not in rule.args:
        raise ValueError(f"found the argument '{arg}', allowed {', '.join(rule.args) or 'none'}")
    return Slot(column, filter_, arg, VALUE_FILTERS[filter_])
