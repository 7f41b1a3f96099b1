"""Expressions to one generated Python function: the results of evaluate.py at the speed of hand-written code.

codegen.py and straight.py write its text. Before the project's only call of `compile()` the text's syntax tree is held
against a list of allowed node types; its namespace has no builtins. Where Python's decimals raise (a result too large),
that one fact goes to the evaluator.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import DecimalException, getcontext, setcontext
from typing import Any, TypeAlias

from daemon.model.kinds import Absence, Value
from daemon.model.money import EXACT
from daemon.rules.codegen import Writer
from daemon.rules.evaluate import evaluate
from daemon.rules.functions import Env
from daemon.rules.nodes import Node
from daemon.rules.straight import AbsentInside, StraightWriter, absent

Row: TypeAlias = tuple[Value, ...]

_ALLOWED = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.For, ast.Try, ast.ExceptHandler, ast.If, ast.Assign,
    ast.Expr, ast.Return, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.Constant, ast.NamedExpr, ast.Call,
    ast.Attribute, ast.BoolOp, ast.boolop, ast.Compare, ast.cmpop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator,
    ast.IfExp, ast.Continue, ast.Subscript,
)  # fmt: skip
_NAMESPACE: Mapping[str, Any] = {
    "__builtins__": {},
    "A": Absence,
    **{absence.name: absence for absence in Absence},
    "DecimalException": DecimalException,
    "EXACT": EXACT,
    "getcontext": getcontext,
    "setcontext": setcontext,
    "min": min,
    "max": max,
    "abs": abs,
    "last": lambda *values: values[-1],
    "absent": absent,
    "Leave": (AbsentInside, DecimalException, KeyError),
}
_ATTRIBUTES = frozenset({"__class__"})
_TABLE = re.compile(r"o|k[0-9]+")


@dataclass(frozen=True, slots=True)
class Compiled:
    """Some expressions as one function of the values of `args`. The same nodes give the same `source`.

    A call answers with one value for each of `outputs`, in their order; `many` decides a batch and is faster.
    """

    args: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str
    _one: Callable[[Row, Env], Row]
    _many: Callable[[Iterable[Row], Env, Callable[[Row], None]], None]

    def __call__(self, values: Row, env: Env) -> Row:
        return self._one(values, env)

    def many(self, rows: Iterable[Row], env: Env) -> list[Row]:
        """The outputs of each row of values, in order."""
        found: list[Row] = []
        self._many(rows, env, found.append)
        return found


def compile_function(name: str, exprs: Mapping[str, Node], args: Sequence[str]) -> Compiled:
    """One function for all of `exprs`, each of which may name `args` and the expressions before it.

    Raises ValueError for a name that is neither, or one that is both.
    """
    writer = Writer(args)
    for output, node in exprs.items():
        writer.add(output, node)
    source = writer.text(name)
    namespace = _run(name, source, {**writer.constants, "again": _oracle(exprs, args)})
    return Compiled(tuple(args), tuple(exprs), source, namespace["one"], namespace["many"])


@dataclass(frozen=True, slots=True)
class Straight:
    """Straight code (straight.py): `one` answers for one mapping of operands, `many` puts an answer for each.

    `firm`: the firm's values of the day, in the order of the writer's names.
    """

    source: str
    one: Callable[[Mapping[str, Value], Env, Row], Any]
    many: Callable[[Iterable[Mapping[str, Value]], Env, Row, Callable[[Any], None]], None]


def compile_straight(name: str, writer: StraightWriter, again: Callable[[Mapping[str, Value], Env], Any]) -> Straight:
    """What the writer has written, as functions; `again` answers for the facts that leave it."""
    source = writer.source(name)
    namespace = _run(name, source, {**writer.constants, "again": again})
    return Straight(source, namespace["one"], namespace["many"])


def _run(name: str, source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The namespace that the source leaves."""
    tree = ast.parse(source)
    _fence(tree)
    namespace: dict[str, Any] = {**_NAMESPACE, **given}
    exec(compile(tree, f"<rule {name}>", "exec"), namespace)  # noqa: S102 -- fenced above  # nosec B102
    return namespace


def _oracle(exprs: Mapping[str, Node], args: Sequence[str]) -> Callable[[Row, Env], Row]:
    def again(row: Row, env: Env) -> Row:
        values = dict(zip(args, row, strict=True))
        for output, node in exprs.items():
            values[output] = evaluate(node, values, env)
        return tuple(values[output] for output in exprs)

    return again


def _fence(tree: ast.Module) -> None:
    """Raises ValueError for a node outside of the list, an attribute but `__class__`, a subscript but an operand of a row
    (`row['due']`) or a place in a table of ours (`k3[...]`)."""
    for node in ast.walk(tree):
        allowed = isinstance(node, _ALLOWED)
        if isinstance(node, ast.Attribute):
            allowed = node.attr in _ATTRIBUTES
        elif isinstance(node, ast.Subscript):
            allowed = isinstance(node.value, ast.Name) and (
                _TABLE.fullmatch(node.value.id) is not None
                or (
                    node.value.id == "row"
                    and isinstance(node.slice, ast.Constant)
                    and isinstance(node.slice.value, str)
                )
            )
        if not allowed:
            raise ValueError(f"generated code holds {ast.dump(node)[:80]}, which the language never needs")
