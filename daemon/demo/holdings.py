"""Fund holdings, opening announcements and the fund dynamics of the sample (domain.md A5, C2, D3).

Funds, windows, NAVs and limits are real; who holds them is drawn. What nobody published stays blank: 012742 has no
NAV here. One record of the sample firm's own test product carries a character that GB18030 writes in four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import accumulate

from daemon.demo.counter import yuan
from daemon.demo.people import Person, draw, lognormal
from daemon.demo.public import Fund, Public, Window

FAVOURITE = "012742"
"""Held by 30 % of all clients, so that a real window (2024-03-28 to 2024-04-12) reaches thousands."""

TA = "98"
CARRIED = timedelta(days=30)
OWN_PRODUCT = ("SL0001", "样例𠮷祥一号")
"""Code and name of the sample firm's test product; synthetic, without window, holder or NAV."""

WINDOW_COLUMNS = (
    "fund_code",
    "fund_name",
    "announcement_id",
    "revision",
    "kind",
    "start",
    "end",
    "cutoff",
    "can_buy",
    "can_redeem",
    "individuals_ok",
    "individuals_basis",
    "notice_date",
    "state",
)


def ranking(seed: int, public: Public) -> tuple[list[str], list[float]]:
    """Fund codes by popularity and their running Zipf weights; funds with an announced window come first."""
    opening = {w.fund_code for w in public.windows if w.start}
    codes = [f.code for f in public.funds if f.code != FAVOURITE]
    draw(seed, "popularity").shuffle(codes)
    codes.sort(key=lambda code: code not in opening)
    return codes, list(accumulate(1 / rank for rank in range(1, len(codes) + 1)))


def holding_rows(seed: int, people: Sequence[Person], public: Public, first: date) -> Iterator[tuple[str, ...]]:
    """Rows of `fund_holding`; 62 % of the clients hold 2.8 funds on average, 1 % of the rows end some days after
    `first`."""
    codes, weights = ranking(seed, public)
    for person in people:
        rng = draw(seed, "fund", person.number)
        held = [FAVOURITE] if rng.random() < 0.30 else []
        if held or rng.random() < 0.46:
            wanted = 1 + min(6, int(rng.expovariate(0.75)))
            held += rng.choices(codes, cum_weights=weights, k=wanted)
        for code in dict.fromkeys(held):
            share = yuan(1 + int(lognormal(rng, 8_000, 1.3) * 100))
            since = date(2019, 1, 2) + timedelta(days=rng.randrange(1_400))
            gone = (first + timedelta(days=rng.randrange(1, 9))).isoformat() if rng.random() < 0.01 else "9999-12-31"
            yield person.client_id, TA, code, share, since.isoformat(), gone


def announced(windows: Sequence[Window], day: date) -> tuple[Window, ...]:
    """Announcements with a first day that were out on `day`: from the notice date, or where not captured the first
    day, on. One whose last day was not captured is carried for `CARRIED` after its first day."""
    return tuple(
        w for w in windows if w.start and (w.notice_date or w.start) <= day and (w.end or day <= w.start + CARRIED)
    )


def open_on(windows: Sequence[Window], day: date) -> tuple[Window, ...]:
    """Windows that have both ends and are open on `day`."""
    return tuple(w for w in announced(windows, day) if w.start and w.end and w.start <= day <= w.end)


def window_rows(public: Public, day: date) -> list[tuple[str, ...]]:
    """The announcements file of `day`, one row each, in its latest revision."""
    return [_window_row(w, day) for w in announced(public.windows, day)]


def _window_row(w: Window, day: date) -> tuple[str, ...]:
    """`kind`: periodic | rolling | daily. A window that was cut short shows its planned end until the early end
    has come, then revision 2. `individuals_ok` is N only where the announcement excludes them; `individuals_basis`
    says which. `notice_date` is the first day where the day of the announcement was not captured."""
    buy, redeem = "subscribe" in w.kind, "redeem" in w.kind
    early = w.planned_end is not None and w.end is not None and day >= w.end
    end = w.end if early or w.planned_end is None else w.planned_end
    issued = w.notice_date or w.start
    assert issued is not None and w.start is not None  # announced() left out those without a first day
    return (
        w.fund_code,
        w.fund_name,
        f"{w.fund_code}-{issued:%Y%m%d}-{w.kind}",
        "2" if early else "1",
        w.mode.split(" ")[0],
        w.start.isoformat(),
        end.isoformat() if end else "",
        "15:00",
        "Y" if buy else "N",
        "Y" if redeem else "N",
        "N" if w.individuals == "N" else "Y",
        "stated" if w.individuals else "not stated",
        issued.isoformat(),
        "announced",
    )


def dynamics(public: Public, day: date) -> list[Mapping[str, str]]:
    """Records of file 07 as it lies there on the morning of `day`: the last NAV before it, the status its window
    implies."""
    by_fund: dict[str, list[Window]] = {}
    for w in announced(public.windows, day):
        by_fund.setdefault(w.fund_code, []).append(w)
    records = [_dynamic(public, fund, by_fund.get(fund.code, []), day) for fund in public.funds]
    code, name = OWN_PRODUCT
    return [*records, {"FundCode": code, "FundName": name, "FundStatus": "9", "CurrencyType": "156"}]


def _dynamic(public: Public, fund: Fund, windows: Sequence[Window], day: date) -> dict[str, str]:
    record = {
        "FundCode": fund.code,
        "FundName": fund.name,
        "FundStatus": _fund_status(windows, day),
        "NetValueType": "0",
        "CurrencyType": "840" if "美元" in fund.name else "156",
    }
    known = [nav for nav in public.navs.get(fund.code, ()) if nav[0] < day]
    if known:
        nav_date, nav, total = known[-1]
        record |= {"NAV": str(nav), "AccumulativeNAV": str(total), "UpdateDate": f"{nav_date:%Y%m%d}"}
    limits = [amount for seen, amount in public.limits.get(fund.code, ()) if seen < day]
    if limits:
        record["IndiDayMaxSumBuy"] = str(limits[-1])
    coming = [w.start for w in windows if w.start and w.start >= day]
    if coming:
        record["NextTradeDate"] = f"{min(coming):%Y%m%d}"
    return record


def _fund_status(windows: Sequence[Window], day: date) -> str:
    """0 buy and redeem, 5 no buying, 6 no redeeming, 9 closed; blank where no announcement says (domain.md C2)."""
    running = [w for w in windows if w.start and (w.start == day or (w.end and w.start <= day <= w.end))]
    kinds = " ".join(w.kind for w in running)
    if running:
        return "0" if "subscribe" in kinds and "redeem" in kinds else "6" if "subscribe" in kinds else "5"
    coming = any(w.start and w.start > day and w.mode.startswith("periodic") for w in windows)
    return "9" if coming else ""
