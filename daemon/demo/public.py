"""The public facts of `config/sample/`, read into values: issues, closes, funds, windows, NAVs, limits, the OFD
layout.

Every figure here is published or marked as derived in its file; an empty cell means that nobody published it, and
stays None. Adjusted closes serve the sample's valuations only; they are no settlement prices.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

TICK = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Issue:
    """One share or convertible-bond issue. `kind`: stock | bond; `regime`: credit_apply | prepaid | prefunded."""

    code: str
    apply_code: str | None
    name: str
    kind: str
    exchange: str
    regime: str
    apply_date: date
    payment_date: date | None
    price: Decimal | None
    unit: int


@dataclass(frozen=True, slots=True)
class Window:
    """One announcement of a fund's opening. `end` and `notice_date` are None where not captured."""

    fund_code: str
    fund_name: str
    kind: str
    start: date | None
    end: date | None
    planned_end: date | None
    notice_date: date | None
    individuals: str
    mode: str


@dataclass(frozen=True, slots=True)
class Fund:
    """A fund's code, name and type as listed; `risk_level` None where no distributor published one."""

    code: str
    name: str
    type: str
    risk_level: str | None


@dataclass(frozen=True, slots=True)
class LimitChange:
    """One observed change of a daily purchase limit, in yuan; `status` as the page words it."""

    fund_code: str
    fund_name: str
    observed_at: datetime
    previous: Decimal
    limit: Decimal
    status: str


@dataclass(frozen=True, slots=True)
class Closes:
    """Adjusted closes in cents: `prices[day][code]`; `days` rise."""

    days: tuple[date, ...]
    codes: tuple[str, ...]
    prices: Mapping[date, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Public:
    """All public facts. `navs[code]` rise by date: (date, NAV, cumulative NAV); `limits[code]`: (observed day,
    yuan); `changes` rise by the moment they were observed."""

    issues: tuple[Issue, ...]
    closes: Closes
    funds: tuple[Fund, ...]
    windows: tuple[Window, ...]
    navs: Mapping[str, tuple[tuple[date, Decimal, Decimal], ...]]
    limits: Mapping[str, tuple[tuple[date, Decimal], ...]]
    ofd_07: tuple[tuple[str, str, int, int], ...]
    changes: tuple[LimitChange, ...] = ()


def read_public(folder: Path) -> Public:
    """Read `config/sample`. Raises OSError for a missing file, KeyError or ValueError for one of another shape."""
    issues = tuple(_issue(r) for r in _rows(folder / "issues.csv"))
    windows = tuple(_window(r) for r in _rows(folder / "fund_windows.csv"))
    funds = tuple(Fund(r["code"], r["name"], r["type"], r["risk_level"] or None) for r in _rows(folder / "funds.csv"))
    navs: dict[str, list[tuple[date, Decimal, Decimal]]] = {}
    for r in _rows(folder / "fund_nav.csv"):
        row = (date.fromisoformat(r["date"]), Decimal(r["nav"]), Decimal(r["cumulative_nav"]))
        navs.setdefault(r["fund_code"], []).append(row)
    limits: dict[str, list[tuple[date, Decimal]]] = {}
    changes = tuple(_change(r) for r in _rows(folder / "fund_limits.csv"))
    for change in changes:
        limits.setdefault(change.fund_code, []).append((change.observed_at.date(), change.limit))
    layout = tuple((r["name"], r["type"], int(r["width"]), int(r["decimals"])) for r in _rows(folder / "ofd_07.csv"))
    return Public(
        issues,
        _closes(folder / "closes.csv"),
        funds,
        windows,
        {code: tuple(sorted(rows)) for code, rows in navs.items()},
        {code: tuple(sorted(rows)) for code, rows in limits.items()},
        layout,
        changes,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _issue(r: Mapping[str, str]) -> Issue:
    return Issue(
        r["code"],
        r["apply_code"] or None,
        r["name"],
        r["kind"],
        r["exchange"],
        r["regime"],
        date.fromisoformat(r["apply_date"]),
        _day(r["payment_date"]),
        Decimal(r["issue_price"]) if r["issue_price"] else None,
        int(r["unit"]),
    )


def _window(r: Mapping[str, str]) -> Window:
    return Window(
        r["fund_code"],
        r["fund_name"],
        r["kind"],
        _day(r["start"]),
        _day(r["end"]),
        _day(r["planned_end"]),
        _day(r["notice_date"]),
        r["sold_to_individuals"],
        r["open_mode"],
    )


def _change(r: Mapping[str, str]) -> LimitChange:
    return LimitChange(
        r["fund_code"],
        r["fund_name"],
        datetime.fromisoformat(r["observed_at"]),
        Decimal(r["previous_limit"]),
        Decimal(r["day_limit"]),
        r["purchase_status"],
    )


def _closes(path: Path) -> Closes:
    table: dict[date, dict[str, int]] = {}
    for r in _rows(path):
        cents = int(Decimal(r["close_adjusted"]) / TICK)
        table.setdefault(date.fromisoformat(r["date"]), {})[r["code"]] = cents
    days = tuple(sorted(table))
    # A stock without a close on every day of the window could not be valued on some; it is left out.
    codes = tuple(sorted(set.intersection(*(set(row) for row in table.values()))))
    return Closes(days, codes, {day: tuple(table[day][code] for code in codes) for day in days})
