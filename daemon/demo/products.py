"""Products of the sample firm and what is known of them beside holdings: risk levels, follows, limits, rolling lots.

Names, types, limits with their days and the rolling period of 016816 are real (config/sample/SOURCES.md); who follows or
holds is drawn. A risk level is the distributor's where one published it, else the sample firm's by type (domain.md D3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta

from daemon.demo.counter import ALWAYS, FOREVER, yuan
from daemon.demo.holdings import FAVOURITE, ranking
from daemon.demo.people import Person, draw, lognormal
from daemon.demo.public import Fund, LimitChange, Public

CUTOFF = time(15)
LEVELS = (("货币", "R1"), ("商品", "R4"), ("海外", "R4"), ("QDII", "R4"), ("债券型", "R2"), ("指数型", "R4"), ("股票", "R4"),
          ("混合型", "R3"), ("FOF", "R3"))  # fmt: skip
"""The sample firm's own level by a word of the type; the first that is in it. A type with none has no level."""

ROLLING = {"016816": "120", "016817": "120"}
"""Funds with a rolling holding period, in natural days."""

STATUS = {"限制大额申购": "limited", "暂停申购": "suspended"}
FIRST_REDEMPTION = date(2023, 4, 3)
"""The first day on which lots of 016816 could be redeemed."""


def level_of(fund: Fund) -> str | None:
    """`R1` to `R5`; None where neither a distributor nor the type says."""
    return fund.risk_level or next((level for word, level in LEVELS if word in fund.type), None)


def product_rows(public: Public) -> list[tuple[str | None, ...]]:
    """Rows of `fund_product`. All of the sample's listed funds are publicly offered."""
    return [(f.code, f.name, level_of(f), "public", ROLLING.get(f.code), None) for f in public.funds]


def assessment_rows(seed: int, people: Sequence[Person], first: date) -> Iterator[tuple[str, ...]]:
    """Rows of `risk_assessment`: 12 % are older than a year by `first`, 1.5 % of the clients have none."""
    for person in people:
        rng = draw(seed, "assessment", person.number)
        if rng.random() < 0.015:
            continue
        days = rng.randrange(366, 900) if rng.random() < 0.12 else rng.randrange(1, 300)
        yield person.client_id, person.risk_level, (first - timedelta(days=days)).isoformat()


def follow_rows(seed: int, people: Sequence[Person], public: Public) -> Iterator[tuple[str, ...]]:
    """Rows of `fund_follow`: 3 % follow the most popular fund, 7 % one or two others."""
    codes, weights = ranking(seed, public)
    for person in people:
        rng = draw(seed, "follow", person.number)
        followed = [FAVOURITE] if rng.random() < 0.03 else []
        if rng.random() < 0.07:
            followed += rng.choices(codes, cum_weights=weights, k=1 + (rng.random() < 0.6))
        since = date(2022, 1, 4) + timedelta(days=rng.randrange(500))
        for code in dict.fromkeys(followed):
            yield person.client_id, code, since.isoformat(), "9999-12-31"


def limit_from(change: LimitChange) -> date:
    """The day from which a limit holds: the day it was seen, from 15:00 on the next one that is no weekend. The sample has
    no change before a weekday closure."""
    day = change.observed_at.date()
    if change.observed_at.time() >= CUTOFF:
        day += timedelta(days=1)
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def limit_rows(changes: Sequence[LimitChange]) -> list[tuple[str | None, ...]]:
    """Rows of `fund_limit_change`, visible from the moment they were seen."""
    return [
        (
            f"{c.fund_code}-{c.observed_at:%Y%m%d}",
            c.fund_code,
            c.fund_name,
            limit_from(c).isoformat(),
            str(c.previous),
            str(c.limit),
            STATUS[c.status],
            c.observed_at.isoformat(),
            FOREVER,
        )
        for c in changes
    ]


def lot_rows(seed: int, people: Sequence[Person]) -> Iterator[tuple[str | None, ...]]:
    """Rows of `fund_lot`: 1.5 % of the clients hold one or two lots of 016816, confirmed within the two periods after its
    first redemptions."""
    for person in people:
        rng = draw(seed, "lot", person.number)
        if rng.random() >= 0.015:
            continue
        for n in range(1 + (rng.random() < 0.3)):
            confirmed = FIRST_REDEMPTION + timedelta(days=rng.randrange(240))
            share = yuan(1 + int(lognormal(rng, 20_000, 1.0) * 100))
            lot = f"{person.number:09d}{n:03d}"
            yield person.client_id, "016816", lot, confirmed.isoformat(), share, None, None, ALWAYS, FOREVER
