"""Fund holdings with the window announced for each, and the bucket they belong in, labelled apart from the product."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from tests.labelled.cells import malformed
from tests.labelled.gone import (
    AMBIGUOUS,
    EMPTY,
    INVALID,
    MISSING,
    Gone,
    below,
    both,
    either,
    first_of,
    gone,
    of,
    opposite,
)
from tests.labelled.tables import TORN, Outcome, Table

RULE, KIND, FEED = "fund/open_window", "fund_holding", "fund_holdings"
FUNDS = 80
NAMES = ("normal", "frozen", "closed", "deceased", "dormant", "id_expired", "minor", "special_care")
STATUSES = {str(code): name for code, name in enumerate(NAMES)}
SILENT = ("closed", "deceased")
FUND_STATUSES = {
    "0": "open",
    "1": "issuing",
    "4": "suspended",
    "5": "no_buy",
    "6": "no_redeem",
    "8": "terminated",
    "9": "closed",
}
STOPPED = ("suspended", "terminated", "closed")

Spec = Mapping[str, tuple[str, str, bool]]
# field: (column, type of the cell, whether it has a bound of nought)
HOLDING: Spec = {
    "client": ("client_id", "i", False),
    "fund": ("fund_code", "c", False),
    "share": ("current_share", "n", True),
    "day": ("business_date", "d", False),
    "organ": ("organ_flag", "e", False),
    "status": ("client_status", "e", False),
}
HOLDING_NEEDS = ("client", "fund", "share", "day")
WINDOW: Spec = {
    "fund": ("fund_code", "c", False),
    "name": ("fund_name", "x", False),
    "id": ("announcement_id", "c", False),
    "state": ("state", "e", False),
    "announced": ("notice_date", "d", False),
    "kind": ("kind", "e", False),
    "start": ("start", "d", False),
    "end": ("end", "d", False),
    "cutoff": ("cutoff", "t", False),
    "can_buy": ("can_buy", "b", False),
    "can_redeem": ("can_redeem", "b", False),
    "individuals": ("individuals_ok", "b", False),
}
WINDOW_NEEDS = tuple(name for name in WINDOW if name not in ("end", "individuals"))
INFO: Spec = {
    "fund": ("FundCode", "c", False),
    "value_kind": ("NetValueType", "c", False),
    "nav": ("NAV", "n", True),
    "nav_date": ("UpdateDate", "D", False),
    "limit": ("IndiDayMaxSumBuy", "n", True),
    "status": ("FundStatus", "e", False),
}
INFO_NEEDS = ("fund", "value_kind")
ROWS = ("the same row again", "contradicting rows", "torn record", "nothing held", "unknown fund")


@dataclass
class Looked:
    """What a table knows by fund: good rows, funds of which a row was refused, and whether a row of an unknown fund was."""

    rows: dict[Any, list[Mapping[str, Any]]] = field(default_factory=dict)
    doubted: set[Any] = field(default_factory=set)
    blind: bool = False

    def refuse(self, fund: Any) -> None:
        if isinstance(fund, Gone):
            self.blind = True
        else:
            self.doubted.add(fund)

    def none(self, fund: Any) -> Gone:
        """Why no row is found."""
        return INVALID if self.blind or fund in self.doubted else MISSING


@dataclass
class Book:
    """One reading of the feed."""

    rng: random.Random
    day: date
    facts: int
    labels: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)

    feed = FEED

    def __post_init__(self) -> None:
        self._holding, self._window, self._info = (_table(spec) for spec in (HOLDING, WINDOW, INFO))
        self._windows, self._infos = Looked(), Looked()
        for i in range(FUNDS):
            self._new_fund(f"{160000 + i:06d}", i)
        if self.rng.random() < 0.1:
            self._count("torn record of a look-up")
            self._window.add(TORN)
            self._windows.blind = True
        for i in range(self.facts):
            self._new_holding(i)

    @property
    def tables(self) -> dict[tuple[str, str], Table]:
        return {
            (KIND, "counter"): self._holding,
            ("fund_window", "announcements"): self._window,
            ("fund_info", "ofd_07"): self._info,
        }

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(f"{self.day}T08:30:00+08:00")

    def _count(self, way: str) -> None:
        self.ways[way] = self.ways.get(way, 0) + 1

    def _spoilt(self, spec: Spec, texts: Mapping[str, str], odds: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """The raw cells of a row and what they are worth; with these odds one of them is malformed."""
        values = {name: _value(name, spec, text) for name, text in texts.items()}
        raw: dict[str, Any] = dict(texts)
        if self.rng.random() < odds:
            name = self.rng.choice(list(spec))
            _, letter, bounded = spec[name]
            if bounded and self.rng.random() < 0.3:
                self._count("negative")
                raw[name], values[name] = "-0.01", INVALID
            elif texts[name]:
                way, raw[name] = malformed(self.rng, letter, texts[name])
                self._count(way.name)
                if way.worth != "same":
                    values[name] = EMPTY if way.worth == "empty" else INVALID
        return raw, values

    def _new_fund(self, code: str, number: int) -> None:
        rng = self.rng
        if rng.random() < 0.85:
            self._new_window(code, f"A{number:05d}")
            if rng.random() < 0.05:
                self._count("ambiguous look-up")
                self._new_window(code, f"B{number:05d}")
        else:
            self._count("missing look-up")
        if rng.random() < 0.9:
            self._new_info(code, "0")
        if rng.random() < 0.1:
            self._count("look-up of other business")
            self._new_info(code, "1")

    def _new_window(self, code: str, id_: str) -> None:
        rng = self.rng
        start = self.day + timedelta(days=rng.choice((-5, -1, 0, 0, 1, 4)))
        end = start + timedelta(days=rng.choice((-1, 0, 1, 5, 20)))
        texts = {
            "fund": code,
            "name": f"样例基金{code}",
            "id": id_,
            "state": "withdrawn" if rng.random() < 0.06 else "announced",
            "announced": (self.day - timedelta(days=rng.choice((-1, 0, 1, 10, 10, 10)))).isoformat(),
            "kind": "rolling" if rng.random() < 0.06 else "periodic",
            "start": start.isoformat(),
            "end": "" if rng.random() < 0.15 else end.isoformat(),
            "cutoff": "15:00",
            "can_buy": rng.choice("01"),
            "can_redeem": rng.choice("01"),
            "individuals": rng.choice("1110"),
        }
        raw, values = self._spoilt(WINDOW, texts, 0.12)
        if gone(*(values[name] for name in WINDOW_NEEDS)):
            self._window.add(_cells(WINDOW, raw))
            self._windows.refuse(values["fund"])
            return
        self._window.add(_cells(WINDOW, raw))
        if rng.random() < 0.03:
            self._count("contradicting look-up")
            self._window.add(_cells(WINDOW, {**raw, "cutoff": "14:00" if raw["cutoff"] != "14:00" else "13:00"}))
            self._windows.refuse(values["fund"])
        elif values["kind"] == "periodic":
            self._windows.rows.setdefault(values["fund"], []).append(values)

    def _new_info(self, code: str, value_kind: str) -> None:
        texts = {
            "fund": code,
            "value_kind": value_kind,
            "nav": "1.0230",
            "nav_date": self.day.strftime("%Y%m%d"),
            "limit": self.rng.choice(("", "100000.00")),
            "status": self.rng.choice("0000000001456689"),
        }
        raw, values = self._spoilt(INFO, texts, 0.1)
        self._info.add(_cells(INFO, raw))
        if gone(*(values[name] for name in INFO_NEEDS)):
            self._infos.refuse(values["fund"])
        elif values["value_kind"] == "0":
            self._infos.rows.setdefault(values["fund"], []).append(values)

    def _new_holding(self, number: int) -> None:
        rng = self.rng
        way = rng.choice(ROWS) if rng.random() < 0.1 else ""
        if way:
            self._count(way)
        texts = {
            "client": f"S{number:08d}",
            "fund": "999999" if way == "unknown fund" else f"{160000 + number % FUNDS:06d}",
            "share": "0.00" if way == "nothing held" else f"{rng.randrange(1, 10**7)}.{rng.randrange(100):02d}",
            "day": "2015-04-23" if rng.random() < 0.02 else self.day.isoformat(),
            "organ": rng.choice("0001"),
            "status": rng.choice("0000000012234567"),
        }
        raw, values = self._spoilt(HOLDING, texts, 0.35)
        if way == "torn record":
            self._put(TORN, Outcome("reject"))
            return
        outcome = self._label(values)
        if way == "contradicting rows" and outcome.bucket != "reject":
            self._put(_cells(HOLDING, raw), Outcome("reject"))
            self._put(_cells(HOLDING, {**raw, "share": "0.07"}), Outcome("reject"))
            return
        self._put(_cells(HOLDING, raw), outcome)
        if way == "the same row again":
            self._put(_cells(HOLDING, raw), Outcome("reject"))

    def _put(self, cells: Mapping[str, Any] | str, outcome: Outcome) -> None:
        self.labels["counter", self._holding.add(cells)] = outcome

    def _label(self, holding: Mapping[str, Any]) -> Outcome:
        if gone(*(holding[name] for name in HOLDING_NEEDS)):
            return Outcome("reject")
        day, fund = holding["day"], holding["fund"]
        if day < date(2015, 4, 24):
            return Outcome("no_match")
        window = self._in_force(fund, day)
        if isinstance(window, Gone):
            return Outcome("no_match" if window == MISSING else "indeterminate")
        if window["state"] == "withdrawn" or holding["share"] <= 0:
            return Outcome("no_match")
        if isinstance(window["end"], Gone) and window["end"] != EMPTY:
            return Outcome("indeterminate")  # when it is over cannot be told
        # a window in force is not over
        if isinstance(holding["status"], Gone):
            return Outcome("indeterminate")
        if holding["status"] in SILENT:
            return Outcome("suppressed")
        private = of(lambda organ: organ == "0", holding["organ"])
        barred = both(private, opposite(window["individuals"]))
        if barred is not False:
            return Outcome("suppressed" if barred is True else "indeterminate")
        return self._held(window, day, self._status(fund))

    def _in_force(self, fund: Any, day: date) -> Any:
        """The one window that is announced and not over, or why there is none."""
        found = [
            row
            for row in self._windows.rows.get(fund, ())
            if row["announced"] <= day and (isinstance(row["end"], Gone) or day <= row["end"])
        ]
        if len(found) > 1:
            return AMBIGUOUS
        return found[0] if found else self._windows.none(fund)

    def _status(self, fund: Any) -> Any:
        rows = self._infos.rows.get(fund, ())
        found = AMBIGUOUS if len(rows) > 1 else rows[0]["status"] if rows else self._infos.none(fund)
        return first_of(found, "unstated")

    def _held(self, window: Mapping[str, Any], day: date, status: Any) -> Outcome:
        """Whether a contradiction keeps the match for a person."""
        last = window["start"] if window["end"] == EMPTY else window["end"]
        backwards = below(last, window["start"])
        stopped = of(lambda word: word in STOPPED, status)
        no_buy = both(window["can_buy"], of(lambda word: word == "no_buy", status))
        no_redeem = both(window["can_redeem"], of(lambda word: word == "no_redeem", status))
        differs = both(window["start"] <= day, either(either(stopped, no_buy), no_redeem))
        if backwards is True or differs is True:
            return Outcome("held")
        return Outcome("indeterminate" if gone(backwards, differs) else "notify")


def _table(spec: Spec) -> Table:
    return Table([column for column, *_ in spec.values()])


def _cells(spec: Spec, raw: Mapping[str, Any]) -> dict[str, Any]:
    return {column: raw[name] for name, (column, *_) in spec.items()}


def _value(name: str, spec: Spec, text: str) -> Any:
    letter = spec[name][1]
    if text == "":
        return EMPTY
    if letter == "n":
        return Fraction(text)
    if letter in "dD":
        digits = text.replace("-", "")
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    if letter == "b":
        return text == "1"
    if name == "status":
        return (FUND_STATUSES if spec is INFO else STATUSES)[text]
    return text
