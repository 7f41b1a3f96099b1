"""The shipped cards: each variant's exact words (golden files), clean under the lint, a document within the limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon.cards import rcs, rcs_lint
from daemon.cards.card import Card
from daemon.cards.lint import lint
from daemon.cards.load import load_card
from daemon.cards.preview import to_text
from daemon.cards.render import Rendered, render
from daemon.cards.words import shipped_elements, shipped_words
from daemon.model.kinds import Absence

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "cards"
HOSTS = frozenset({"m.example.com"})
NAMES = (
    "fund/followers",
    "fund/limit_change",
    "fund/lot_open",
    "fund/open_window",
    "ipo/payment",
    "margin/maintenance",
)
Values = Mapping[str, Any]

ITEMS = (
    {
        "security_name": "诺瓦星云",
        "security_code": "301589",
        "kind": "stock",
        "quantity": Decimal(500),
        "unit": "股",
        "price": Decimal("126.89"),
        "due": Decimal("63445.00"),
    },
    {
        "security_name": "益丰转债",
        "security_code": "113682",
        "kind": "bond",
        "quantity": Decimal(1),
        "unit": "手",
        "price": Absence.MISSING,
        "due": Decimal("1000.00"),
    },
)
PAYMENT: Values = {
    "payment_date": date(2024, 2, 1),
    "total_due": Decimal("64445.00"),
    "cash": Decimal("30000.5"),
    "cash_as_of": datetime(2024, 1, 31, 23, 50, tzinfo=UTC),
    "short": Decimal("34444.50"),
    "rows": ITEMS,
    "cutoff": time(16),
    "waivers": Decimal(2),
    "waivers_sh": Decimal(1),
    "waivers_sz": Decimal(1),
    "merge_markets": True,
    "account_tail": "1234",
    "amounts_in_sms": True,
}
WINDOW: Values = {
    "fund_code": "012742",
    "fund_name": "示例三个月定期开放债券A",
    "window_kind": "subscribe_redeem",
    "cutoff": time(15),
    "window_start": date(2024, 3, 28),
    "window_end": date(2024, 4, 12),
    "nav": Decimal("1.0230"),
    "nav_date": date(2024, 3, 27),
    "day_limit": Decimal(10000),
    "can_buy": True,
    "can_redeem": True,
}
FOLLOWED: Values = {**WINDOW, "product_risk": "R2"}
LIMIT: Values = {
    "fund_code": "000834",
    "fund_name": "大成纳斯达克100ETF联接(QDII)A",
    "limit_from": date(2026, 5, 27),
    "previous_limit": Decimal(500),
    "day_limit": Decimal(100),
    "purchase_status": "limited",
    "cutoff": time(15),
}
LOT: Values = {
    "fund_code": "016816",
    "fund_name": "兴业120天滚动持有债券A",
    "confirmed_on": date(2023, 12, 1),
    "open_day": date(2024, 4, 1),
    "cutoff": time(15),
    "nav": Decimal("1.0512"),
    "nav_date": date(2024, 3, 29),
}
MARGIN: Values = {
    "account_tail": "1234",
    "business_date": date(2024, 2, 5),
    "basis": "day_end",
    "ratio": Decimal("1.29999999"),
    "as_of": datetime(2024, 2, 5, 7, 30, tzinfo=UTC),
    "own_ratio": Decimal("1.3021"),
    "line_call": Decimal("1.30"),
    "line_warning": Decimal("1.50"),
    "line_target": Decimal("1.50"),
    "line_immediate": Decimal("1.10"),
    "to_add": Decimal("200000.01"),
    "to_sell": Decimal("400000.02"),
    "sale_gap": Decimal(0),
    "to_repay": Decimal("133333.34"),
    "deadline": datetime(2024, 2, 7, 7, 0, tzinfo=UTC),
    "amounts_in_sms": True,
}
LATE_NIGHT = datetime(2024, 2, 5, 14, 20, tzinfo=UTC)

# (golden file, card, values, stage, level, marks)
CASES: list[tuple[str, str, Values, str, str, Values]] = [
    ("ipo-morning", "ipo/payment", PAYMENT, "morning", "", {}),
    (
        "ipo-morning-no-cash",
        "ipo/payment",
        {**PAYMENT, "cash": Absence.MISSING, "waivers": Decimal(0)},
        "morning",
        "",
        {},
    ),
    ("ipo-morning-no-amounts", "ipo/payment", {**PAYMENT, "amounts_in_sms": False}, "morning", "", {}),
    ("ipo-noon-short", "ipo/payment", PAYMENT, "noon", "", {}),
    (
        "ipo-last-call-short",
        "ipo/payment",
        {**PAYMENT, "amounts_in_sms": Absence.EMPTY},
        "last_call",
        "",
        {"late": True},
    ),
    ("ipo-last-call-enough", "ipo/payment", {**PAYMENT, "short": Decimal(0)}, "last_call", "", {}),
    ("ipo-correction", "ipo/payment", PAYMENT, "correction/1", "", {}),
    ("ipo-withdrawn", "ipo/payment", PAYMENT, "correction/2", "", {"gone": True}),
    ("fund-withdrawn", "fund/open_window", WINDOW, "correction/1", "", {"gone": True}),
    ("margin-above-target", "margin/maintenance", {**MARGIN, "to_add": Decimal(0)}, "warning/notice", "warning", {}),
    ("ipo-stale", "ipo/payment", PAYMENT, "noon", "", {"stale_as_of": LATE_NIGHT}),
    ("fund-opening", "fund/open_window", WINDOW, "opening", "", {}),
    ("fund-opening-no-nav", "fund/open_window", {**WINDOW, "nav": Absence.EMPTY}, "opening", "", {}),
    ("fund-redeem-only", "fund/open_window", {**WINDOW, "can_buy": False}, "opening", "", {}),
    ("fund-closing", "fund/open_window", WINDOW, "closing", "", {}),
    ("fund-closing-no-nav", "fund/open_window", {**WINDOW, "nav": None, "window_end": None}, "closing", "", {}),
    ("fund-correction", "fund/open_window", WINDOW, "correction/1", "", {}),
    (
        "ipo-last-call-by-market",
        "ipo/payment",
        {**PAYMENT, "merge_markets": False},
        "last_call",
        "",
        {},
    ),
    ("followers-opening", "fund/followers", FOLLOWED, "opening", "", {}),
    (
        "followers-moved",
        "fund/followers",
        {**FOLLOWED, "window_start": date(2024, 4, 8), "window_end": None, "day_limit": None, "product_risk": None},
        "correction/1",
        "",
        {},
    ),
    ("followers-withdrawn", "fund/followers", FOLLOWED, "correction/1", "", {"gone": True}),
    ("limit-lowered", "fund/limit_change", LIMIT, "change", "", {}),
    ("limit-corrected", "fund/limit_change", {**LIMIT, "day_limit": Decimal(50)}, "correction/1", "", {}),
    ("limit-suspended", "fund/limit_change", {**LIMIT, "purchase_status": "suspended"}, "change", "", {}),
    ("limit-unstated", "fund/limit_change", {**LIMIT, "day_limit": None}, "change", "", {}),
    ("limit-withdrawn", "fund/limit_change", LIMIT, "correction/1", "", {"gone": True}),
    ("lot-ahead", "fund/lot_open", LOT, "ahead", "", {}),
    ("lot-open-no-nav", "fund/lot_open", {**LOT, "nav": None}, "open_day", "", {}),
    ("lot-moved", "fund/lot_open", {**LOT, "open_day": date(2024, 4, 3)}, "correction/1", "", {}),
    (
        "margin-attention",
        "margin/maintenance",
        {**MARGIN, "ratio": Decimal("1.61")},
        "attention/notice",
        "attention",
        {},
    ),
    ("margin-warning", "margin/maintenance", {**MARGIN, "ratio": Decimal("1.45")}, "warning/notice", "warning", {}),
    ("margin-call", "margin/maintenance", MARGIN, "call/notice", "call", {"ratio_differs": True}),
    (
        "margin-call-no-amounts",
        "margin/maintenance",
        {**MARGIN, "to_add": Absence.MISSING, "amounts_in_sms": Absence.MISSING},
        "call/notice",
        "call",
        {},
    ),
    (
        "margin-call-late-stale",
        "margin/maintenance",
        MARGIN,
        "call/notice",
        "call",
        {"stale_as_of": LATE_NIGHT, "late": True},
    ),
    ("margin-call-no-deadline", "margin/maintenance", {**MARGIN, "deadline": None}, "call/notice", "call", {}),
    ("margin-urgent", "margin/maintenance", {**MARGIN, "ratio": Decimal("1.0999")}, "urgent/notice", "urgent", {}),
    (
        "margin-urgent-no-sale",
        "margin/maintenance",
        {**MARGIN, "ratio": Decimal("0.9944"), "to_sell": Decimal(915000), "sale_gap": Decimal(15000)},
        "urgent/notice",
        "urgent",
        {},
    ),
    ("margin-correction", "margin/maintenance", MARGIN, "correction/1", "call", {}),
]


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    paths = {name: ROOT / "templates" / f"{name}.card.yaml" for name in NAMES}
    return {name: load_card(path.read_bytes(), f"templates/{name}.card.yaml") for name, path in paths.items()}


def shown(cards: dict[str, Card], case: tuple[str, str, Values, str, str, Values]) -> Rendered:
    _, name, values, stage, level, marks = case
    return render(cards[name], values, stage=stage, level=level, marks=marks, signature="示例证券")


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_words_equal_the_golden_file(case: tuple[str, str, Values, str, str, Values], cards: dict[str, Card]) -> None:
    assert to_text(shown(cards, case)) == (GOLDEN / f"{case[0]}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_document_keeps_the_strictest_limits(
    case: tuple[str, str, Values, str, str, Values], cards: dict[str, Card]
) -> None:
    made = shown(cards, case)
    assert rcs_lint.faults(made.rcs, rcs.CTCU, HOSTS) == []
    assert made.omitted == ()
    assert made.sms_parts <= 4


def test_every_variant_has_a_golden_file(cards: dict[str, Card]) -> None:
    seen = {(case[1], shown(cards, case).variant) for case in CASES}
    assert seen == {(name, v.name) for name, card in cards.items() for v in card.variants}


@pytest.mark.parametrize("name", NAMES)
def test_shipped_cards_have_no_findings(name: str, cards: dict[str, Card]) -> None:
    assert lint(cards[name], words=shipped_words(), elements=shipped_elements(), hosts=HOSTS) == []


def test_an_amount_is_not_in_an_sms_without_agreement(cards: dict[str, Card]) -> None:
    for agreed in (False, Absence.MISSING, Absence.AMBIGUOUS, None):
        for case in CASES:
            if not case[1].startswith("fund/"):
                made = shown(cards, (*case[:2], {**case[2], "amounts_in_sms": agreed}, *case[3:]))
                assert not any(f"{v:,.2f}" in made.sms for v in case[2].values() if isinstance(v, Decimal) and v > 100)


def test_a_call_of_an_unknown_level_gets_the_complete_wording(cards: dict[str, Card]) -> None:
    made = render(cards["margin/maintenance"], MARGIN, stage="severe/notice", level="severe")
    assert made.variant == "general"
    assert "强制平仓" in made.description
    assert "200,000.01" in made.description


def test_a_breach_is_never_shown_as_the_line(cards: dict[str, Card]) -> None:
    made = render(cards["margin/maintenance"], MARGIN, level="call")
    assert "129.99%" in made.description
    assert "比例为130" not in made.description
