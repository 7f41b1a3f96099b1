"""Checks a text's tree against the fields it may use: names, types against filters, absent values, patterns of lists.

What passes here cannot fail on well-typed values: a name that may be absent is used only where a condition or the
variant's `needs:` says that it is there, and no filter meets another type than its own. Where a field's type is not
known (only the kind says it) its filter is left unchecked until the lint knows the kind. Pure; reports
`template.Problem`s, never stops at the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from daemon.cards.card import CardField
from daemon.cards.filters import RULES
from daemon.cards.lines import MOST_LINES, slots
from daemon.cards.nodes import Both, Branch, Compare, Either, Known, Literal, Node, Not, Show, Test, present_if
from daemon.cards.template import Problem
from daemon.model.kinds import NUMBERS, STRINGS, Type
from daemon.yamlfile import near

BUILT_IN = {
    "stage": CardField("stage", Type.CODE),
    "level": CardField("level", Type.CODE),
    "stale_as_of": CardField("stale_as_of", Type.DATETIME, optional=True),
}
"""Names every card has beside its fields: where the notice stands, and the as-of of what could not be asked again."""


def check(nodes: tuple[Node, ...], scope: Mapping[str, CardField], present: frozenset[str]) -> list[Problem]:
    """All problems of one text. `present`: the optional names that certainly have a value here."""
    return list(_Check(scope).text(nodes, present))


class _Check:
    def __init__(self, scope: Mapping[str, CardField]) -> None:
        self._scope = scope

    def text(self, nodes: Iterable[Node], present: frozenset[str]) -> Iterator[Problem]:
        for node in nodes:
            if isinstance(node, Show):
                yield from self._show(node, present)
            elif isinstance(node, Branch):
                yield from self._test(node.test, present)
                yield from self.text(node.then, present | present_if(node.test, True))
                yield from self.text(node.other, present | present_if(node.test, False))
            else:
                assert isinstance(node, Literal)

    def _field(self, name: str, line: int) -> CardField | Problem:
        if field := self._scope.get(name):
            return field
        return Problem(line, f"the name '{name}'", ", ".join(sorted(self._scope)), near(name, self._scope))

    def _show(self, show: Show, present: frozenset[str]) -> Iterator[Problem]:
        field = self._field(show.name, show.line)
        if isinstance(field, Problem):
            yield field
            return
        if field.optional and show.name not in present:
            yield _may_be_absent(show.name, show.line)
        if show.filter == "lines":
            yield from self._lines(show, field)
        elif field.columns is not None:
            yield Problem(show.line, f"the list '{show.name}' without the filter lines", f"{show.name}|lines(...)")
        else:
            yield from _filter(show, field)

    def _lines(self, show: Show, field: CardField) -> Iterator[Problem]:
        if field.columns is None:
            yield Problem(show.line, f"lines over '{show.name}'", "a field declared with its columns")
            return
        if problem := _line_args(show):
            yield problem
            return
        try:
            used = list(slots(str(show.args[0])))
        except ValueError as error:
            yield Problem(show.line, f"a pattern that cannot be read: {error}", "{column|filter} and [optional part]")
            return
        for slot, optional in used:
            inner = Show(slot.column, slot.filter, (slot.arg,) if slot.arg else (), show.line)
            here = frozenset({slot.column}) if optional else frozenset[str]()
            yield from _Check(field.columns)._show(inner, here)

    def _test(self, test: Test, present: frozenset[str]) -> Iterator[Problem]:
        if isinstance(test, Not):
            yield from self._test(test.test, present)
        elif isinstance(test, Both | Either):
            yield from self._test(test.left, present)
            yield from self._test(test.right, present | present_if(test.left, isinstance(test, Both)))
        elif isinstance(field := self._field(test.name, test.line), Problem):
            yield field
        elif isinstance(test, Compare):
            if field.optional and test.name not in present:
                yield _may_be_absent(test.name, test.line)
            yield from _compare(test, field)
        elif isinstance(test, Known):
            yield from _known(test, field, present)


def _known(test: Known, field: CardField, present: frozenset[str]) -> Iterator[Problem]:
    if field.type is Type.BOOL:
        if field.optional and test.name not in present:
            hint = "an absent value would read as 'no': put it under the variant's needs"
            yield Problem(
                test.line, f"'{test.name}', which may be absent, as a condition", "a value that is there", hint
            )
    elif not field.optional and field.type is not None:
        yield Problem(test.line, f"'{test.name}' as a condition, which always has a value", "optional or bool fields")


def _may_be_absent(name: str, line: int) -> Problem:
    hint = "or name it under the variant's needs"
    return Problem(line, f"'{name}', which may be absent", f"it inside {{% if {name} %}}", hint)


def _filter(show: Show, field: CardField) -> Iterator[Problem]:
    rule = RULES[show.filter]
    if field.type is not None and field.type not in rule.types:
        fitting = [f"|{n}" if n else "no filter" for n, r in RULES.items() if field.type in r.types]
        word = f"'{show.name}' ({field.type.value}) " + (f"with |{show.filter}" if show.filter else "without a filter")
        yield Problem(show.line, word, " or ".join(fitting) or "conditions only")
    if len(show.args) > 1 or not set(show.args) <= set(rule.args):
        yield Problem(show.line, f"{show.filter}{show.args!r}", f"one of {', '.join(rule.args) or 'no arguments'}")


def _line_args(show: Show) -> Problem | None:
    kinds = [type(a) for a in show.args]
    if kinds not in ([str], [str, int], [str, int, str]):
        return Problem(show.line, f"lines with {len(show.args)} arguments", 'lines("pattern", most, "joint")')
    if len(show.args) > 1 and not 1 <= int(show.args[1]) <= MOST_LINES:
        return Problem(show.line, f"at most {show.args[1]} lines", f"1 to {MOST_LINES}")
    return None


def _compare(test: Compare, field: CardField) -> Iterator[Problem]:
    kind, value = field.type, test.value
    order = test.op not in ("==", "!=")
    if kind is None:
        return
    if kind in NUMBERS:
        fits = type(value) is int
    elif kind in STRINGS:
        fits = isinstance(value, str) and not order
    else:
        fits = kind is Type.BOOL and isinstance(value, bool) and not order
    if not fits:
        yield Problem(test.line, f"'{test.name}' ({kind.value}) {test.op} {value!r}", _comparable(kind))
    elif field.values and value not in field.values:
        allowed = ", ".join(field.values)
        yield Problem(test.line, f"'{test.name}' compared with {value!r}", allowed, near(str(value), field.values))


def _comparable(kind: Type) -> str:
    if kind in NUMBERS:
        return "a whole number"
    if kind in STRINGS:
        return "== or != with a text"
    return "== or != with true or false" if kind is Type.BOOL else "{% if name %} only"
