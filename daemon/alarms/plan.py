"""Which open page must be told to whom now: first by its severity, then wider, then again and again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

GIVE_UP = 3
"""A step whose ways have all failed so often is over: the next step does not wait for its time."""

WAITS = (timedelta(seconds=10), timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=5))
"""Before the second, third, … try of one way; the last one from then on."""


@dataclass(frozen=True, slots=True)
class Step:
    """So long after the page, these ways."""

    after: timedelta
    ways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Roster:
    """`first`: severity -> ways called at once; `escalate`: wider steps for urgent pages that nobody has acknowledged, in
    order; `again`: from the last step on it is repeated so often (None: not)."""

    first: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    escalate: tuple[Step, ...] = ()
    again: timedelta | None = None

    def steps(self, severity: str, age: timedelta) -> Iterator[Step]:
        """The steps of a page so old, and the one that comes next."""
        steps = [Step(timedelta(0), self.first.get(severity, ()))]
        steps += self.escalate if severity == "urgent" else ()
        yield from steps
        last = steps[-1]
        if self.again is None or severity != "urgent" or not last.ways:
            return
        after = last.after + self.again
        while after <= age:
            yield Step(after, last.ways)
            after += self.again


@dataclass(frozen=True, slots=True)
class Page:
    """An open page."""

    id: int
    severity: str
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Tried:
    """How calls for one page by one way in one step went: how often, when last, whether it arrived there."""

    page: int
    step: int
    way: str
    tries: int
    last: datetime
    told: bool


@dataclass(frozen=True, slots=True)
class Due:
    """One page to tell by one way, for its steps (several after a stop: one call serves them all)."""

    page: Page
    way: str
    steps: tuple[int, ...]


def due(pages: Iterable[Page], tried: Sequence[Tried], roster: Roster, now: datetime) -> list[Due]:
    """What must be told now, oldest page first; of one page by one way at most once."""
    known = {(one.page, one.step, one.way): one for one in tried}
    found: list[Due] = []
    for page in sorted(pages, key=lambda page: (page.at, page.id)):
        ways: dict[str, list[int]] = {}
        ended = True  # the step before has failed by every way
        for number, step in enumerate(roster.steps(page.severity, now - page.at)):
            if number and now - page.at < step.after and not ended:
                break
            ended = True
            for way in step.ways:
                one = known.get((page.id, number, way))
                ended = ended and one is not None and not one.told and one.tries >= GIVE_UP
                if one is None or (not one.told and now - one.last >= WAITS[min(one.tries, len(WAITS)) - 1]):
                    ways.setdefault(way, []).append(number)
        found += [Due(page, way, tuple(steps)) for way, steps in ways.items()]
    return found
