"""Money as people write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank.money import Money, parse_currency, parse_minor


@pytest.mark.parametrize(("text", "minor"), [
    ("250", 250_00), ("€250", 250_00), ("250.5", 250_50), ("250,50 euro", 250_50), ("1,204.33", 1204_33), ("1.204,33", 1204_33), ("1 204", 1204_00),
    ("1,204", 1204_00), ("1.204", 1204_00), ("sorry 520", 520_00), ("0.01", 1), ("make it 15 please", 15_00), ("0", 0), ("12'500", 12500_00),
])
def test_amounts(text: str, minor: int) -> None:
    assert parse_minor(text) == minor


@pytest.mark.parametrize("text", ["", "fifty", "50 or 60", "-50", "€-50", "- 50", "1.2345", "1234567890123", "٥٠", "1e9", "NaN", "12,34,56"])
def test_what_is_no_single_amount(text: str) -> None:
    assert parse_minor(text) is None


@given(st.integers(0, 10**11 - 1), st.sampled_from(["EUR", "GBP", "USD"]))
def test_what_is_written_reads_back(minor: int, currency: str) -> None:
    text = str(Money(minor, currency))
    assert parse_minor(text) == minor and parse_currency(text) == currency


@given(st.text(max_size=300))
def test_any_text_is_read_without_error(text: str) -> None:
    parsed = parse_minor(text)
    assert parsed is None or parsed >= 0


def test_negative_money_and_currencies() -> None:
    assert str(Money(-42_90, "EUR")) == "-€42.90"
    assert [parse_currency(text) for text in ("50 quid", "EUR 5", "5 bucks", "5")] == ["GBP", "EUR", "USD", None]
