"""The arithmetic of money: what suffices off chain suffices on chain, nothing is rounded in a cheat's favour."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.economics import (
    challenge_cost,
    cheat_earns,
    epoch_cost,
    epoch_fee,
    epoch_submissions,
    epochs_in_flight,
    finders_part,
    gain_of,
    greatest_gain,
    judging_s,
    needed_electorate,
    needed_sampling_bps,
    needed_slash,
    needed_slash_of,
    needed_weight,
    plant_deposit,
    quorum_of,
    share_up,
    submission_payout,
    verifier_fee,
)
from assay_core.protocol.types import KindTerms, SubmissionKind, kinds_of
from tests.unit.economics.terms import TERMS

wei = st.integers(1, 10**30)
bps = st.integers(1, 10_000)
WHOLE = 10_000 * 10_000
TWO_KINDS = replace(
    TERMS,
    kinds=kinds_of(
        {SubmissionKind.ROLLOUTS: KindTerms(3 * 10**15, 2_500), SubmissionKind.TRAINING: KindTerms(7 * 10**15, 10_000)}
    ),
)


@given(gain=wei, sampling=bps, detection=bps)
def test_the_needed_slash_is_the_least_that_outweighs_the_gain(gain: int, sampling: int, detection: int) -> None:
    needed, found = needed_slash(gain, sampling, detection), sampling * detection
    outweighs = gain * (WHOLE - found) * 12_000
    assert needed * found * 10_000 >= outweighs
    assert needed == 0 or (needed - 1) * found * 10_000 < outweighs


@given(gain=wei, slash=wei, detection=bps)
def test_the_needed_sampling_rate_is_the_least_with_which_a_slash_suffices(
    gain: int, slash: int, detection: int
) -> None:
    rate = needed_sampling_bps(gain, slash, detection)
    if rate is None:
        assert needed_slash(gain, 10_000, detection) > slash
        return
    assert needed_slash(gain, rate, detection) <= slash
    assert rate == 1 or needed_slash(gain, rate - 1, detection) > slash


def test_without_sampling_no_slash_suffices() -> None:
    with pytest.raises(ValueError, match="always pays"):
        needed_slash(1, 0)


def test_nothing_to_gain_needs_no_slash() -> None:
    assert needed_slash(0, 1) == 0
    assert needed_sampling_bps(0, 1) == 1


def test_the_slash_outweighs_the_most_tempting_kind_that_is_asked_for() -> None:
    assert gain_of(TWO_KINDS, SubmissionKind.ROLLOUTS) == 64 * 3 * 10**15
    assert greatest_gain(TWO_KINDS) == 64 * 7 * 10**15
    # The cheaper kind is found so much more rarely that it needs the larger slash.
    assert needed_slash_of(TWO_KINDS) == needed_slash(64 * 3 * 10**15, 5_000, 2_500)
    assert needed_slash_of(TWO_KINDS) > needed_slash(64 * 7 * 10**15, 5_000)


def test_an_epoch_reserves_the_dearest_kind_for_all_its_units() -> None:
    assert epoch_cost(TWO_KINDS) == 512 * 7 * 10**15 + TERMS.verifier_fee


@given(gain=wei, sampling=bps, detection=bps, reporter=st.integers(0, 1_666))
def test_a_cheat_that_reports_itself_still_loses(gain: int, sampling: int, detection: int, reporter: int) -> None:
    slash = needed_slash(gain, sampling, detection)
    earned = cheat_earns(gain, slash, sampling, detection, reporter)
    assert earned < 0 or sampling * detection == WHOLE


def test_what_a_cheat_earns_by_hand() -> None:
    assert cheat_earns(100, 130, 5_000) == Fraction(50 - 65)
    assert cheat_earns(100, 130, 5_000, 5_000) == Fraction(75) - Fraction(130, 4)
    assert cheat_earns(100, 130, 5_000, reporter_bps=1_000) == Fraction(50) - Fraction(117, 2)
    assert cheat_earns(100, 50, 0) == 100


def test_a_fraud_earns_nothing_and_payouts_round_down() -> None:
    assert [submission_payout(3, 10, score) for score in (252, 253, 254, 255)] == [0, 0, 0, 0]
    assert submission_payout(3, 11, 50) == 16


@given(fee=wei, weights=st.lists(st.integers(1, 10**30), min_size=1, max_size=8), submissions=st.integers(1, 100))
def test_verifiers_together_never_get_more_than_the_fee(fee: int, weights: list[int], submissions: int) -> None:
    assert sum(verifier_fee(fee, weight, sum(weights), 0, submissions) for weight in weights) <= fee


def test_an_epoch_has_as_much_of_the_fee_as_submissions_were_paid() -> None:
    params = replace(TERMS, max_epoch_units=160)  # two submissions and a half, of 64
    assert [epoch_fee(params, paid) for paid in range(4)] == [0, 2 * 10**17, 4 * 10**17, TERMS.verifier_fee]


def test_a_verifier_that_differed_gets_less() -> None:
    assert verifier_fee(100, 1, 2, 5, 10) == 25
    assert verifier_fee(100, 1, 2, 11, 10) == 0  # frauds that it missed may be more than what was paid
    assert verifier_fee(100, 0, 0, 0, 0) == 0


@given(units=st.integers(1, 65_536), quorum=st.integers(5_001, 10_000), fee=wei, slash=wei)
def test_the_needed_electorate_is_the_least_whose_quorum_outweighs_the_epoch(
    units: int, quorum: int, fee: int, slash: int
) -> None:
    """Also where the last submission of an epoch is not a full one."""
    params = replace(TERMS, quorum_bps=quorum, verifier_fee=fee, fraud_slash=slash)
    weight, needed = needed_electorate(params, units), needed_weight(params, units)
    can_be_had = units * (greatest_gain(params) + slash)  # of full submissions, so many
    assert (needed - fee - 1) * params.max_submission_units < can_be_had <= (needed - fee) * params.max_submission_units
    assert quorum_of(weight, quorum) >= needed > quorum_of(weight - 1, quorum)


@given(gain=st.integers(1, 10**20))
def test_committing_to_a_plant_takes_more_than_its_submission_can_earn(gain: int) -> None:
    params = replace(TERMS, kinds=kinds_of({SubmissionKind.FULL: KindTerms(gain, 10_000)}))
    assert plant_deposit(params) * 10 >= greatest_gain(params) * 12
    assert (plant_deposit(params) - 1) * 10 < greatest_gain(params) * 12


def test_slashes_round_up_and_finders_get_half_of_them_up_to_ten_bonds() -> None:
    assert (share_up(101, 5_000), share_up(0, 5_000)) == (51, 0)
    params = replace(TERMS, challenge_bond=10)
    assert finders_part(params, 101) == 50
    assert finders_part(params, 1_000) == 100
    assert challenge_cost(replace(params, juror_fee=3)) == 10 + 15 * 3


def test_scores_are_final_when_reports_and_appeals_are_over() -> None:
    terms = replace(TERMS, attest_window=1, reveal_window=10, challenge_window=100, appeal_window=1_000)
    assert judging_s(terms) == 1 + 2 * 10 + 100 + 3 * 1_000
    assert judging_s(replace(terms, challenge_window=0)) == 1 + 10


@pytest.mark.parametrize(
    ("epoch_s", "epochs"),
    [
        pytest.param(10**9, 2, id="epochs overlap: there are always two"),
        pytest.param(judging_s(TERMS), 2, id="sealed when the first is final"),
        pytest.param(judging_s(TERMS) - 1, 3, id="sealed just before"),
        pytest.param(judging_s(TERMS) // 10, 11, id="short epochs"),
    ],
)
def test_epochs_in_flight_are_those_opened_before_the_first_is_final(epoch_s: int, epochs: int) -> None:
    assert epochs_in_flight(TERMS, epoch_s) == epochs
    assert epochs_in_flight(replace(TERMS, max_epochs=1), epoch_s) == 1


def test_an_epoch_holds_as_many_submissions_as_its_units() -> None:
    assert epoch_submissions(TERMS) == 8
