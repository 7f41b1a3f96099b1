"""The generated function against the tree walk: the same results for every typed expression, every kind of absence."""

from __future__ import annotations

import ast
import random
from datetime import date, datetime, time
from decimal import Decimal, getcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model.kinds import Absence, Value
from daemon.model.money import EXACT
from daemon.rules import compile as compiling
from daemon.rules.checking import check, check_as
from daemon.rules.compile import compile_function
from daemon.rules.decider import Decider
from daemon.rules.evaluate import evaluate, trace
from daemon.rules.expressions import parse
from daemon.rules.nodes import Node, show
from daemon.rules.types import NUMERIC, Base
from tests.builders_rules import shipped
from tests.trees import ARGS, BASES, ENV, SCOPE, Trees, a_row, a_type, exactly


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
    "code",
    [
        "import os",
        "x = m1.real",
        "x = [i for i in row]",
        "x = row[0]",
        "x = row[v_name]",
        "x = env['calendar']",
        "x = v_row['due']",
        "x = k1.y[0]",
        "row['due'].real",
        "while x: pass",
        "with x: pass",
        "def f(*rows): pass\nclass C: pass",
        "raise x",
        "global x",
        "x: int = 1",
        "x = yield",
        "x = {**row}",
        "x = lambda: 1",
        "x = f'{row}'",
    ],
)
def test_the_fence_refuses_what_the_language_never_needs(code: str) -> None:
    with pytest.raises(ValueError, match="never needs"):
        compiling._fence(ast.parse(code))


def test_the_code_of_every_shipped_rule_holds_listed_nodes_only_and_sees_no_builtins() -> None:
    for rule in shipped().rules.values():
        verdicts = Decider(shipped(), rule).verdicts
        straight = verdicts._straight
        assert straight is not None
        tree = ast.parse(straight.source)
        assert all(isinstance(node, compiling._ALLOWED) for node in ast.walk(tree))
        assert {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} <= {"__class__"}
        assert straight.one.__globals__["__builtins__"] == {}  # type: ignore[attr-defined]


def test_one_module_compiles_and_runs_what_it_wrote() -> None:
    """Python's own compile, exec and eval: one call of each of the first two, in the module that fences them."""
    root = Path(__file__).parents[2] / "daemon"
    found = [
        (path.relative_to(root).as_posix(), node.func.id)
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("compile", "exec", "eval")
    ]
    assert sorted(found) == [("rules/compile.py", "compile"), ("rules/compile.py", "exec")]
