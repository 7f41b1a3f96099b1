"""Margin contracts with the bucket each belongs in: generated and labelled from the contract's terms and the firm's lines.

The label knows the rule as compliance states it (rules/README.md, the rule's own comments), in fractions and calendar days:
nothing of the product's evaluator, mapping or arithmetic is used.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.labelled.cells import malformed
from tests.labelled.gone import EMPTY, INVALID, Gone, added, below, both, gone, of
from tests.labelled.tables import TORN, Outcome, Table

RULE, KIND, FEEDS = "margin/maintenance", "margin_account", {"day_end": "margin_day_end", "intraday": "margin_intraday"}
IN_FORCE = date(2015, 7, 1)
LINES = {
    "immediate": Fraction(110, 100),
    "call": Fraction(130, 100),
    "warning": Fraction(150, 100),
    "attention": Fraction(170, 100),
}
NAMES = ("normal", "frozen", "closed", "deceased", "dormant", "id_expired", "minor", "special_care")
STATUSES = {str(code): name for code, name in enumerate(NAMES)}
KEPT = ("closed", "deceased")
"""Whom a person calls: the match is held."""

# field: (column, type of the cell, least, most), bounds as the column writes them
COLUMNS: Mapping[str, tuple[str, str, int | None, int | None]] = {
    "contract": ("credit_account", "i", None, None),
    "tail": ("account_tail", "c", None, None),
    "client": ("client_id", "i", None, None),
    "day": ("init_date", "d", None, None),
    "read_on": ("read_on", "d", None, None),
    "as_of": ("as_of", "m", None, None),
    "cash": ("cash_asset", "n", None, None),
    "market": ("market_value", "n", 0, None),
    "other": ("other_assets", "n", 0, None),
    "financing": ("fin_compact_balance", "n", 0, None),
    "short": ("short_value", "n", 0, None),
    "interest": ("fare_interest", "n", 0, None),
    "counter": ("per_assurescale_value", "n", 0, None),
    "cured": ("cured_flag", "b", None, None),
    "attention": ("line_attention", "n", 100, 500),
    "warning": ("line_warning", "n", 100, 500),
    "call": ("line_call", "n", 100, 500),
    "target": ("line_target", "n", 100, 500),
    "immediate": ("line_immediate", "n", 100, 500),
    "days": ("topup_days", "n", 0, 20),
    "topup_from": ("topup_from", "e", None, None),
    "source": ("ratio_source", "e", None, None),
    "channels": ("agreed_channels", "c", None, None),
    "amounts": ("amounts_in_sms", "b", None, None),
    "status": ("client_status", "e", None, None),
}
PERCENT = ("counter", "attention", "warning", "call", "target", "immediate")
NEEDED = ("contract", "tail", "client", "day")
"""Without one of these a row is nobody's: a reject."""
ROWS = (
    "null row",
    "the same row again",
    "contradicting rows",
    "torn record",
    "wrong day",
    "day before the rule",
    "stale as-of",
    "future as-of",
)


class Book:
    """One reading of one feed: rows, and where each belongs."""

    def __init__(self, rng: random.Random, basis: str, day: date, facts: int) -> None:
        self.rng, self.basis, self.day = rng, basis, day
        self.table = Table([column for column, *_ in COLUMNS.values()])
        self.labels: dict[tuple[str, int], Outcome] = {}
        self.ways: dict[str, int] = {}
        for i in range(facts):
            self._fact(i)

    @property
    def feed(self) -> str:
        return FEEDS[self.basis]

    @property
    def tables(self) -> dict[tuple[str, str], Table]:
        return {(KIND, "book"): self.table}

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(f"{self.day}T21:35:00+08:00")

    def _put(self, cells: Mapping[str, Any] | str, outcome: Outcome) -> None:
        self.labels["book", self.table.add(cells)] = outcome

    def _count(self, way: str) -> None:
        self.ways[way] = self.ways.get(way, 0) + 1

    def _fact(self, number: int) -> None:
        rng = self.rng
        texts, values = self._good(number)
        raw: dict[str, Any] = dict(texts)
        for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
            self._spoil_cell(raw, texts, values)
        way = rng.choice(ROWS) if rng.random() < 0.1 else ""
        if way:
            self._count(way)
        self._row(way, raw, texts, values)

    def _row(self, way: str, raw: dict[str, Any], texts: Mapping[str, str], values: dict[str, Any]) -> None:
        if way == "torn record":
            self._put(TORN, Outcome("reject"))
            return
        if way == "null row":
            raw, values = dict.fromkeys(raw), dict.fromkeys(values, EMPTY)
        elif way in ("wrong day", "day before the rule"):
            other = self.day - timedelta(days=1) if way == "wrong day" else date(2015, 6, 30)
            raw["day"], values["day"] = other.isoformat(), other
        elif way in ("stale as-of", "future as-of"):
            other = self.day + timedelta(days=1 if way == "future as-of" else -1)
            raw["as_of"], values["as_of"] = f"{other}T15:00:00", other
        outcome = label(values, self.basis)
        if way == "contradicting rows" and outcome.bucket != "reject":
            self._put(_cells(raw), Outcome("reject"))
            raw["interest"] = "0.07" if raw["interest"] != "0.07" else "0.08"
            self._put(_cells(raw), Outcome("reject"))
            return
        self._put(_cells(raw), outcome)
        if way == "the same row again":
            self._put(_cells(raw), Outcome("reject"))

    def _spoil_cell(self, raw: dict[str, Any], texts: Mapping[str, str], values: dict[str, Any]) -> None:
        rng = self.rng
        name = rng.choice(list(COLUMNS))
        _, letter, least, most = COLUMNS[name]
        if raw[name] != texts[name] or texts[name] == "":
            return
        if least is not None and rng.random() < 0.15:
            self._count("under the bound")
            raw[name], values[name] = str(least - 1), INVALID
        elif most is not None and rng.random() < 0.2:
            self._count("over the bound")
            raw[name], values[name] = f"{most}.0001", INVALID
        else:
            way, raw[name] = malformed(rng, letter, texts[name])
            self._count(way.name)
            if way.worth != "same":
                values[name] = EMPTY if way.worth == "empty" else INVALID

    def _good(self, number: int) -> tuple[dict[str, str], dict[str, Any]]:
        """The texts of a contract's row as the counter writes them, and their values."""
        rng = self.rng
        texts = {
            "contract": f"6{number:09d}",
            "tail": f"{number % 10000:04d}",
            "client": f"S{number:08d}",
            "day": self.day.isoformat(),
            "read_on": self.day.isoformat(),
            "as_of": f"{self.day}T15:{rng.randrange(60):02d}:00",
            "cured": rng.choice("01"),
            "topup_from": rng.choice(("business_date", "notice_date")),
            "source": rng.choice(("counter", "counter", "own")),
            "channels": rng.choice(("sms", "rcs,sms")),
            "amounts": rng.choice("01"),
            "status": rng.choice("0000001223344567"),
            "days": str(rng.randrange(21)),
        }
        lines = {name: _percent(rng, firm) if rng.random() < 0.5 else "" for name, firm in LINES.items()}
        texts |= lines | {"target": rng.choice(("", "150", "155.5"))}
        self._money(texts)
        values: dict[str, Any] = {name: _value(name, text) for name, text in texts.items()}
        return texts, values

    def _money(self, texts: dict[str, str]) -> None:
        """Debts and collateral about a line, on it, or a cent beside it."""
        rng = self.rng
        debts = 0 if rng.random() < 0.05 else rng.randrange(1, 10**9)
        parts = sorted((0, rng.randint(0, debts), rng.randint(0, debts), debts))
        near = rng.choice(list(LINES))
        line = _fraction(texts[near]) / 100 if texts[near] else LINES[near]
        spread = rng.choice(
            (Fraction(0), Fraction(1, 10**6), -Fraction(1, 10**6), Fraction(rng.randrange(-400, 900), 1000))
        )
        assets = max(int(debts * (line + spread)) + rng.choice((-1, 0, 0, 1)), 0)
        cut = sorted((0, rng.randint(0, assets), rng.randint(0, assets), assets))
        for i, name in enumerate(("financing", "short", "interest")):
            texts[name] = _cents(parts[i + 1] - parts[i])
        for i, name in enumerate(("cash", "market", "other")):
            texts[name] = _cents(cut[i + 1] - cut[i])
        told = (Fraction(assets, debts) if debts and rng.random() < 0.8 else line + spread) * 100
        places = rng.choice((2, 4, 6))
        whole = int(max(told, 0) * 10**places)
        texts["counter"] = f"{whole // 10**places}.{whole % 10**places:0{places}d}"


def label(values: Mapping[str, Any], basis: str) -> Outcome:
    """Where a contract's row belongs."""
    if gone(*(values[name] for name in NEEDED)):
        return Outcome("reject")
    if values["day"] < IN_FORCE:
        return Outcome("no_match")
    debts = added(values["financing"], values["short"], values["interest"])
    no = Outcome(
        "no_match" if values["as_of"] == values["day"] else "indeterminate"
    )  # a figure of another day clears nobody
    if isinstance(debts, Gone):
        return Outcome("indeterminate")
    if debts == 0:
        return no
    ratio = _ratio(values, debts)
    for level in LINES:
        agreed = values[level]
        line = LINES[level] if agreed == EMPTY else agreed
        under = below(ratio, line)
        urgent = both(basis == "day_end", under) if level == "call" else under  # a call rests on day-end figures
        if isinstance(urgent, Gone):
            return Outcome("indeterminate")
        if urgent:
            name = {"immediate": "urgent"}.get(level, level)
            return Outcome("held" if values["status"] in KEPT else "notify", name)
    return no


def _ratio(values: Mapping[str, Any], debts: Fraction) -> Any:
    """The ratio that the contract names."""
    if isinstance(values["source"], Gone):
        return values["source"]
    if values["source"] == "counter":
        return values["counter"]
    return of(lambda assets: assets / debts, added(values["cash"], values["market"], values["other"]))


def _cells(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {column: raw[name] for name, (column, *_) in COLUMNS.items()}


def _value(name: str, text: str) -> Any:
    letter = COLUMNS[name][1]
    if text == "":
        return EMPTY
    if letter == "n":
        return _fraction(text) / (100 if name in PERCENT else 1)
    if letter in "dm":
        return date.fromisoformat(text[:10])
    return STATUSES[text] if name == "status" else text


def _fraction(text: str) -> Fraction:
    return Fraction(text)


def _cents(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _percent(rng: random.Random, firm: Fraction) -> str:
    """A contract's own line, near the firm's."""
    return f"{int(firm * 100) + rng.choice((-5, 0, 0, 5, 8))}{rng.choice(('', '.00', '.5'))}"
