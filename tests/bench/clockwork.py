"""Times by name, for a pipeline of iterators: each stage is charged what it takes beyond the stages it pulls from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Stopwatch:
    """Seconds by stage."""

    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = perf_counter()
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + perf_counter() - begun

    def through(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; what each took to come is charged to `name`, what lies below included."""
        walk = iter(items)
        while True:
            begun = perf_counter()
            try:
                item = next(walk)
            except StopIteration:
                return
            finally:
                self.spent[name] = self.spent.get(name, 0.0) + perf_counter() - begun
            yield item


@dataclass(frozen=True)
class Row:
    """One line of a table: what was done how often in which time, and the plainest Python for the same step."""

    name: str
    count: int
    seconds: float
    plain: float

    def __str__(self) -> str:
        ratio = f"{self.seconds / self.plain:8.1f}" if self.plain else "       -"
        each = f"{self.count / self.seconds:12,.0f}" if self.seconds else "           -"
        return f"| {self.name:<30} | {self.count:>9,} | {self.seconds:8.2f} | {each} | {self.plain:8.2f} | {ratio} |"


HEAD = (
    f"| {'step':<30} | {'count':>9} | {'seconds':>8} | {'a second':>12} | {'plain s':>8} | {'ratio':>8} |\n"
    f"|{'-' * 32}|{'-' * 10}:|{'-' * 9}:|{'-' * 13}:|{'-' * 9}:|{'-' * 9}:|"
)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    begun = perf_counter()
    work()
    return perf_counter() - begun
