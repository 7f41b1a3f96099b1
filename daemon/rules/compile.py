"""Expressions to one generated Python function: the results of evaluate.py at the speed of hand-written code.

The generated text is made of our nodes alone: names are prefixed and numbered, constants and functions come through the
namespace, there are no builtins. Before the project's only call of `compile()` the syntax tree is held against a list
of allowed node types. What Python's decimals raise (a result too large) sends that one fact to the evaluator.

A sub-expression of which all operands are needed becomes one chain that looks for the first absence in operand order:

    if v_a.__class__ is Absence: t1 = v_a
    elif v_b.__class__ is Absence: t1 = v_b
    elif not v_b: t1 = INVALID
    else: t1 = v_a / v_b
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import DecimalException, getcontext, setcontext
from typing import Any, TypeAlias

from daemon.model.kinds import Absence, Value
from daemon.model.money import EXACT
from daemon.rules.evaluate import evaluate
from daemon.rules.functions import FUNCTIONS, Env
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or

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
}
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
    writer = _Writer(args)
    for output, node in exprs.items():
        writer.add(output, node)
    source = writer.text(name)
    tree = ast.parse(source)
    _fence(tree)
    namespace: dict[str, Any] = {**_NAMESPACE, **writer.constants, "again": _oracle(exprs, args)}
    exec(compile(tree, f"<rule {name}>", "exec"), namespace)  # noqa: S102 -- fenced above
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


class _Chain:
    """A sub-expression whose operands are all needed: guards (condition, what it gives) in operand order."""

    def __init__(self) -> None:
        self.guards: list[tuple[str, str]] = []

    def absent(self, variable: str) -> None:
        guard = (f"{variable}.__class__ is A", variable)
        if guard not in self.guards:
            self.guards.append(guard)


class _Writer:
    """Writes the body of the generated function, one statement a line, indented from 0."""

    def __init__(self, args: Sequence[str]) -> None:
        self._args = tuple(args)
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
                return f"({self._strict(node.left, chain)} {node.op} {self._strict(node.right, chain)})"
            case In() if all(isinstance(c, Literal) for c in node.choices):
                choices = tuple(c.value for c in node.choices if isinstance(c, Literal))
                return f"({self._strict(node.operand, chain)} in {self._constant(choices)})"
            case Call() if FUNCTIONS[node.function].apply is not None:
                return self._call(node, chain)
            case _:
                variable = self._variable(node)
                chain.absent(variable)
                return variable

    def _quotient(self, node: Arithmetic, chain: _Chain) -> str:
        left, right = self._strict(node.left, chain), self._strict(node.right, chain)
        divisor = right
        if not right.isidentifier():
            divisor = self._temp()
            right = f"({divisor} := {right})"
        chain.guards.append((f"not {right}", "INVALID"))
        return f"({left} / {divisor})"

    def _call(self, node: Call, chain: _Chain) -> str:
        function = FUNCTIONS[node.function]
        args = ", ".join([*["env"] * function.env, *(self._strict(arg, chain) for arg in node.args)])
        if node.function in ("min", "max", "abs"):
            return f"{node.function}({args})"
        text = f"{self._constant(function.apply)}({args})"
        if not function.partial:
            return text
        held = self._temp()
        chain.guards.append((f"({held} := {text}).__class__ is A", held))
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
