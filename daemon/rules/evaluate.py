"""The tree-walking evaluator: the meaning of the language, and the tracer that explains (LANGUAGE.md, Absence).

compile.py must give the same results faster; this module is its oracle. Total: an expression that passed checking.py
raises for no values of the declared types (numbers finite, which mapping sees to). Numbers are decimals of fifty digits
(`model.money.EXACT`); a quotient by zero and a result too large for them are INVALID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import DecimalException, localcontext
from typing import Any, assert_never

from daemon.model.kinds import Absence, Value
from daemon.model.money import EXACT
from daemon.rules.functions import FUNCTIONS, Env
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or, children, show

__all__ = ["OPERATORS", "Env", "Trace", "evaluate", "trace"]

OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": EXACT.add,
    "-": EXACT.subtract,
    "*": EXACT.multiply,
    "/": EXACT.divide,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True, slots=True)
class Trace:
    """A sub-expression in canonical text, what it gave, and its parts in the order of the text."""

    text: str
    value: Value
    children: tuple[Trace, ...] = ()


def evaluate(node: Node, values: Mapping[str, Value], env: Env) -> Value:
    """The value of an expression, or the absence that made it indeterminate. A name without value is MISSING."""
    with localcontext(EXACT):
        return _value(node, values, env)


def trace(node: Node, values: Mapping[str, Value], env: Env) -> Trace:
    """The same with every sub-expression, also those whose value did not matter."""
    parts = tuple(trace(child, values, env) for child in children(node))
    return Trace(show(node), evaluate(node, values, env), parts)


def _value(node: Node, values: Mapping[str, Value], env: Env) -> Value:
    match node:
        case Literal():
            return node.value
        case Name():
            return values.get(node.name, Absence.MISSING)
        case Negate():
            return _strict(EXACT.minus, (node.operand,), values, env)
        case Not():
            return _strict(lambda x: not x, (node.operand,), values, env)
        case Arithmetic():
            return _arithmetic(node, values, env)
        case Compare():
            return _strict(OPERATORS[node.op], (node.left, node.right), values, env)
        case And():
            return _joined(node.parts, False, values, env)
        case Or():
            return _joined(node.parts, True, values, env)
        case In():
            return _in(node, values, env)
        case Call():
            return _call(node, values, env)
    assert_never(node)


def _strict(
    operation: Callable[..., Value], operands: tuple[Node, ...], values: Mapping[str, Value], env: Env
) -> Value:
    """All operands are needed: the first absence among them, else what the operation gives."""
    found = []
    for operand in operands:
        value = _value(operand, values, env)
        if isinstance(value, Absence):
            return value
        found.append(value)
    try:
        return operation(*found)
    except DecimalException:
        return Absence.INVALID


def _arithmetic(node: Arithmetic, values: Mapping[str, Value], env: Env) -> Value:
    def apply(left: Any, right: Any) -> Value:
        if node.op == "/" and not right:
            return Absence.INVALID
        return OPERATORS[node.op](left, right)  # type: ignore[no-any-return]

    return _strict(apply, (node.left, node.right), values, env)


def _joined(parts: tuple[Node, ...], decides: bool, values: Mapping[str, Value], env: Env) -> Value:
    """Kleene `and` (decided by a false part) and `or` (by a true one); else the first absence, else the other truth."""
    absent: Absence | None = None
    for part in parts:
        value = _value(part, values, env)
        if isinstance(value, Absence):
            absent = absent or value
        elif value is decides:
            return decides
    return not decides if absent is None else absent


def _in(node: In, values: Mapping[str, Value], env: Env) -> Value:
    """`or` over the equalities with each choice; the operand is evaluated once, so that nesting costs no more."""
    operand = _value(node.operand, values, env)
    if isinstance(operand, Absence):
        return operand
    return _joined(
        tuple(Compare("==", Name(""), choice) for choice in node.choices), True, {**values, "": operand}, env
    )


def _call(node: Call, values: Mapping[str, Value], env: Env) -> Value:
    function = FUNCTIONS[node.function]
    if function.apply is not None:
        apply = function.apply
        return _strict((lambda *args: apply(env, *args)) if function.env else apply, node.args, values, env)
    first = _value(node.args[0], values, env)
    if node.function == "known":
        return not isinstance(first, Absence)
    if node.function == "if_else":
        if isinstance(first, Absence):
            return first
        return _value(node.args[1] if first else node.args[2], values, env)
    for other in node.args[1:]:
        if first is Absence.MISSING or first is Absence.EMPTY:
            first = _value(other, values, env)
    return first
