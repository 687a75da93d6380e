"""The tables: who earns what under a task's terms."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.economics.outlook import (
    ATTEST_GAS,
    CLAIM_GAS,
    COMMIT_GAS,
    SETTLE_GAS,
    Assumptions,
    attesting_row,
    challenge_outlook,
    dishonest_earns,
    flight_row,
    honest_earns,
    lazy_outlook,
    look,
    rate_row,
)
from offchain.economics.simulation import Verifiers, score_of
from offchain.economics.trials import lazy_trials, slash_trials
from offchain.protocol.economics import needed_slash, needed_slash_in_flight
from offchain.protocol.types import SCORE_FRAUD, SCORE_FULL
from tests.unit.economics.terms import TERMS

TOKEN = 10**18
GAIN = 64 * 10**16
NO_COSTS = Assumptions()
BUDGET = 200 * TOKEN


def test_the_tables_include_the_terms_own_rate_flights_and_capacity() -> None:
    outlook = look(replace(TERMS, sampling_bps=1_234), BUDGET, Assumptions(epoch_s=200))
    assert (outlook.gain_wei, outlook.capacity) == (GAIN, 8)
    assert [row.sampling_bps for row in outlook.rates if row.sampling_bps == 1_234] == [1_234]
    assert [row.works for row in outlook.flights if row.works == outlook.in_flight] == [outlook.in_flight]
    assert [row.works for row in outlook.attesting if row.works == 8] == [8]


def test_epochs_take_their_commit_window_unless_told_otherwise() -> None:
    assert look(TERMS, BUDGET, NO_COSTS).epoch_s == TERMS.commit_window
    assert look(TERMS, BUDGET, Assumptions(epoch_s=7)).epoch_s == 7


def test_costs_are_nothing_unless_told() -> None:
    assert honest_earns(TERMS, NO_COSTS) == GAIN
    row = attesting_row(TERMS, 8, NO_COSTS)
    assert (row.gas_wei, row.checking_wei) == (0, 0)


def test_honest_work_pays_its_cost_and_its_gas() -> None:
    assumed = Assumptions(work_wei=TOKEN // 10, gas_price=Fraction(10**9))
    assert honest_earns(TERMS, assumed) == GAIN - TOKEN // 10 - (COMMIT_GAS + CLAIM_GAS) * 10**9


def test_a_cheat_pays_gas_for_claims_only_of_works_that_were_spared() -> None:
    dear = Assumptions(gas_price=Fraction(10**9), reporter_bps=0)
    free = Assumptions(reporter_bps=0)
    saved = dishonest_earns(TERMS, 5_000, 1, free) - dishonest_earns(TERMS, 5_000, 1, dear)
    assert saved == (COMMIT_GAS + CLAIM_GAS / 2) * 10**9


@given(sampling=st.integers(1, 10_000), slash=st.integers(0, 10 * TOKEN))
def test_terms_are_accepted_just_when_cheating_loses_by_the_margin(sampling: int, slash: int) -> None:
    row = rate_row(replace(TERMS, fraud_slash=slash), sampling, 1, NO_COSTS)
    assert row.is_safe == (slash * sampling * 10_000 >= GAIN * (10_000 - sampling) * 12_000)
    if row.is_safe and sampling < 10_000:
        assert row.cheat_earns_wei < 0 < row.honest_earns_wei


@given(cost=st.integers(0, GAIN), sampling=st.integers(1, 10_000))
def test_where_terms_are_accepted_honest_work_that_pays_at_all_pays_more_than_cheating(
    cost: int, sampling: int
) -> None:
    terms = replace(TERMS, fraud_slash=needed_slash(GAIN, sampling), trainer_bond=needed_slash(GAIN, sampling))
    row = rate_row(terms, sampling, 1, Assumptions(work_wei=cost))
    assert row.honest_earns_wei >= row.cheat_earns_wei


def test_more_works_in_flight_need_larger_bonds_until_none_is_safe() -> None:
    terms = replace(TERMS, fraud_slash=TOKEN, trainer_bond=TOKEN)
    assert flight_row(terms, 1, NO_COSTS).is_safe
    crowded = flight_row(terms, 3, NO_COSTS)
    assert not crowded.is_safe
    assert crowded.needed_slash_wei == needed_slash_in_flight(GAIN, 5_000, 3)
    assert crowded.needed_bond_wei is not None
    assert flight_row(replace(terms, trainer_bond=crowded.needed_bond_wei), 3, NO_COSTS).is_safe
    assert flight_row(replace(terms, fraud_slash=TOKEN // 2), 1, NO_COSTS).needed_bond_wei is None


def test_without_sampling_nothing_is_safe() -> None:
    outlook = look(replace(TERMS, sampling_bps=0), BUDGET, NO_COSTS)
    assert not any(row.is_safe for row in outlook.flights)
    assert all(row.needed_slash_wei is None for row in outlook.flights)
    assert outlook.lazy.fraud_share is None and outlook.lazy.safe_verdict_slash_wei is None


def test_attesting_costs_less_per_work_the_more_works() -> None:
    assumed = Assumptions(read_wei=100, check_wei=1_000, gas_price=Fraction(3))
    row = attesting_row(TERMS, 10, assumed)
    assert row.fee_wei == TERMS.verifier_fee // 10
    assert row.gas_wei == 3 * ATTEST_GAS // 10 + SETTLE_GAS
    assert row.checking_wei == 100 + 500
    assert row.verifier_keeps_wei == round(Fraction(TERMS.verifier_fee, 30)) - row.gas_wei - row.checking_wei
    assert attesting_row(TERMS, 100, assumed).fee_wei * 10 == row.fee_wei


def test_checking_pays_once_enough_works_are_frauds() -> None:
    """At the share found, what a lazy verifier saves is what its fee loses, by `differences / works` of it."""
    lazy = lazy_outlook(TERMS, 8, Assumptions(check_wei=TOKEN // 1_000))
    assert lazy.saved_wei == 8 * TOKEN // 2_000
    assert lazy.fraud_share == pytest.approx(0.004 / (0.5 / 3 * 0.5))
    assert lazy.safe_verdict_slash_wei == 2 * lazy.saved_wei
    assert lazy_outlook(TERMS, 8, Assumptions(check_wei=TOKEN)).fraud_share is None
    assert lazy_outlook(replace(TERMS, verifier_fee=0), 8, NO_COSTS).fraud_share is None


@given(verifiers=st.integers(1, 40), quorum=st.integers(5_001, 10_000))
def test_as_many_lazy_verifiers_as_told_block_and_pay_frauds(verifiers: int, quorum: int) -> None:
    lazy = lazy_outlook(replace(TERMS, quorum_bps=quorum), 8, Assumptions(verifiers=verifiers))

    def score(count: int) -> int:
        return score_of(Verifiers((1,) * verifiers, tuple(number < count for number in range(verifiers)), quorum))

    assert score(lazy.unslashed_from) != SCORE_FRAUD and score(lazy.unslashed_from - 1) == SCORE_FRAUD
    assert score(lazy.paid_from) == SCORE_FULL and score(lazy.paid_from - 1) != SCORE_FULL


def test_a_challenge_pays_when_its_odds_outweigh_the_bond() -> None:
    assumed = Assumptions(verifiers=5, read_wei=TOKEN // 10, check_wei=TOKEN // 10)
    challenge = challenge_outlook(replace(TERMS, verdict_slash=2 * TOKEN), assumed)
    assert challenge.behind == 3
    assert challenge.reward_wei == 3 * TOKEN + TOKEN // 2
    assert challenge.certainty * challenge.reward_wei == pytest.approx((1 - challenge.certainty) * TERMS.challenge_bond)
    assert challenge.hit_rate == pytest.approx(0.2 / 3.5)


def test_a_challenge_with_nothing_to_win_must_be_certain() -> None:
    challenge = challenge_outlook(replace(TERMS, verdict_slash=0), Assumptions(reporter_bps=0))
    assert (challenge.certainty, challenge.hit_rate) == (1.0, None)
    assert (
        challenge_outlook(replace(TERMS, verdict_slash=0, challenge_bond=0), Assumptions(reporter_bps=0)).certainty
        == 1.0
    )


def test_trials_try_one_work_and_all_in_flight_and_tell_what_pays_under_the_terms() -> None:
    poor = replace(TERMS, fraud_slash=TOKEN, trainer_bond=TOKEN)
    trials = slash_trials(poor, 4, NO_COSTS, seed=1, epochs=400, events=2_000)
    assert {(trial.in_flight, trial.strategy) for trial in trials} == {(1, "always"), (4, "always"), (4, "bursts")}
    assert all(trial.sampling_bps < 10_000 for trial in trials)
    chosen = {(trial.in_flight, trial.chosen) for trial in trials if trial.chosen}
    assert chosen == {(1, "honest"), (4, "always")}
    assert trials == slash_trials(poor, 4, NO_COSTS, seed=1, epochs=400, events=2_000)


def test_trials_with_lazy_verifiers_go_from_none_to_all() -> None:
    trials = lazy_trials(TERMS, Assumptions(verifiers=4), seed=1, epochs=400, events=2_000)
    assert [trial.lazy for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.score for trial in trials] == [255, 255, 0, 100, 100]
    assert trials[0].lazy_fee is None and trials[-1].checker_fee is None
    assert trials[0].cheat_earns < 0 < trials[2].cheat_earns < trials[3].cheat_earns
