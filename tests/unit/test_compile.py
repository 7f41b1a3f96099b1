"""The generated function against the tree walk: the same results for every typed expression, every kind of absence."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, getcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence, Type, Value
from daemon.model.money import EXACT
from daemon.rules import compile as compiling
from daemon.rules.checking import check, check_as
from daemon.rules.compile import compile_function
from daemon.rules.evaluate import Env, evaluate, trace
from daemon.rules.expressions import parse
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or, show
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
_VALUES: dict[Type, list[Value]] = {
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
    """Random well-typed expressions; `solid` asks for one that is no literal, so that products have a type."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def of(self, base: Base, deep: int, solid: bool = False) -> Node:
        ways = self._leaves(base, solid)
        if deep > 0 and self._rng.random() < 0.8:
            ways = self._inner(base, deep - 1, solid)
        return self._rng.choice(ways)()

    def _leaves(self, base: Base, solid: bool) -> list[Callable[[], Node]]:
        names = [name for name, type_ in TYPES.items() if SCOPE.names[name].type.base is base]
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
    return ExprType(base, COLOURS if base is Base.ENUM else ())


def a_row(rng: random.Random, gaps: float) -> tuple[Value, ...]:
    return tuple(rng.choice(list(Absence)) if rng.random() < gaps else rng.choice(_VALUES[t]) for t in TYPES.values())


def exactly(value: Value) -> Any:
    """A value with all that tells it apart: its type, and a decimal's digits and exponent."""
    return type(value), value.as_tuple() if isinstance(value, Decimal) else value


def assert_equal_results(rng: random.Random, trees: list[Node], rows: int) -> None:
    exprs = {f"x{i}": tree for i, tree in enumerate(trees)}
    compiled = compile_function("test", exprs, ARGS)
    drawn = [a_row(rng, rng.choice([0.0, 0.1, 0.5])) for _ in range(rows)]
    for row, found in zip(drawn, compiled.many(drawn, ENV), strict=True):
        values = dict(zip(ARGS, row, strict=True))
        for tree, value in zip(trees, found, strict=True):
            assert exactly(value) == exactly(evaluate(tree, values, ENV)), (show(tree), values)
        assert list(map(exactly, compiled(row, ENV))) == list(map(exactly, found))


@settings(max_examples=250, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(BASES))
def test_compiled_and_walked_agree_on_any_typed_expression(rng: random.Random, base: Base) -> None:
    assert_equal_results(rng, [Trees(rng).of(base, 4)], rows=4)


def test_compiled_and_walked_agree_on_three_thousand_seeded_expressions() -> None:
    rng = random.Random(20240201)
    for _ in range(600):
        assert_equal_results(rng, [Trees(rng).of(rng.choice(BASES), rng.randint(1, 5)) for _ in range(5)], rows=5)


def test_every_generated_tree_is_typed_as_it_was_made_and_reads_back_from_its_text() -> None:
    rng = random.Random(7)
    for _ in range(1500):
        base = rng.choice(BASES)
        tree = Trees(rng).of(base, 4)
        assert check_as(tree, SCOPE, a_type(base)) == [], show(tree)
        if len(show(tree)) <= 2000:
            assert parse(show(tree)) == tree


_PYTHON = {
    Base.BOOL: bool, Base.DATE: date, Base.TIME: time, Base.DATETIME: datetime, Base.TEXT: str, Base.ENUM: str,
    **dict.fromkeys(NUMERIC, Decimal),
}  # fmt: skip


def test_a_typed_expression_gives_its_type_or_an_absence_and_never_raises() -> None:
    rng = random.Random(11)
    for _ in range(1500):
        tree = Trees(rng).of(rng.choice(BASES), 4)
        found, problems = check(tree, SCOPE)
        value = evaluate(tree, dict(zip(ARGS, a_row(rng, 0.2), strict=True)), ENV)
        assert problems == []
        assert isinstance(value, Absence) or type(value) is _PYTHON[found.base], show(tree)


def test_a_trace_holds_every_part_with_its_value() -> None:
    node = parse("m1 / m2 < 1.30 and q1 > 2")
    values: dict[str, Value] = {"m1": Decimal(13), "m2": Decimal(0), "q1": Decimal(1)}
    told = trace(node, values, ENV)
    assert told.value is False
    assert [(part.text, part.value) for part in told.children] == [
        ("m1 / m2 < 1.30", Absence.INVALID),
        ("q1 > 2", False),
    ]
    assert [part.text for part in told.children[0].children] == ["m1 / m2", "1.30"]


def test_later_expressions_use_earlier_ones() -> None:
    exprs = {"ratio": parse("m1 / m2"), "low": parse("ratio < 1.30")}
    compiled = compile_function("lets", exprs, ("m1", "m2"))
    assert compiled((Decimal(13), Decimal(10)), ENV) == (Decimal("1.3"), False)
    assert compiled((Decimal(12), Decimal(10)), ENV) == (Decimal("1.2"), True)
    assert compiled((Decimal(12), Absence.STALE), ENV) == (Absence.STALE, Absence.STALE)
    assert compiled((Decimal(12), Decimal(0)), ENV) == (Absence.INVALID, Absence.INVALID)


@pytest.mark.parametrize("exprs", [{"x": "y + 1"}, {"m1": "m1 + 1"}, {"x": "z", "z": "m1"}])
def test_a_name_that_is_unknown_taken_or_later_is_refused(exprs: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="operand"):
        compile_function("lets", {name: parse(text) for name, text in exprs.items()}, ("m1",))


_DEEP = [
    " and ".join(["m1 > 0"] * 74),
    " or ".join(["b1"] * 290),
    "m1" + " + m1" * 31,
    "m1" + " / m1" * 31,
    "(" * 31 + "m1" + ")" * 31,
    "not " * 31 + "b1",
    "if_else(b1, m1, " * 30 + "m1" + ")" * 30,
    "coalesce(m1, " * 30 + "m1" + ")" * 30,
    "b1 in (b2, " * 28 + "b1" + ")" * 28,
    "(" * 28 + "b1" + " in (true, b2))" * 28,
    "(b1 and (b2 or " * 14 + "b1" + "))" * 14,
    "b1 in (" + ", ".join(["b2"] * 280) + ")",
    "abs(max(1, " * 15 + "m1" + "))" * 15,
]


@pytest.mark.parametrize("text", _DEEP)
def test_the_largest_expressions_compile_and_agree(text: str) -> None:
    rng = random.Random(3)
    assert_equal_results(rng, [parse(text)], rows=20)


def test_a_result_too_large_is_invalid_and_decides_nothing_else() -> None:
    compiled = compile_function("large", {"x": parse("b1 and m1 * r1 > 0"), "y": parse("r1 * 2")}, ("b1", "m1", "r1"))
    large = Decimal("9E+999990")
    assert compiled((False, large, large), ENV)[0] is False
    assert compiled((True, large, large), ENV)[0] is Absence.INVALID
    assert compiled((True, large, Decimal(0)), ENV) == (False, Decimal(0))


def test_a_result_too_large_comes_before_an_absence_to_its_right() -> None:
    compiled = compile_function("order", {"x": parse("m1 * r1 + m2"), "y": parse("m2 + m1 * r1")}, ("m1", "r1", "m2"))
    large = Decimal("9E+999990")
    assert compiled((large, large, Absence.STALE), ENV) == (Absence.INVALID, Absence.STALE)
    assert compiled((large, Decimal(1), Absence.STALE), ENV) == (Absence.STALE, Absence.STALE)


def test_the_decimal_context_of_the_caller_comes_back() -> None:
    compiled = compile_function("third", {"x": parse("m1 / 3")}, ("m1",))
    before = getcontext()
    assert compiled((Decimal(1),), ENV) == (EXACT.divide(Decimal(1), Decimal(3)),)
    assert getcontext() is before
    with pytest.raises(ValueError, match="values to unpack"):
        compiled((Decimal(1), Decimal(2)), ENV)
    assert getcontext() is before


def test_the_same_expressions_give_the_same_source_whatever_their_name_says() -> None:
    exprs = {"x": parse("m1 / m2 < 1.30")}
    first, second = (
        compile_function(name, exprs, ("m1", "m2")).source for name in ("margin/call", "m\n'\"\\import os")
    )
    assert first.splitlines()[1:] == second.splitlines()[1:]
    assert second.startswith("# m????import?os\n")


@pytest.mark.parametrize(
    "code", ["import os", "x = m1.real", "x = [i for i in row]", "x = row[0]", "x = lambda: 1", "x = f'{row}'"]
)
def test_the_fence_refuses_what_the_language_never_needs(code: str) -> None:
    with pytest.raises(ValueError, match="never needs"):
        compiling._fence(ast.parse(code))
