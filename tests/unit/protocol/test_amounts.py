"""Amounts are exact in both directions, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.amounts import MAX_AMOUNT, Money, parse_amount, parse_rate, plain
from assay_core.protocol.errors import Stop


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 30))
def test_what_is_shown_reads_back_as_the_same_amount(wei: int, decimals: int) -> None:
    assert parse_amount(plain(wei, decimals), decimals) == wei


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 30))
def test_wei_are_taken_as_they_are(wei: int, decimals: int) -> None:
    assert parse_amount(f"{wei} wei", decimals) == wei


@pytest.mark.parametrize(
    ("text", "wei"),
    [("10.5", 10_500_000), ("10", 10_000_000), (".5", 500_000), ("0.000001", 1), ("1_000", 10**9), ("7wei", 7)],
)
def test_amounts_as_people_write_them(text: str, wei: int) -> None:
    assert parse_amount(text, 6) == wei


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", "0x10", "ten", "1.", "NaN", "inf", "1 eth", "1.5 wei", "٣"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(Stop, match="not an amount"):
        parse_amount(text, 18)


def test_more_decimal_places_than_the_token_has_are_refused_rather_than_rounded() -> None:
    with pytest.raises(Stop, match="6 decimal places"):
        parse_amount("0.0000001", 6)


def test_an_amount_that_no_balance_can_reach_is_refused() -> None:
    with pytest.raises(Stop, match="larger than any balance"):
        parse_amount(f"{MAX_AMOUNT + 1} wei", 18)


def test_money_is_shown_with_its_symbol_and_without_needless_zeros() -> None:
    assert Money("ASSAY", 18).show(10_500_000_000_000_000_000) == "10.5 ASSAY"
    assert Money("ASSAY", 18).show(1) == "1 wei"
    assert plain(-1_500, 3) == "-1.5"


@pytest.mark.parametrize(("text", "bps"), [("0.5", 5_000), ("1", 10_000), ("0", 0), ("66.67%", 6_667), ("0.0001", 1)])
def test_rates_become_basis_points(text: str, bps: int) -> None:
    assert parse_rate(text) == bps


@pytest.mark.parametrize("text", ["1.1", "101%", "0.00001", "-0.5", "half", ""])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(Stop, match="rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("wei", "shown", "at_least"),
    [
        (30_600_000_000_000_000_100, "30.6 ASSAY", "30.600001 ASSAY"),
        (10_000_000_000_000_000_000, "10 ASSAY", "10 ASSAY"),
        (999_999_999_999, "999999999999 wei", "0.000001 ASSAY"),
        (0, "0 ASSAY", "0 ASSAY"),
        (-1_999_999_900_000_000_000, "-1.999999 ASSAY", "-1.999999 ASSAY"),
    ],
)
def test_amounts_are_shown_as_people_write_them(wei: int, shown: str, at_least: str) -> None:
    money = Money("ASSAY", 18)
    assert (money.show(wei), money.at_least(wei)) == (shown, at_least)


@given(st.integers(0, 2**120), st.integers(0, 24))
def test_what_is_shown_is_never_more_and_what_is_asked_never_less(wei: int, decimals: int) -> None:
    money = Money("", decimals)
    assert parse_amount(money.show(wei), decimals) <= wei <= parse_amount(money.at_least(wei), decimals)
