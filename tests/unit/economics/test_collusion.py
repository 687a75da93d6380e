"""A quorum that pays frauds of its own earns the epoch where nobody looks, and loses its stake where somebody does."""

from dataclasses import replace
from itertools import pairwise

import pytest

from assay_protocol.economics.assumptions import Assumptions
from benchmarks.economics.collusion import CollusionGame, collude
from benchmarks.economics.trials import collusion_trials
from tests.unit.economics.terms import TERMS

GAME = CollusionGame(submissions=8, slash=8.0, fee=1.0, weight=73.0, verdict_share=0.5, in_flight=4)


def test_where_nobody_challenges_it_takes_submissions_and_fee() -> None:
    loot = collude(GAME, seed=1, epochs=100)
    assert (loot.paid, loot.burnt) == (pytest.approx(9 / 8), 0.0)


def test_before_an_honest_panel_every_submission_is_unpaid_and_the_stake_is_gone() -> None:
    loot = collude(replace(GAME, challenged=1.0, in_flight=1), seed=1, epochs=100)
    assert loot.paid == pytest.approx(1 / 8)  # the fee
    assert loot.burnt * 8 == pytest.approx(8 * 8.0 + 73.0)


def test_who_is_faster_than_its_challengers_keeps_a_part_of_its_stake_and_of_nothing_else() -> None:
    loot = collude(replace(GAME, challenged=1.0, in_flight=1, regained=0.5), seed=1, epochs=100)
    assert loot.burnt * 8 == pytest.approx(8 * 8.0 + 73.0 / 2)


def test_one_stake_answers_for_all_epochs_in_flight_together() -> None:
    """What is judged meanwhile was attested to with what is lost already: the initiator's floor is for one epoch."""
    alone, overlapping = (
        collude(replace(GAME, challenged=1.0, in_flight=epochs), seed=2, epochs=4_000).burnt * 8 for epochs in (1, 4)
    )
    assert alone == pytest.approx(64 + 73)
    assert overlapping == pytest.approx(64 + 73 / 4, rel=0.01)


def test_with_all_of_the_jurors_nothing_is_found() -> None:
    loot = collude(replace(GAME, challenged=1.0, panel_share=1.0), seed=3, epochs=100)
    assert (loot.paid, loot.burnt) == (pytest.approx(9 / 8), 0.0)


@pytest.mark.slow
def test_more_challenges_never_help_it_and_more_jurors_never_hurt_it() -> None:
    trials = collusion_trials(TERMS, Assumptions(), seed=4)
    for before, after in pairwise(trials):
        assert all(less < more for more, less in zip(before.profits, after.profits, strict=True))
    assert all(list(trial.profits) == sorted(trial.profits) for trial in trials)
    assert trials[0].profits[0] > 1 > 0 > trials[-1].profits[-1]


def test_equal_seeds_play_alike() -> None:
    game = replace(GAME, challenged=0.2, panel_share=0.3)
    assert collude(game, seed=5, epochs=500) == collude(game, seed=5, epochs=500)
    assert collude(game, seed=5, epochs=500) != collude(game, seed=6, epochs=500)
