"""Cheats that do what pays, and verifiers that look at nothing, do as the formulas say, within 2 %."""

from dataclasses import replace

import pytest

from assay_core.protocol.economics import cheat_earns, needed_slash, verifier_fee
from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID
from benchmarks.economics.simulation import (
    ALWAYS,
    BURSTS,
    CAREFUL,
    HONEST,
    Game,
    Strategy,
    Verifiers,
    best_strategy,
    break_even_slash,
    play,
    score_of,
    trainers_for,
)

UNIT = 10**18
MARGIN = 1.2
TOLERANCE = 0.02
EPOCHS = 960  # whole bursts of all lengths tried here
EVENTS = 40_000
TEN_THOUSAND = 10_000

rates = pytest.mark.parametrize("sampling_bps", [200, 1_000, 2_000, 5_000, 8_000, 9_500])


def people(sampling_bps: int) -> int:
    return trainers_for(sampling_bps / TEN_THOUSAND, EPOCHS, EVENTS)


@rates
def test_cheating_breaks_even_at_the_slash_that_the_contracts_ask_for_less_the_margin(sampling_bps: int) -> None:
    game = Game(sampling_bps / TEN_THOUSAND, slash=1.0, bond=1.0)
    measured = break_even_slash(game, seed=1, epochs=EPOCHS, trainers=people(sampling_bps))
    assert measured * MARGIN == pytest.approx(needed_slash(UNIT, sampling_bps) / UNIT, rel=TOLERANCE)


@rates
@pytest.mark.parametrize("in_flight", [2, 8])
@pytest.mark.parametrize("strategy", [ALWAYS, BURSTS], ids=lambda strategy: strategy.name)
def test_overlap_changes_nothing_because_each_submission_has_a_slash_of_its_own(
    sampling_bps: int, in_flight: int, strategy: Strategy
) -> None:
    game = Game(sampling_bps / TEN_THOUSAND, slash=1.0, bond=float(in_flight), in_flight=in_flight)
    trainers = people(sampling_bps) * (2 if strategy is BURSTS else 1)  # which rest half of the time
    measured = break_even_slash(game, strategy, seed=2, epochs=EPOCHS, trainers=trainers)
    assert measured * MARGIN == pytest.approx(needed_slash(UNIT, sampling_bps) / UNIT, rel=TOLERANCE)


@pytest.mark.parametrize("sampling_bps", [1_000, 5_000])
def test_knowing_of_a_draw_before_it_is_slashed_changes_nothing(sampling_bps: int) -> None:
    """Draws are public at the seal. Who stops then gains nothing by it: each submission has its own slash at stake."""
    game = Game(sampling_bps / TEN_THOUSAND, slash=1.0, bond=8.0, in_flight=8)
    measured = break_even_slash(game, CAREFUL, seed=3, epochs=EPOCHS, trainers=8 * people(sampling_bps))
    assert measured * MARGIN == pytest.approx(needed_slash(UNIT, sampling_bps) / UNIT, rel=TOLERANCE)


@pytest.mark.parametrize(("sampling_bps", "detection_bps"), [(5_000, 2_500), (10_000, 1_000), (800, 5_000)])
def test_what_a_replay_misses_counts_as_if_it_had_not_been_drawn(sampling_bps: int, detection_bps: int) -> None:
    game = Game(sampling_bps / TEN_THOUSAND, slash=1.0, bond=2.0, in_flight=2, detection=detection_bps / TEN_THOUSAND)
    trainers = people(sampling_bps * detection_bps // TEN_THOUSAND)
    measured = break_even_slash(game, seed=3, epochs=EPOCHS, trainers=trainers)
    assert measured * MARGIN == pytest.approx(needed_slash(UNIT, sampling_bps, detection_bps) / UNIT, rel=TOLERANCE)


@pytest.mark.parametrize("sampling_bps", [2_000, 8_000])
@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("bond_slashes", [1.0, 4.0, 10.0])
@pytest.mark.slow
def test_rational_trainers_cheat_just_below_break_even_and_not_just_above(
    sampling_bps: int, in_flight: int, bond_slashes: float
) -> None:
    break_even = needed_slash(UNIT, sampling_bps) / UNIT / MARGIN
    chosen: list[Strategy] = []
    for factor in (1 - TOLERANCE, 1 + TOLERANCE):
        slash = break_even * factor
        game = Game(sampling_bps / TEN_THOUSAND, slash, slash * bond_slashes, in_flight)
        trainers = trainers_for(game.sampling, EPOCHS, 150_000)
        chosen.append(best_strategy(game, seed=4, epochs=EPOCHS, trainers=trainers))
    assert chosen[0].share > 0.0
    assert chosen[1] is HONEST


@pytest.mark.parametrize("reporter_bps", [0, 1_000, 1_666])
def test_cheats_earn_what_the_formula_says(reporter_bps: int) -> None:
    game = Game(0.3, 2.0, 8.0, in_flight=4, reporter_share=reporter_bps / TEN_THOUSAND)
    outcome = play(game, ALWAYS, seed=5, epochs=EPOCHS, trainers=people(3_000))
    expected = cheat_earns(UNIT, 2 * UNIT, 3_000, reporter_bps=reporter_bps) / UNIT
    assert outcome.profit_per_submission == pytest.approx(float(expected), abs=TOLERANCE)


def test_a_bond_bounds_the_submissions_in_flight_and_never_answers_for_two() -> None:
    outcome = play(Game(1.0, 2.0, 5.0, in_flight=4), ALWAYS, seed=8, epochs=100, trainers=1)
    assert outcome.submissions + outcome.idle == 100
    assert outcome.idle > 0  # two fit, and then it waits for its verdicts
    assert outcome.taken == 2.0 * outcome.submissions


def test_honest_trainers_earn_their_price_less_their_cost_whatever_is_drawn() -> None:
    outcome = play(Game(0.5, 5.0, 5.0, submission_cost=0.25), HONEST, seed=6, epochs=10, trainers=10)
    assert outcome.profit_per_submission == 0.75
    assert (outcome.found, outcome.taken) == (0, 0.0)


def test_nothing_pays_where_everything_is_replayed() -> None:
    outcome = play(Game(1.0, 2.0, 2.0), ALWAYS, seed=7, epochs=10, trainers=10)
    assert (outcome.paid, outcome.found, outcome.taken) == (0.0, 100, 200.0)


def test_equal_seeds_draw_equal_submissions_and_others_do_not() -> None:
    game = Game(0.3, 2.0, 6.0, in_flight=3)
    first, second, other = (play(game, ALWAYS, seed=seed, epochs=50, trainers=20) for seed in (9, 9, 10))
    assert first.found == second.found and first.taken == second.taken
    assert first.found != other.found
    # … whatever the terms
    assert play(replace(game, slash=0.1, in_flight=1), ALWAYS, seed=9, epochs=50, trainers=20).found == first.found


def of_ten(lazy: int, overturned: float = 0.0) -> Verifiers:
    return Verifiers((1,) * 10, tuple(number < lazy for number in range(10)), 6_667, overturned)


@pytest.mark.parametrize(
    ("lazy", "score"), [(0, SCORE_FRAUD), (3, SCORE_FRAUD), (4, SCORE_UNPAID), (5, SCORE_UNPAID), (6, SCORE_FULL)]
)
def test_lazy_stake_decides_what_happens_to_a_fraud_that_others_found(lazy: int, score: int) -> None:
    assert score_of(of_ten(lazy)) == score


def test_lazy_verifiers_within_the_quorums_slack_change_nothing_for_cheats() -> None:
    game = Game(0.2, 1.0, 1.0)
    few = replace(game, verifiers=of_ten(3))
    trainers = people(2_000)
    assert break_even_slash(few, seed=11, epochs=EPOCHS, trainers=trainers) == break_even_slash(
        game, seed=11, epochs=EPOCHS, trainers=trainers
    )


@pytest.mark.parametrize("lazy", [4, 6])
def test_cheats_cannot_be_deterred_once_the_lazy_block_the_quorum(lazy: int) -> None:
    game = Game(0.2, 1e6, 1e6, verifiers=of_ten(lazy))
    assert break_even_slash(game, seed=12, epochs=10, trainers=100) == float("inf")
    assert best_strategy(game, seed=12, epochs=10, trainers=100).share == 1.0


@rates
@pytest.mark.parametrize(
    ("lazy", "is_paid", "checker_differs", "lazy_differs"), [(3, 0, 0, 1), (4, 0, 0, 0), (6, 1, 1, 0)]
)
def test_fees_follow_the_settled_score_anyone_who_is_right(
    sampling_bps: int, lazy: int, is_paid: int, checker_differs: int, lazy_differs: int
) -> None:
    frauds = Strategy("half", 0.5)
    game = Game(sampling_bps / TEN_THOUSAND, 1.0, 1.0, verifiers=of_ten(lazy))
    outcome = play(game, frauds, seed=13, epochs=EPOCHS, trainers=trainers_for(game.sampling, EPOCHS, 30_000))

    def fee(differs: int) -> float:
        """As `claimFees` pays it, for an epoch of as many submissions in which it differed on every fraud drawn."""
        drawn = TEN_THOUSAND * sampling_bps // (2 * TEN_THOUSAND)
        paid = TEN_THOUSAND - (1 - is_paid) * drawn
        return verifier_fee(10 * UNIT * paid // TEN_THOUSAND, 1, 10, differs * drawn, paid) / UNIT

    assert outcome.fees_V[-1] == pytest.approx(fee(checker_differs), abs=TOLERANCE)
    assert outcome.fees_V[0] == pytest.approx(fee(lazy_differs), abs=TOLERANCE)


@pytest.mark.parametrize("overturned", [0.25, 0.5, 1.0])
def test_appeals_restore_the_formula_with_the_rate_at_which_they_come(overturned: float) -> None:
    """A lazy majority pays every fraud; appeals find a part of those drawn, so that p x this part are found in all."""
    sampling_bps = 4_000
    found_bps = int(sampling_bps * overturned)
    game = Game(0.4, 1.0, 1.0, verdict_slash=3.0, verifiers=of_ten(6, overturned))
    trainers = people(found_bps)
    measured = break_even_slash(game, seed=14, epochs=EPOCHS, trainers=trainers)
    assert measured * MARGIN == pytest.approx(needed_slash(UNIT, found_bps) / UNIT, rel=TOLERANCE)
    outcome = play(game, ALWAYS, seed=14, epochs=EPOCHS, trainers=trainers)
    assert outcome.verdict_slashes_V[0] == pytest.approx(3.0 * found_bps / TEN_THOUSAND, rel=TOLERANCE)
    assert outcome.verdict_slashes_V[-1] == 0.0
