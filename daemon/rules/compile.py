"""Expressions to one generated Python function: the results of evaluate.py at the speed of hand-written code.

codegen.py writes its text. Before the project's only call of `compile()` the text's syntax tree is held against a list
of allowed node types; its namespace has no builtins. Where Python's decimals raise (a result too large), that one fact
goes to the evaluator.
"""

from __future__ import annotations

import ast
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

Row: TypeAlias = tuple[Value, ...]

_ALLOWED = (
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.For, ast.Try, ast.ExceptHandler, ast.If, ast.Assign,
    ast.Expr, ast.Return, ast.Name, ast.Load, ast.Store, ast.Tuple, ast.Constant, ast.NamedExpr, ast.Call,
    ast.Attribute, ast.BoolOp, ast.Or, ast.Compare, ast.cmpop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator,
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
}
_ATTRIBUTES = frozenset({"__class__"})


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
    tree = ast.parse(source)
    _fence(tree)
    namespace: dict[str, Any] = {**_NAMESPACE, **writer.constants, "again": _oracle(exprs, args)}
    exec(compile(tree, f"<rule {name}>", "exec"), namespace)  # noqa: S102 -- fenced above  # nosec B102
    return Compiled(tuple(args), tuple(exprs), source, namespace["one"], namespace["many"])


def _oracle(exprs: Mapping[str, Node], args: Sequence[str]) -> Callable[[Row, Env], Row]:
    def again(row: Row, env: Env) -> Row:
        values = dict(zip(args, row, strict=True))
        for output, node in exprs.items():
            values[output] = evaluate(node, values, env)
        return tuple(values[output] for output in exprs)

    return again


def _fence(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Attribute) and node.attr not in _ATTRIBUTES):
            raise ValueError(f"generated code holds {ast.dump(node)[:80]}, which the language never needs")
