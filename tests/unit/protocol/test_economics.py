"""The arithmetic of money: what suffices off chain suffices on chain, nothing is rounded in a cheat's favour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.economics import needed_sampling_bps, needed_slash, verifier_fee, work_payout

wei = st.integers(1, 10**30)
bps = st.integers(1, 10_000)


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
