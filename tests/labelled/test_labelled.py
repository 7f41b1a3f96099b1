"""Generated facts of every family, most with something malformed, each labelled with where it belongs: no disagreement."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Protocol

import pytest

from daemon.rules.decider import Decider
from tests.builders_rules import shipped
from tests.labelled import fund, margin, payment
from tests.labelled.tables import Outcome, Table, outcomes

CHUNK = 2000
DAYS = (date(2024, 2, 1), date(2024, 2, 8), date(2024, 9, 30), date(2020, 1, 23))
"""An ordinary day, and eves of long holidays."""
LEAST_WAYS = 40


class Made(Protocol):
    """One reading of one feed."""

    labels: dict[tuple[str, int], Outcome]
    ways: dict[str, int]
    day: date

    @property
    def feed(self) -> str: ...
    @property
    def tables(self) -> dict[tuple[str, str], Table]: ...
    @property
    def now(self) -> datetime: ...


def _margin(rng: random.Random, day: date, facts: int) -> margin.Book:
    return margin.Book(rng, rng.choice(tuple(margin.FEEDS)), day, facts)


FAMILIES: Mapping[str, tuple[str, Callable[[random.Random, date, int], Made]]] = {
    "margin": (margin.RULE, _margin),
    "payment": (payment.RULE, payment.Book),
    "fund": (fund.RULE, fund.Book),
}

ALWAYS = ("notify", "held", "no_match", "indeterminate", "reject")
BUCKETS = {"margin": ALWAYS, "payment": (*ALWAYS, "suppressed"), "fund": (*ALWAYS, "suppressed")}


def disagreements(family: str, facts: int, seed: int) -> tuple[list[str], Counter[str], Counter[str]]:
    """What the product puts elsewhere than the label says; how many rows each bucket has; how often each way was met."""
    name, make = FAMILIES[family]
    decider = Decider(shipped(), shipped().rules[name])
    wrong: list[str] = []
    buckets: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for chunk in range(0, facts, CHUNK):
        rng = random.Random(f"{family}/{seed}/{chunk}")
        made = make(rng, rng.choice(DAYS), min(CHUNK, facts - chunk))
        found, _ = outcomes(shipped(), decider, made.feed, made.tables, made.day, made.now)
        assert set(found) == set(made.labels)
        ways.update(made.ways)
        for place, label in made.labels.items():
            buckets[label.bucket] += 1
            if found[place] != label:
                wrong.append(f"chunk {chunk}, row {place}: label {label}, found {found[place]}")
    return wrong, buckets, ways


def check(family: str, facts: int, seed: int = 8) -> None:
    wrong, buckets, ways = disagreements(family, facts, seed)
    assert not wrong, f"{len(wrong)} of {buckets.total()}:\n" + "\n".join(wrong[:20])
    assert len(ways) >= LEAST_WAYS, sorted(ways)
    # labels that agree because all are the same prove nothing
    shares = {bucket: count / buckets.total() for bucket, count in buckets.items()}
    assert all(shares[b] > 0.02 for b in BUCKETS[family]), shares


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_ends_where_its_label_says(family: str) -> None:
    check(family, facts=4000)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_200_000_facts_of_a_family_end_where_their_labels_say(family: str) -> None:
    check(family, facts=200_000, seed=200)
