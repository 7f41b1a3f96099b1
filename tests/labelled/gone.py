"""What the labellers compute with: exact fractions, texts, days, and why a value is not there. Written apart from the
product: nothing of `daemon` is imported here, so that a mistake of the evaluator cannot be a mistake of the label too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Gone:
    """A value that is not there, and why: empty, invalid, missing, stale, ambiguous."""

    why: str


EMPTY, INVALID, MISSING = Gone("empty"), Gone("invalid"), Gone("missing")
STALE, AMBIGUOUS = Gone("stale"), Gone("ambiguous")


def gone(*values: Any) -> Gone | None:
    """The first that is not there."""
    return next((value for value in values if isinstance(value, Gone)), None)


def of(fit: Callable[..., Any], *values: Any) -> Any:
    """What a total function gives of values that are all there; else the first absence."""
    return gone(*values) or fit(*values)


def added(*values: Any) -> Any:
    return of(lambda *numbers: sum(numbers, Fraction(0)), *values)


def below(left: Any, right: Any) -> Any:
    return of(lambda a, b: a < b, left, right)


def both(left: Any, right: Any) -> Any:
    """`and`: a plain no decides whatever the other side is."""
    return False if left is False or right is False else gone(left, right) or True


def either(left: Any, right: Any) -> Any:
    """`or`: a plain yes decides whatever the other side is."""
    return True if left is True or right is True else gone(left, right) or False


def opposite(value: Any) -> Any:
    return of(lambda truth: not truth, value)


def first_of(*values: Any) -> Any:
    """The first that was said at all: what is missing or empty is passed over, what cannot be trusted is not."""
    for value in values:
        if value not in (MISSING, EMPTY):
            return value
    return values[-1]
