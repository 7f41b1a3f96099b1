"""The types of the expression language and what its operators make of them (LANGUAGE.md, Types).

A numeric literal, and arithmetic over literals alone, takes the type beside it; so does a quoted text beside an enum.
`ANY` stands for the type of what is already reported, so that one mistake is one finding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.model.kinds import PERSONAL_TYPES, Type


class Base(StrEnum):
    """The closed list of types. `number` is a plain count: a literal's, or a function's such as `year`."""

    NUMBER = "number"
    MONEY = "money"
    PRICE = "price"
    RATIO = "ratio"
    QUANTITY = "quantity"
    TEXT = "text"
    ENUM = "enum"
    DATE = "date"
    TIME = "time"
    DATETIME = "datetime"
    BOOL = "bool"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ExprType:
    """A type. `values`: an enum's declared values, or a literal's text; `literal`: it adapts to what is beside it."""

    base: Base
    values: tuple[str, ...] = ()
    literal: bool = False

    def __str__(self) -> str:
        return f"enum ({', '.join(self.values)})" if self.base is Base.ENUM else str(self.base.value)


NUMBER = ExprType(Base.NUMBER)
MONEY = ExprType(Base.MONEY)
PRICE = ExprType(Base.PRICE)
RATIO = ExprType(Base.RATIO)
QUANTITY = ExprType(Base.QUANTITY)
TEXT = ExprType(Base.TEXT)
DATE = ExprType(Base.DATE)
TIME = ExprType(Base.TIME)
DATETIME = ExprType(Base.DATETIME)
BOOL = ExprType(Base.BOOL)
ANY = ExprType(Base.ANY)
LITERAL = ExprType(Base.NUMBER, literal=True)
NUMERIC = frozenset({Base.NUMBER, Base.MONEY, Base.PRICE, Base.RATIO, Base.QUANTITY})
ORDERED = NUMERIC | {Base.DATE, Base.TIME, Base.DATETIME}

_STRINGS = frozenset({Type.ID, Type.CODE, Type.NAME, Type.TEXT, Type.MSISDN})
_PLAIN = frozenset({Base.NUMBER, Base.RATIO, Base.QUANTITY})


@dataclass(frozen=True, slots=True)
class Declared:
    """What a scope knows of a name. `source`: 'field', 'parameter' or 'let'; `personal`: a sheet may not hold it."""

    type: ExprType
    source: str = "field"
    personal: bool = False

    @classmethod
    def of(cls, type_: Type, values: tuple[str, ...] = (), source: str = "field") -> Declared:
        """The declaration of a kind's field or of a parameter."""
        return cls(declared_type(type_, values), source, type_ in PERSONAL_TYPES)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names an expression may use. `personal`: fields of personal types too (in kinds, never in rules)."""

    names: Mapping[str, Declared]
    personal: bool = False


def declared_type(type_: Type, values: tuple[str, ...] = ()) -> ExprType:
    """The type of the language for a field's type: id, code, name, text and msisdn are `text`."""
    if type_ in _STRINGS:
        return TEXT
    return ExprType(Base(type_.value), values if type_ is Type.ENUM else ())


def unify(left: ExprType, right: ExprType) -> ExprType | None:
    """The one type of two values that may stand for each other, or None.

    Numbers of one family; a literal with any; `number` with ratio and quantity. Enums that share a value; an enum with
    quoted texts among its values.
    """
    if Base.ANY in (left.base, right.base):
        return ANY
    if left.base in NUMERIC and right.base in NUMERIC:
        return _unify_numbers(left, right)
    if {left.base, right.base} <= {Base.ENUM, Base.TEXT}:
        return _unify_texts(left, right)
    return left if left.base is right.base else None


def _unify_numbers(left: ExprType, right: ExprType) -> ExprType | None:
    if left.literal or right.literal:
        return right if left.literal else left
    if left.base is right.base:
        return left
    if Base.NUMBER in (left.base, right.base) and {left.base, right.base} <= _PLAIN:
        return right if left.base is Base.NUMBER else left
    return None


def _unify_texts(left: ExprType, right: ExprType) -> ExprType | None:
    if left.base is right.base is Base.TEXT:
        both = tuple(dict.fromkeys(left.values + right.values))
        return ExprType(Base.TEXT, both, True) if left.literal and right.literal else TEXT
    if left.base is right.base:
        return left if set(left.values) & set(right.values) else None
    enum, text = (left, right) if left.base is Base.ENUM else (right, left)
    return enum if text.literal and set(text.values) <= set(enum.values) else None


def operate(op: str, left: ExprType, right: ExprType) -> ExprType | None:
    """The type of `left op right` for + - * /, or None where it means nothing."""
    if Base.ANY in (left.base, right.base):
        return ANY
    if left.base not in NUMERIC or right.base not in NUMERIC:
        return None
    if op in "+-":
        return unify(left, right)
    if left.literal and right.literal:
        return LITERAL
    found = (_PRODUCTS if op == "*" else _QUOTIENTS).get((left.base, right.base))
    return ExprType(found) if found else None


def fits(found: ExprType, declared: ExprType) -> bool:
    """Whether a formula of type `found` may stand where `declared` is promised (a derived field, a parameter)."""
    return unify(found, declared) is not None


def result(found: ExprType) -> ExprType:
    """A type without the adaptability of literals: what a whole expression has."""
    return replace(found, literal=False, values=()) if found.literal else found


def _table(*rows: tuple[Base, Base, Base]) -> dict[tuple[Base, Base], Base]:
    return {(left, right): made for left, right, made in rows}


_N, _M, _P, _R, _Q = Base.NUMBER, Base.MONEY, Base.PRICE, Base.RATIO, Base.QUANTITY
_SCALED = [(x, by, x) for x in (_M, _P, _R, _Q, _N) for by in (_N, _R) if (x, by) != (_N, _R)]
_PRODUCTS = _table(*_SCALED, *((by, x, x) for x, by, _ in _SCALED), (_P, _Q, _M), (_Q, _P, _M), (_Q, _Q, _Q))
_QUOTIENTS = _table(
    *_SCALED, (_N, _R, _R), (_M, _M, _R), (_P, _P, _R), (_Q, _Q, _R), (_M, _Q, _P), (_M, _P, _Q), (_N, _Q, _R)
)
