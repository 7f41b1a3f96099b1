"""The text of a rule's verdict as straight-line code, for the facts that lack nothing a test asks (compile.py runs it).

Most facts have every operand, and then the language is two-valued: `and` is Python's, a let is computed at the first test
that needs it, the first test that holds ends the matter. One guard a name looks for its absence, where it is first
needed; whatever is absent, too large or divided by zero sends that one fact to `again`, where the three-valued
program answers. So this code is never asked what an absence means, and its answers are the program's.

    def many(rows, env, firm, put):
        (f_line,) = firm
        for row in rows:
            v_debts = row['debts']
            if v_debts.__class__ is A: put(again(row, env)); continue
            if (v_debts == k0): put(k1); continue
            ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daemon.rules.expressions import NAME
from daemon.rules.functions import FUNCTIONS
from daemon.rules.nodes import (
    And,
    Arithmetic,
    Call,
    Compare,
    In,
    Literal,
    Name,
    Negate,
    Node,
    Not,
    Or,
    children,
    names_in,
    walk,
)

_TEMPLATE = """\
def one(row, env, firm):
    before = getcontext()
    if before is not EXACT: setcontext(EXACT)
    try:
        {firm} = firm
{one}
    except Leave:
        return again(row, env)
    finally:
        if before is not EXACT: setcontext(before)

def many(rows, env, firm, put):
    before = getcontext()
    if before is not EXACT: setcontext(EXACT)
    try:
        {firm} = firm
        for row in rows:
            try:
{many}
            except Leave:
                put(again(row, env))
    finally:
        if before is not EXACT: setcontext(before)
"""
_GIVE = "give "
_STRICT = (Literal, Name, Negate, Not, Arithmetic, Compare, Call)
"""Nodes that are absent where a part of them is."""
MAX_CHOICES = 6
"""More marks, or levels to be cured, than this have no straight code: there is one answer for each set of them."""


class AbsentInside(Exception):
    """Raised inside straight code where a value turns out absent; never leaves it."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the names of a rule stand for. `firm`: the parameters, in the order in which their firm's values of the day
    come; `contract`: parameter -> the field that is asked first."""

    operands: frozenset[str]
    firm: tuple[str, ...]
    contract: Mapping[str, str]
    lets: Mapping[str, Node]


class StraightWriter:
    """Writes the body of the two functions, one statement a line. What is loaded or known to be there is known from
    there on, and inside a branch until it ends."""

    def __init__(self, names: Names) -> None:
        if strange := [n for n in (*names.operands, *names.firm, *names.lets) if not NAME.fullmatch(n)]:
            raise ValueError(f"{strange[0]!r} is no name of the language")
        self._names = names
        self._lines: list[str] = []
        self._indent = 0
        self._temps = 0
        self._loaded: set[str] = set()
        self._there: set[str] = set()
        self.constants: dict[str, Any] = {}

    def first_of(self, tests: Sequence[tuple[Node, Callable[[], None]]], otherwise: Callable[[], None]) -> None:
        """The tests in order; where one is true its writer goes on and must end with `give`."""
        for node, then in tests:
            with self._branch(f"if {self.expression(node)}:"):
                then()
        otherwise()

    def expression(self, node: Node) -> str:
        """The Python expression of a node whose names are all there; what it needs is loaded before. The later parts of an
        `and` or `or` need nothing where the first ones decide."""
        if not isinstance(node, And | Or) or self._ready(node.parts[1:]):
            self._prepare(node)
            return self._text(node)
        held = self._temp()
        self._line(f"{held} = {self.expression(node.parts[0])}")
        for part in node.parts[1:]:
            with self._branch(f"if {held}:" if isinstance(node, And) else f"if not {held}:"):
                self._line(f"{held} = {self.expression(part)}")
        return held

    def set_where_there(self, node: Node) -> str:
        """The Python expression that is true where a condition is, and false where it is false or absent."""
        names = names_in(node)
        if not all(isinstance(n, _STRICT) and not _by_name(n) for n in walk(node)):
            return self.expression(node)
        for name in names:
            self._load(name)
        asked = [f"{self._variable(n)}.__class__ is not A" for n in names if n not in self._there]
        return f"({' and '.join([*asked, self._text(node)])})"

    def place(self, texts: Sequence[str]) -> str:
        """The place in a table that conditions choose: the first counts 1, the second 2, the third 4."""
        return " + ".join([texts[0], *(f"{text} * {2**i}" for i, text in enumerate(texts[1:], 1))])

    def hold(self, text: str) -> None:
        """Keep a value under the name `o`."""
        self._line(f"o = {text}")

    def give(self, text: str) -> None:
        """End with this answer."""
        self._line(_GIVE + text)

    def constant(self, value: Any) -> str:
        """A name for a value that is not written as text."""
        key = f"k{len(self.constants)}"
        self.constants[key] = value
        return key

    def source(self, name: str) -> str:
        """The whole source; `name` stands in a comment, made harmless."""
        safe = "".join(c if c.isalnum() or c in "-_/." else "?" for c in name)
        firm = "".join(f"f_{p}, " for p in self._names.firm)
        one = self._body(8, lambda value: [f"return {value}"])
        many = self._body(16, lambda value: [f"put({value})", "continue"])
        return f"# {safe}\n" + _TEMPLATE.format(firm=f"({firm})" if firm else "nothing", one=one, many=many)

    def _body(self, indent: int, end: Callable[[str], list[str]]) -> str:
        found = []
        for line in self._lines:
            text = line.lstrip(" ")
            inner = " " * (indent + len(line) - len(text))
            given = end(text.removeprefix(_GIVE)) if text.startswith(_GIVE) else [text]
            found += [inner + one for one in given]
        return "\n".join(found)

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    @contextmanager
    def _branch(self, condition: str) -> Iterator[None]:
        """What is loaded inside is known inside."""
        self._line(condition)
        loaded, there = set(self._loaded), set(self._there)
        self._indent += 1
        yield
        self._indent -= 1
        self._loaded, self._there = loaded, there

    def _temp(self) -> str:
        self._temps += 1
        return f"t{self._temps}"

    def _ready(self, nodes: Sequence[Node]) -> bool:
        """Whether every name in them is there already."""
        return all(name in self._there for node in nodes for name in names_in(node))

    def _prepare(self, node: Node) -> None:
        """Load every name; all but those whose absence is asked for must be there."""
        match node:
            case Name():
                self._need(node.name)
            case Call(function="known", args=(Name() as name,)):
                self._load(name.name)
            case Call(function="coalesce"):
                for arg in node.args:
                    if isinstance(arg, Name):
                        self._load(arg.name)
                    else:
                        self._prepare(arg)
            case _:
                for part in children(node):
                    self._prepare(part)

    def _need(self, name: str) -> None:
        self._load(name)
        if name not in self._there:
            with self._branch(f"if {self._variable(name)}.__class__ is A:"):
                self.give("again(row, env)")
            self._there.add(name)

    def _load(self, name: str) -> None:
        if name in self._loaded:
            return
        names = self._names
        if name in names.operands:
            self._line(f"v_{name} = row[{name!r}]")
        elif name in names.lets:
            self._let(name, names.lets[name])
        elif name in names.contract:
            self._line(f"v_{name} = row[{names.contract[name]!r}]")
            self._line(f"if v_{name} is EMPTY:")
            self._line(f"    v_{name} = f_{name}")
        else:
            self._there.add(name)  # a day on which the firm has no value has no straight code
        self._loaded.add(name)

    def _let(self, name: str, node: Node) -> None:
        """A let that chooses between names is looked at itself: what is not chosen may be absent."""
        if isinstance(node, Call) and node.function == "if_else" and all(isinstance(a, Name) for a in node.args[1:]):
            condition, yes, no = node.args
            self._prepare(condition)
            for branch in (yes, no):
                self._load(names_in(branch)[0])
        else:
            self._prepare(node)
            self._there.add(name)
        self._line(f"v_{name} = {self._text(node)}")

    def _variable(self, name: str) -> str:
        names = self._names
        plain = name in names.operands or name in names.lets or name in names.contract
        return f"v_{name}" if plain else f"f_{name}"

    def _text(self, node: Node) -> str:
        match node:
            case Literal():
                return self.constant(node.value)
            case Name():
                return self._variable(node.name)
            case Negate():
                return f"(-{self._text(node.operand)})"
            case Not():
                return f"(not {self._text(node.operand)})"
            case Arithmetic() | Compare():
                return f"({self._text(node.left)} {node.op} {self._text(node.right)})"
            case And() | Or():
                word = " and " if isinstance(node, And) else " or "
                return f"({word.join(map(self._text, node.parts))})"
            case In():
                return self._in(node)
            case Call():
                return self._call(node)

    def _in(self, node: In) -> str:
        if all(isinstance(choice, Literal) for choice in node.choices):
            values = tuple(choice.value for choice in node.choices if isinstance(choice, Literal))
            return f"({self._text(node.operand)} in {self.constant(values)})"
        choices = "".join(f"{self._text(choice)}, " for choice in node.choices)
        return f"({self._text(node.operand)} in ({choices}))"

    def _call(self, node: Call) -> str:
        function = FUNCTIONS[node.function]
        if node.function == "known":
            (arg,) = node.args
            text = self._text(arg)
            return f"({text}.__class__ is not A)" if isinstance(arg, Name) else f"last({text}, True)"
        if node.function == "coalesce":
            return self._coalesce(node.args)
        if node.function == "if_else":
            condition, yes, no = map(self._text, node.args)
            return f"({yes} if {condition} else {no})"
        args = ", ".join([*["env"] * function.env, *map(self._text, node.args)])
        if node.function in ("min", "max", "abs"):
            return f"{node.function}({args})"
        assert function.apply is not None, "known, coalesce and if_else are written above"
        text = f"{self.constant(function.apply)}({args})"
        if not function.partial:
            return text
        held = self._temp()
        return f"({held} if ({held} := {text}).__class__ is not A else absent())"

    def _coalesce(self, args: Sequence[Node]) -> str:
        first, rest = args[0], args[1:]
        text = self._text(first)
        if not isinstance(first, Name):
            return text
        other = f"{self._coalesce(rest)} if {text} is MISSING or {text} is EMPTY else absent()" if rest else "absent()"
        return f"({text} if {text}.__class__ is not A else {other})"


def _by_name(node: Node) -> bool:
    return isinstance(node, Call) and FUNCTIONS[node.function].apply is None


def absent() -> None:
    """Leave straight code: a value is not there."""
    raise AbsentInside
