"""Malformed cells: what a back office has been seen to write in place of a good value, and what it is worth.

A *way* takes the good text of a cell and gives what the source hands over instead, with its worth: 'same' (another spelling
of the same value), 'empty' (nothing was said) or 'invalid' (something was said that cannot be trusted). What rows and whole
tables can have wrong stands with the families.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")

Make = Callable[[str], Any]


@dataclass(frozen=True)
class Way:
    """One malformation. `types`, a letter each: n number, d day, D day of a file (no dashes), m moment, t clock, b yes or no,
    e code of a list, c code, i identifier, x text."""

    name: str
    types: str
    worth: str
    make: Make


def _grouped(text: str) -> str:
    whole, dot, rest = text.partition(".")
    return "1," + whole.rjust(3, "0")[-3:] + dot + rest


WAYS = (
    Way("null", "ndDmtbecix", "empty", lambda text: None),
    Way("empty text", "ndDmtbecix", "empty", lambda text: ""),
    Way("blanks only", "ndDmtbecix", "empty", lambda text: "   "),
    Way("blanks before", "ndDmtbecix", "same", lambda text: "  " + text),
    Way("blanks behind", "ndDmtbecix", "same", lambda text: text + "    "),
    Way("plus sign", "n", "same", lambda text: "+" + text),
    Way("driver's decimal", "n", "same", Decimal),
    Way("more decimals", "n", "same", lambda text: (text if "." in text else text + ".") + "000"),
    Way("full-width digits", "ndDmtei", "invalid", lambda text: text.translate(FULL_WIDTH)),
    Way("full-width code", "c", "invalid", lambda text: "Ａ" + text),
    Way("arabic digits", "ndDmt", "invalid", lambda text: text.translate(ARABIC)),
    Way("thousands separators", "n", "invalid", _grouped),
    Way("decimal comma", "n", "invalid", lambda text: text.replace(".", ",") + ",0"),
    Way("NaN", "n", "invalid", lambda text: "NaN"),
    Way("driver's NaN", "n", "invalid", lambda text: Decimal("NaN")),
    Way("infinity", "n", "invalid", lambda text: "Infinity"),
    Way("exponent", "n", "invalid", lambda text: "1e3"),
    Way("binary float", "nbe", "invalid", lambda text: float("1.0")),
    Way("hexadecimal", "n", "invalid", lambda text: "0x1F"),
    Way("two points", "n", "invalid", lambda text: "1.2.3"),
    Way("currency sign", "n", "invalid", lambda text: "¥" + text),
    Way("percent sign", "n", "invalid", lambda text: text + "%"),
    Way("underscores", "n", "invalid", lambda text: "1_0" + text),
    Way("minus behind", "n", "invalid", lambda text: text + "-"),
    Way("overlong number", "n", "invalid", lambda text: "9" * 60),
    Way("truth as a number", "n", "invalid", lambda text: True),
    Way("tab before", "nmic", "invalid", lambda text: "\t" + text),
    Way("line end behind", "ndDmcix", "invalid", lambda text: text + "\n"),
    Way("word for nothing", "ndDmtbe", "invalid", lambda text: "NULL"),
    Way("undecodable bytes", "ndDmtbecix", "invalid", lambda text: b"\xff\xfe" + text.encode()),
    Way("day that is none", "dD", "invalid", lambda text: "20240230"),
    Way("day of noughts", "dD", "invalid", lambda text: "00000000"),
    Way("slashes", "dD", "invalid", lambda text: "2024/02/01"),
    Way("short year", "dD", "invalid", lambda text: "240201"),
    Way("number of a spreadsheet", "dD", "invalid", lambda text: 45323),
    Way("day without dashes", "d", "same", lambda text: text.replace("-", "")),
    Way("driver's day", "dD", "same", lambda text: _day(text)),
    Way("driver's midnight", "dD", "same", lambda text: datetime.combine(_day(text), time())),
    Way("clock of 25 hours", "t", "invalid", lambda text: "25:00"),
    Way("clock with a point", "t", "invalid", lambda text: "15.00"),
    Way("clock with seconds", "t", "same", lambda text: text + ":00"),
    Way("half a moment", "m", "invalid", lambda text: text[:10] + "T"),
    Way("unknown code", "e", "invalid", lambda text: "7?"),
    Way("unknown truth", "b", "invalid", lambda text: "maybe"),
    Way("driver's integer", "b", "same", lambda text: int(text)),
    Way("driver's truth", "b", "same", lambda text: text == "1"),
    Way("bidi", "cix", "invalid", lambda text: text[:1] + "\u202e" + text[1:]),
    Way("zero width", "cix", "invalid", lambda text: text[:1] + "\u200b" + text[1:]),
    Way("control character", "cix", "invalid", lambda text: text + "\x07"),
    Way("blank inside", "ci", "invalid", lambda text: text + " " + text),
    Way("overlong text", "cix", "invalid", lambda text: text + "长" * 4097),
)


def _day(text: str) -> date:
    digits = text.replace("-", "")
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


BY_TYPE: dict[str, tuple[Way, ...]] = {
    letter: tuple(way for way in WAYS if letter in way.types) for letter in "ndDmtbecix"
}


def malformed(rng: random.Random, letter: str, text: str) -> tuple[Way, Any]:
    """A way that a cell of this type, with this good text, can go wrong in, and what then stands in the cell."""
    while True:
        way = rng.choice(BY_TYPE[letter])
        raw = way.make(text)
        if way.worth == "same" or raw != text:
            return way, raw
