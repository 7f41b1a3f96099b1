"""The syntax tree of the expression language, and its canonical text. LANGUAGE.md says what each part means.

Nodes are frozen and compare by meaning: `start`, the offset in the text they came from, takes no part in equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import TypeAlias

_LOOSEST, _OR, _AND, _NOT, _COMPARE, _SUM, _TERM, _UNARY, _ATOM = range(9)


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: Decimal, str, date, time or bool."""

    value: Decimal | str | date | time | bool
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """An operand: a field, a parameter or a `let`."""

    name: str
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Negate:
    """`-operand`."""

    operand: Node
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Node
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left op right`; op is one of + - * /."""

    op: str
    left: Node
    right: Node
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; op is one of == != < <= > >=."""

    op: str
    left: Node
    right: Node
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """Two or more parts joined by `and`."""

    parts: tuple[Node, ...]
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more parts joined by `or`."""

    parts: tuple[Node, ...]
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class In:
    """`operand in (choices)`: equal to at least one of them."""

    operand: Node
    choices: tuple[Node, ...]
    start: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of the functions in functions.py."""

    function: str
    args: tuple[Node, ...]
    start: int = field(default=0, compare=False)


Node: TypeAlias = Literal | Name | Negate | Not | Arithmetic | Compare | And | Or | In | Call


def children(node: Node) -> tuple[Node, ...]:
    """The direct parts of a node, in the order of the text."""
    match node:
        case Negate() | Not():
            return (node.operand,)
        case Arithmetic() | Compare():
            return (node.left, node.right)
        case And() | Or():
            return node.parts
        case In():
            return (node.operand, *node.choices)
        case Call():
            return node.args
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order of the text. Iterative: it also measures trees that are too deep."""
    waiting = [node]
    while waiting:
        yield (top := waiting.pop())
        waiting.extend(reversed(children(top)))


def depth(node: Node) -> int:
    """How many nodes lie on the longest path down, this one included."""
    level: tuple[Node, ...] = (node,)
    deep = 0
    while level:
        deep += 1
        level = tuple(child for parent in level for child in children(parent))
    return deep


def names_in(node: Node) -> tuple[str, ...]:
    """The operands a node names, each once, in the order of the text."""
    return tuple(dict.fromkeys(n.name for n in walk(node) if isinstance(n, Name)))


def show(node: Node) -> str:
    """The canonical text: `parse(show(node)) == node` for every node that `parse` can give."""
    return _show(node, _LOOSEST)


def show_literal(value: Decimal | str | date | time | bool) -> str:
    """A constant as the language writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return f'"{value}"' if "'" in value else f"'{value}'"
    if isinstance(value, date):
        return value.isoformat()
    return value.isoformat("seconds" if value.second else "minutes")


def _show(node: Node, around: int) -> str:
    text, strength = _text(node)
    return f"({text})" if strength < around else text


def _text(node: Node) -> tuple[str, int]:
    match node:
        case Literal():
            return show_literal(node.value), _ATOM
        case Name():
            return node.name, _ATOM
        case Negate():
            return f"-{_show(node.operand, _UNARY)}", _UNARY
        case Not():
            return f"not {_show(node.operand, _NOT)}", _NOT
        case Arithmetic():
            mine = _SUM if node.op in "+-" else _TERM
            return f"{_show(node.left, mine)} {node.op} {_show(node.right, mine + 1)}", mine
        case Compare():
            return f"{_show(node.left, _SUM)} {node.op} {_show(node.right, _SUM)}", _COMPARE
        case And():
            return " and ".join(_show(p, _NOT) for p in node.parts), _AND
        case Or():
            return " or ".join(_show(p, _AND) for p in node.parts), _OR
        case In():
            return f"{_show(node.operand, _SUM)} in ({_list(node.choices)})", _COMPARE
        case Call():
            return f"{node.function}({_list(node.args)})", _ATOM


def _list(nodes: tuple[Node, ...]) -> str:
    return ", ".join(_show(n, _LOOSEST) for n in nodes)
