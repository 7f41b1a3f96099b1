"""Fills the counter's tables, one method a subject. Leaves the figures to people, allotments, margin_book and
holdings."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time

from daemon.demo.allotments import EXCHANGE_TYPE, Allotment, cash_rows, counter_rows
from daemon.demo.counter import LANDED_AT, Counter, instant
from daemon.demo.holdings import holding_rows
from daemon.demo.margin_accounts import Row, accounts, contract_row
from daemon.demo.margin_book import SETTLED_AT, Market, valuations
from daemon.demo.people import MINOR, Numbers, Person, draw
from daemon.demo.products import assessment_rows, follow_rows, limit_rows, lot_rows, product_rows
from daemon.demo.public import Closes, Issue, Public


class Fill:
    """One filling of a counter: the same seed and people for every table; `dirty` counts what is spoiled on
    purpose."""

    def __init__(
        self, counter: Counter, seed: int, people: Sequence[Person], numbers: Numbers, dirty: Tally[str]
    ) -> None:
        self._counter, self._seed, self._people = counter, seed, people
        self._numbers, self._dirty = numbers, dirty

    def clients(self) -> None:
        """`client`, `stock_account`, `consent`."""
        people = self._people
        self._dirty["mobile_null"] = sum(p.mobile is None for p in people)
        self._dirty["name_outside_gbk"] = sum(any(ord(c) > 0xFFFF for c in p.name) for p in people)
        self._counter.add(
            "client",
            [
                (p.client_id, p.name, p.organ_flag, p.status, p.mobile, p.risk_level, p.open_date.isoformat())
                for p in people
            ],
        )
        self._counter.add("stock_account", (row for p in people for row in _accounts(p)))
        self._counter.add("consent", (row for p in people for row in _consents(self._seed, p)))

    def payments(self, issues: Sequence[Issue], won: Mapping[date, Sequence[Allotment]]) -> None:
        """`new_issue`, `sh_allotment` (all but Shenzhen's, which come in the DBF), `cash_balance_at`,
        `giveup_record`."""
        self._counter.add("new_issue", (_issue_row(i) for i in issues))
        dues: dict[int, dict[date, int]] = {}
        for day, day_won in won.items():
            ours = [a for a in day_won if a.issue.exchange != "SZSE"]
            self._counter.add("sh_allotment", counter_rows(self._seed, ours, self._dirty))
            self._settle("allotment", [day], LANDED_AT)
            for a in day_won:
                if a.issue.regime == "credit_apply":  # the BSE's money left on the day of application
                    due = dues.setdefault(a.person.number, {})
                    due[day] = due.get(day, 0) + a.due
        self._counter.add("cash_balance_at", cash_rows(self._seed, self._people, dues, self._dirty))
        winners = {a.person.number: a.person for day_won in won.values() for a in day_won}
        self._counter.add("giveup_record", (_giveup(self._seed, winners[n], min(won)) for n in sorted(winners)))

    def margin(self, closes: Closes, days: Sequence[date]) -> dict[int, str]:
        """`margin_contract`, `margin_assets`, `margin_valuation`; gives client number -> channels the contract
        agreed."""
        market = Market(closes, days)
        agreed: dict[int, str] = {}
        contracts: list[Row] = []
        rows: list[Row] = []
        for account in accounts(self._seed, self._people, self._numbers, closes):
            contract = contract_row(self._seed, account)
            contracts.append(contract)
            agreed.setdefault(account.person.number, contract[10] or "")
            rows += valuations(self._seed, account, market, self._dirty)
        batches = Tally(row[:3] for row in rows)
        self._counter.add("margin_contract", contracts)
        self._counter.add("margin_assets", rows)
        self._counter.add("margin_valuation", ((*batch, str(n)) for batch, n in sorted(batches.items(), key=str)))
        self._settle("margin", market.settled_days(), SETTLED_AT)
        return agreed

    def contacts(self, agreed: Mapping[int, str]) -> None:
        """`contact`: the client's own mobile, a minor's guardian, and for margin the address that the contract agreed,
        per channel."""
        for_all = (row for p in self._people for row in self._contacts(p, agreed.get(p.number, "")))
        self._counter.add("contact", for_all)

    def funds(self, public: Public, days: Sequence[date]) -> None:
        """`fund_holding`, `fund_lot`, `fund_product`, `fund_limit_change`, `fund_follow`, `risk_assessment`."""
        seed, people = self._seed, self._people
        self._counter.add("fund_holding", holding_rows(seed, people, public, days[0]))
        self._counter.add("fund_lot", lot_rows(seed, people))
        self._counter.add("fund_product", product_rows(public))
        self._counter.add("fund_limit_change", limit_rows(public.changes))
        self._counter.add("fund_follow", follow_rows(seed, people, public))
        self._counter.add("risk_assessment", assessment_rows(seed, people, days[0]))
        self._settle("fund", days, LANDED_AT)

    def _settle(self, business: str, days: Sequence[date], at: time) -> None:
        self._counter.add("settle_state", [(day.isoformat(), business, "1", instant(day, at)) for day in days])

    def _contacts(self, p: Person, agreed: str) -> Iterator[tuple[str, ...]]:
        """One contract in twenty agrees another number, and half of those whose client has none."""
        since = instant(p.open_date, time(10))
        if p.mobile:
            for channel in ("rcs", "sms"):
                yield p.client_id, "client", channel, p.mobile, since, "counter"
        if p.status == MINOR:
            for channel in ("rcs", "sms"):
                yield (
                    p.client_id,
                    "guardian",
                    channel,
                    "10" + self._numbers.of("guardian", p.number, 9),
                    since,
                    "counter",
                )
        if agreed:
            u = draw(self._seed, "agreed", p.number).random()
            other = "10" + self._numbers.of("agreed", p.number, 9)
            address = (p.mobile if u >= 0.05 else other) if p.mobile else (other if u < 0.5 else None)
            for channel in agreed.split(",") if address else ():
                yield p.client_id, "agreed", channel, address or "", since, "contract"


def _accounts(p: Person) -> Iterator[tuple[str, ...]]:
    for exchange, numbers in (("1", p.sh), ("2", p.sz)):
        for account in numbers:
            yield account, exchange, p.client_id, p.fund_account


def _consents(seed: int, p: Person) -> Iterator[tuple[str, ...]]:
    """Service: all, but 0.5 % refuse 5G messages. Marketing: 38 % in, 9 % in and later out, 53 % never asked."""
    rng = draw(seed, "consent", p.number)
    opened, later = instant(p.open_date, time(10)), instant(date(2023, 11, 1 + rng.randrange(28)), time(16))
    marketing, refuses = rng.random(), rng.random() < 0.005
    for channel in ("rcs", "sms"):
        yield p.client_id, "service", channel, "in", opened, "S2019-1"
        if marketing < 0.47:
            yield p.client_id, "marketing", channel, "in", opened, "M2019-1"
        if 0.38 <= marketing < 0.47:
            yield p.client_id, "marketing", channel, "out", later, "M2022-1"
    if refuses:
        yield p.client_id, "service", "rcs", "out", later, "S2022-1"


def _issue_row(i: Issue) -> tuple[str | None, ...]:
    return (
        i.code,
        i.apply_code,
        i.name,
        EXCHANGE_TYPE[i.exchange],
        i.kind,
        i.regime,
        None if i.price is None else str(i.price),
        i.apply_date.isoformat(),
        i.payment_date.isoformat() if i.payment_date else None,
        str(i.unit),
    )


def _giveup(seed: int, p: Person, day: date) -> tuple[str, ...]:
    """No waiver in twelve months 96 %, one 3.2 % (every other one in Shenzhen), two 0.8 % (one in each market)."""
    u = draw(seed, "giveup", p.number).random()
    shanghai = "1" if u >= 0.976 else "0"
    shenzhen = "1" if 0.96 <= u < 0.976 or u >= 0.992 else "0"
    return p.client_id, shanghai, shenzhen, day.isoformat()
