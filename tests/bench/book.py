"""A margin book of any size in a counter database, made in seconds: a fact for every contract, one in 250 below a line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from daemon.demo.counter import new_counter

DAY = date(2024, 2, 1)
DUE = datetime(2024, 2, 1, 13, 35, tzinfo=UTC)
"""21:35 in Shanghai, when the day-end figures are polled."""
AS_OF = "2024-02-01T15:00:00+08:00"
ONE_IN = 250
"""A larger share would open the rule's hold, which is there for exactly that."""


def fill(path: Path, facts: int) -> None:
    """A counter with `facts` contracts of as many clients and one day-end valuation."""
    with new_counter(path) as counter:
        counter.add("client", (_client(n) for n in range(facts)))
        counter.add("margin_contract", (_contract(n) for n in range(facts)))
        counter.add("margin_assets", (_assets(n) for n in range(facts)))
        counter.add("margin_valuation", [(DAY.isoformat(), "day_end", AS_OF, str(facts))])
        counter.add("settle_state", [(DAY.isoformat(), "margin", "1", "2024-02-01T19:00:00+08:00")])


def _client(n: int) -> tuple[str, ...]:
    return f"S{n:010d}", "样例", "0", "0", f"10{n:09d}", "C3", "2019-01-02"


def _contract(n: int) -> tuple[str, ...]:
    lines = ("160", "140", "130", "140", "112")
    return f"S{n:010d}", f"90{n:010d}", *lines, "2", "business_date", "counter", "rcs,sms", "0", "2023-09"


def _assets(n: int) -> tuple[str, ...]:
    debt, percent = 10_000_000 + n * 7, 200 + n % 150
    if n % ONE_IN == 0:
        percent = 118 + n // ONE_IN % 12
    value = debt * percent // 100
    figures = (_yuan(value // 10), _yuan(value - value // 10), "0.00", _yuan(debt - 12_345), "0.00", "123.45")
    key = (DAY.isoformat(), "day_end", AS_OF, f"90{n:010d}", f"S{n:010d}")
    return *key, *figures, f"{value * 1_000_000 // debt / 10_000:.6f}", "0", AS_OF


def _yuan(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def rows(facts: int) -> Iterator[tuple[str, ...]]:
    """The rows of a book without a database."""
    return (_assets(n) for n in range(facts))
