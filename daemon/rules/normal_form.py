"""The normal form of an expression: constants folded, what always or never decides taken away. Pure.

Two expressions of one normal form give the same value, and the same kind of absence, for all operands. Only steps that
keep absence as it is are taken: `x * 0` stays, because it is absent where x is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from daemon.model.calendar import Calendar
from daemon.model.kinds import Absence
from daemon.rules.evaluate import Env, evaluate
from daemon.rules.functions import FUNCTIONS
from daemon.rules.mutate_expressions import EQUAL_TWINS, with_children
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or, children

_NO_ENV = Env(Calendar("none", "", date.min, date.min, ()), date.min)
_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", **EQUAL_TWINS}
_NEUTRAL = {"+": Decimal(0), "-": Decimal(0), "*": Decimal(1), "/": Decimal(1)}


def normal(node: Node, known: Mapping[str, Node] | None = None) -> Node:
    """The normal form; names in `known` are replaced by what stands there first."""
    if isinstance(node, Name):
        return normal(known[node.name]) if known and node.name in known else node
    parts = children(node)
    folded = with_children(node, tuple(normal(part, known) for part in parts)) if parts else node
    return _step(_constant(folded))


def _constant(node: Node) -> Node:
    """A literal where all parts are literals and nothing but them decides."""
    parts = children(node)
    if isinstance(node, Call) and (node.function in ("business_date",) or FUNCTIONS[node.function].env):
        return node
    if not parts or not all(isinstance(part, Literal) for part in parts):
        return node
    value = evaluate(node, {}, _NO_ENV)
    return node if isinstance(value, Absence) else Literal(value)


def _step(node: Node) -> Node:
    match node:
        case Not(operand=Not(operand=inner)):
            return inner
        case Not(operand=Compare() as inner):
            return Compare(_OPPOSITE[inner.op], inner.left, inner.right)
        case And() | Or():
            return _joined(node)
        case Arithmetic(right=Literal(value=value)) if _is_neutral(node.op, value):
            return node.left
        case In(choices=(only,)):
            return Compare("==", node.operand, only)
        case Call(function="if_else", args=(Literal(value=chosen), yes, no)):
            return yes if chosen is True else no
        case Call(function="coalesce", args=(Literal() as first, *_)):
            return first
        case Negate(operand=Negate(operand=inner)):
            return inner
        case _:
            return node


def _is_neutral(op: str, value: object) -> bool:
    return isinstance(value, Decimal) and value == _NEUTRAL[op]


def _joined(node: And | Or) -> Node:
    """Nested parts taken up, repeated ones left out; a literal decides or goes."""
    decides = isinstance(node, Or)
    flat: list[Node] = []
    for part in node.parts:
        flat += part.parts if type(part) is type(node) and isinstance(part, And | Or) else (part,)
    kept: list[Node] = []
    for part in flat:
        if isinstance(part, Literal):
            if part.value is decides:
                return Literal(decides)
        elif part not in kept:
            kept.append(part)
    if len(kept) < 2:
        return kept[0] if kept else Literal(not decides)
    return type(node)(tuple(kept))
