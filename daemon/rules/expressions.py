"""Text to syntax tree: the tokenizer and the parser of the expression language (LANGUAGE.md).

Closed and bounded: at most 2,000 characters, 300 nodes, a depth of 32. A parser of our own, not Python's: dates and
times are literals here and nothing of Python must leak in. Leaves types to checking.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import TypeVar

from daemon.errors import DueNoticeError, Finding
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
    depth,
    names_in,
    walk,
)

__all__ = ["ExpressionError", "Problem", "names_in", "parse"]

T = TypeVar("T")

MAX_LENGTH = 2000
MAX_DEPTH = 32
MAX_NODES = 300
MAX_DIGITS = 40

_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_KEYWORDS = frozenset({"and", "or", "not", "in", "true", "false"})
NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_TOKENS = re.compile(
    r"(?P<space>[ \n]+)"
    r"|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9A-Za-z_.:-]))"
    r"|(?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?![0-9A-Za-z_.:]))"
    r"|(?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?![0-9A-Za-z_.:%]))"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>'[^'\n]*'|\"[^\"\n]*\")"
    r"|(?P<op>==|!=|<=|>=|<(?!>)|>|[+*/(),-])"
)
_INSTEAD = {
    "=": "write == to compare",
    "<>": "write !=",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != to compare",
    "%": "write a share as a decimal: 1.30 for 130%",
    "[": "there are no subscripts",
    ".": "there are no attributes; a decimal begins with a digit",
    "'": "close the text with the same quote",
    '"': "close the text with the same quote",
    "\t": "write a space",
}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in an expression: the offset of the character (from 0), what stands there, what is allowed."""

    offset: int
    found: str
    allowed: str
    hint: str = ""

    def finding(self, path: str, place: tuple[int, int], key: str) -> Finding:
        """The problem as a finding of the file whose value at `place` (line, column) is the expression."""
        found = f"{self.found} at character {self.offset + 1} of the expression"
        return Finding(path, *place, key, found, self.allowed, self.hint)


class ExpressionError(DueNoticeError):
    """The text is no expression of the language; `problem` says where and why."""

    def __init__(self, offset: int, found: str, allowed: str, hint: str = "") -> None:
        self.problem = Problem(offset, found, allowed, hint)
        self.offset, self.found, self.allowed, self.hint = offset, found, allowed, hint
        super().__init__(f"character {offset + 1}: found {found}, allowed {allowed}{f' ({hint})' if hint else ''}")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the text: `kind` is date, time, number, name, text, op or end."""

    kind: str
    text: str
    start: int


def parse(text: str) -> Node:
    """The syntax tree of an expression. Raises ExpressionError at the first thing that is not of the language."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(MAX_LENGTH, f"{len(text)} characters", f"at most {MAX_LENGTH}", "split it with let:")
    node = _Parser(tokens(text)).whole()
    if (count := sum(1 for _ in walk(node))) > MAX_NODES:
        raise ExpressionError(0, f"{count} operands and operators", f"at most {MAX_NODES}", "split it with let:")
    if (deep := depth(node)) > MAX_DEPTH:
        raise _too_deep(0, deep)
    return node


def tokens(text: str) -> list[Token]:
    """The words of a text without the spaces, closed by one of kind `end`. Raises ExpressionError."""
    found, at = [], 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None or match.lastgroup is None:
            raise _bad_character(text, at)
        if match.lastgroup != "space":
            found.append(_checked(Token(match.lastgroup, match.group(), at)))
        at = match.end()
    return [*found, Token("end", "", len(text))]


def literal(token: Token) -> Literal:
    """The constant of a date, time, number or text token. Raises ExpressionError for one that does not exist."""
    try:
        match token.kind:
            case "date":
                return Literal(date.fromisoformat(token.text), token.start)
            case "time":
                return Literal(time.fromisoformat(token.text), token.start)
            case "number":
                return Literal(Decimal(token.text), token.start)
            case _:
                return Literal(token.text[1:-1], token.start)
    except ValueError:
        raise ExpressionError(token.start, token.text, f"a {token.kind} that exists") from None


def _checked(token: Token) -> Token:
    if token.kind == "name" and not NAME.fullmatch(token.text):
        hint = "write it in lower case" if token.text.lower() != token.text else ""
        raise ExpressionError(token.start, f"the name '{token.text}'", "a name of 1 to 64 of a-z, 0-9 and _", hint)
    if token.kind == "number" and len(token.text) > MAX_DIGITS:
        raise ExpressionError(token.start, f"a number of {len(token.text)} characters", f"at most {MAX_DIGITS}")
    if token.kind == "text" and not token.text.isprintable():
        raise ExpressionError(token.start, "a text with an unseen character", "visible characters and spaces")
    return token


def _bad_character(text: str, at: int) -> ExpressionError:
    char = text[at]
    if char in "0123456789":
        found = re.compile(r"[0-9A-Za-z_.:%-]+").match(text, at)
        word = found.group() if found else char
        hint = _INSTEAD["%"] if "%" in word else "leading zeros and exponents are refused"
        return ExpressionError(at, word, "a number 1.30, a date 2024-02-01 or a time 14:30", hint)
    if char.isascii():
        two = text[at : at + 2]
        hint = _INSTEAD.get(two, _INSTEAD.get(char, ""))
        return ExpressionError(at, f"the character {char!r}", "names, literals, + - * / == != < <= > >= ( ) ,", hint)
    plain = unicodedata.normalize("NFKC", char)
    hint = f"write {plain!r}" if plain.isascii() and plain.isprintable() else "Chinese text stands in quotes"
    name = unicodedata.name(char, "a character without name")
    return ExpressionError(at, f"U+{ord(char):04X} {name}", "ASCII outside of quoted text", hint)


def _too_deep(offset: int, deep: int) -> ExpressionError:
    return ExpressionError(offset, f"a depth of {deep}", f"at most {MAX_DEPTH}", "split it with let:")


class _Parser:
    """Recursive descent, one method a level of binding, loosest first."""

    def __init__(self, words: list[Token]) -> None:
        self._words, self._at, self._nested = words, 0, 0

    def whole(self) -> Node:
        node = self._or()
        if self._word.kind != "end":
            raise self._refuse("an operator or the end")
        return node

    @property
    def _word(self) -> Token:
        return self._words[self._at]

    def _take(self, *texts: str) -> Token | None:
        word = self._word
        if word.kind in ("op", "name") and word.text in texts:
            self._at += 1
            return word
        return None

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._refuse(f"'{text}'")

    def _refuse(self, allowed: str, hint: str = "") -> ExpressionError:
        word = self._word
        if not hint and word.kind == "name" and word.text in ("is", "null", "none"):
            hint = "ask for an absent value with known(x)"
        return ExpressionError(word.start, f"'{word.text}'" if word.text else "the end", allowed, hint)

    def _or(self) -> Node:
        first = self._and()
        parts = [first]
        while self._take("or"):
            parts.append(self._and())
        return Or(tuple(parts), first.start) if len(parts) > 1 else first

    def _and(self) -> Node:
        first = self._not()
        parts = [first]
        while self._take("and"):
            parts.append(self._not())
        return And(tuple(parts), first.start) if len(parts) > 1 else first

    def _not(self) -> Node:
        if word := self._take("not"):
            return Not(self._inside(self._not), word.start)
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        node: Node
        if word := self._take(*_COMPARISONS):
            node = Compare(word.text, left, self._sum(), left.start)
        elif self._take("in"):
            node = In(left, self._choices(), left.start)
        elif self._take("not"):
            self._need("in")
            node = Not(In(left, self._choices(), left.start), left.start)
        else:
            return left
        if self._word.text in (*_COMPARISONS, "in") and self._word.kind in ("op", "name"):
            raise self._refuse("one comparison", "join two comparisons with and")
        return node

    def _choices(self) -> tuple[Node, ...]:
        self._need("(")
        return self._inside(lambda: self._list(least=1))

    def _sum(self) -> Node:
        left = self._term()
        while word := self._take("+", "-"):
            left = Arithmetic(word.text, left, self._term(), left.start)
        return left

    def _term(self) -> Node:
        left = self._unary()
        while word := self._take("*", "/"):
            left = Arithmetic(word.text, left, self._unary(), left.start)
        return left

    def _unary(self) -> Node:
        if word := self._take("-"):
            return Negate(self._inside(self._unary), word.start)
        return self._atom()

    def _atom(self) -> Node:
        word = self._word
        if self._take("("):
            node = self._inside(self._or)
            self._need(")")
            return node
        if self._take("true", "false"):
            return Literal(word.text == "true", word.start)
        if word.kind in ("date", "time", "number", "text"):
            self._at += 1
            return literal(word)
        if word.kind == "name" and word.text not in _KEYWORDS:
            self._at += 1
            return self._name_or_call(word)
        raise self._refuse("a name, a literal, a function or '('")

    def _name_or_call(self, word: Token) -> Node:
        if not self._take("("):
            return Name(word.text, word.start)
        return Call(word.text, self._inside(lambda: self._list(least=0)), word.start)

    def _list(self, least: int) -> tuple[Node, ...]:
        if least == 0 and self._take(")"):
            return ()
        found = [self._or()]
        while self._take(","):
            found.append(self._or())
        self._need(")")
        return tuple(found)

    def _inside(self, read: Callable[[], T]) -> T:
        """Reads one level deeper; the bound keeps the parser's own recursion small."""
        self._nested += 1
        if self._nested > MAX_DEPTH:
            raise _too_deep(self._word.start, self._nested)
        found = read()
        self._nested -= 1
        return found
