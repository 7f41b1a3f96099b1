"""How values are shown: the filters of a card's texts. Pure; exact decimals; dates and times in Asia/Shanghai.

    money         1234567.5          -> 1,234,567.50
    price         1.0230             -> 1.0230       every digit the source gave, at least two decimals
    ratio         1.29999999         -> 129.99%      cut, never rounded up (a breach must not look like the line)
    ratio plain   1.3                -> 130%         for lines and targets, which are exact
    date          2024-02-01         -> 2024年2月1日     date short -> 2月1日     date iso -> 2024-02-01
    time          14:30 or a moment  -> 14:30
    mask phone    10812345678        -> 108****5678  (JR/T 0171-2020 annex A)
                  name, account, document, text as in `daemon.security.masking`
    (no filter)   text as it is; a quantity without exponent and trailing zeros

A value of another type raises ValueError: nothing is shown that was not meant. `lines` is in `lines.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from daemon.clock import SHANGHAI
from daemon.model.kinds import STRINGS, Type
from daemon.model.money import EXACT, plain, show_money, show_ratio
from daemon.security.masking import MASKS

UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Controls (U+001E among them), bidirectional and zero-width characters: no value that holds one is put into a card."""


@dataclass(frozen=True, slots=True)
class FilterRule:
    """What a filter takes: field types, and the constants allowed as its one optional argument."""

    types: frozenset[Type]
    args: tuple[str, ...] = ()


RULES: Mapping[str, FilterRule] = {
    "": FilterRule(STRINGS - {Type.ID, Type.MSISDN} | {Type.QUANTITY}),
    "money": FilterRule(frozenset({Type.MONEY})),
    "price": FilterRule(frozenset({Type.PRICE})),
    "ratio": FilterRule(frozenset({Type.RATIO}), ("plain",)),
    "date": FilterRule(frozenset({Type.DATE, Type.DATETIME}), ("short", "iso")),
    "time": FilterRule(frozenset({Type.TIME, Type.DATETIME})),
    "mask": FilterRule(STRINGS, tuple(MASKS)),
}
"""Filters by name, '' for a value put in as it is. Numbers of documents and telephones are shown masked only."""


def show(value: Any) -> str:
    """A value without a filter: text or a quantity."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    raise ValueError(f"found {kind_of(value)}, expected text or a number (or a filter)")


def money(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise ValueError(f"money: found {kind_of(value)}, expected an amount")
    if value.as_tuple().exponent == -2:  # already in cents: the usual case
        return f"{value:,}"
    return show_money(value)


def price(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise ValueError(f"price: found {kind_of(value)}, expected a price")
    text = format(value, "f")
    decimals = len(text.partition(".")[2])
    return text if decimals >= 2 else f"{value:.2f}"


def ratio(value: Any, form: str = "") -> str:
    if not isinstance(value, Decimal):
        raise ValueError(f"ratio: found {kind_of(value)}, expected a ratio")
    return f"{plain(EXACT.multiply(value, Decimal(100)))}%" if form == "plain" else show_ratio(value)


def day(value: Any, form: str = "") -> str:
    """The `date` filter."""
    if isinstance(value, datetime):
        value = _local(value)
    elif not isinstance(value, date):
        raise ValueError(f"date: found {kind_of(value)}, expected a date")
    if form == "iso":
        return f"{value.year:04}-{value.month:02}-{value.day:02}"
    short = f"{value.month}月{value.day}日"
    return short if form == "short" else f"{value.year}年{short}"


def clock(value: Any) -> str:
    """The `time` filter."""
    if isinstance(value, datetime):
        value = _local(value)
    elif not isinstance(value, time):
        raise ValueError(f"time: found {kind_of(value)}, expected a time")
    return f"{value.hour:02}:{value.minute:02}"


def mask(value: Any, form: str = "account") -> str:
    """Hide all but what lets the owner recognise it."""
    if not isinstance(value, str):
        raise ValueError(f"mask: found {kind_of(value)}, expected text")
    return MASKS[form](value)


def kind_of(value: Any) -> str:
    """The kind of a value for an error text; never the value, which may be personal."""
    return "no value" if value is None else f"a {type(value).__name__}"


def _local(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("found a moment without time zone, expected one with")
    return moment.astimezone(SHANGHAI)


VALUE_FILTERS: Mapping[str, Callable[..., str]] = {
    "": show,
    "money": money,
    "price": price,
    "ratio": ratio,
    "date": day,
    "time": clock,
    "mask": mask,
}
"""The functions by filter name."""
