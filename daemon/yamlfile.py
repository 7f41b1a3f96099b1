"""Reads YAML files against a schema, all mistakes at once: `load` gives a mapping with places, `Reader` takes it apart.

    findings: list[Finding] = []
    r = Reader(load(data, "margin/call.yaml"), findings)
    title, category = r.text("title"), r.choice("category", ("service", "marketing"))
    for level in r.maps("levels"):
        ...
        level.done()
    r.done()
    if findings:
        raise FindingsError(findings)

The accepted subset of YAML is documented in `daemon.yamlstrict`. Leaves the meaning of what is read to the callers.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from daemon.errors import Finding
from daemon.yamlstrict import UNQUOTED, FindingsError, Place, YList, YMap, describe, load

__all__ = [
    "FindingsError",
    "Place",
    "Reader",
    "YList",
    "YMap",
    "describe",
    "load",
    "near",
    "parse_date",
    "parse_span",
    "parse_time",
]

T = TypeVar("T")

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_SPAN_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the known word nearest to `word`, or ''."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def parse_date(text: Any) -> dt.date | None:
    """`2024-02-01` as a date; None for anything else."""
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def parse_time(text: Any) -> dt.time | None:
    """`14:30` or `14:30:05` as a time; None for anything else."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    return dt.time(int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def parse_span(text: Any) -> dt.timedelta | None:
    """`90s`, `5m`, `2h`, `3d` (days of 24 hours) as a length of time; None for anything else."""
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    return dt.timedelta(**{_SPAN_UNITS[match[2]]: int(match[1])}) if match else None


def _as_text(longest: int) -> Callable[[Any], str | None]:
    return lambda v: v if isinstance(v, str) and v.strip() and len(v) <= longest else None


def _as_integer(low: int, high: int) -> Callable[[Any], int | None]:
    return lambda v: v if isinstance(v, int) and not isinstance(v, bool) and low <= v <= high else None


def _as_decimal(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _as_expression(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    return value if isinstance(value, str) and value.strip() else None


class Reader:
    """Takes one mapping apart. Each method reads one key: what is wrong becomes a finding and a harmless value comes
    back, so that reading goes on; an `opt_` method gives its default where the key is absent. `done` reports others."""

    def __init__(self, ymap: YMap, findings: list[Finding]) -> None:
        self.map_, self.findings = ymap, findings
        self._known: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the key stands in the mapping (also with `null`); counts as reading it."""
        self._known.append(key)
        return key in self.map_

    def refuse(self, key: str, found: str, allowed: str, hint: str = "") -> None:
        """Note a finding at the value of `key` (at the mapping itself for a key it lacks). A value that only lacks its
        quotes has been told of already."""
        place, trail = self.map_.place(key), self.map_.trail_of(key)
        if not any(f.key == trail and f.path == self.map_.path and UNQUOTED in f.found for f in self.findings):
            self.findings.append(Finding(self.map_.path, *place, trail, found, allowed, hint))

    def text(self, key: str, longest: int = 2000) -> str:
        """Text that is not blank, of at most `longest` characters."""
        return self._need(key, f"text of 1 to {longest} characters", _as_text(longest), "")

    def opt_text(self, key: str, default: str = "", longest: int = 2000) -> str:
        return self.text(key, longest) if self.has(key) else default

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        """One of the allowed words; the first of them after a finding."""
        need = "one of " + ", ".join(allowed)
        return self._need(key, need, lambda v: v if isinstance(v, str) and v in allowed else None, allowed[0], allowed)

    def opt_choice(self, key: str, allowed: Sequence[str], default: str = "") -> str:
        return self.choice(key, allowed) if self.has(key) else default

    def integer(self, key: str, low: int = 0, high: int = 10**12) -> int:
        """A whole number from `low` to `high`."""
        return self._need(key, f"a whole number from {low} to {high}", _as_integer(low, high), low)

    def opt_integer(self, key: str, default: int, low: int = 0, high: int = 10**12) -> int:
        return self.integer(key, low, high) if self.has(key) else default

    def decimal(self, key: str) -> Decimal:
        """An exact number, with or without decimals."""
        return self._need(key, "a number", _as_decimal, Decimal(0))

    def opt_decimal(self, key: str, default: Decimal | None = None) -> Decimal | None:
        return self.decimal(key) if self.has(key) else default

    def flag(self, key: str) -> bool:
        """`true` or `false`."""
        return self._need(key, "true or false", lambda v: v if isinstance(v, bool) else None, False)

    def opt_flag(self, key: str, default: bool = False) -> bool:
        return self.flag(key) if self.has(key) else default

    def date(self, key: str) -> dt.date:
        """A day, `2024-02-01`."""
        return self._need(key, "a date such as 2024-02-01", parse_date, dt.date(1970, 1, 1))

    def opt_date(self, key: str, default: dt.date | None = None) -> dt.date | None:
        return self.date(key) if self.has(key) else default

    def time(self, key: str) -> dt.time:
        """A time of day, `'14:30'` in quotes; Asia/Shanghai by convention of the callers."""
        return self._need(key, "a time such as '14:30', in quotes", parse_time, dt.time(0))

    def opt_time(self, key: str, default: dt.time | None = None) -> dt.time | None:
        return self.time(key) if self.has(key) else default

    def span(self, key: str) -> dt.timedelta:
        """A length of time: `90s`, `5m`, `2h`, `3d` (of 24 hours)."""
        return self._need(key, "a length of time such as 90s, 5m, 2h, 3d", parse_span, dt.timedelta(0))

    def opt_span(self, key: str, default: dt.timedelta | None = None) -> dt.timedelta | None:
        return self.span(key) if self.has(key) else default

    def expression(self, key: str) -> str:
        """The text of an expression; a plain `true`, `false` or number is one too. Its syntax is checked elsewhere."""
        return self._need(key, "an expression", _as_expression, "")

    def opt_expression(self, key: str, default: str = "") -> str:
        return self.expression(key) if self.has(key) else default

    def map(self, key: str) -> Reader:
        """A Reader of the mapping under `key`; of an empty one after a finding. Its `map_` is the YMap."""
        found = self._need(key, "a mapping", lambda v: v if isinstance(v, YMap) else None, YMap(*self._spot(key)))
        return Reader(found, self.findings)

    def opt_map(self, key: str) -> Reader:
        return self.map(key) if self.has(key) else Reader(YMap(*self._spot(key)), self.findings)

    def list(self, key: str, least: int = 0) -> YList:
        """A list of at least `least` elements of any kind."""
        need = "a list" if not least else f"a list of at least {least}"
        fits: Callable[[Any], YList | None] = lambda v: v if isinstance(v, YList) and len(v) >= least else None  # noqa: E731
        return self._need(key, need, fits, YList(*self._spot(key)))

    def opt_list(self, key: str) -> YList:
        return self.list(key) if self.has(key) else YList(*self._spot(key))

    def texts(self, key: str, least: int = 1) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        if isinstance(self.map_.get(key), str):
            return (self.text(key),)
        return tuple(e for e in self._each(key, least, "text", str))

    def opt_texts(self, key: str) -> tuple[str, ...]:
        return self.texts(key, 0) if self.has(key) else ()

    def maps(self, key: str, least: int = 1) -> tuple[Reader, ...]:
        """A Reader of each mapping in a list of mappings."""
        return tuple(Reader(e, self.findings) for e in self._each(key, least, "a mapping", YMap))

    def opt_maps(self, key: str) -> tuple[Reader, ...]:
        return self.maps(key, 0) if self.has(key) else ()

    def done(self) -> None:
        """Report each key that was not read, with the nearest known one."""
        known = sorted(set(self._known))
        for key in self.map_:
            if key not in known:
                where = self.map_.key_place(key)
                hint = near(key, (k for k in known if k not in self.map_))
                trail, allowed = self.map_.trail_of(key), ", ".join(known) or "no keys"
                self.findings.append(Finding(self.map_.path, *where, trail, f"the unknown key '{key}'", allowed, hint))

    def _spot(self, key: str) -> tuple[str, Place, str]:
        return self.map_.path, self.map_.place(key), self.map_.trail_of(key)

    def _need(self, key: str, need: str, fit: Callable[[Any], T | None], fallback: T, near_to: Sequence[str] = ()) -> T:
        if not self.has(key):
            self.refuse(key, "nothing", need, f"the key '{key}' is required")
            return fallback
        value = self.map_[key]
        fitting = fit(value)
        if fitting is not None:
            return fitting
        self.refuse(key, describe(value), need, near(value, near_to) if isinstance(value, str) else "")
        return fallback

    def _each(self, key: str, least: int, need: str, kind: type[T]) -> Iterable[T]:
        elements = self.list(key, least)
        for i, element in enumerate(elements):
            if isinstance(element, kind):
                yield element
            else:
                trail = elements.trail_of(i)
                self.findings.append(Finding(self.map_.path, *elements.place(i), trail, describe(element), need))
