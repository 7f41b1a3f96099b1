"""The template language of cards: a small, closed part of Jinja2. The only user of Jinja2.

Allowed: fixed wording, `{{ name }}`, `{{ name|filter }}` or `{{ name|filter("constant", 3) }}` with one filter of
`filters.py` or `lines`, and `{% if %} {% elif %} {% else %} {% endif %}` over names, `not and or` and comparisons of
a name with a text, whole number, `true` or `false`. Refused: loops, calls, attributes, subscripts, arithmetic,
assignments, includes, white-space control (`{%-`). So a text ends, its length is bounded by its values, and it
reaches nothing but what it is handed.

`parse` gives the tree that the lint walks (`nodes.py`). `compile_leaves` joins the trees of several texts, with
U+001E between them, into one generated function: one call renders a whole card (3.5 times faster than a call for each
text). In a condition a name of a bool field is its value, any other name asks whether there is a value. Values are
text and never templates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes
from jinja2.environment import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from daemon.cards import filters
from daemon.cards.lines import lines
from daemon.cards.nodes import Both, Branch, Compare, Either, Known, Literal, Node, Not, Show, Test, depth
from daemon.errors import DueNoticeError

SEPARATOR = "\x1e"
"""U+001E stands between the leaves of a joined template; no leaf and no value may contain it."""

MAX_OUTPUT = 16_000
"""Characters of all leaves of one rendering together."""

MAX_SOURCE = 4_000
"""Characters of one text's template."""

MAX_DEPTH = 16
"""Levels of conditions in one text, `elif` and the terms of a condition counted."""

_OPS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_FILTERS = frozenset(filters.RULES) - {""} | {"lines"}
_CONTROL = re.compile(r"\{%[-+]|[-+]%\}|\{\{[-+]|[-+]\}\}|\{#")


class RenderError(DueNoticeError):
    """Card and values do not fit: a required field is absent or ill-typed, a value cannot be shown, a text too long."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a template: line within it (from 1), what was found, what is allowed."""

    line: int
    found: str
    allowed: str
    hint: str = ""


class TemplateProblems(ValueError):
    """A text that is no template of this language; `problems` has every place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"line {p.line}: found {p.found}, allowed {p.allowed}" for p in problems))


def _environment() -> ImmutableSandboxedEnvironment:
    # autoescape stays off: a card is a tree of plain texts, escaped by whoever writes JSON or HTML.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=filters.show, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )
    environment.filters = {**{n: f for n, f in filters.VALUE_FILTERS.items() if n}, "lines": lines}
    environment.globals = {}
    environment.tests = {}
    return environment


_ENVIRONMENT = _environment()


def parse(source: str) -> tuple[Node, ...]:
    """The tree of one text. Raises TemplateProblems with everything in it that the language does not have."""
    try:
        made = _Reading().text(_tree(source))
        deep = depth(made)
    except RecursionError:
        deep = MAX_DEPTH + 1
    if deep > MAX_DEPTH:
        raise TemplateProblems([Problem(1, "conditions nested too deeply", f"at most {MAX_DEPTH} levels")])
    return made


class Program:
    """Several texts compiled into one function. Immutable once made; safe to share between threads."""

    def __init__(self, template: Template, leaves: int) -> None:
        self._template, self._leaves = template, leaves

    def run(self, values: Mapping[str, Any]) -> list[str]:
        """Render all leaves, in order. `values` has every name the texts use, None for an absent one; it is not kept.

        Raises RenderError; its text names the leaf's field, never a value.
        """
        template = self._template
        try:
            context = template.new_context(values, True)  # type: ignore[arg-type]  # shared: read, not copied
            text = "".join(template.root_render_func(context))
        except (ValueError, TypeError, UndefinedError) as error:
            raise RenderError(str(error)) from error
        leaves = text.split(SEPARATOR)
        if len(leaves) != self._leaves:
            raise RenderError(f"found U+001E in a value, expected visible characters ({self._leaves} texts)")
        if len(text) > MAX_OUTPUT:
            raise RenderError(f"found a card of {len(text)} characters, expected at most {MAX_OUTPUT}")
        return leaves


def compile_leaves(sources: Sequence[str], bools: frozenset[str]) -> Program:
    """Compile texts that `parse` accepts. `bools`: the names whose value, not presence, a bare condition asks for."""
    body: list[nodes.Node] = []
    for i, source in enumerate(sources):
        tree = _tree(source)
        _ask_presence(tree, bools)
        body += ([nodes.Output([nodes.TemplateData(SEPARATOR)])] if i else []) + tree.body
    joined = nodes.Template(body, lineno=1)
    joined.set_environment(_ENVIRONMENT)
    code = _ENVIRONMENT.compile(joined, filename="<card>")
    return Program(Template.from_code(_ENVIRONMENT, code, {}), len(sources))


def _tree(source: str) -> nodes.Template:
    if len(source) > MAX_SOURCE:
        raise TemplateProblems([Problem(1, f"{len(source)} characters", f"at most {MAX_SOURCE}")])
    if refused := _CONTROL.search(source):
        line = source.count("\n", 0, refused.start()) + 1
        raise TemplateProblems([Problem(line, f"'{refused.group()}'", "{{ }} and {% %} without signs, no comments")])
    try:
        return _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        allowed = "{{ name|filter }} and {% if %}"
        raise TemplateProblems([Problem(error.lineno, f"a syntax error: {error.message}", allowed)]) from error


def _ask_presence(tree: nodes.Template, bools: frozenset[str]) -> None:
    for branch in tree.find_all(nodes.If):
        branch.test = _presence(branch.test, bools)


def _presence(test: nodes.Node, bools: frozenset[str]) -> nodes.Node:
    if isinstance(test, nodes.Name):
        if test.name in bools:
            return test
        return nodes.Compare(test, [nodes.Operand("ne", nodes.Const(None))], lineno=test.lineno)
    if isinstance(test, nodes.Not):
        test.node = cast(nodes.Expr, _presence(test.node, bools))
    elif isinstance(test, nodes.And | nodes.Or):
        test.left = cast(nodes.Expr, _presence(test.left, bools))
        test.right = cast(nodes.Expr, _presence(test.right, bools))
    return test


class _Reading:
    """Turns Jinja's tree into ours, noting all that is not in the language."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def text(self, tree: nodes.Template) -> tuple[Node, ...]:
        made = self._body(tree.body)
        if self._problems:
            raise TemplateProblems(self._problems)
        return made

    def _refuse(self, node: nodes.Node, found: str, allowed: str) -> None:
        self._problems.append(Problem(node.lineno, found, allowed))

    def _body(self, body: Sequence[nodes.Node]) -> tuple[Node, ...]:
        made: list[Node] = []
        for node in body:
            if isinstance(node, nodes.Output):
                made += [m for part in node.nodes if (m := self._output(part)) is not None]
            elif isinstance(node, nodes.If):
                made.append(self._branch(node.test, node.body, node.elif_, node.else_))
            else:
                self._refuse(node, f"'{_word(node)}'", "{{ name|filter }} and {% if %}")
        return tuple(made)

    def _branch(
        self, test: nodes.Node, then: Sequence[nodes.Node], elifs: Sequence[nodes.If], other: Sequence[nodes.Node]
    ) -> Branch:
        if elifs:
            rest: tuple[Node, ...] = (self._branch(elifs[0].test, elifs[0].body, elifs[1:], other),)
        else:
            rest = self._body(other)
        return Branch(self._test(test), self._body(then), rest, test.lineno)

    def _output(self, node: nodes.Node) -> Node | None:
        if isinstance(node, nodes.TemplateData):
            return Literal(node.data, node.lineno)
        if isinstance(node, nodes.Name):
            return Show(node.name, "", (), node.lineno)
        if isinstance(node, nodes.Filter) and isinstance(node.node, nodes.Name):
            return self._filter(node, node.node.name)
        self._refuse(node, f"'{_word(node)}'", "a name, with one filter at most")
        return None

    def _filter(self, node: nodes.Filter, name: str) -> Node | None:
        if node.name not in _FILTERS:
            self._refuse(node, f"the filter '{node.name}'", ", ".join(sorted(_FILTERS)))
        elif node.kwargs or node.dyn_args or node.dyn_kwargs or not all(map(_constant, node.args)):
            self._refuse(node, f"the arguments of '{node.name}'", "texts and whole numbers only")
        else:
            return Show(name, node.name, tuple(a.value for a in node.args if isinstance(a, nodes.Const)), node.lineno)
        return None

    def _test(self, test: nodes.Node) -> Test:
        if isinstance(test, nodes.Name):
            return Known(test.name, test.lineno)
        if isinstance(test, nodes.Not):
            return Not(self._test(test.node))
        if isinstance(test, nodes.And | nodes.Or):
            pair = self._test(test.left), self._test(test.right)
            return Both(*pair) if isinstance(test, nodes.And) else Either(*pair)
        if isinstance(test, nodes.Compare) and isinstance(test.expr, nodes.Name) and len(test.ops) == 1:
            operand = test.ops[0]
            if operand.op in _OPS and _constant(operand.expr, bool):
                value = operand.expr.as_const()
                return Compare(test.expr.name, _OPS[operand.op], value, test.lineno)
        self._refuse(test, f"'{_word(test)}' as a condition", "names, not, and, or, a name compared with a constant")
        return Known("", test.lineno)


def _constant(node: nodes.Node, *more: type) -> bool:
    allowed = (str, int, *more)
    return isinstance(node, nodes.Const) and type(node.value) in allowed


def _word(node: nodes.Node) -> str:
    return type(node).__name__.lower()
