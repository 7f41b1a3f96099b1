"""Who has won how much of which issue, and whether the cash is there (domain.md A1 and D3).

Real ballot rates would give ten thousand clients a handful of winners an issue; the sample draws `WINNERS` of them
instead. Quantities are whole lots, amounts price times quantity in cents; an issue without a published price has no
winners here, because its amount would be invented. Leaves the files and tables to files_out.py and generator.py.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time

from daemon.demo.counter import ALWAYS, FOREVER, instant, yuan
from daemon.demo.people import Person, draw, lognormal
from daemon.demo.public import Issue

WINNERS = {"stock": 0.06, "bond": 0.04}
EXCHANGE_TYPE = {"SSE": "1", "SZSE": "2", "BSE": "9"}
CORRECTED_AT = time(10, 30)
"""When the counter corrects an allotment that it had loaded wrongly."""

Change = tuple[str, int]
"""(valid from, balance in cents)."""


@dataclass(frozen=True, slots=True)
class Allotment:
    """One client's winning lots of one issue. `quantity` is shares, or bonds of 100 yuan (张)."""

    person: Person
    issue: Issue
    account: str
    lots: int
    quantity: int
    price: int

    @property
    def due(self) -> int:
        """Cents: price times quantity, no commission (domain.md A1)."""
        return self.price * self.quantity


def paid_on(issues: Sequence[Issue], day: date) -> tuple[Issue, ...]:
    """Issues whose payment day is `day` and whose price is known. The prefunded bonds before 2017-09-08 have none."""
    return tuple(i for i in issues if i.payment_date == day and i.price is not None and i.regime != "prefunded")


def allotments(seed: int, people: Sequence[Person], issues: Sequence[Issue]) -> list[Allotment]:
    """The winners of `issues`, client by client."""
    found = []
    for issue in issues:
        share = WINNERS[issue.kind]
        for person in people:
            rng = draw(seed, "win", issue.exchange, issue.code, issue.apply_date.isoformat(), person.number)
            if rng.random() < share:
                found.append(_won(person, issue, rng.random(), rng.random()))
    return found


def _won(person: Person, issue: Issue, size: float, which: float) -> Allotment:
    """One lot 84 %, two 13 %, three 2.5 %, ten 0.5 %; the BSE's pro-rata shares come in the same lots."""
    lots = 1 if size < 0.84 else 2 if size < 0.97 else 3 if size < 0.995 else 10
    accounts = person.sz if issue.exchange == "SZSE" else person.sh
    account = accounts[int(which * len(accounts))]
    price = issue.price
    assert price is not None  # paid_on left out the issues without one
    return Allotment(person, issue, account, lots, lots * issue.unit, int(price * 100))


def counter_rows(seed: int, won: Sequence[Allotment], dirty: Tally[str]) -> Iterator[tuple[str | None, ...]]:
    """Rows of `sh_allotment`. A few are doubled, a few are loaded wrongly and corrected at `CORRECTED_AT`: an
    amount that is not price times quantity, or a quantity of one lot more."""
    for a in won:
        day = a.issue.payment_date
        assert day is not None
        u = draw(seed, "allotment", a.issue.code, a.account).random()
        if u < 0.003:
            dirty["allotment_amount_corrected"] += 1
            yield _row(a, a.quantity, a.due + a.price, ALWAYS, instant(day, CORRECTED_AT))
            yield _row(a, a.quantity, a.due, instant(day, CORRECTED_AT), FOREVER)
        elif u < 0.006:
            dirty["allotment_quantity_corrected"] += 1
            more = a.quantity + a.issue.unit
            yield _row(a, more, more * a.price, ALWAYS, instant(day, CORRECTED_AT))
            yield _row(a, a.quantity, a.due, instant(day, CORRECTED_AT), FOREVER)
        else:
            yield _row(a, a.quantity, a.due, ALWAYS, FOREVER)
            if u < 0.009:
                dirty["allotment_row_doubled"] += 1
                yield _row(a, a.quantity, a.due, ALWAYS, FOREVER)


def _row(a: Allotment, quantity: int, due: int, start: str, end: str) -> tuple[str | None, ...]:
    i, day = a.issue, a.issue.payment_date
    assert day is not None
    return (
        day.isoformat(),
        a.person.client_id,
        a.account,
        EXCHANGE_TYPE[i.exchange],
        i.apply_code,
        i.code,
        i.name,
        i.kind,
        str(quantity),
        yuan(a.price),
        yuan(due),
        day.isoformat(),
        start,
        end,
    )


def cash_rows(
    seed: int, people: Sequence[Person], dues: Mapping[int, Mapping[date, int]], dirty: Tally[str]
) -> Iterator[tuple[str | None, ...]]:
    """Rows of `cash_balance_at` for every client; `dues`: client number -> payment day -> cents."""
    for person in people:
        changes = cash_changes(seed, person.number, dues.get(person.number, {}))
        unread = draw(seed, "cash null", person.number).random() < 0.002
        dirty["cash_null"] += unread
        ends = [start for start, _ in changes[1:]] + [FOREVER]
        for (start, cents), end in zip(changes, ends, strict=True):
            yield person.client_id, person.fund_account, None if unread else yuan(cents), start, end


def cash_changes(seed: int, number: int, dues: Mapping[date, int]) -> list[Change]:
    """A client's balance over time. On a payment day 78 % have enough in the morning, 15 % are short and 7 % have
    nothing; of those short 68 % pay in between 09:00 and 13:00, and 3 % of these are short again at 13:30. The
    amount due leaves at 16:00.
    """
    changes = [(ALWAYS, int(lognormal(draw(seed, "cash", number), 20_000, 1.6) * 100))]
    for day in sorted(dues):
        changes += _payment_day(seed, number, day, dues[day], changes[-1][1])
    return changes


def _payment_day(seed: int, number: int, day: date, due: int, balance: int) -> Iterator[Change]:
    rng = draw(seed, "pay", number, day.isoformat())
    u, part, pays = rng.random(), rng.random(), rng.random()
    minute, again = rng.randrange(240), rng.random()
    if u < 0.78:
        balance = due if u < 0.01 else max(balance, due + int(due * part))
        yield instant(day, time(0)), balance
    else:
        balance = int(due * (0.05 + 0.9 * part)) if u < 0.93 else 0
        yield instant(day, time(0)), balance
        if pays < 0.68:
            balance = due + int(due * part / 10)
            yield instant(day, time(9 + minute // 60, minute % 60)), balance
            if again < 0.03:
                balance = due // 2
                yield instant(day, time(13, 30)), balance
    yield instant(day, time(16)), max(0, balance - due)
