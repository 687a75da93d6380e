"""The arithmetic of money: what suffices off chain suffices on chain, nothing is rounded in a cheat's favour."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.protocol.economics import (
    cheat_earns,
    judging_s,
    needed_sampling_bps,
    needed_slash,
    needed_slash_at_once,
    needed_slash_in_flight,
    needed_trainer_bond,
    taken_per_bond,
    verifier_fee,
    work_payout,
    works_in_flight,
)
from offchain.protocol.types import TaskParams
from tests.unit.economics.terms import TERMS

wei = st.integers(1, 10**30)
bps = st.integers(1, 10_000)
flights = st.integers(1, 24)


@given(gain=wei, sampling=bps)
def test_the_needed_slash_is_the_least_that_outweighs_the_gain(gain: int, sampling: int) -> None:
    needed = needed_slash(gain, sampling)
    outweighs = gain * (10_000 - sampling) * 12_000
    assert needed * sampling * 10_000 >= outweighs
    assert needed == 0 or (needed - 1) * sampling * 10_000 < outweighs


@given(gain=wei, slash=wei)
def test_the_needed_sampling_rate_is_the_least_with_which_a_slash_suffices(gain: int, slash: int) -> None:
    rate = needed_sampling_bps(gain, slash)
    assert needed_slash(gain, rate) <= slash
    assert rate == 1 or needed_slash(gain, rate - 1) > slash


def test_without_sampling_no_slash_suffices() -> None:
    with pytest.raises(ValueError, match="always pays"):
        needed_slash(1, 0)


def test_nothing_to_gain_needs_no_slash() -> None:
    assert needed_slash(0, 1) == 0
    assert needed_sampling_bps(0, 1) == 1


def test_a_fraud_earns_nothing_and_payouts_round_down() -> None:
    assert work_payout(3, 10, 255) == 0
    assert work_payout(3, 11, 50) == 16


@given(fee=wei, weights=st.lists(st.integers(1, 10**30), min_size=1, max_size=8), works=st.integers(1, 100))
def test_verifiers_together_never_get_more_than_the_fee(fee: int, weights: list[int], works: int) -> None:
    assert sum(verifier_fee(fee, weight, sum(weights), 0, works) for weight in weights) <= fee


def test_a_verifier_that_differed_gets_less() -> None:
    assert verifier_fee(100, 1, 2, 5, 10) == 25
    assert verifier_fee(100, 0, 0, 0, 0) == 0


@given(gain=wei, sampling=bps)
def test_one_work_in_flight_needs_the_slash_that_the_contracts_ask_for(gain: int, sampling: int) -> None:
    assert needed_slash_in_flight(gain, sampling, 1) == needed_slash(gain, sampling)
    assert needed_slash_at_once(gain, sampling, 1) == needed_slash(gain, sampling)


@given(gain=wei, sampling=bps, works=flights)
def test_the_slash_for_works_judged_together_is_the_least_that_outweighs_them(
    gain: int, sampling: int, works: int
) -> None:
    p = Fraction(sampling, 10_000)
    slash, outweighs = needed_slash_at_once(gain, sampling, works), works * (1 - p) * gain * Fraction(12, 10)
    assert slash * (1 - (1 - p) ** works) >= outweighs
    assert slash == 0 or (slash - 1) * (1 - (1 - p) ** works) < outweighs


@given(gain=wei, sampling=bps, works=flights)
def test_a_cheat_that_goes_on_until_it_is_found_needs_the_larger_slash(gain: int, sampling: int, works: int) -> None:
    assert needed_slash_in_flight(gain, sampling, works) >= needed_slash_at_once(gain, sampling, works)
    assert needed_slash_in_flight(gain, sampling, works + 1) >= needed_slash_in_flight(gain, sampling, works)


@given(gain=wei, sampling=st.integers(1, 9_999), works=flights)
def test_the_slash_for_a_stream_of_works_is_the_least_with_which_it_does_not_pay(
    gain: int, sampling: int, works: int
) -> None:
    slash, with_margin = needed_slash_in_flight(gain, sampling, works), Fraction(12, 10)
    # With a bond of one slash, a gain larger by the margin would just be outweighed.
    assert cheat_earns(gain, slash, slash, sampling, works) <= 0
    works_per_bond = Fraction(10_000, sampling) + works - 1
    paid = works_per_bond * gain * Fraction(10_000 - sampling, 10_000) * with_margin
    assert slash - 1 < paid <= slash


@given(slash=st.integers(0, 50), bond=st.integers(0, 200), sampling=bps, works=st.integers(1, 7))
def test_what_is_taken_of_a_bond_is_the_mean_over_all_ways_to_be_drawn(
    slash: int, bond: int, sampling: int, works: int
) -> None:
    p, mean = Fraction(sampling, 10_000), Fraction(0)
    for drawn in product((False, True), repeat=works - 1):
        chance = p ** sum(drawn) * (1 - p) ** (works - 1 - sum(drawn))
        mean += chance * min(bond, (1 + sum(drawn)) * slash)
    assert taken_per_bond(bond, slash, sampling, works) == mean


@settings(max_examples=50)
@given(gain=wei, sampling=bps, works=flights, spare=st.integers(0, 10**30))
def test_the_needed_bond_is_the_least_that_makes_works_in_flight_safe(
    gain: int, sampling: int, works: int, spare: int
) -> None:
    slash = max(needed_slash(gain, sampling) + spare, 1)
    bond = needed_trainer_bond(gain, slash, sampling, works)
    assert bond is not None and slash <= bond <= works * slash

    def suffices(bond_wei: int) -> bool:
        works_per_bond = Fraction(10_000, sampling) + works - 1
        outweighs = works_per_bond * gain * Fraction(10_000 - sampling, 10_000) * Fraction(12, 10)
        return taken_per_bond(bond_wei, slash, sampling, works) >= outweighs

    assert suffices(bond)
    assert bond == slash or not suffices(bond - 1)


def test_no_bond_makes_up_for_a_slash_that_is_too_small_for_one_work() -> None:
    assert needed_trainer_bond(100, needed_slash(100, 5_000) - 1, 5_000, 3) is None


def test_a_bond_of_one_slash_for_each_work_in_flight_is_as_good_as_one_work_at_a_time() -> None:
    one_by_one = cheat_earns(100, 5 * 130, 130, 5_000)
    assert cheat_earns(100, 5 * 130, 130, 5_000, works=5) == one_by_one == Fraction(50 - 65)


@given(gain=wei, sampling=st.integers(1, 9_999), reporter=st.integers(0, 1_666))
def test_a_cheat_that_reports_itself_still_loses(gain: int, sampling: int, reporter: int) -> None:
    slash = needed_slash(gain, sampling)
    assert cheat_earns(gain, slash, slash, sampling, reporter_bps=reporter) < 0


def test_without_sampling_a_cheat_keeps_everything() -> None:
    assert cheat_earns(100, 50, 50, 0, works=4) == 100
    for needed in (needed_slash_at_once, needed_slash_in_flight):
        with pytest.raises(ValueError, match="always pays"):
            needed(100, 0, 2)
    with pytest.raises(ValueError, match="always pays"):
        needed_trainer_bond(100, 50, 0, 2)


RICH = 10**6 * TERMS.max_epoch_units * TERMS.unit_price


@pytest.mark.parametrize(
    ("epoch_s", "works"),
    [
        pytest.param(10**9, 2, id="epochs overlap: there are always two"),
        pytest.param(judging_s(TERMS), 2, id="sealed when the first is final"),
        pytest.param(judging_s(TERMS) - 1, 3, id="sealed just before"),
        pytest.param(judging_s(TERMS) // 10, 11, id="short epochs"),
    ],
)
def test_works_in_flight_are_those_committed_before_the_first_is_final(epoch_s: int, works: int) -> None:
    assert works_in_flight(TERMS, epoch_s, RICH) == works


@pytest.mark.parametrize(
    ("terms", "budget", "works"),
    [
        pytest.param(TERMS, 3 * (TERMS.max_work_units * TERMS.unit_price + TERMS.verifier_fee), 3, id="by the budget"),
        pytest.param(replace(TERMS, max_epochs=5), RICH, 5, id="by the epochs"),
        pytest.param(TERMS, 0, 1, id="never less than one"),
    ],
)
def test_works_in_flight_are_bounded(terms: TaskParams, budget: int, works: int) -> None:
    assert works_in_flight(terms, 1, budget) == works
