"""Gaps and overlaps of `levels:`, as far as they can be told without a fact. Pure.

A level is read as far as it is one comparison, or an `and` of comparisons, of an operand or let with a number: a literal or a
parameter, at the firm's value of a day. What else stands in the `and` only narrows it, and is the same for two levels
where it is written the same; a level that is no such `and` (an `or`, a condition) may hold anywhere. A contract's own
values are a matter of the fact, and of dates and times no order of levels is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from daemon.rules.nodes import And, Compare, Literal, Name, Negate, Node

Line = Callable[[str], Decimal | None]
"""The firm's value of a parameter on the day asked about; None for what is no parameter with a number."""

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers from `low` to `high` (None: without end); `low_in`, `high_in`: the ends themselves too."""

    low: Decimal | None = None
    high: Decimal | None = None
    low_in: bool = False
    high_in: bool = False

    def holds(self, number: Decimal) -> bool:
        """Whether a number lies in it."""
        above = self.low is None or number > self.low or (self.low_in and number == self.low)
        below = self.high is None or number < self.high or (self.high_in and number == self.high)
        return above and below

    def cut(self, op: str, line: Decimal) -> Span:
        """What of it is `op` the line."""
        low, low_in, high, high_in = self.low, self.low_in, self.high, self.high_in
        if op in (">", ">=", "==") and (low is None or line > low or (line == low and low_in and op == ">")):
            low, low_in = line, op != ">"
        if op in ("<", "<=", "==") and (high is None or line < high or (line == high and high_in and op == "<")):
            high, high_in = line, op != "<"
        return Span(low, high, low_in, high_in)


@dataclass(frozen=True, slots=True)
class Box:
    """A level: where each operand must lie, and what else must hold."""

    name: str
    spans: Mapping[str, Span]
    others: frozenset[Node] = field(default=frozenset())


def box(name: str, node: Node, line: Line) -> Box:
    """A level's condition on one day."""
    spans: dict[str, Span] = {}
    others: set[Node] = set()
    for part in node.parts if isinstance(node, And) else (node,):
        found = _comparison(part, line)
        if found is None:
            others.add(part)
        else:
            operand, op, number = found
            spans[operand] = spans.get(operand, Span()).cut(op, number)
    return Box(name, spans, frozenset(others))


def unreachable(boxes: Sequence[Box]) -> Iterator[tuple[str, str]]:
    """The levels that no fact reaches, boxes worst first: each with the worse ones that hold wherever it would, joined by ',
    ', or '' where it contradicts itself."""
    for i, mine in enumerate(boxes):
        if any(not any(span.holds(n) for n in _samples([span])) for span in mine.spans.values()):
            yield mine.name, ""
            continue
        worse = [other for other in boxes[:i] if other.others <= mine.others and set(other.spans) <= set(mine.spans)]
        if one := next((other for other in worse if _within(mine, other)), None):
            yield mine.name, one.name
            continue
        for operand in mine.spans:
            alone = [other for other in worse if set(other.spans) == {operand}]
            if alone and _covered(mine.spans[operand], [other.spans[operand] for other in alone]):
                yield mine.name, ", ".join(other.name for other in alone)
                break


def gaps(boxes: Sequence[Box]) -> Iterator[tuple[str, str, Span]]:
    """The holes between levels: an operand that every level bounds, a level beside the hole, the numbers of the hole.

    Only where a level beside it has two ends: a level below one line and a level above another leave the middle free
    on purpose.
    """
    operands = set.intersection(*(set(each.spans) for each in boxes)) if boxes else set()
    for operand in sorted(operands):
        spans = [each.spans[operand] for each in boxes]
        points = _samples(spans)
        for before, after in pairwise(n for n in points if any(span.holds(n) for span in spans)):
            hole = [n for n in points if before < n < after]
            if not hole:
                continue
            beside = [each for each in boxes if each.spans[operand].holds(before) or each.spans[operand].holds(after)]
            banded = [e for e in beside if e.spans[operand].low is not None and e.spans[operand].high is not None]
            if banded:
                ends = [end for span in spans for end in (span.low, span.high) if end is not None]
                low = max(end for end in ends if end <= hole[0])
                high = min(end for end in ends if end >= hole[-1])
                yield operand, banded[-1].name, Span(low, high)


def _comparison(node: Node, line: Line) -> tuple[str, str, Decimal] | None:
    if not isinstance(node, Compare) or node.op not in _FLIPPED:
        return None
    for operand, op, other in ((node.left, node.op, node.right), (node.right, _FLIPPED[node.op], node.left)):
        number = _number(other, line)
        if isinstance(operand, Name) and line(operand.name) is None and number is not None:
            return operand.name, op, number
    return None


def _number(node: Node, line: Line) -> Decimal | None:
    match node:
        case Literal(value=Decimal() as value):
            return value
        case Negate(operand=Literal(value=Decimal() as value)):
            return -value
        case Name():
            return line(node.name)
        case _:
            return None


def _samples(spans: Sequence[Span]) -> list[Decimal]:
    """Numbers among which every way to lie in or out of the spans occurs, rising: the ends, what lies between, beyond."""
    ends = sorted({end for span in spans for end in (span.low, span.high) if end is not None})
    if not ends:
        return [Decimal(0)]
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    return sorted([ends[0] - 1, *ends, *between, ends[-1] + 1])


def _within(inner: Box, outer: Box) -> bool:
    return all(_covered(inner.spans[name], [span]) for name, span in outer.spans.items())


def _covered(inner: Span, outer: Sequence[Span]) -> bool:
    points = [n for n in _samples([inner, *outer]) if inner.holds(n)]
    return all(any(span.holds(n) for span in outer) for n in points)
