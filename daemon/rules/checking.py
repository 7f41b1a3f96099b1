"""Types an expression against the names it may use, and reports every mistake at once (LANGUAGE.md, Types).

Leaves values to evaluate.py. What cannot be typed becomes `any`, which fits everything: one mistake is told once.
"""

from __future__ import annotations

from decimal import Decimal

from daemon.rules.expressions import Problem
from daemon.rules.functions import FUNCTIONS, Function
from daemon.rules.nodes import And, Arithmetic, Call, Compare, In, Literal, Name, Negate, Node, Not, Or, show
from daemon.rules.types import (
    ANY,
    BOOL,
    DATE,
    LITERAL,
    NUMERIC,
    ORDERED,
    TIME,
    Base,
    ExprType,
    Scope,
    fits,
    operate,
    result,
    unify,
)
from daemon.yamlfile import near

_WORDS = {
    "ordered": ("a number, date, time or datetime", ORDERED),
    "numeric": ("a number", NUMERIC),
    "money": ("money", frozenset({Base.MONEY})),
    "count": ("a number or quantity", frozenset({Base.NUMBER, Base.QUANTITY})),
    "date": ("a date", frozenset({Base.DATE})),
    "time": ("a time", frozenset({Base.TIME})),
    "datetime": ("a datetime", frozenset({Base.DATETIME})),
    "bool": ("a condition", frozenset({Base.BOOL})),
    "text": ("text", frozenset({Base.TEXT, Base.ENUM})),
    "any": ("a value", frozenset(Base)),
    "same": ("a value", frozenset(Base)),
}

_ASK_KNOWN = dict.fromkeys(("null", "none", "nil", "missing", "empty"), "ask for an absent value with known(x)")


def check(node: Node, scope: Scope) -> tuple[ExprType, list[Problem]]:
    """The type of an expression and all that is wrong with it, in the order of the text."""
    checker = _Checker(scope)
    found = checker.type_of(node)
    return result(found), sorted(checker.problems)


def type_of(node: Node, scope: Scope) -> ExprType:
    """The type of a part that is known to be sound, literals still adaptable to what they stand beside."""
    return _Checker(scope).type_of(node)


def check_as(node: Node, scope: Scope, expected: ExprType) -> list[Problem]:
    """All that is wrong with an expression that must give `expected`, such as a condition or a derived field."""
    checker = _Checker(scope)
    found = checker.type_of(node)
    if not fits(found, expected):
        checker.note(node, str(found), str(expected), _near_value(found, expected))
    return sorted(checker.problems)


class _Checker:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.problems: list[Problem] = []

    def note(self, node: Node, found: str, allowed: str, hint: str = "") -> ExprType:
        problem = Problem(node.start, found, allowed, hint)
        if problem not in self.problems:
            self.problems.append(problem)
        return ANY

    def type_of(self, node: Node) -> ExprType:
        match node:
            case Literal():
                return _literal(node)
            case Name():
                return self._name(node)
            case Negate():
                return self._of(node.operand, "numeric")
            case Not():
                self._of(node.operand, "bool")
                return BOOL
            case And() | Or():
                for part in node.parts:
                    self._of(part, "bool")
                return BOOL
            case Arithmetic():
                return self._arithmetic(node)
            case Compare():
                return self._compare(node, node.op, node.left, node.right)
            case In():
                for choice in node.choices:
                    self._compare(choice, "==", node.operand, choice)
                return BOOL
            case Call():
                return self._call(node)

    def _of(self, node: Node, word: str) -> ExprType:
        """The type of a part that must be what `word` says."""
        found = self.type_of(node)
        says, bases = _WORDS[word]
        adapts = found.literal and found.base in NUMERIC and bool(bases & NUMERIC)
        if found.base is Base.ANY or found.base in bases or adapts:
            return found
        return self.note(node, f"{show(node)}, which is {found}", says)

    def _name(self, node: Name) -> ExprType:
        declared = self._scope.names.get(node.name)
        if declared is None:
            known = sorted(self._scope.names)
            hint = near(node.name, known) or _ASK_KNOWN.get(node.name, "")
            return self.note(node, f"the unknown name '{node.name}'", ", ".join(known) or "no names", hint)
        if declared.personal and not self._scope.personal:
            allowed = "fields that a sheet may hold: figures, codes, dates"
            return self.note(node, f"the personal field '{node.name}'", allowed)
        return declared.type

    def _arithmetic(self, node: Arithmetic) -> ExprType:
        left, right = self.type_of(node.left), self.type_of(node.right)
        found = operate(node.op, left, right)
        if found is not None:
            return found
        hint = ""
        if Base.DATE in (left.base, right.base) and node.op in "+-":
            hint = "count days with add_days, days_between, add_sessions or sessions_between"
        allowed = "operands whose units fit" if {left.base, right.base} <= NUMERIC else "numbers"
        return self.note(node, f"{left} {node.op} {right}", allowed, hint)

    def _compare(self, at: Node, op: str, left_node: Node, right_node: Node) -> ExprType:
        left, right = self.type_of(left_node), self.type_of(right_node)
        both = unify(left, right)
        if both is None:
            hint = _near_value(left, right) or _near_value(right, left) or _hint(left, right)
            self.note(at, f"{_side(left_node, left)} {op} {_side(right_node, right)}", _comparable(left, right), hint)
        elif op not in ("==", "!=") and both.base not in ORDERED and both.base is not Base.ANY:
            self.note(at, f"{left} {op} {right}", "== or != here; only numbers, dates and times have an order")
        return BOOL

    def _call(self, node: Call) -> ExprType:
        function = FUNCTIONS.get(node.function)
        if function is None:
            for arg in node.args:
                self.type_of(arg)
            hint = near(node.function, FUNCTIONS)
            return self.note(node, f"the unknown function '{node.function}'", ", ".join(sorted(FUNCTIONS)), hint)
        if not function.takes(len(node.args)):
            self.note(node, f"{len(node.args)} arguments of {node.function}", _arity(function))
        words = (*function.params, *function.params[-1:] * max(0, function.most - len(function.params)))
        found = [self._of(arg, word) for arg, word in zip(node.args, words, strict=False)]
        shared = self._shared(node, found, words)
        return function.result if function.result is not None else shared

    def _shared(self, node: Call, found: list[ExprType], words: tuple[str, ...]) -> ExprType:
        shared: ExprType | None = None
        for arg, type_, word in zip(node.args, found, words, strict=False):
            if word not in ("same", "ordered", "numeric"):
                continue
            both = type_ if shared is None else unify(shared, type_)
            if both is None:
                return self.note(arg, f"{type_} beside {shared} in {node.function}", "arguments of one type")
            shared = both
        return shared or ANY


def _literal(node: Literal) -> ExprType:
    match node.value:
        case bool():
            return BOOL
        case Decimal():
            return LITERAL
        case str():
            return ExprType(Base.TEXT, (node.value,), literal=True)
        case _:
            return DATE if hasattr(node.value, "year") else TIME


def _side(node: Node, found: ExprType) -> str:
    return show(node) if isinstance(node, Literal) and found.base is Base.TEXT else str(found)


def _comparable(left: ExprType, right: ExprType) -> str:
    enums = [t for t in (left, right) if t.base is Base.ENUM]
    return f"one of {', '.join(enums[0].values)}" if enums else "two values of one type"


def _near_value(text: ExprType, enum: ExprType) -> str:
    if enum.base is not Base.ENUM or not text.literal:
        return ""
    strange = next((v for v in text.values if v not in enum.values), "")
    return near(strange, enum.values)


def _hint(left: ExprType, right: ExprType) -> str:
    bases = {left.base, right.base}
    if bases == {Base.DATE, Base.DATETIME}:
        return "take the day of a datetime with date_of"
    if bases == {Base.TIME, Base.DATETIME}:
        return "take the time of a datetime with time_of"
    if Base.TEXT in bases and bases & NUMERIC:
        return "a number stands without quotes, a code with quotes"
    return ""


def _arity(function: Function) -> str:
    least, most = len(function.params), max(len(function.params), function.most)
    return str(least) if least == most else f"{least} to {most}"
