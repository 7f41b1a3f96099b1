"""How the values of a sheet become columns of Arrow arrays, exactly, and back. With sheets.py the only user of pyarrow.

    money, quantity  decimal128(38, 6)      date      date32
    price            decimal128(38, 8)      time      time64 (microseconds)
    ratio            decimal128(38, 18)     datetime  timestamp (microseconds, UTC)
    code, enum       string                 bool      bool

A value that is absent is null, its kind of absence stands in the line's `absent`. A number with more digits than its
column holds stands there rounded (null if it does not fit at all), its exact text in the line's `exact`: what is read
back is always the exact value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, TypeAlias

import pyarrow as pa

from daemon.model.kinds import PERSONAL_TYPES, Absence, Type, Value
from daemon.model.money import plain

Extra: TypeAlias = dict[int, dict[str, str]]
"""Line index -> operand -> text."""

SCALES = {Type.MONEY: 6, Type.QUANTITY: 6, Type.PRICE: 8, Type.RATIO: 18}
DIGITS = 38
PYTHON = {
    Type.CODE: str,
    Type.ENUM: str,
    Type.DATE: date,
    Type.TIME: time,
    Type.DATETIME: datetime,
    Type.BOOL: bool,
} | dict.fromkeys(SCALES, Decimal)
ARROW = {
    Type.CODE: pa.string(),
    Type.ENUM: pa.string(),
    Type.DATE: pa.date32(),
    Type.TIME: pa.time64("us"),
    Type.DATETIME: pa.timestamp("us", tz="UTC"),
    Type.BOOL: pa.bool_(),
} | {type_: pa.decimal128(DIGITS, scale) for type_, scale in SCALES.items()}
_WIDE = Context(prec=60)


def check_types(operands: Sequence[tuple[str, Type]]) -> None:
    """Raise ValueError for a personal operand: a sheet holds numbers, figures and codes only (DESIGN section 3)."""
    for name, type_ in operands:
        if type_ in PERSONAL_TYPES:
            raise ValueError(f"operand {name}: type {type_.value} is personal, expected one of {', '.join(ARROW)}")


def to_array(name: str, type_: Type, values: list[Any], absent: Extra, exact: Extra) -> pa.Array:
    """One operand's column; fills `absent` and `exact`. Raises ValueError for a value that is not of the type."""
    kinds = set(map(type, values))
    if other := kinds - {PYTHON[type_], Absence}:
        found = ", ".join(sorted(kind.__name__ for kind in other))
        raise ValueError(f"operand {name}: found {found}, expected {type_.value} or an absence")
    if Absence in kinds:
        for index, value in enumerate(values):
            if type(value) is Absence:
                absent.setdefault(index, {})[name] = value.value
                values[index] = None
    if type_ in SCALES:
        return _numbers(name, type_, values, exact)
    if type_ is Type.DATETIME and any(value.tzinfo is None for value in values if value is not None):
        raise ValueError(f"operand {name}: found a datetime without a zone, expected an aware one")
    return pa.array(values, ARROW[type_])


def from_array(name: str, type_: Type, column: pa.Array, absent: Extra, exact: Extra) -> list[Value]:
    """The inverse of `to_array`. Raises ValueError for a null that nothing explains."""
    values: list[Any] = column.to_pylist()
    if type_ is Type.DATETIME:
        values = [None if value is None else value.astimezone(UTC) for value in values]
    for index, texts in exact.items():
        if name in texts:
            values[index] = Decimal(texts[name])
    for index, kinds in absent.items():
        if name in kinds:
            values[index] = Absence(kinds[name])
    if None in values:
        raise ValueError(f"operand {name}: line {values.index(None)} of its group has neither value nor absence")
    return values


def _numbers(name: str, type_: Type, values: list[Decimal | None], exact: Extra) -> pa.Array:
    try:
        return pa.array(values, ARROW[type_])
    except pa.ArrowInvalid:
        # Some number has more digits than the column: find which, keep their exact text.
        rounded = [_rounded(index, name, value, SCALES[type_], exact) for index, value in enumerate(values)]
        return pa.array(rounded, ARROW[type_])


def _rounded(index: int, name: str, value: Decimal | None, scale: int, exact: Extra) -> Decimal | None:
    if value is None:
        return None
    if not value.is_finite():
        raise ValueError(f"operand {name}: found {value}, expected a finite number")
    try:
        cut = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, _WIDE)
    except InvalidOperation:
        cut = None
    if cut is not None and cut.adjusted() >= DIGITS - scale:
        cut = None
    if cut != value:
        exact.setdefault(index, {})[name] = plain(value)
    return cut
