"""Random well-typed expressions and operands for them, for the tests that hold two evaluations against each other."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Type, Value
from daemon.rules.evaluate import Env
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or
from daemon.rules.types import _PRODUCTS, _QUOTIENTS, NUMERIC, Base, Declared, ExprType, Scope

FIRST = date(2024, 1, 1)
SESSIONS = tuple(d for d in (FIRST + timedelta(days=n) for n in range(91)) if d.weekday() < 5)
ENV = Env(Calendar("sse", "test", FIRST, FIRST + timedelta(days=90), SESSIONS), date(2024, 2, 1))

TYPES = {
    "m1": Type.MONEY, "m2": Type.MONEY, "p1": Type.PRICE, "r1": Type.RATIO, "r2": Type.RATIO, "q1": Type.QUANTITY,
    "q2": Type.QUANTITY, "d1": Type.DATE, "d2": Type.DATE, "c1": Type.TIME, "w1": Type.DATETIME, "b1": Type.BOOL,
    "b2": Type.BOOL, "e1": Type.ENUM, "s1": Type.CODE, "s2": Type.CODE,
}  # fmt: skip
ARGS = tuple(TYPES)
COLOURS = ("red", "green", "missing")
SCOPE = Scope({name: Declared.of(type_, COLOURS) for name, type_ in TYPES.items()})
NAMES = {name: declared.type.base for name, declared in SCOPE.names.items()}

_NUMBERS = [
    "0",
    "0.00",
    "1",
    "2",
    "-1",
    "2.5",
    "0.3",
    "1.30",
    "-7.005",
    "12345678.91",
    "1E+20",
    "9E+999990",
    "1E-999990",
]
VALUES: dict[Type, list[Value]] = {
    **{t: [Decimal(n) for n in _NUMBERS] for t in (Type.MONEY, Type.PRICE, Type.RATIO, Type.QUANTITY)},
    Type.DATE: [date(2024, 2, 1), date(2024, 1, 1), date(2024, 2, 3), date(2030, 1, 1), date.min, date.max],
    Type.TIME: [time(0), time(14, 30), time(23, 59, 59, 999999)],
    Type.DATETIME: [
        datetime(2024, 2, 1, 6, 30, tzinfo=UTC),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
    Type.BOOL: [True, False],
    Type.ENUM: list(COLOURS),
    Type.CODE: ["", "600036", "6", "missing"],
}


class Trees:
    """Random well-typed expressions over names of these types; `solid` asks for one that is no literal, so that products
    have a type."""

    def __init__(self, rng: random.Random, names: Mapping[str, Base] = NAMES) -> None:
        self._rng, self._names = rng, names

    def of(self, base: Base, deep: int, solid: bool = False) -> Node:
        ways = self._leaves(base, solid)
        if deep > 0 and self._rng.random() < 0.8:
            ways = self._inner(base, deep - 1, solid)
        return self._rng.choice(ways)()

    def _leaves(self, base: Base, solid: bool) -> list[Callable[[], Node]]:
        names = [name for name, own in self._names.items() if own is base]
        ways: list[Callable[[], Node]] = [lambda name=name: Name(name) for name in names]
        if base is Base.NUMBER:
            ways.append(lambda: Call("length", (Name("s1"),)))
        pick = self._rng.choice
        literals: dict[Base, Callable[[], Node]] = {
            **dict.fromkeys(NUMERIC, lambda: Literal(Decimal(pick(["0", "1", "2", "1.30", "100"])))),
            Base.DATE: lambda: Literal(pick([date(2024, 2, 1), date(2024, 3, 9)])),
            Base.TIME: lambda: Literal(time(14, 30)),
            Base.TEXT: lambda: Literal(pick(["6", "600036"])),
            Base.ENUM: lambda: Literal(pick(COLOURS)),
            Base.BOOL: lambda: Literal(pick([True, False])),
        }
        return ways if solid or base not in literals else [*ways, literals[base]]

    def _inner(self, base: Base, deep: int, solid: bool) -> list[Callable[[], Node]]:
        def of(part: Base, firm: bool = False) -> Node:
            return self.of(part, deep, firm)

        def call(name: str, *parts: Base) -> Callable[[], Node]:
            return lambda: Call(name, tuple(of(p) for p in parts))

        ways: list[Callable[[], Node]] = [
            lambda: Call("if_else", (of(Base.BOOL), of(base, solid), of(base))),
            lambda: Call("coalesce", (of(base, solid), *(of(base) for _ in range(self._rng.randint(1, 3))))),
        ]
        if base in NUMERIC:
            return ways + self._numeric(base, of, solid)
        if base in (Base.DATE, Base.TIME, Base.DATETIME):
            ways.append(lambda: Call(self._rng.choice(["min", "max"]), (of(base), of(base), of(base))))
        own: dict[Base, list[Callable[[], Node]]] = {
            Base.BOOL: self._conditions(of),
            Base.DATE: [
                call("add_days", Base.DATE, Base.QUANTITY),
                call("add_months", Base.DATE, Base.QUANTITY),
                call("add_sessions", Base.DATE, Base.NUMBER),
                call("date_of", Base.DATETIME),
                call("business_date"),
            ],
            Base.TIME: [call("time_of", Base.DATETIME)],
            Base.DATETIME: [call("at", Base.DATE, Base.TIME)],
        }
        return ways + own.get(base, [])

    def _numeric(self, base: Base, of: Callable[..., Node], solid: bool) -> list[Callable[[], Node]]:
        pick = self._rng.choice
        tables = {
            op: [k for k, made in table.items() if made is base] for op, table in (("*", _PRODUCTS), ("/", _QUOTIENTS))
        }

        def scaled(op: str) -> Node:
            left, right = pick(tables[op])
            return Arithmetic(op, of(left, True), of(right, True))

        ways: list[Callable[[], Node]] = [
            lambda: Arithmetic(pick("+-"), of(base, solid), of(base)),
            lambda: scaled(pick("*/")),
            lambda: Negate(of(base, solid)),
            lambda: Call(pick(["min", "max"]), (of(base, solid), of(base))),
            lambda: Call(pick(["abs", "floor", "ceil"]), (of(base, solid),)),
        ]
        if base is Base.MONEY:
            ways.append(lambda: Call(pick(["cents", "cents_up", "cents_down"]), (of(base),)))
        if base is Base.NUMBER:
            ways.append(lambda: Call(pick(["year", "month", "day", "weekday"]), (of(Base.DATE),)))
            ways.append(lambda: Call(pick(["days_between", "sessions_between"]), (of(Base.DATE), of(Base.DATE))))
            ways.append(lambda: Call("length", (of(Base.TEXT),)))
        return ways

    def _conditions(self, of: Callable[..., Node]) -> list[Callable[[], Node]]:
        pick = self._rng.choice
        ordered = [*NUMERIC, Base.DATE, Base.TIME, Base.DATETIME]
        ordered.sort()

        def compare(bases: list[Base], ops: list[str]) -> Node:
            base = pick(bases)
            return Compare(pick(ops), of(base, True), of(base))

        def within() -> Node:
            base = pick([Base.QUANTITY, Base.ENUM, Base.TEXT, Base.BOOL, Base.DATE])
            return In(of(base, base is not Base.BOOL), tuple(of(base) for _ in range(self._rng.randint(1, 3))))

        def joined() -> Node:
            kind = pick([And, Or])
            parts = [of(Base.BOOL) for _ in range(self._rng.randint(2, 3))]
            return kind(tuple(x for p in parts for x in (p.parts if isinstance(p, kind) else (p,))))

        return [
            joined,
            joined,
            lambda: Not(of(Base.BOOL)),
            lambda: compare(ordered, ["<", "<=", ">", ">=", "==", "!="]),
            lambda: compare([Base.ENUM, Base.TEXT, Base.BOOL], ["==", "!="]),
            within,
            lambda: Call("known", (of(pick(sorted(b for b in Base if b is not Base.ANY))),)),
            lambda: Call("is_session", (of(Base.DATE),)),
            lambda: Call("starts_with", (of(Base.TEXT), of(Base.TEXT))),
        ]


BASES = sorted(b for b in Base if b is not Base.ANY)


def a_type(base: Base) -> ExprType:
    """The type of the trees made for a base."""
    return ExprType(base, COLOURS if base is Base.ENUM else ())


def a_row(rng: random.Random, gaps: float) -> tuple[Value, ...]:
    """A value for each of TYPES; `gaps`: the share that is absent."""
    return tuple(rng.choice(list(Absence)) if rng.random() < gaps else rng.choice(VALUES[t]) for t in TYPES.values())


def exactly(value: Value) -> Any:
    """A value with all that tells it apart: its type, and a decimal's digits and exponent."""
    return type(value), value.as_tuple() if isinstance(value, Decimal) else value
