"""The arithmetic of money: what suffices off chain suffices on chain, nothing is rounded in a cheat's favour."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offchain.protocol.economics import (
    cheat_earns,
    free_ride,
    judging_s,
    needed_sampling_bps,
    needed_slash,
    needed_slash_at_once,
    needed_slash_in_flight,
    needed_trainer_bond,
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


def best_by_trying_all(gain: int, left: int, slash: int, p: Fraction, works: int) -> Fraction:
    """What the best of all plans yields, by the definition: cheat or not, drawn or not, over again."""
    if works == 0:
        return Fraction(0)
    lost = min(slash, left)
    drawn, spared, waited = (best_by_trying_all(gain, rest, slash, p, works - 1) for rest in (left - lost, left, left))
    return max(waited, (1 - p) * (gain + spared) + p * (drawn - lost))


@settings(max_examples=60)
@given(
    gain=st.integers(0, 50), slash=st.integers(0, 50), left=st.integers(0, 200), sampling=bps, works=st.integers(0, 5)
)
def test_a_free_ride_is_the_best_of_all_plans(gain: int, slash: int, left: int, sampling: int, works: int) -> None:
    expected = best_by_trying_all(gain, left, slash, Fraction(sampling, 10_000), works)
    assert free_ride(gain, left, slash, sampling, works) == expected


@settings(max_examples=50)
@given(gain=wei, sampling=st.integers(1, 9_999), works=flights, spare=st.integers(0, 10**30))
def test_the_needed_bond_is_the_least_that_makes_works_in_flight_safe(
    gain: int, sampling: int, works: int, spare: int
) -> None:
    slash = needed_slash(gain, sampling) + spare
    bond = needed_trainer_bond(gain, slash, sampling, works)
    assert bond is not None and slash <= bond <= works * slash

    def suffices(bond_wei: int) -> bool:
        # a gain larger by the margin; everything times ten, to stay with whole numbers
        return cheat_earns(12 * gain, 10 * bond_wei, 10 * slash, sampling, works) <= 0

    assert suffices(bond)
    assert bond == slash or not suffices(bond - 1)


def test_one_slash_for_each_is_asked_for_where_a_search_would_take_too_long() -> None:
    assert needed_trainer_bond(100, 130, 5_000, 1_000) == 130_000


@given(gain=wei, sampling=st.integers(1, 9_999), works=flights)
def test_a_bond_of_one_slash_for_each_work_in_flight_always_suffices(gain: int, sampling: int, works: int) -> None:
    slash = needed_slash(gain, sampling)
    assert cheat_earns(gain, works * slash, slash, sampling, works) < 0


def test_no_bond_makes_up_for_a_slash_that_is_too_small_for_one_work() -> None:
    assert needed_trainer_bond(100, needed_slash(100, 5_000) - 1, 5_000, 3) is None


def test_what_a_cheat_earns_by_hand() -> None:
    # One work: half of them are paid 100, half cost 130.
    assert cheat_earns(100, 130, 130, 5_000) == Fraction(50 - 65)
    # Two in flight, one bond: per bond one work paid, one slash, then one work that is paid half of the time.
    assert cheat_earns(100, 130, 130, 5_000, works=2) == Fraction(100 - 130 + 50, 3)
    # Two bonds: to gamble with the second does not pay.
    assert cheat_earns(100, 260, 130, 5_000, works=2) == Fraction(100 - 130, 3)
    # A tenth of the slash comes back.
    assert cheat_earns(100, 130, 130, 5_000, reporter_bps=1_000) == Fraction(50) - Fraction(117, 2)


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


def test_scores_are_final_when_reports_and_appeals_are_over() -> None:
    terms = replace(TERMS, attest_window=1, reveal_window=10, challenge_window=100, appeal_window=1_000)
    assert judging_s(terms) == 1 + 3 * 10 + 100 + 2 * 1_000
    assert judging_s(replace(terms, challenge_window=0)) == 1 + 2 * 10


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
