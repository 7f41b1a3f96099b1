"""Margin valuations by the real adjusted closes (domain.md A4, D2, D3).

An account starts on the first day of the closes with a drawn ratio and runs day by day: prices move, interest
accrues on natural days, some clients pay in after a call, some are sold out. So its figures depend on (seed,
client) and the market alone, not on which days are asked for. Between two closes the intraday prices are
interpolated; they are synthetic. All amounts are whole cents. Leaves levels and notices to the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta

from daemon.demo.counter import instant, yuan
from daemon.demo.margin_accounts import Account, Row
from daemon.demo.people import draw
from daemon.demo.public import Closes

INTRADAY = ((time(10, 0), 35), (time(11, 30), 60), (time(14, 0), 85))
"""Valuation instants of a session and how far, in percent, the price has gone from the last close to today's."""

TOP_UP_LANDS = time(11, 0)
SETTLED_AT = time(21, 30)


def between(closes: Closes, day: int, percent: int) -> tuple[int, ...]:
    """Prices `percent` of the way from the last close to the close of session number `day`, in whole cents."""
    last, close = closes.prices[closes.days[day - 1]], closes.prices[closes.days[day]]
    return tuple(a + (b - a) * percent // 100 for a, b in zip(last, close, strict=True))


class Market:
    """The closes, the days on which rows are wanted, and the interpolated prices of these days.

    `intraday`: each day asked that has a close before it; `day_ends`: each day asked that has closes, and the
    session before.
    """

    def __init__(self, closes: Closes, days: Sequence[date]) -> None:
        at = {day: n for n, day in enumerate(closes.days)}
        asked = [at[day] for day in days if day in at]
        self.closes = closes
        self.day_ends = {n for day in asked for n in (day, day - 1) if n >= 0}
        self.intraday = {day for day in asked if day}
        self.prices = {(n, part): between(closes, n, part) for n in self.intraday for _, part in INTRADAY}

    def settled_days(self) -> list[date]:
        return [self.closes.days[n] for n in sorted(self.day_ends)]


def valuations(seed: int, account: Account, market: Market, dirty: Counter[str]) -> Iterator[Row]:
    """Rows of `margin_assets` on the wanted days; the book runs from the first close to the last wanted day."""
    days, due = market.closes.days, 0
    for n, day in enumerate(days[: max(market.day_ends, default=-1) + 1]):
        before = days[max(0, n - 1)]
        _accrue(account, day - before)
        for at, part in INTRADAY if n in market.intraday else ():
            if at >= TOP_UP_LANDS:
                account.cash, due = account.cash + due, 0
            yield _valued(seed, account, market.prices[n, part], (day, "intraday", at, before), dirty)
        account.cash += due
        due = _day_end(account, n, market.closes.prices[day])
        if n in market.day_ends:
            yield _valued(seed, account, market.closes.prices[day], (day, "day_end", time(15), before), dirty)


def _accrue(account: Account, span: timedelta) -> None:
    """6 % a year over 360, on natural days; what is under a cent is carried on. Pinned accounts stay where they
    are."""
    if not account.pinned:
        cents, account.carry = divmod(account.financing * 6 * span.days + account.carry, 36_000)
        account.interest += cents


def _day_end(account: Account, n: int, prices: Sequence[int]) -> int:
    """Open or end the account's call on the day's close; gives what the client will pay in on the next session.

    Of those called 45 % pay in on the next session, 15 % on the one after; the others are sold out once the period
    is over.
    """
    assets = account.cash + account.value(prices) + account.other
    debts = account.financing + account.sold_short(prices) + account.interest
    if not debts:
        return 0
    if account.called is not None and assets * 100 >= account.line(2) * debts:
        account.called, account.cured = None, True
    elif account.called is None and assets * 100 < account.line(1) * debts:
        account.called, account.cured = n, False
    if account.called is None or account.pinned:
        return 0
    if account.reaction >= 0.60 and n - account.called > account.topup_days:
        _sell_out(account, prices)
    pays = n - account.called == (0 if account.reaction < 0.45 else 1)
    return (account.line(2) + 3) * debts // 100 - assets if pays and account.reaction < 0.60 else 0


def _sell_out(account: Account, prices: Sequence[int]) -> None:
    """Sell half of each holding and repay with the proceeds, as far as there is debt."""
    rest = [(column, shares - shares // 200 * 100) for column, shares in account.holdings]
    proceeds = account.value(prices)
    account.holdings = rest
    proceeds -= account.value(prices)
    repaid = min(proceeds, account.financing)
    account.financing -= repaid
    account.cash += proceeds - repaid


def _valued(seed: int, a: Account, prices: Sequence[int], of: tuple[date, str, time, date], dirty: Counter[str]) -> Row:
    """One row; `of`: day, basis, instant, session before. Some are dirty: see `_spoiled`."""
    day, basis, at, before = of
    value, short = a.value(prices), a.sold_short(prices)
    assets, debts = a.cash + value + a.other, a.financing + short + a.interest
    spoiled = (
        "" if a.pinned or not debts else _spoiled(draw(seed, "valued", a.credit_account, day.toordinal()).random())
    )
    if spoiled:
        dirty[spoiled] += 1
    ratio = percent(assets, debts, 500_000 if spoiled == "margin_ratio_differs" else 0)
    return (
        day.isoformat(),
        basis,
        instant(day, at),
        a.credit_account,
        a.person.client_id,
        yuan(a.cash),
        yuan(value),
        yuan(a.other),
        yuan(a.financing),
        yuan(short),
        yuan(a.interest),
        None if spoiled == "margin_ratio_null" else ratio,
        "1" if a.cured and assets * 100 >= a.line(1) * debts else "0",
        instant(before, time(15)) if spoiled == "margin_stale" else instant(day, at),
    )


def _spoiled(u: float) -> str:
    """A ratio missing 0.1 %, a ratio half a point off 0.3 %, an as-of of the session before 0.1 %; all rows of
    that day alike."""
    if u < 0.001:
        return "margin_ratio_null"
    if u < 0.004:
        return "margin_ratio_differs"
    return "margin_stale" if u < 0.005 else ""


def percent(assets: int, debts: int, off: int = 0) -> str | None:
    """Assets over debts in percent, six decimals, half up, `off` millionths of a percent added; None without
    debts."""
    if not debts:
        return None
    millionths = (assets * 200_000_000 // debts + 1) // 2 + off
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}"
