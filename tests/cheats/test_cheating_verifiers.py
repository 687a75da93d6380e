"""Less than a quorum of dishonest stake changes no score and costs itself its fees; a quorum falls before panels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.types import PANEL_SEATS, SCORE_FRAUD, SCORE_FULL, SCORE_UNAVAILABLE, DisputePhase
from tests.cheats.panels import CHEATING_JURORS, CheatingJurors, Ruling, Vote, rule, try_jurors
from tests.cheats.verifiers import (
    CHEATING_VERIFIERS,
    CheatingVerifiers,
    an_epoch,
    decide,
    reaches_quorum,
    settle,
    try_verifiers,
)

VOTES = st.lists(st.tuples(st.sampled_from([0, 10, 50, 100, 254, 255]), st.integers(1, 2**64)), min_size=1, max_size=8)


@pytest.mark.parametrize("cheat", CHEATING_VERIFIERS, ids=lambda cheat: cheat.name)
def test_outcome_is_the_truth_and_the_lie_costs_its_fee(cheat: CheatingVerifiers) -> None:
    result = try_verifiers(cheat, 50)
    assert result.truth_rate == 1
    assert result.fee_share < 0.8


@given(VOTES)
def test_decision_is_fraud_by_quorum_else_unavailable_by_half_else_the_median(votes: list[tuple[int, int]]) -> None:
    """The property that a fuzz test asserts of the contract's library."""
    scores, weights = [score for score, _ in votes], [weight for _, weight in votes]
    total = sum(weights)
    fraud = sum(weight for score, weight in votes if score == SCORE_FRAUD)
    unavailable = sum(weight for score, weight in votes if score == SCORE_UNAVAILABLE)
    decided = decide(scores, weights, total)
    if reaches_quorum(fraud, total):
        assert decided == SCORE_FRAUD
    elif unavailable * 2 >= total:
        assert decided == SCORE_UNAVAILABLE
    else:
        plain = [(score if score <= SCORE_FULL else 0, weight) for score, weight in votes]
        below = sum(weight for vote, weight in plain if vote < decided)
        up_to = sum(weight for vote, weight in plain if vote <= decided)
        assert decided <= SCORE_FULL and up_to * 2 >= total
        assert decided == 0 or below * 2 < total


def test_two_of_three_verifiers_are_no_quorum_of_6667_and_slash_nobody() -> None:
    assert settle([b"\xff", b"\xff", b"\x64"]).scores == b"\x00"


def test_a_third_and_more_that_stays_silent_makes_an_epoch_void() -> None:
    truth = an_epoch(np.random.default_rng(0))
    settled = settle([None, None, None, None, *[truth] * 6])
    assert settled.scores is None and set(settled.fees) == {0}
    assert settle([None, None, None, *[truth] * 7]).scores == truth


def test_half_of_the_weight_can_call_a_submission_unavailable_and_that_costs_nobody_a_fee() -> None:
    """The known limit, and what it is for: anyone who could not have the bytes is not punished for saying so."""
    settled = settle([b"\xfe\x64", b"\xfe\x64", b"\x64\x64", b"\xff\x64"])
    assert settled.scores == b"\xfe\x64"
    assert len(set(settled.fees)) == 1
    assert settle([b"\xfe", b"\xfe", b"\x64", b"\x64", b"\x64"]).scores != b"\xfe"


def test_verifiers_that_say_yes_to_all_pay_every_plant_and_honest_ones_none() -> None:
    paid = {cheat.name: try_verifiers(cheat, 50).paid_frauds for cheat in CHEATING_VERIFIERS}
    assert paid["a verifier that always says yes"] == 1
    honest = CheatingVerifiers("honest", "", 1, 4, lambda truth, _: truth)
    assert try_verifiers(honest, 50).paid_frauds == 0


def test_a_colluding_quorum_decides_until_somebody_challenges_and_then_pays_for_it() -> None:
    """Trust in verifiers is no trust in a quorum of their stake: jurors who are none of them have the last word."""
    paid = settle([b"\x64"] * 7 + [b"\xff"] * 3).scores
    blamed = settle([b"\xff"] * 7 + [b"\x64"] * 3).scores
    assert (paid, blamed) == (b"\x64", b"\xff")
    assert rule(SCORE_FULL, [Vote(SCORE_FRAUD)] * PANEL_SEATS) == Ruling(DisputePhase.OVERTURNED, SCORE_FRAUD, True)
    assert rule(SCORE_FRAUD, [Vote(SCORE_FULL)] * PANEL_SEATS) == Ruling(DisputePhase.OVERTURNED, SCORE_FULL, True)


# ------------------------------------------------------------------------------------------------------- jurors


@pytest.mark.parametrize("cheat", CHEATING_JURORS, ids=lambda cheat: cheat.name)
def test_a_panel_with_a_minority_of_cheats_holds(cheat: CheatingJurors) -> None:
    ruling = try_jurors(cheat)
    assert (ruling.score, ruling.is_against_verifiers) == (cheat.holds, cheat.slashed)


SEATS = st.lists(
    st.one_of(st.none(), st.builds(Vote, st.sampled_from([0, 50, 100, 254, 255]), st.booleans())),
    max_size=PANEL_SEATS,
)


@given(st.sampled_from([0, 50, 100, 254, 255]), SEATS)
def test_no_panel_slashes_whom_it_may_not(standing: int, votes: list[Vote | None]) -> None:
    """Too few seats decide nothing; no panel calls a submission unavailable, or blames for that, or beyond what was
    drawn.
    """
    ruling = rule(standing, votes)
    if len(votes) < PANEL_SEATS:
        assert ruling == Ruling(DisputePhase.UNDECIDED, standing)
    assert ruling.score != SCORE_UNAVAILABLE or standing == SCORE_UNAVAILABLE
    assert ruling.is_against_verifiers <= (ruling.outcome is DisputePhase.OVERTURNED)
    assert standing != SCORE_UNAVAILABLE or not ruling.is_against_verifiers
    drawn = sum(vote is not None and not vote.beyond for vote in votes)
    assert not ruling.is_against_verifiers or reaches_quorum(drawn, len(votes))


def test_jurors_who_stay_away_acquit_nobody_and_decide_nothing() -> None:
    few: list[Vote | None] = [Vote(SCORE_FULL)] * 7 + [None] * 8
    assert rule(SCORE_FRAUD, few).outcome is DisputePhase.UNDECIDED
    enough: list[Vote | None] = [Vote(SCORE_FRAUD)] * 5 + [Vote(SCORE_FULL)] * 3 + [None] * 7
    assert rule(SCORE_FRAUD, enough) == Ruling(DisputePhase.UPHELD, SCORE_FRAUD)


def test_a_fraud_beyond_the_draw_costs_the_trainer_and_no_verifier() -> None:
    ruling = rule(SCORE_FULL, [Vote(SCORE_FRAUD, beyond=True)] * PANEL_SEATS)
    assert ruling == Ruling(DisputePhase.OVERTURNED, SCORE_FRAUD, is_against_verifiers=False)
