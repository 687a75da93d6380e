"""The tables: who earns what under a task's terms."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.economics import needed_slash, needed_slash_of, quorum_of
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, KindTerms, SubmissionKind, kinds_of
from assay_protocol.economics.assumptions import ATTEST_GAS, CLAIM_GAS, COMMIT_GAS, SETTLE_GAS, Assumptions
from assay_protocol.economics.outlook import (
    attesting_row,
    challenge_outlook,
    dishonest_earns,
    electorate_row,
    flight_outlook,
    grief_outlook,
    honest_earns,
    kind_row,
    lazy_outlook,
    look,
    rate_row,
)
from benchmarks.economics.simulation import Verifiers, score_of
from tests.unit.economics.terms import TERMS, TOKEN

FULL = SubmissionKind.FULL
GAIN = 64 * 10**16
NO_COSTS = Assumptions()
MIXED = replace(
    TERMS,
    kinds=kinds_of({FULL: KindTerms(TOKEN // 100, 10_000), SubmissionKind.LABELS: KindTerms(TOKEN // 200, 500)}),
)


def test_the_tables_include_the_terms_own_rate_and_capacity() -> None:
    outlook = look(replace(TERMS, sampling_bps=1_234), Assumptions(epoch_s=200))
    assert (outlook.gain_wei, outlook.capacity) == (GAIN, 8)
    assert [row.sampling_bps for row in outlook.rates if row.sampling_bps == 1_234] == [1_234]
    assert (
        [row.submissions for row in outlook.attesting] == [row.submissions for row in outlook.electorate] == [1, 3, 8]
    )


def test_epochs_take_their_commit_window_unless_told_otherwise() -> None:
    assert look(TERMS, NO_COSTS).epoch_s == TERMS.commit_window
    assert look(TERMS, Assumptions(epoch_s=7)).epoch_s == 7


def test_costs_are_nothing_unless_told() -> None:
    assert honest_earns(TERMS, NO_COSTS) == GAIN
    row = attesting_row(TERMS, 8, NO_COSTS)
    assert (row.gas_wei, row.checking_wei) == (0, 0)


def test_honest_submission_pays_its_cost_and_its_gas() -> None:
    assumed = Assumptions(submission_wei=TOKEN // 10, gas_price=Fraction(10**9))
    assert honest_earns(TERMS, assumed) == GAIN - TOKEN // 10 - (COMMIT_GAS + CLAIM_GAS) * 10**9


def test_a_cheat_pays_gas_for_claims_only_of_submissions_that_were_spared() -> None:
    dear = Assumptions(gas_price=Fraction(10**9), reporter_bps=0)
    free = Assumptions(reporter_bps=0)
    saved = dishonest_earns(TERMS, FULL, 5_000, free) - dishonest_earns(TERMS, FULL, 5_000, dear)
    assert saved == (COMMIT_GAS + CLAIM_GAS / 2) * 10**9


@given(sampling=st.integers(1, 10_000), slash=st.integers(0, 10 * TOKEN))
def test_terms_are_accepted_just_when_cheating_loses_by_the_margin(sampling: int, slash: int) -> None:
    row = rate_row(replace(TERMS, fraud_slash=slash), sampling, NO_COSTS)
    assert row.is_safe == (slash * sampling * 10_000 >= GAIN * (10_000 - sampling) * 12_000)
    if row.is_safe and sampling < 10_000:
        assert row.cheat_earns_wei < 0 < row.honest_earns_wei


@given(cost=st.integers(0, GAIN), sampling=st.integers(1, 10_000))
def test_where_terms_are_accepted_honest_submission_that_pays_at_all_pays_more_than_cheating(
    cost: int, sampling: int
) -> None:
    terms = replace(TERMS, fraud_slash=needed_slash(GAIN, sampling), trainer_bond=needed_slash(GAIN, sampling))
    row = rate_row(terms, sampling, Assumptions(submission_wei=cost))
    assert row.honest_earns_wei >= row.cheat_earns_wei


def test_the_kind_that_tempts_most_decides() -> None:
    """Labels pay half, but a cheat in them is found in one of forty submissions: they need the larger slash."""
    whole, labels = kind_row(MIXED, FULL, NO_COSTS), kind_row(MIXED, SubmissionKind.LABELS, NO_COSTS)
    assert (whole.found, labels.found) == (0.5, 0.025)
    assert (whole.is_safe, labels.is_safe) == (True, False)
    assert labels.needed_slash_wei == needed_slash_of(MIXED) == rate_row(MIXED, 5_000, NO_COSTS).needed_slash_wei
    assert rate_row(MIXED, 5_000, NO_COSTS).cheat_earns_wei == labels.cheat_earns_wei
    assert [row.kind for row in look(MIXED, NO_COSTS).kinds] == ["full", "labels"]


def test_more_submissions_in_flight_need_more_bond_and_no_larger_slash() -> None:
    short, long = (flight_outlook(TERMS, Assumptions(epoch_s=seconds)) for seconds in (10**9, 100))
    assert (short.epochs, short.submissions, short.bond_wei) == (2, 2, 10 * TOKEN)
    assert long.bond_wei == long.submissions * TERMS.fraud_slash > short.bond_wei
    several = flight_outlook(replace(TERMS, max_submissions_each=3), Assumptions(epoch_s=10**9))
    assert several.submissions == 6
    # Three submissions each, of which two and a half fill an epoch.
    tight = flight_outlook(replace(TERMS, max_submissions_each=3, max_epoch_units=160), Assumptions(epoch_s=10**9))
    assert (tight.submissions, tight.bond_wei) == (4, 2 * 5 * TERMS.fraud_slash // 2)


@given(submissions=st.integers(1, 8), weight=st.integers(1, 40), verifiers=st.integers(1, 5))
def test_an_epoch_is_met_just_when_its_quorum_outweighs_it(submissions: int, weight: int, verifiers: int) -> None:
    row = electorate_row(TERMS, submissions, Assumptions(verifiers=verifiers, weight_wei=weight * TOKEN))
    at_stake = submissions * (GAIN + TERMS.fraud_slash) + TERMS.verifier_fee
    assert row.is_met == (quorum_of(verifiers * weight * TOKEN, TERMS.quorum_bps) >= at_stake)
    assert row.quorum_wei == at_stake
    assert quorum_of(verifiers * row.each_wei, TERMS.quorum_bps) >= at_stake


def test_a_full_epoch_weighs_what_all_of_its_units_do() -> None:
    """Also those that are too few for one more submission of full size: smaller ones use them."""
    row = look(replace(TERMS, max_epoch_units=160), NO_COSTS).electorate[-1]
    assert row.submissions == 2
    assert row.quorum_wei == 5 * (GAIN + TERMS.fraud_slash) // 2 + TERMS.verifier_fee


def test_without_sampling_nothing_is_safe() -> None:
    outlook = look(replace(TERMS, sampling_bps=0), NO_COSTS)
    assert not any(row.is_safe for row in outlook.kinds)
    assert outlook.lazy.fraud_share is None


def test_attesting_costs_less_per_submission_the_more_submissions() -> None:
    assumed = Assumptions(read_wei=100, check_wei=1_000, gas_price=Fraction(3))
    row = attesting_row(TERMS, 10, assumed)
    assert row.fee_wei == TERMS.verifier_fee // 8  # for an epoch of eight
    assert row.gas_wei == 3 * ATTEST_GAS // 10 + SETTLE_GAS
    assert row.checking_wei == 100 + 500
    assert row.verifier_keeps_wei == round(Fraction(TERMS.verifier_fee, 24)) - row.gas_wei - row.checking_wei
    few, many = attesting_row(TERMS, 1, assumed), attesting_row(TERMS, 8, assumed)
    assert few.fee_wei == many.fee_wei and few.gas_wei > many.gas_wei


def test_by_fees_alone_checking_pays_once_enough_submissions_are_frauds() -> None:
    """At the share found, what a lazy verifier saves is what its fee loses, by `differences / submissions` of it."""
    lazy = lazy_outlook(TERMS, 8, Assumptions(check_wei=TOKEN // 1_000))
    assert lazy.saved_wei == 8 * TOKEN // 2_000
    assert lazy.fraud_share == pytest.approx(0.004 / (0.5 / 3 * 0.5))
    assert lazy.slash_wei == TERMS.verifier_bond // 2
    assert lazy_outlook(TERMS, 8, Assumptions(check_wei=TOKEN)).fraud_share is None
    assert lazy_outlook(replace(TERMS, verifier_fee=0), 8, NO_COSTS).fraud_share is None


@given(verifiers=st.integers(1, 40), quorum=st.integers(5_001, 10_000))
def test_as_many_lazy_verifiers_as_told_block_and_pay_frauds(verifiers: int, quorum: int) -> None:
    lazy = lazy_outlook(replace(TERMS, quorum_bps=quorum), 8, Assumptions(verifiers=verifiers))

    def score(count: int) -> int:
        return score_of(Verifiers((1,) * verifiers, tuple(number < count for number in range(verifiers)), quorum))

    assert score(lazy.unslashed_from) != SCORE_FRAUD and score(lazy.unslashed_from - 1) == SCORE_FRAUD
    assert score(lazy.paid_from) == SCORE_FULL and score(lazy.paid_from - 1) != SCORE_FULL


def test_a_challenge_pays_when_its_odds_outweigh_what_is_put_down() -> None:
    assumed = Assumptions(verifiers=5, read_wei=TOKEN // 10, check_wei=TOKEN // 10, weight_wei=8 * TOKEN)
    challenge = challenge_outlook(TERMS, assumed)
    assert (challenge.behind, challenge.down_wei) == (3, TOKEN + 15 * TOKEN // 10)
    # Half of three slashes of 4, a tenth of the trainer's 5, less the judging.
    assert challenge.reward_wei == 6 * TOKEN + TOKEN // 2 - 15 * TOKEN // 10
    assert challenge.certainty * challenge.reward_wei == pytest.approx((1 - challenge.certainty) * challenge.down_wei)
    assert challenge.hit_rate == pytest.approx(0.2 / 5)


def test_a_finder_never_gets_more_than_ten_bonds_of_verdict_slashes() -> None:
    rich = challenge_outlook(TERMS, Assumptions(weight_wei=10**6 * TOKEN, reporter_bps=0))
    assert rich.reward_wei == 10 * TOKEN - 15 * TOKEN // 10


def test_a_challenge_with_nothing_to_win_must_be_certain() -> None:
    challenge = challenge_outlook(replace(TERMS, verdict_slash_bps=0), Assumptions(reporter_bps=0))
    assert (challenge.certainty, challenge.hit_rate) == (1.0, None)


def test_being_in_the_way_costs_what_the_terms_take() -> None:
    grief = grief_outlook(TERMS, Assumptions(verifiers=4, weight_wei=50 * TOKEN))
    assert (grief.challenge_wei, grief.challenge_delay_s) == (TOKEN + 15 * TOKEN // 10, 300 + 3 * 600)
    assert (grief.silent_wei, grief.silent_delay_s) == (TOKEN + 15 * TOKEN // 10, 300)
    assert grief.undecided_wei == TOKEN // 2
    assert (grief.blockers, grief.void_wei) == (2, 0)  # no more than half is left to bear witness
    of_five = grief_outlook(TERMS, Assumptions(verifiers=5, weight_wei=50 * TOKEN))
    assert (of_five.blockers, of_five.void_wei) == (2, 2 * TOKEN // 2)
    assert grief.unsigned_wei == grief.others_lose_wei == TERMS.verifier_fee // 2
