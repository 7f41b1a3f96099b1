"""Small changes of an expression, each of which its cases must notice. Pure.

   limit        a comparison's limit moved by one unit of its precision, up and down (a day for dates, a minute for times)
   strictness   < and <=, > and >=
   comparison   == and !=
   joint        `and` and `or` taken for each other
   dropped      one part of an `and` or `or` left out
   negation     `not` left out
   count        sessions or days counted one more and one less
   branches     the two branches of if_else swapped
   fallback     a coalesce without its fallback, or nothing but it
   choice       another value of an enum; a choice of `in` left out or put in
   function     min for max, cents_up for cents_down, floor for ceil
   arithmetic   + for -, * for /
   literal      a number inside a formula moved by one unit
   truth        true for false
What does not type-check is no change a rule owner could make and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeVar

from daemon.rules.checking import check_as, type_of
from daemon.rules.expressions import ExpressionError, parse
from daemon.rules.nodes import (
    And,
    Arithmetic,
    Call,
    Compare,
    In,
    Literal,
    Negate,
    Node,
    Not,
    Or,
    children,
    names_in,
    show,
    walk,
)
from daemon.rules.types import Base, ExprType, Scope, unify

ORDER_TWINS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
EQUAL_TWINS = {"==": "!=", "!=": "=="}
ARITHMETIC_TWINS = {"+": "-", "-": "+", "*": "/", "/": "*"}
FUNCTION_TWINS = {
    "min": ("max",),
    "max": ("min",),
    "floor": ("ceil",),
    "ceil": ("floor",),
    "cents": ("cents_up", "cents_down"),
    "cents_up": ("cents", "cents_down"),
    "cents_down": ("cents", "cents_up"),
}
UNITS: Mapping[Base, Decimal] = {
    Base.MONEY: Decimal("0.01"),
    Base.PRICE: Decimal("0.001"),
    Base.RATIO: Decimal("0.0001"),
    Base.QUANTITY: Decimal(1),
    Base.NUMBER: Decimal(1),
}
"""The precision of each numeric type; finer where a limit is written finer. A quantity's is that of its cases."""

_COUNTED = ("add_sessions", "add_days")


Pair = TypeVar("Pair", Arithmetic, Compare)


@dataclass(frozen=True, slots=True)
class Variation:
    """One change: the part before and after, as text, and the whole expression changed."""

    operator: str
    before: str
    after: str
    node: Node


@dataclass(frozen=True)
class Typing:
    """What the expression's names mean, and how finely each quantity is given."""

    scope: Scope
    precision: Mapping[str, Decimal]

    def of(self, node: Node) -> ExprType:
        """The type of a part."""
        return type_of(node, self.scope)

    def unit(self, type_: ExprType, *nodes: Node) -> Decimal:
        """One unit of the precision of a type where these parts are concerned."""
        units = [UNITS.get(type_.base, Decimal(1))]
        if type_.base is Base.QUANTITY:
            units += [self.precision[name] for node in nodes for name in names_in(node) if name in self.precision]
        literals = (part.value for node in nodes for part in walk(node) if isinstance(part, Literal))
        return min([*units, *(unit_of(value) for value in literals if isinstance(value, Decimal))])


def unit_of(value: Decimal) -> Decimal:
    """One unit of the last place in which a number is written, at most 1."""
    exponent = int(value.normalize().as_tuple().exponent)
    return Decimal((0, (1,), min(exponent, 0)))


def variations(node: Node, typing: Typing) -> list[Variation]:
    """Every change of an expression that still means something of its type, none twice."""
    expected = typing.of(node)
    seen, found = {show(node)}, []
    for made in _spread(node, typing, lambda n: n):
        text = show(made.node)
        if text not in seen and _sound(text, made.node, typing, expected):
            seen.add(text)
            found.append(made)
    return found


def _sound(text: str, node: Node, typing: Typing, expected: ExprType) -> bool:
    """Whether the loader would take a changed expression: within its bounds, and of the type it must have."""
    try:
        return parse(text) == node and not check_as(node, typing.scope, expected)
    except ExpressionError:
        return False


def _spread(node: Node, typing: Typing, whole: Callable[[Node], Node]) -> Iterator[Variation]:
    """The changes of this part and of all parts in it. `whole` puts a changed part into the expression."""
    for operator, changed in _changes(node, typing):
        yield Variation(operator, show(node), show(changed), whole(changed))
    parts = children(node)
    for i, part in enumerate(parts):

        def put(new: Node, i: int = i) -> Node:
            return whole(with_children(node, (*parts[:i], new, *parts[i + 1 :])))

        yield from _spread(part, typing, put)


def with_children(node: Node, parts: tuple[Node, ...]) -> Node:
    """The node with other parts, as many and in the same order as `children` gives them."""
    match node:
        case Negate() | Not():
            return replace(node, operand=parts[0])
        case Arithmetic() | Compare():
            return replace(node, left=parts[0], right=parts[1])
        case And() | Or():
            return replace(node, parts=parts)
        case In():
            return replace(node, operand=parts[0], choices=parts[1:])
        case Call():
            return replace(node, args=parts)
        case _:
            return node


def _changes(node: Node, typing: Typing) -> Iterator[tuple[str, Node]]:
    match node:
        case Compare():
            yield from _compared(node, typing)
        case And() | Or():
            yield from _joined(node)
        case Not():
            yield "negation", node.operand
        case In():
            yield from _chosen(node, typing)
        case Call():
            yield from _called(node)
        case Arithmetic():
            yield "arithmetic", replace(node, op=ARITHMETIC_TWINS[node.op])
            for side in ("left", "right"):
                part = getattr(node, side)
                if isinstance(part, Literal) and isinstance(part.value, Decimal):
                    for moved in _moved(part, typing.unit(typing.of(node), part)):
                        yield "literal", _beside(node, side, moved)
        case Literal(value=bool()):
            yield "truth", Literal(not node.value)


def _compared(node: Compare, typing: Typing) -> Iterator[tuple[str, Node]]:
    if node.op in ORDER_TWINS:
        yield "strictness", replace(node, op=ORDER_TWINS[node.op])
    else:
        yield "comparison", replace(node, op=EQUAL_TWINS[node.op])
    side = "left" if isinstance(node.left, Literal) and not isinstance(node.right, Literal) else "right"
    limit = getattr(node, side)
    both = unify(typing.of(node.left), typing.of(node.right))
    if both is None:
        return
    for moved in _limits(limit, both, typing.unit(both, node.left, node.right), ordered=node.op in ORDER_TWINS):
        yield "limit", _beside(node, side, moved)
    if both.base is Base.ENUM and isinstance(limit, Literal):
        for value in _values(typing, node.left, node.right):
            yield "choice", _beside(node, side, Literal(value))


def _beside(node: Pair, side: str, part: Node) -> Pair:
    """The node with another part on one side."""
    return replace(node, left=part) if side == "left" else replace(node, right=part)


def _limits(limit: Node, type_: ExprType, unit: Decimal, *, ordered: bool) -> Iterator[Node]:
    if type_.base in UNITS:
        yield from _moved(limit, unit)
    elif type_.base is Base.DATE and ordered:
        if isinstance(limit, Literal) and isinstance(limit.value, date):
            yield from (Literal(limit.value + timedelta(days=n)) for n in (1, -1))
        else:
            yield from (Call("add_days", (limit, _signed(Decimal(n)))) for n in (1, -1))
    elif type_.base is Base.TIME and isinstance(limit, Literal) and isinstance(limit.value, time):
        yield from (Literal(moved) for n in (1, -1) if (moved := shifted_time(limit.value, n)) is not None)


def shifted_time(clock: time, minutes: int) -> time | None:
    """A time of day some minutes later, None where that is another day."""
    moved = datetime.combine(date(2000, 1, 2), clock) + timedelta(minutes=minutes)
    return moved.time() if moved.date() == date(2000, 1, 2) else None


def _moved(part: Node, unit: Decimal) -> Iterator[Node]:
    if isinstance(part, Literal) and isinstance(part.value, Decimal):
        yield from (_signed(value) for value in (part.value + unit, part.value - unit))
    else:
        yield from (Arithmetic(op, part, Literal(unit)) for op in "+-")


def _signed(value: Decimal) -> Node:
    return Literal(value) if value >= 0 else Negate(Literal(-value))


def _joined(node: And | Or) -> Iterator[tuple[str, Node]]:
    yield "joint", (Or if isinstance(node, And) else And)(node.parts)
    for i in range(len(node.parts)):
        rest = (*node.parts[:i], *node.parts[i + 1 :])
        yield "dropped", rest[0] if len(rest) == 1 else replace(node, parts=rest)


def _chosen(node: In, typing: Typing) -> Iterator[tuple[str, Node]]:
    for i in range(len(node.choices)):
        rest = (*node.choices[:i], *node.choices[i + 1 :])
        if rest:
            yield "choice", replace(node, choices=rest)
    if typing.of(node.operand).base is Base.ENUM:
        there = {part.value for part in node.choices if isinstance(part, Literal)}
        for value in typing.of(node.operand).values:
            if value not in there:
                yield "choice", replace(node, choices=(*node.choices, Literal(value)))


def _values(typing: Typing, *nodes: Node) -> tuple[str, ...]:
    """The declared values of the enum among these parts."""
    return next((t.values for n in nodes if (t := typing.of(n)).base is Base.ENUM and t.values), ())


def _called(node: Call) -> Iterator[tuple[str, Node]]:
    for twin in FUNCTION_TWINS.get(node.function, ()):
        yield "function", replace(node, function=twin)
    if node.function in _COUNTED:
        first, count = node.args
        yield from (("count", replace(node, args=(first, moved))) for moved in _moved(count, Decimal(1)))
    if node.function == "if_else":
        condition, yes, no = node.args
        yield "branches", replace(node, args=(condition, no, yes))
    if node.function == "coalesce":
        yield "fallback", node.args[0]
        yield "fallback", node.args[-1]
