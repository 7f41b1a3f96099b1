"""Amounts and ratios: which way they round, how they are shown, and that nothing is lost on the way."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.model.money import CENT, EXACT, cents, cents_down, cents_up, plain, show_money, show_ratio

amounts = st.decimals(min_value="-1e12", max_value="1e12", allow_nan=False, allow_infinity=False, places=8)
decimals = st.decimals(min_value="-1e30", max_value="1e30", allow_nan=False, allow_infinity=False)


@given(amounts)
def test_up_is_never_less_and_down_never_more_by_a_cent(amount: Decimal) -> None:
    up, down = cents_up(amount), cents_down(amount)
    assert down <= amount <= up
    assert up - down in (0, CENT)
    assert (up == down) is (amount % CENT == 0)
    assert cents(amount) in (up, down)


@given(amounts)
def test_the_nearest_cent_is_at_most_half_a_cent_away(amount: Decimal) -> None:
    assert abs(cents(amount) - amount) <= CENT / 2
    assert cents(-amount) == -cents(amount)


@pytest.mark.parametrize(
    ("assets", "debts", "target", "add", "sell"),
    [  # domain.md A4, test vectors
        ("1350000", "912345.67", "1.5", "18518.51", "37037.01"),
        ("1300000", "1000000", "1.5", "200000.00", "400000.00"),
        ("1299999.99", "1000000", "1.5", "200000.01", "400000.02"),
        ("900000", "905000", "1.5", "457500.00", "915000.00"),
    ],
)
def test_the_amounts_of_a_call_are_those_of_the_vectors(
    assets: str, debts: str, target: str, add: str, sell: str
) -> None:
    a, d, line = Decimal(assets), Decimal(debts), Decimal(target)
    missing = EXACT.subtract(EXACT.multiply(line, d), a)
    assert cents_up(missing) == Decimal(add)
    assert cents_up(EXACT.divide(missing, line - 1)) == Decimal(sell)


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        ("1.30", "130.00%"),
        ("1.29999999", "129.99%"),
        ("1.299999999999999999999999999999", "129.99%"),
        ("1.47970232", "147.97%"),
        ("0.99447514", "99.44%"),
        ("3", "300.00%"),
        ("0", "0.00%"),
    ],
)
def test_a_ratio_is_cut_and_never_shown_as_reached(ratio: str, shown: str) -> None:
    assert show_ratio(Decimal(ratio)) == shown


@given(st.decimals(min_value=0, max_value=100, allow_nan=False, places=12))
def test_a_shown_ratio_is_at_most_the_true_one_and_less_than_a_hundredth_of_a_point_below(ratio: Decimal) -> None:
    shown = Decimal(show_ratio(ratio)[:-1]) / 100
    assert shown <= ratio < shown + Decimal("0.0001")


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234567.5", "1,234,567.50"),
        ("0", "0.00"),
        ("999.995", "1,000.00"),
        ("-1234.5", "-1,234.50"),
        ("1E+3", "1,000.00"),
    ],
)
def test_money_is_shown_with_groups_and_two_places(amount: str, shown: str) -> None:
    assert show_money(Decimal(amount)) == shown


@given(decimals)
def test_a_plain_decimal_reads_back_exactly_and_has_one_form(number: Decimal) -> None:
    text = plain(number)
    assert Fraction(text) == Fraction(number)
    assert "e" not in text.lower()
    assert plain(Decimal(text)) == text
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    assert plain(Decimal((sign, (*digits, 0), exponent - 1))) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("1.50", "1.5"),
        ("100", "100"),
        ("1E+2", "100"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0.10", "0.1"),
        ("1E-7", "0.0000001"),
    ],
)
def test_a_plain_decimal_has_no_exponent_and_no_idle_zeros(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


def test_rounding_does_not_depend_on_the_threads_context() -> None:
    amount = Decimal("123456789012345678901234567890.005")
    with localcontext() as context:
        context.prec, context.rounding = 5, ROUND_CEILING
        assert cents(amount) == Decimal("123456789012345678901234567890.01")
        assert cents_down(amount) == Decimal("123456789012345678901234567890.00")
        assert show_ratio(Decimal("1.29999999")) == "129.99%"
        assert show_money(amount) == "123,456,789,012,345,678,901,234,567,890.01"
