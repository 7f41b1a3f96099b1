"""A text's template as a tree of our own: what the lint walks, so that only `template.py` knows Jinja2.

Pure values and walks over them: literal wording, names used, names known to be present in a branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """Fixed wording."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Show:
    """A value put in, through a filter or as it is (`filter` ''). `args`: the filter's constants."""

    name: str
    filter: str
    args: tuple[str | int, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Known:
    """A name as a condition: for a bool its value, for any other field whether it has a value."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Compare:
    """`name op constant`; `op` is one of `== != < <= > >=`."""

    name: str
    op: str
    value: str | int | bool
    line: int


@dataclass(frozen=True, slots=True)
class Not:
    """True when `test` is false."""

    test: Test


@dataclass(frozen=True, slots=True)
class Both:
    """`left and right`."""

    left: Test
    right: Test


@dataclass(frozen=True, slots=True)
class Either:
    """`left or right`."""

    left: Test
    right: Test


@dataclass(frozen=True, slots=True)
class Branch:
    """If `test` then `then` else `other`."""

    test: Test
    then: tuple[Node, ...]
    other: tuple[Node, ...]
    line: int


Test: TypeAlias = Known | Compare | Not | Both | Either
Node: TypeAlias = Literal | Show | Branch


def literals(nodes: tuple[Node, ...]) -> Iterator[Literal]:
    """All fixed wording, in every branch."""
    for node in nodes:
        if isinstance(node, Literal):
            yield node
        elif isinstance(node, Branch):
            yield from literals(node.then)
            yield from literals(node.other)


def shows(nodes: tuple[Node, ...]) -> Iterator[Show]:
    """All values put in, in every branch."""
    for node in nodes:
        if isinstance(node, Show):
            yield node
        elif isinstance(node, Branch):
            yield from shows(node.then)
            yield from shows(node.other)


def fixed(nodes: tuple[Node, ...]) -> bool:
    """Whether the text is the same for every value."""
    return all(isinstance(n, Literal) for n in nodes)


def present_if(test: Test, outcome: bool) -> frozenset[str]:
    """The names that are certainly present where `test` came out as `outcome`."""
    if isinstance(test, Known | Compare):
        return frozenset({test.name}) if outcome or isinstance(test, Compare) else frozenset()
    if isinstance(test, Not):
        return present_if(test.test, not outcome)
    left, right = present_if(test.left, outcome), present_if(test.right, outcome)
    all_hold = isinstance(test, Both) == outcome
    return left | right if all_hold else left & right


def depth(nodes: tuple[Node, ...]) -> int:
    """How deep branches and the terms of their conditions are nested."""
    branches = [n for n in nodes if isinstance(n, Branch)]
    return max((1 + max(_test_depth(b.test), depth(b.then), depth(b.other)) for b in branches), default=0)


def _test_depth(test: Test) -> int:
    if isinstance(test, Not):
        return 1 + _test_depth(test.test)
    if isinstance(test, Both | Either):
        return 1 + max(_test_depth(test.left), _test_depth(test.right))
    return 0
