"""Raw values to typed values, strictly and exactly; one closure per column, compiled once. Pure.

Every closure is total: a value or an absence, EMPTY for null and blank, INVALID for what is not of the type. Digits
are ASCII (Python's `int` and `Decimal` also take Unicode digits, underscores, `NaN` and exponents), padding is blanks
on either side (DBF pads on both), and a binary float is no number here: what it stood for in the source is no longer known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias

from daemon.clock import SHANGHAI
from daemon.model.kinds import NUMBERS, STRINGS, Absence, Column, Field, Type, Value
from daemon.model.money import EXACT

Convert: TypeAlias = Callable[[Any], Value]
Parse: TypeAlias = Callable[[str], Value | None]

EMPTY, INVALID = Absence.EMPTY, Absence.INVALID
INFINITE = Decimal("Infinity")

NUMBER = re.compile(r" *[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}) *")
WORDS: Mapping[Type, re.Pattern[str]] = {
    Type.CODE: re.compile(r"[!-~]{1,64}"),
    Type.MSISDN: re.compile(r"\+?[0-9]{5,20}"),
}
LENGTHS: Mapping[Type, int] = {Type.ID: 128, Type.NAME: 256, Type.TEXT: 4096}
TRUTHS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "true", "True", "Y", "T"), True),
    **dict.fromkeys(("0", "false", "False", "N", "F"), False),
}
EXPECTED: Mapping[Type, str] = {
    Type.ID: "an identifier without blanks or full-width signs, at most 128 characters",
    Type.CODE: "a code of ASCII characters without blanks, at most 64",
    Type.NAME: "printable text of at most 256 characters",
    Type.TEXT: "printable text of at most 4096 characters",
    Type.MSISDN: "5 to 20 digits, perhaps after a +",
    Type.DATE: "a date as 2024-02-01 or 20240201",
    Type.TIME: "a time as 14:30 or 14:30:00",
    Type.DATETIME: "a moment as 2024-02-01T08:00:00, with an offset or in Asia/Shanghai",
    Type.BOOL: "1, true, Y or T, or 0, false, N or F",
}
PIECES: Mapping[str, tuple[str, str]] = {
    "%Y": ("year", "[0-9]{4}"),
    "%m": ("month", "[0-9]{2}"),
    "%d": ("day", "[0-9]{2}"),
    "%H": ("hour", "[0-9]{2}"),
    "%M": ("minute", "[0-9]{2}"),
    "%S": ("second", "[0-9]{2}"),
}
"""What a column's `format` may hold besides plain characters."""

DAY = re.compile(r"(?P<year>[0-9]{4})(?P<dash>-?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})")
TIME = re.compile(r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?")
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


def converter(field: Field, column: Column) -> Convert:
    """The closure for one column of one field. Raises ValueError when the column cannot serve the field's type."""
    if field.type is Type.ENUM:
        return _enum(field, column.values or {v: v for v in field.values})
    convert = _typed(field, column)
    return _translated(convert, column.values) if column.values is not None else convert


def expected(field: Field, column: Column) -> str:
    """What a reject says was expected of the column, as read from the source."""
    if column.values is not None:
        return f"one of {', '.join(column.values)}"
    if field.type is Type.ENUM:
        return f"one of {', '.join(field.values)}"
    if column.format:
        return f"a {field.type.value} as {column.format}"
    if field.type in NUMBERS:
        bounds = [f"{sign} {b}" for sign, b in (("from", field.minimum), ("to", field.maximum)) if b is not None]
        return " ".join(["a decimal number", *bounds])
    return EXPECTED[field.type]


def absent(raw: Any) -> Absence:
    """EMPTY for null and blank, else INVALID."""
    return EMPTY if raw is None or (raw.__class__ is str and not raw.strip(" ")) else INVALID


def _typed(field: Field, column: Column) -> Convert:
    if field.type in NUMBERS:
        return _number(column.scale, field.minimum, field.maximum)
    if field.type in STRINGS:
        return _string(field.type)
    if field.type is Type.BOOL:
        return _bool
    parse = _parser(field.type, column.format)
    return {Type.DATE: _date, Type.TIME: _time, Type.DATETIME: _datetime}[field.type](lru_cache(maxsize=4096)(parse))


def _enum(field: Field, values: Mapping[str, str]) -> Convert:
    wrong = sorted(set(values.values()) - set(field.values))
    if wrong:
        raise ValueError(f"values {wrong} of field {field.name}, allowed {list(field.values)}")
    table = dict(values)

    def convert(raw: Any) -> Value:
        if raw.__class__ is str:
            return table.get(raw) or table.get(raw.strip(" ")) or absent(raw)
        text = _as_text(raw)
        return absent(raw) if text is None else table.get(text, INVALID)

    return convert


def _translated(convert: Convert, values: Mapping[str, str]) -> Convert:
    """Source codes to the texts that the type's own closure then reads; any other code is INVALID."""
    table = {code: convert(text) for code, text in values.items()}
    wrong = [code for code, value in table.items() if isinstance(value, Absence)]
    if wrong:
        raise ValueError(f"values for codes {wrong} are not of the field's type")

    def translate(raw: Any) -> Value:
        text = raw.strip(" ") if raw.__class__ is str else _as_text(raw)
        found = None if text is None else table.get(text)
        return absent(raw) if found is None else found

    return translate


def _number(scale: Decimal | None, minimum: Decimal | None, maximum: Decimal | None) -> Convert:
    if scale is not None and (not scale.is_finite() or scale <= 0):
        raise ValueError(f"scale {scale}, expected a number above 0")
    match, most = NUMBER.fullmatch, INFINITE if maximum is None else maximum
    least = -INFINITE if minimum is None else minimum

    def convert(raw: Any) -> Value:
        value: Decimal | None
        if raw.__class__ is str:
            # the usual text, unsigned and unpadded, is told by three string methods in half the pattern's time
            usual = len(raw) <= 30 and raw.isascii() and raw.replace(".", "", 1).isdigit()
            value = Decimal(raw) if usual or match(raw) else None
        else:
            value = _exact(raw)
        if value is None:
            return absent(raw)
        if scale is not None:
            value = EXACT.divide(value, scale)
        return value if least <= value <= most else INVALID

    return convert


def _exact(raw: Any) -> Decimal | None:
    """A driver's integer or decimal; None for a float, a bool, NaN, infinity and more digits than EXACT carries."""
    if isinstance(raw, Decimal):
        fits = raw.is_finite() and raw.adjusted() <= 30 and len(raw.as_tuple().digits) <= EXACT.prec
        return raw if fits else None
    return Decimal(raw) if raw.__class__ is int and -(10**30) < raw < 10**30 else None


def _as_text(raw: Any) -> str | None:
    """The text of a key or code that a driver gives as a whole number; None for anything else."""
    if raw.__class__ is int and -(10**38) < raw < 10**38:
        return str(raw)
    if isinstance(raw, Decimal) and raw.is_finite() and 0 <= raw.adjusted() <= 38 and raw == raw.to_integral_value():
        return format(raw.to_integral_value(), "f")
    return None


def _string(kind: Type) -> Convert:
    good: Callable[[str], object]
    good = WORDS[kind].fullmatch if kind in WORDS else _is_id if kind is Type.ID else _printable(LENGTHS[kind])

    def convert(raw: Any) -> Value:
        if raw.__class__ is str:
            text: str = raw.strip(" ")
            return text if good(text) else absent(raw)
        whole = _as_text(raw)
        return whole if whole is not None and good(whole) else absent(raw)

    return convert


def _is_id(text: str) -> bool:
    """Full-width digits and letters are no identifier: they look like the account that they are not."""
    good = 0 < len(text) <= LENGTHS[Type.ID] and text.isprintable() and " " not in text
    return good and (text.isascii() or unicodedata.is_normalized("NFKC", text))


def _printable(most: int) -> Callable[[str], bool]:
    """Full-width blanks and private-use characters (rare names) are text; control and format ones are not."""

    def good(text: str) -> bool:
        if not 0 < len(text) <= most:
            return False
        return text.isprintable() or not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text)

    return good


def _bool(raw: Any) -> Value:
    if raw.__class__ is bool:
        return bool(raw)
    text = raw.strip(" ") if raw.__class__ is str else _as_text(raw)
    found = None if text is None else TRUTHS.get(text)
    return absent(raw) if found is None else found


def _date(parse: Parse) -> Convert:
    def convert(raw: Any) -> Value:
        if raw.__class__ is datetime and raw.time() == time():
            return raw.date()  # Oracle's DATE carries a time
        if raw.__class__ is date:
            return raw
        return _parsed(parse, raw if raw.__class__ is str else _as_text(raw) or raw)  # 20240201 in a number column

    return convert


def _time(parse: Parse) -> Convert:
    def convert(raw: Any) -> Value:
        if raw.__class__ is timedelta and timedelta() <= raw < timedelta(days=1):
            return (datetime.combine(date.min, time()) + raw).time()  # MySQL's TIME comes as a span
        return raw if raw.__class__ is time and raw.tzinfo is None else _parsed(parse, raw)

    return convert


def _datetime(parse: Parse) -> Convert:
    def convert(raw: Any) -> Value:
        return _utc(raw) if raw.__class__ is datetime else _parsed(parse, raw)

    return convert


def _parsed(parse: Parse, raw: Any) -> Value:
    """Only texts reach the parser's cache: equal keys of other types (1, True) would share an entry."""
    found = parse(raw) if raw.__class__ is str else None
    return absent(raw) if found is None else found


def _parser(kind: Type, format_: str) -> Parse:
    if format_:
        return _by_pattern(kind, _pattern(format_, kind))
    if kind is Type.DATETIME:
        return _moment
    return _by_pattern(kind, DAY if kind is Type.DATE else TIME)


def _pattern(format_: str, kind: Type) -> re.Pattern[str]:
    pieces = re.split("(%.)", format_)
    wrong = [p for i, p in enumerate(pieces) if (p not in PIECES if i % 2 else "%" in p)]
    needed = {Type.DATE: ("%Y", "%m", "%d"), Type.TIME: ("%H", "%M"), Type.DATETIME: ("%Y", "%m", "%d", "%H", "%M")}[
        kind
    ]
    if wrong or any(pieces.count(p) != 1 for p in needed) or pieces.count("%S") > 1:
        raise ValueError(f"format {format_!r}, expected {' '.join(needed)} once each, and of {' '.join(PIECES)} only")
    return re.compile(
        "".join(f"(?P<{PIECES[p][0]}>{PIECES[p][1]})" if i % 2 else re.escape(p) for i, p in enumerate(pieces))
    )


def _by_pattern(kind: Type, pattern: re.Pattern[str]) -> Parse:
    def parse(raw: str) -> Value | None:
        found = pattern.fullmatch(raw.strip(" "))
        if found is None:
            return None
        n = {name: int(text) for name, text in found.groupdict(default="0").items() if name != "dash"}
        try:
            clock = time(n.get("hour", 0), n.get("minute", 0), n.get("second", 0))
            if kind is Type.TIME:
                return clock
            day = _day(n["year"], n["month"], n["day"])
        except ValueError:
            return None
        return day if kind is Type.DATE else _utc(datetime.combine(day, clock))

    return parse


def _day(year: int, month: int, day: int) -> date:
    if year < 1900:
        raise ValueError(f"year {year}")
    return date(year, month, day)


def _moment(raw: str) -> Value | None:
    text = raw.strip(" ")
    try:
        return _utc(datetime.fromisoformat(text)) if MOMENT.fullmatch(text) else None
    except ValueError:
        return None


def _utc(moment: datetime) -> Value:
    """Aware, in UTC; a moment without offset is Asia/Shanghai. INVALID at the ends of the calendar."""
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=SHANGHAI)).astimezone(UTC)
    except OverflowError:
        return INVALID
