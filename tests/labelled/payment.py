"""Allotments to pay, from both markets, with the bucket each client's day belongs in, labelled apart from the product.

A row of a clearing file names an account and a security; whose it is, what it costs and when it is to be paid stands in other
tables, which have mistakes of their own here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from tests.labelled.cells import malformed
from tests.labelled.gone import EMPTY, INVALID, MISSING, Gone, added, first_of, gone, of
from tests.labelled.tables import TORN, Outcome, Table

RULE, KIND, FEED = "ipo/payment", "allotment", "allotments"
IN_FORCE = date(2017, 9, 8)
NAMES = ("normal", "frozen", "closed", "deceased", "dormant", "id_expired", "minor", "special_care")
STATUSES = {str(code): name for code, name in enumerate(NAMES)}
BY_STATUS = {"closed": "suppressed", "deceased": "held"}
"""Nobody is told what a closed account won; what a dead client won is for a person to look at. All others are told."""
ISSUES = 60

# field: (column, type of the cell, whether it has a bound of nought)
SZ = {
    "account": ("FXZQZH", "i", False),
    "code": ("FXZQDM", "c", False),
    "record": ("FXYWLB", "c", False),
    "lot": ("FXDDBH", "c", False),
    "allotted": ("FXQRGS", "n", True),
    "price": ("FXZJJE", "n", True),
    "sent_on": ("FXFSRQ", "D", False),
}
SH = {
    "account": ("stock_account", "i", False),
    "exchange": ("exchange_type", "e", False),
    "code": ("stock_code", "c", False),
    "allotted": ("business_amount", "n", True),
    "price": ("business_price", "n", True),
    "amount": ("business_balance", "n", True),
    "sent_on": ("init_date", "d", False),
}
PARTS = {"sz": SZ, "sh": SH}
NEEDED = ("exchange", "account", "code", "record", "lot", "allotted", "sent_on")
ISSUE = {
    "code": ("stock_code", "c", False),
    "exchange": ("exchange_type", "e", False),
    "name": ("stock_name", "x", False),
    "kind": ("stock_type", "e", False),
    "regime": ("regime", "e", False),
    "issue_price": ("issue_price", "n", True),
    "apply_date": ("apply_date", "d", False),
    "pay_on": ("payment_date", "d", False),
}
OWNER = {"account": ("stock_account", "i", False), "client": ("client_id", "i", False)}
CLIENT = {
    "client": ("client_id", "i", False),
    "organ": ("organ_flag", "e", False),
    "status": ("client_status", "e", False),
}
ROWS = (
    "the same row again",
    "the same row again, apart",
    "contradicting rows",
    "contradicting rows, apart",
    "torn record",
    "other business",
    "unknown security",
    "unknown account",
)


@dataclass
class Line:
    """One row of a part that is no reject by itself."""

    place: tuple[str, int]
    values: Mapping[str, Any]


@dataclass
class Book:
    """One reading of the feed."""

    rng: random.Random
    day: date
    facts: int
    labels: dict[tuple[str, int], Outcome] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._table = {name: Table([c for c, *_ in spec.values()]) for name, spec in PARTS.items()}
        self._issue, self._owner = _table(ISSUE), _table(OWNER)
        self._client = _table(CLIENT)
        self._issues: dict[str, Mapping[str, Any]] = {}
        self._owners: dict[str, Any] = {}
        self._status: dict[str, Any] = {}
        self._lines: list[Line] = []
        self._torn: set[str] = set()
        # what comes again at the end of its table
        self._late: list[tuple[str, dict[str, Any], dict[str, Any], str]] = []
        codes = [self._new_issue(i) for i in range(ISSUES)]
        for i in range(self.facts):
            self._new_client(i, codes)
        for part, raw, values, way in self._late:
            self._refused(part, raw, values, tears=way.startswith("contradicting"))
        self._label()

    feed = FEED

    @property
    def tables(self) -> dict[tuple[str, str], Table]:
        return {
            (KIND, "sz"): self._table["sz"],
            (KIND, "sh"): self._table["sh"],
            ("new_issue", "counter"): self._issue,
            ("stock_account", "counter"): self._owner,
            ("client", "counter"): self._client,
        }

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(f"{self.day}T07:30:00+08:00")

    def _count(self, way: str) -> None:
        self.ways[way] = self.ways.get(way, 0) + 1

    def _spoilt(
        self, spec: Mapping[str, tuple[str, str, bool]], texts: Mapping[str, str], odds: float
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The raw cells of a row and what they are worth; with these odds one of them is malformed."""
        values = {name: _value(name, spec[name][1], text) for name, text in texts.items()}
        raw: dict[str, Any] = dict(texts)
        if self.rng.random() < odds:
            name = self.rng.choice(list(spec))
            _, letter, bounded = spec[name]
            if bounded and self.rng.random() < 0.15:
                self._count("negative")
                raw[name], values[name] = "-1", INVALID
            elif texts[name]:
                way, raw[name] = malformed(self.rng, letter, texts[name])
                self._count(way.name)
                if way.worth != "same":
                    values[name] = EMPTY if way.worth == "empty" else INVALID
        return raw, values

    def _new_issue(self, number: int) -> str:
        rng = self.rng
        code, bond = f"{730000 + number:06d}", rng.random() < 0.4
        texts = {
            "code": code,
            "exchange": rng.choice("12"),
            "name": f"样例{number}",
            "kind": "bond" if bond else "stock",
            "regime": "prepaid" if rng.random() < 0.2 else "credit_apply",
            "issue_price": "100" if bond else f"{rng.randrange(1, 90)}.{rng.randrange(100):02d}",
            "apply_date": self.day.isoformat(),
            "pay_on": self.day.isoformat(),
        }
        if rng.random() < 0.05:
            self._count("wrong day")
            texts["pay_on"] = rng.choice(("2017-09-07", "2024-01-02"))
        raw, values = self._spoilt(ISSUE, texts, 0.2)
        if rng.random() < 0.04:
            self._count("missing look-up")
            return code
        self._issue.add(_cells(ISSUE, raw))
        if rng.random() < 0.04:
            self._count("ambiguous look-up")
            self._issue.add(_cells(ISSUE, {**raw, "exchange": "9", "code": code}))
            good = not gone(values["code"], values["exchange"])
            if good:
                return code
            values = {**values, "code": code, "exchange": "BSE"}
        if not gone(values["code"], values["exchange"]):
            self._issues[code] = values
        return code

    def _new_client(self, number: int, codes: list[str]) -> None:
        rng = self.rng
        client = f"S{number:08d}"
        self._status[client] = MISSING
        if rng.random() > 0.02:
            texts = {"client": client, "organ": rng.choice("01"), "status": rng.choice("0000000012234567")}
            raw, values = self._spoilt(CLIENT, texts, 0.06)
            self._client.add(_cells(CLIENT, raw))
            if not gone(values["client"]):
                self._status[client] = values["status"]
        else:
            self._count("missing look-up")
        accounts = {"sz": f"0{number:09d}", "sh": f"A{number:09d}"}
        for account in accounts.values():
            self._new_owner(account, client)
        for i in range(rng.choice((1, 1, 1, 2, 3))):
            part = rng.choice(("sz", "sh"))
            self._new_row(part, accounts[part], codes[(number + i * 7) % len(codes)], i)

    def _new_owner(self, account: str, client: str) -> None:
        raw, values = self._spoilt(OWNER, {"account": account, "client": client}, 0.03)
        good = not gone(values["account"], values["client"])
        if self.rng.random() < 0.005 and good:
            self._count("contradicting look-up")
            self._owner.add(_cells(OWNER, raw))
            self._owner.add({"stock_account": account, "client_id": client[:-1] + "X"})
            return
        self._owner.add(_cells(OWNER, raw))
        if good:
            self._owners[account] = client

    def _new_row(self, part: str, account: str, code: str, lot: int) -> None:
        rng = self.rng
        spec = PARTS[part]
        way = rng.choice(ROWS) if rng.random() < 0.12 else ""
        if way == "unknown security":
            code = f"99999{lot}"
        elif way == "unknown account":
            account = "Z" + account[1:]
        allotted = rng.choice((0, 1, 10, 500, 1000)) if rng.random() < 0.2 else rng.choice((10, 500, 1000))
        known = self._issues.get(code, {}).get("issue_price", Fraction(7))
        price = known if isinstance(known, Fraction) else Fraction(7)
        if rng.random() < 0.06:
            price += Fraction(1, 100)
        texts = {
            "account": account,
            "code": code,
            "record": "B7" if way == "other business" else "A3",
            "lot": f"{lot:012d}",
            "exchange": "1",
            "allotted": str(allotted),
            "price": _plain(price),
            "amount": _plain(price * allotted) if rng.random() < 0.6 else "",
            "sent_on": self.day.strftime("%Y%m%d" if part == "sz" else "%Y-%m-%d"),
        }
        texts = {name: texts[name] for name in spec}
        raw, values = self._spoilt(spec, texts, 0.25 if not way else 0.0)
        values = {"exchange": "SZSE", "record": "A3", "lot": "-", "amount": MISSING, **values}
        if way:
            if part == "sh" and way == "other business":
                way = ""  # the counter's own table has no other business
            else:
                self._count(way)
        self._put(part, way, raw, values)

    def _put(self, part: str, way: str, raw: dict[str, Any], values: dict[str, Any]) -> None:
        if way == "torn record":
            self.labels[part, self._table[part].add(TORN)] = Outcome("reject")
            return
        if way == "other business":
            self.labels[part, self._table[part].add(_cells(PARTS[part], raw))] = Outcome("other")
            return
        if gone(*(values[name] for name in NEEDED)):
            self._refused(part, raw, values, tears=True)
            return
        other = {**raw, "price": "0.05"}
        if way == "contradicting rows":
            self._refused(part, raw, values, tears=True)
            self._refused(part, other, values, tears=True)
            return
        self._lines.append(Line((part, self._table[part].add(_cells(PARTS[part], raw))), values))
        if way == "the same row again":
            self._refused(part, raw, values, tears=False)
        elif way.endswith("apart"):
            self._late.append((part, other if way.startswith("contradicting") else raw, values, way))

    def _refused(self, part: str, raw: Mapping[str, Any], values: Mapping[str, Any], *, tears: bool) -> None:
        """A reject. Whose it is, is told by its account, also by one with white space about it that the first fault names."""
        self.labels[part, self._table[part].add(_cells(PARTS[part], raw))] = Outcome("reject")
        account = values["account"]
        if isinstance(account, Gone) and isinstance(raw["account"], str) and not gone(values["exchange"]):
            account = raw["account"].strip()
        owner = self._owners.get(account) if isinstance(account, str) else None
        if tears and owner:
            self._torn.add(owner)

    def _label(self) -> None:
        groups: dict[tuple[Any, ...], list[Line]] = {}
        for line in self._lines:
            issue = self._issues.get(line.values["code"], {})
            client = self._owners.get(line.values["account"], MISSING)
            regime = issue.get("regime", MISSING)
            prepaid = regime if isinstance(regime, Gone) else regime != "credit_apply"
            key = (client, issue.get("pay_on", MISSING), prepaid)
            groups.setdefault(key, []).append(line)
        for (client, pay_on, prepaid), lines in groups.items():
            outcome = self._outcome(client, pay_on, prepaid, lines)
            self.labels.update((line.place, outcome) for line in lines)

    def _outcome(self, client: Any, pay_on: Any, prepaid: Any, lines: list[Line]) -> Outcome:
        if gone(client, pay_on):
            return Outcome("reject")
        if pay_on < IN_FORCE:
            return Outcome("no_match")
        if client in self._torn or isinstance(prepaid, Gone):
            return Outcome("indeterminate")
        if prepaid:
            return Outcome("no_match")
        total = added(*(_due(line) for line in lines))
        if isinstance(total, Gone):
            return Outcome("indeterminate")
        if total <= 0:
            return Outcome("no_match")
        status = self._status[client]
        if isinstance(status, Gone):
            return Outcome("indeterminate")
        if status in BY_STATUS:
            return Outcome(BY_STATUS[status])
        return Outcome("notify" if all(self._agrees(line) for line in lines) else "held")

    def _agrees(self, line: Line) -> bool:
        """Whether the amount is certainly the published price times the number."""
        price = self._issues[line.values["code"]]["issue_price"]
        return of(lambda due, price, number: due == price * number, _due(line), price, line.values["allotted"]) is True


def _due(line: Line) -> Any:
    """What the row says is to be paid: its amount, else its price times the number."""
    values = line.values
    return first_of(values["amount"], of(lambda price, number: price * number, values["price"], values["allotted"]))


def _table(spec: Mapping[str, tuple[str, str, bool]]) -> Table:
    return Table([column for column, *_ in spec.values()])


def _cells(spec: Mapping[str, tuple[str, str, bool]], raw: Mapping[str, Any]) -> dict[str, Any]:
    return {column: raw[name] for name, (column, *_) in spec.items()}


def _value(name: str, letter: str, text: str) -> Any:
    if text == "":
        return EMPTY
    if letter == "n":
        return Fraction(text)
    if letter in "dD":
        digits = text.replace("-", "")
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    return STATUSES[text] if name == "status" else text


def _plain(value: Fraction) -> str:
    """Exactly, with at most two decimals: prices are in cents."""
    cents = value * 100
    assert cents.denominator == 1
    return f"{cents.numerator // 100}.{cents.numerator % 100:02d}"
