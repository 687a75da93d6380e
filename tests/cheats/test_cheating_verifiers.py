"""Less than a quorum of dishonest stake changes no score, and costs itself its fees."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.types import SCORE_FRAUD
from tests.cheats.verifiers import (
    CHEATING_VERIFIERS,
    CheatingVerifiers,
    an_epoch,
    decide,
    reaches_quorum,
    settle,
    try_verifiers,
)

VOTES = st.lists(st.tuples(st.sampled_from([0, 10, 50, 100, 255]), st.integers(1, 2**64)), min_size=1, max_size=8)


@pytest.mark.parametrize("cheat", CHEATING_VERIFIERS, ids=lambda cheat: cheat.name)
def test_outcome_is_the_truth_and_the_lie_costs_its_fee(cheat: CheatingVerifiers) -> None:
    result = try_verifiers(cheat, 50)
    assert result.truth_rate == 1
    assert result.fee_share < 0.8


@given(VOTES)
def test_decision_is_fraud_by_quorum_else_the_median(votes: list[tuple[int, int]]) -> None:
    """The property that `testFuzz_Decide_FraudByQuorumElseMedian` asserts of the contract."""
    scores, weights = [score for score, _ in votes], [weight for _, weight in votes]
    total = sum(weights)
    fraud = sum(weight for score, weight in votes if score == SCORE_FRAUD)
    decided = decide(scores, weights, total)
    if reaches_quorum(fraud, total):
        assert decided == SCORE_FRAUD
        return
    plain = [(0 if score == SCORE_FRAUD else score, weight) for score, weight in votes]
    below = sum(weight for vote, weight in plain if vote < decided)
    up_to = sum(weight for vote, weight in plain if vote <= decided)
    assert decided <= 100 and up_to * 2 >= total
    assert decided == 0 or below * 2 < total


def test_two_of_three_verifiers_are_no_quorum_of_6667_and_slash_nobody() -> None:
    assert settle([b"\xff", b"\xff", b"\x64"]).scores == b"\x00"


def test_a_third_and_more_that_stays_silent_makes_an_epoch_void() -> None:
    truth = an_epoch(np.random.default_rng(0))
    settled = settle([None, None, None, None, *[truth] * 6])
    assert settled.scores is None and set(settled.fees) == {0}
    assert settle([None, None, None, *[truth] * 7]).scores == truth


def test_a_colluding_quorum_decides() -> None:
    """The known limit: trust in verifiers is trust in a quorum of their stake."""
    assert settle([b"\xff"] * 7 + [b"\x64"] * 3).scores == b"\xff"
