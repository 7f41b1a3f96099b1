"""The text of the generated function (compile.py runs it), made of our nodes alone.

Names are checked and prefixed, temporaries numbered, constants and functions come through the namespace. Equal nodes
give equal text.

A sub-expression of which all operands are needed becomes one chain that looks for the first absence in operand order:

    if v_a.__class__ is Absence: t1 = v_a
    elif v_b.__class__ is Absence: t1 = v_b
    elif not v_b: t1 = INVALID
    else: t1 = v_a / v_b
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from daemon.rules.expressions import NAME
from daemon.rules.functions import FUNCTIONS
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or

_TEMPLATE = """\
def one(row, env):
    before = getcontext()
    if before is not EXACT: setcontext(EXACT)
    try:
{one}
        return ({outputs})
    except DecimalException:
        return again(row, env)
    finally:
        if before is not EXACT: setcontext(before)

def many(rows, env, put):
    before = getcontext()
    if before is not EXACT: setcontext(EXACT)
    try:
        for row in rows:
            try:
{many}
                put(({outputs}))
            except DecimalException:
                put(again(row, env))
    finally:
        if before is not EXACT: setcontext(before)
"""


class _Chain:
    """A sub-expression whose operands are all needed: guards (condition, what it gives) in operand order."""

    def __init__(self) -> None:
        self.guards: list[tuple[str, str]] = []
        self._before: list[str] = []

    def absent(self, value: str, variable: str) -> None:
        """Where `value`, held in `variable`, is an absence, it is the result, unless what stands before it raises: a
        number too large left of an absence is the first to be INVALID."""
        condition = f"{value}.__class__ is A"
        if condition not in (known for known, _ in self.guards):
            given = f"last({', '.join([*self._before, variable])})" if self._before else variable
            self.guards.append((condition, given))

    def zero(self, value: str) -> None:
        """Where `value` is zero, the result is INVALID."""
        self.guards.append((f"not {value}", "INVALID"))

    def in_order(self, nodes: Sequence[Node], write: Callable[[Node, _Chain], str]) -> list[str]:
        """The Python expressions of operands, each known to stand before the next."""
        depth, texts = len(self._before), []
        for node in nodes:
            texts.append(write(node, self))
            if not texts[-1].isidentifier():
                self._before.append(texts[-1])
        del self._before[depth:]
        return texts


class Writer:
    """Writes the body of the generated function, one statement a line, indented from 0."""

    def __init__(self, args: Sequence[str]) -> None:
        self._args = tuple(args)
        if strange := [arg for arg in args if not NAME.fullmatch(arg)]:
            raise ValueError(f"{strange[0]!r} is no name of the language")
        self._variables = {arg: f"v_{arg}" for arg in args}
        self._lines: list[str] = []
        self._indent = 0
        self._temps = 0
        self._outputs: list[str] = []
        self.constants: dict[str, Any] = {}

    def add(self, output: str, node: Node) -> None:
        if output in self._variables:
            raise ValueError(f"'{output}' is both an expression and an operand, or stands twice")
        variable = self._variable(node)
        self._variables[output] = variable
        self._outputs.append(variable)

    def text(self, name: str) -> str:
        """The whole source; `name` stands in a comment, made harmless."""
        names = "".join(f"{self._variables[a]}, " for a in self._args)
        lines = [f"({names}) = row" if names else "row", *self._lines]
        safe = "".join(c if c.isalnum() or c in "-_/." else "?" for c in name)
        one, many = ("\n".join(" " * indent + line for line in lines) for indent in (8, 16))
        outputs = "".join(f"{v}, " for v in self._outputs)
        return f"# {safe}\n" + _TEMPLATE.format(one=one, many=many, outputs=outputs)

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    def _temp(self) -> str:
        self._temps += 1
        return f"t{self._temps}"

    def _constant(self, value: Any) -> str:
        key = f"k{len(self.constants)}"
        self.constants[key] = value
        return key

    def _variable(self, node: Node) -> str:
        """Writes the statements that compute a node; gives the variable that then holds it."""
        match node:
            case Name():
                return self._operand(node)
            case And():
                return self._joined(node.parts, "False")
            case Or():
                return self._joined(node.parts, "True")
            case In() if not all(isinstance(c, Literal) for c in node.choices):
                return self._in(node)
            case Call(function="known" | "if_else" | "coalesce"):
                return self._by_name(node)
            case _:
                return self._chain(node)

    def _operand(self, node: Name) -> str:
        if node.name not in self._variables:
            raise ValueError(f"'{node.name}' is neither an operand nor an earlier expression")
        return self._variables[node.name]

    def _chain(self, node: Node) -> str:
        chain, held = _Chain(), self._temp()
        value = self._strict(node, chain)
        word = "if"
        for condition, given in chain.guards:
            self._line(f"{word} {condition}: {held} = {given}")
            word = "elif"
        self._line(f"else: {held} = {value}" if chain.guards else f"{held} = {value}")
        return held

    def _strict(self, node: Node, chain: _Chain) -> str:
        """The Python expression of a node, valid once the guards it put into the chain have passed."""
        match node:
            case Literal():
                return self._constant(node.value)
            case Negate():
                return f"(-{self._strict(node.operand, chain)})"
            case Not():
                return f"(not {self._strict(node.operand, chain)})"
            case Arithmetic(op="/"):
                return self._quotient(node, chain)
            case Arithmetic() | Compare():
                left, right = chain.in_order((node.left, node.right), self._strict)
                return f"({left} {node.op} {right})"
            case In() if all(isinstance(c, Literal) for c in node.choices):
                choices = tuple(c.value for c in node.choices if isinstance(c, Literal))
                return f"({self._strict(node.operand, chain)} in {self._constant(choices)})"
            case Call() if FUNCTIONS[node.function].apply is not None:
                return self._call(node, chain)
            case _:
                variable = self._variable(node)
                chain.absent(variable, variable)
                return variable

    def _quotient(self, node: Arithmetic, chain: _Chain) -> str:
        left, right = chain.in_order((node.left, node.right), self._strict)
        divisor = right
        if not right.isidentifier():
            divisor = self._temp()
            right = f"({divisor} := {right})"
        chain.zero(right)
        return f"({left} / {divisor})"

    def _call(self, node: Call, chain: _Chain) -> str:
        function = FUNCTIONS[node.function]
        args = ", ".join([*["env"] * function.env, *chain.in_order(node.args, self._strict)])
        if node.function in ("min", "max", "abs"):
            return f"{node.function}({args})"
        text = f"{self._constant(function.apply)}({args})"
        if not function.partial:
            return text
        held = self._temp()
        chain.absent(f"({held} := {text})", held)
        return held

    def _joined(self, parts: tuple[Node, ...], decides: str) -> str:
        """Kleene and/or: `held` is the undecided truth, the deciding one, or the first absence."""
        held, undecided = self._temp(), "True" if decides == "False" else "False"
        for i, part in enumerate(parts):
            if i:
                self._line(f"if {held} is not {decides}:")
            self._indent += bool(i)
            value = self._variable(part)
            if i:
                self._line(f"if {held} is {undecided} or {value} is {decides}: {held} = {value}")
            else:
                self._line(f"{held} = {value}")
            self._indent -= bool(i)
        return held

    def _in(self, node: In) -> str:
        """With choices that are not all constant: `or` over equalities with the operand, computed once."""
        operand = self._variable(node.operand)
        name = f"={operand}"
        self._variables[name] = operand
        if len(node.choices) == 1:
            return self._chain(Compare("==", Name(name), node.choices[0]))
        return self._joined(tuple(Compare("==", Name(name), c) for c in node.choices), "True")

    def _by_name(self, node: Call) -> str:
        first = self._variable(node.args[0])
        held = self._temp()
        if node.function == "known":
            self._line(f"{held} = {first}.__class__ is not A")
            return held
        self._line(f"{held} = {first}")
        if node.function == "if_else":
            self._branch(f"if {first} is True:", held, node.args[1])
            self._branch(f"elif {first} is False:", held, node.args[2])
            return held
        for other in node.args[1:]:
            self._branch(f"if {held} is MISSING or {held} is EMPTY:", held, other)
        return held

    def _branch(self, condition: str, held: str, node: Node) -> None:
        self._line(condition)
        self._indent += 1
        self._line(f"{held} = {self._variable(node)}")
        self._indent -= 1
