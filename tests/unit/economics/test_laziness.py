"""Verifiers that can choose check just above the rate of plants that the formula names, and are lazy just below."""

from dataclasses import replace
from fractions import Fraction

import pytest

from assay_protocol.economics.assumptions import PLANT_GAS, Assumptions
from assay_protocol.economics.plants import least_rate, plant_outlook
from benchmarks.economics.laziness import CheckingGame, break_even_rate, earned, settle_down, submissions_for
from benchmarks.economics.trials import plant_trials
from tests.unit.economics.terms import TERMS, TOKEN

TOLERANCE = 0.02
EVENTS = 60_000
# A fee that matters beside the slash, so that it shows which way it goes.
GAME = CheckingGame(plants=0.05, sampling=0.4, check_cost=0.1, slash=2.0, fee=0.2, count=3)
COSTLY = Assumptions(read_wei=TOKEN // 500, check_wei=TOKEN // 100)


@pytest.mark.parametrize(
    ("lazy", "at_stake"),
    [
        pytest.param(1, 2.2, id="the others find the plant: the lazy one loses its fee as well"),
        pytest.param(2, 1.8, id="its vote decides: by checking it ends everybody's fee for it"),
        pytest.param(3, 1.8, id="the others pay it: who checks loses its fee"),
    ],
)
def test_checking_breaks_even_where_the_formula_says(lazy: int, at_stake: float) -> None:
    measured = break_even_rate(GAME, lazy, seed=1, events=EVENTS)
    assert measured == pytest.approx(float(Fraction(least_rate(Fraction(0.1), Fraction(at_stake)) or 0)), rel=TOLERANCE)


@pytest.mark.parametrize("lazy", [0, 1, 2, 3])
@pytest.mark.parametrize("sampling", [0.05, 0.4, 1.0])
def test_all_end_up_checking_above_the_least_rate_wherever_they_start(lazy: int, sampling: float) -> None:
    game = replace(GAME, sampling=sampling, plants=0.1 / 1.8 * (1 + TOLERANCE))
    assert settle_down(game, lazy, seed=2, submissions=submissions_for(game, EVENTS)) == 3


@pytest.mark.parametrize("lazy", [0, 1, 2, 3])
@pytest.mark.parametrize("sampling", [0.05, 0.4, 1.0])
def test_all_end_up_lazy_below_it_wherever_they_start(lazy: int, sampling: float) -> None:
    game = replace(GAME, sampling=sampling, plants=0.1 / 2.2 * (1 - TOLERANCE))
    assert settle_down(game, lazy, seed=3, submissions=submissions_for(game, EVENTS)) == 0


def test_between_the_two_rates_habit_decides() -> None:
    """Checkers go on checking, and the lazy stay lazy: an initiator has to plant for the second case."""
    game = replace(GAME, plants=0.1 / 2.0)
    submissions = submissions_for(game, EVENTS)
    assert (
        settle_down(game, 0, seed=4, submissions=submissions),
        settle_down(game, 3, seed=4, submissions=submissions),
    ) == (3, 0)


def test_nobody_checks_where_most_are_lazy_and_no_planter_appeals() -> None:
    game = replace(GAME, plants=0.9, appealed=0.0)
    assert settle_down(game, 3, seed=5, submissions=submissions_for(game, EVENTS)) == 0
    # Half of the appeals, twice the plants.
    half = break_even_rate(replace(GAME, appealed=0.5), 3, seed=5, events=EVENTS)
    assert half == pytest.approx(0.1 / (0.5 * 2.0 - 0.2), rel=TOLERANCE)


def test_without_plants_laziness_is_free() -> None:
    checker, lazy = earned(replace(GAME, plants=0.0, count=2), (True, False), seed=6, submissions=1_000)
    assert lazy == pytest.approx(200.0)
    assert checker < lazy


def test_the_command_names_a_rate_that_holds_whatever_the_others_do() -> None:
    outlook = plant_outlook(TERMS, 8, COSTLY)
    assert outlook.check_wei == 12 * TOKEN // 1_000
    assert outlook.slash_wei == TERMS.verifier_bond // 2
    assert outlook.rate == max(outlook.rate_if_few_lazy or 0, outlook.rate_if_most_lazy or 0)
    trials = plant_trials(TERMS, COSTLY, seed=7)
    assert [trial.lazy for trial in trials] == [1, 2, 3]
    assert all(abs(trial.deviation) < TOLERANCE for trial in trials)
    assert {(trial.checking_above, trial.checking_below) for trial in trials} == {(3, 0)}


def test_how_many_submissions_are_drawn_changes_nothing() -> None:
    rates = {plant_outlook(replace(TERMS, sampling_bps=bps), 8, COSTLY).rate for bps in (100, 5_000, 10_000)}
    assert len(rates) == 1


def test_heavier_verifiers_need_fewer_plants() -> None:
    light, heavy = (plant_outlook(TERMS, 8, replace(COSTLY, weight_wei=tokens * TOKEN)).rate for tokens in (30, 300))
    assert light is not None and heavy is not None
    assert light / heavy == pytest.approx(10, rel=0.02)


def test_reports_that_are_kept_back_take_as_many_plants_more_as_absence_costs_less() -> None:
    outlook = plant_outlook(TERMS, 8, COSTLY)
    fee = TERMS.verifier_fee / 3  # of the epoch, not of one submission
    assert outlook.rate_if_withheld == pytest.approx(outlook.check_wei / (TERMS.verifier_bond / 100 + fee), rel=1e-6)
    harder = plant_outlook(replace(TERMS, absence_slash_bps=TERMS.verdict_slash_bps), 8, COSTLY)
    assert harder.rate_if_withheld is not None and outlook.rate is not None
    assert harder.rate_if_withheld < outlook.rate
    hopeless = replace(TERMS, absence_slash_bps=0, verifier_fee=0)
    assert plant_outlook(hopeless, 8, COSTLY).rate_if_withheld is None


def test_no_plants_suffice_where_paying_one_costs_less_than_checking() -> None:
    outlook = plant_outlook(replace(TERMS, verdict_slash_bps=1), 8, Assumptions(check_wei=TOKEN))
    assert outlook.rate is None
    assert plant_trials(replace(TERMS, verdict_slash_bps=1), Assumptions(check_wei=TOKEN), seed=8) == ()
    assert plant_trials(TERMS, Assumptions(), seed=8) == ()


def test_a_plant_costs_its_making_and_its_gas_and_yields_half_a_slash_up_to_ten_bonds() -> None:
    dear = replace(COSTLY, fake_wei=TOKEN, gas_price=Fraction(10**9))
    outlook = plant_outlook(TERMS, 8, dear)
    assert outlook.plant_wei == TOKEN + PLANT_GAS * 10**9
    assert outlook.planter_gets_wei == TERMS.verifier_bond // 4
    assert plant_outlook(TERMS, 8, replace(dear, weight_wei=10**6 * TOKEN)).planter_gets_wei == 10 * TOKEN
    assert outlook.deposit_wei * 10 == 12 * 64 * 10**16


def test_hedging_a_fraud_with_a_plant_never_leaves_anything() -> None:
    """It commits to its fraud as a plant: opens it where it is found, else takes the money and leaves the deposit."""
    gain, deposit = 64 * 10**16, plant_outlook(TERMS, 8, COSTLY).deposit_wei
    for drawn in (True, False):
        opened, kept_quiet = 0, (-TERMS.fraud_slash if drawn else gain) - deposit
        assert max(opened, kept_quiet) == 0
