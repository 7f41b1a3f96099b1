"""Margin accounts as they open on the first day of the closes, and the contracts behind them (domain.md A4, D2, D3).

Debts, ratios and holdings are drawn; prices are the real adjusted closes. All amounts are whole cents. Leaves the run
over the days to margin_book.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from daemon.demo.people import Numbers, Person, choose, draw, lognormal
from daemon.demo.public import Closes

LINES = (("150.00", "130.00", "150.00"), ("140.00", "130.00", "140.00"), ("160.00", "140.00", "150.00"))
ATTENTION = ("170.00", "160.00", "180.00")
IMMEDIATE = ("110.00", "112.00", "115.00")
CHANNELS = (("rcs,sms", 0.45), ("sms", 0.40), ("sms,phone", 0.15))
PINNED = (
    (130_000_000, 100_000_000, 0),
    (129_999_999, 100_000_000, 0),
    (180_000_000, 60_000_000, 0),
    (90_000_000, 88_000_000, 2_500_000),
)
"""Cash, financing, interest in cents of accounts that no price moves: 130.000000, 129.999999, 300.000000,
99.447514 % (A4)."""

Row = tuple[str | None, ...]


@dataclass(slots=True)
class Account:
    """One contract and its book. `holdings`: (column of the closes, shares); `short` likewise."""

    person: Person
    credit_account: str
    lines: int
    topup_days: int
    reaction: float
    cash: int = 0
    other: int = 0
    financing: int = 0
    interest: int = 0
    carry: int = 0
    holdings: list[tuple[int, int]] = field(default_factory=list)
    short: tuple[int, int] | None = None
    pinned: bool = False
    called: int | None = None
    cured: bool = False

    def value(self, prices: Sequence[int]) -> int:
        """Market value of the securities."""
        return sum(prices[column] * shares for column, shares in self.holdings)

    def sold_short(self, prices: Sequence[int]) -> int:
        return prices[self.short[0]] * self.short[1] if self.short else 0

    def line(self, which: int) -> int:
        """0 warning, 1 call, 2 target, in percent."""
        return int(LINES[self.lines][which][:3])


def accounts(seed: int, people: Sequence[Person], numbers: Numbers, closes: Closes) -> Iterator[Account]:
    """20 % of the clients have a margin contract, 3 % of these a second one."""
    start = closes.prices[closes.days[0]]
    for person in people:
        rng = draw(seed, "margin", person.number)
        if rng.random() >= 0.20:
            continue
        for n in range(2 if rng.random() < 0.03 else 1):
            number = numbers.of(f"credit{n}", person.number, 10)
            yield _opened(draw(seed, "book", person.number, n), person, f"9{n}{number}", start)


def _opened(rng: Random, person: Person, number: str, prices: Sequence[int]) -> Account:
    """Debt: lognormal, median 180,000 yuan, p99 20 million; ratio: lognormal about 260 %, not under 150 %; 8 % owe
    nothing."""
    lines = rng.choices((0, 1, 2), (50, 30, 20))[0]
    account = Account(person, number, lines, 1 if rng.random() < 0.30 else 2, rng.random())
    kind, debt = rng.random(), int(min(lognormal(rng, 180_000, 2.02), 100_000_000) * 100)
    if kind < 0.016:
        cash, account.financing, account.interest = PINNED[int(kind / 0.004)]
        account.cash, account.pinned, account.lines = cash, True, account.lines % 2
        return account
    assets = int(debt * max(1.5, lognormal(rng, 2.6, 0.35)))
    if kind >= 0.096:
        account.financing = debt
    account.other = assets // 20 if rng.random() < 0.02 else 0
    _buy(rng, account, int(assets * (1 - 0.1 * rng.random())) - account.other, prices)
    account.cash = assets - account.other - account.value(prices)
    if rng.random() < 0.04 and account.financing:
        column = rng.randrange(len(prices))
        account.short = (column, account.financing // 4 // prices[column] // 100 * 100)
        account.financing -= account.sold_short(prices)
    return account


def _buy(rng: Random, account: Account, amount: int, prices: Sequence[int]) -> None:
    """Spread `amount` over one to eight stocks in lots of 100 shares."""
    columns = rng.sample(range(len(prices)), rng.randint(1, 8))
    weights = [rng.random() + 0.1 for _ in columns]
    for column, weight in zip(columns, weights, strict=True):
        shares = int(amount * weight / sum(weights)) // prices[column] // 100 * 100
        if shares:
            account.holdings.append((column, shares))


def contract_row(seed: int, account: Account) -> tuple[str | None, ...]:
    """A row of `margin_contract`; a fifth of the contracts leave attention and immediate line to the firm."""
    rng = draw(seed, "contract", account.credit_account)
    firm, channels = rng.random() < 0.20, choose(rng.random(), CHANNELS)
    warning, call, target = LINES[account.lines]
    return (
        account.person.client_id,
        account.credit_account,
        None if firm else ATTENTION[account.lines],
        warning,
        call,
        target,
        None if firm else IMMEDIATE[account.lines],
        str(account.topup_days),
        "business_date" if rng.random() < 0.85 else "notice_date",
        "counter" if rng.random() < 0.97 else "own",
        channels,
        "1" if rng.random() < 0.40 else "0",
        rng.choice(("2019-08", "2021-03", "2023-09")),
    )
