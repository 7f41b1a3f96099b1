"""Exact decimals: rounding of amounts and ratios for calculation and display. No floats anywhere."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

CENT = Decimal("0.01")
EXACT = Context(prec=50)
"""Fifty digits: products and quotients of the amounts in this business lose nothing that a comparison could see."""


def cents_up(amount: Decimal) -> Decimal:
    """To the cent, never less (amounts to add or repay, domain.md A4)."""
    return amount.quantize(CENT, ROUND_CEILING, EXACT)


def cents_down(amount: Decimal) -> Decimal:
    """To the cent, never more (withdrawable amounts)."""
    return amount.quantize(CENT, ROUND_FLOOR, EXACT)


def cents(amount: Decimal) -> Decimal:
    """To the cent, half up."""
    return amount.quantize(CENT, ROUND_HALF_UP, EXACT)


def show_money(amount: Decimal) -> str:
    """`1234567.5` -> `1,234,567.50`."""
    return f"{cents(amount):,}"


def show_ratio(ratio: Decimal) -> str:
    """A plain ratio as a percentage with two decimals, cut, never rounded up: 1.29999999 -> '129.99%' (domain.md A4)."""
    percent = EXACT.multiply(ratio, Decimal(100)).quantize(CENT, ROUND_DOWN, EXACT)
    return f"{percent}%"


def plain(number: Decimal) -> str:
    """A decimal without exponent and without trailing zeros after the point; `-0` is `0`."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
