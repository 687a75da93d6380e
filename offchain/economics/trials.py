"""The simulation under a task's terms: what it measured beside what the formulas say."""

from dataclasses import dataclass
from fractions import Fraction

from offchain.economics.outlook import RATES_BPS, Assumptions
from offchain.economics.simulation import (
    ALWAYS,
    BURSTS,
    Game,
    Strategy,
    Verifiers,
    best_strategy,
    break_even_slash,
    play,
    score_of,
    trainers_for,
)
from offchain.protocol.economics import MARGIN_BPS, greatest_gain, needed_slash_at_once, needed_slash_in_flight
from offchain.protocol.types import BPS, TaskParams

UNIT = 10**18  # one work's gain where formulas want integers
FRAUDS = Strategy("1 in 10", 0.1)
EVENTS = 60_000  # frauds found, and not found: errors of about 0.4 %


@dataclass(frozen=True, slots=True)
class SlashTrial:
    """At which slash cheating broke even, in units of a work's gain, for a bond that is no larger than the slash.

    `formula` is without the margin. `chosen` is what a rational trainer did under the terms as they are, if its honest
    work cost all that it earns.
    """

    sampling_bps: int
    in_flight: int
    strategy: str
    works: int
    measured: float
    formula: float
    chosen: str | None

    @property
    def deviation(self) -> float:
        return self.measured / self.formula - 1.0


@dataclass(frozen=True, slots=True)
class LazyTrial:
    """So many of equal verifiers are lazy and one work in ten is a fraud: its score when drawn, and who earned what.

    Fees as shares of what agreement in every work would earn; `cheat_earns` per fraud, in units of a work's gain.
    """

    lazy: int
    score: int
    cheat_earns: float
    checker_fee: float | None
    lazy_fee: float | None


def terms_as_game(params: TaskParams, in_flight: int, assumed: Assumptions, verifiers: Verifiers | None = None) -> Game:
    """The terms in units of what one work earns."""
    gain = greatest_gain(params)
    return Game(
        sampling=params.sampling_bps / BPS,
        slash=params.fraud_slash / gain,
        bond=params.trainer_bond / gain,
        in_flight=in_flight,
        reporter_share=assumed.reporter_bps / BPS,
        verifiers=verifiers or Verifiers(),
    )


def slash_trials(
    params: TaskParams, in_flight: int, assumed: Assumptions, *, seed: int, epochs: int, events: int = EVENTS
) -> tuple[SlashTrial, ...]:
    """One work at a time and as many as can be in flight, at each sampling rate at which there is anything to gain."""
    rates = sorted({*RATES_BPS, params.sampling_bps} - {0, BPS})
    plans = [(1, ALWAYS)] + [(in_flight, strategy) for strategy in (BURSTS, ALWAYS) if in_flight > 1]
    return tuple(
        _slash_trial(params, bps, works, strategy, assumed, seed, epochs, events)
        for works, strategy in plans
        for bps in rates
    )


def _slash_trial(
    params: TaskParams,
    bps: int,
    works: int,
    strategy: Strategy,
    assumed: Assumptions,
    seed: int,
    epochs: int,
    events: int,
) -> SlashTrial:
    sampling = bps / BPS
    trainers = trainers_for(sampling, epochs, events)
    bursts = -(-epochs // (2 * works)) * 2 * works  # whole bursts
    measured = break_even_slash(
        Game(sampling, slash=1.0, bond=1.0, in_flight=works), strategy, seed=seed, epochs=bursts, trainers=trainers
    )
    formula = needed_slash_at_once if strategy.in_bursts else needed_slash_in_flight
    expected = Fraction(formula(UNIT, bps, works) * BPS, MARGIN_BPS * UNIT)
    chosen = None
    if bps == params.sampling_bps:
        game = terms_as_game(params, works, assumed)
        chosen = best_strategy(game, seed=seed, epochs=bursts, trainers=trainers).name
    return SlashTrial(bps, works, strategy.name, bursts * trainers, measured, float(expected), chosen)


def lazy_trials(
    params: TaskParams, assumed: Assumptions, *, seed: int, epochs: int, events: int = EVENTS
) -> tuple[LazyTrial, ...]:
    """From no lazy verifier to nothing but lazy ones."""
    return tuple(_lazy_trial(params, lazy, assumed, seed, epochs, events) for lazy in range(assumed.verifiers + 1))


def _lazy_trial(params: TaskParams, lazy: int, assumed: Assumptions, seed: int, epochs: int, events: int) -> LazyTrial:
    count = assumed.verifiers
    flags = tuple(number < lazy for number in range(count))
    game = terms_as_game(params, 1, assumed, Verifiers((1,) * count, flags, params.quorum_bps))
    outcome = play(game, FRAUDS, seed=seed, epochs=epochs, trainers=trainers_for(game.sampling, epochs, events))
    honest = outcome.works - outcome.cheated
    lost = (1.0 - game.reporter_share) * outcome.taken
    return LazyTrial(
        lazy=lazy,
        score=score_of(game.verifiers),
        cheat_earns=(outcome.paid - honest - lost) / outcome.cheated,
        checker_fee=float(outcome.fees_V[-1]) if lazy < count else None,
        lazy_fee=float(outcome.fees_V[0]) if lazy else None,
    )
