"""The simulations under a task's terms: what they measured beside what the formulas say."""

from dataclasses import dataclass, replace
from fractions import Fraction

from assay_core.protocol.economics import (
    MARGIN_BPS,
    epoch_submissions,
    epochs_in_flight,
    gain_of,
    greatest_gain,
    needed_slash,
    needed_weight,
)
from assay_core.protocol.types import BPS, FINDER_BPS, SCORE_FRAUD, SCORE_FULL, SubmissionKind, TaskParams
from assay_protocol.economics.assumptions import Assumptions
from assay_protocol.economics.outlook import RATES_BPS
from assay_protocol.economics.plants import least_rate, plant_outlook
from benchmarks.economics.collusion import CollusionGame, collude
from benchmarks.economics.laziness import CheckingGame, break_even_rate, settle_down, submissions_for
from benchmarks.economics.simulation import (
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

UNIT = 10**18  # one submission's gain where formulas want integers
FRAUDS = Strategy("1 in 10", 0.1)
EVENTS = 60_000  # frauds found, and not found: errors of about 0.4 %
CHALLENGED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
PANEL_SHARES = (0.0, 0.2, 0.33, 0.5)
COLLUSION_EPOCHS = 20_000
ASIDE = 0.02  # from the least rate of plants, either way


@dataclass(frozen=True, slots=True)
class SlashTrial:
    """At which slash cheating broke even, in units of a submission's gain.

    `formula` is without the margin. `chosen` is what a rational trainer did under the terms as they are, if its honest
    submission cost all that it earns.
    """

    sampling_bps: int
    in_flight: int
    strategy: str
    submissions: int
    measured: float
    formula: float
    chosen: str | None

    @property
    def deviation(self) -> float:
        return self.measured / self.formula - 1.0


@dataclass(frozen=True, slots=True)
class LazyTrial:
    """So many of equal verifiers are lazy and one submission in ten is a fraud: its score when drawn, and who earned
    what.

    `cheat_earns` is per fraud, fees are shares of the full fee; None: there is nobody of that kind.
    """

    lazy: int
    score: int
    cheat_earns: float
    checker_fee: float | None
    lazy_fee: float | None


@dataclass(frozen=True, slots=True)
class PlantTrial:
    """From so many lazy verifiers on: the rate of plants at which one of them gained nothing by either choice.

    `checking_above` and `checking_below`: how many check once all have settled down, at a rate a little above the least
    one of the formula, and a little below.
    """

    lazy: int
    measured: float
    formula: float
    checking_above: int
    checking_below: int

    @property
    def deviation(self) -> float:
        return self.measured / self.formula - 1.0


@dataclass(frozen=True, slots=True)
class CollusionTrial:
    """What a colluding quorum earned per epoch, in what an honest epoch pays, by its share of the jurors' seats."""

    challenged: float
    profits: tuple[float, ...]


def terms_as_game(params: TaskParams, assumed: Assumptions, verifiers: Verifiers | None = None) -> Game:
    """The terms in units of what one submission earns, for the kind of submission in which cheating tempts most."""
    kind = tempting_kind(params)
    gain = gain_of(params, kind)
    in_flight = epochs_in_flight(params, assumed.epoch_of(params))
    return Game(
        sampling=params.sampling_bps / BPS,
        detection=params.kinds[kind].detection_bps / BPS,
        slash=params.fraud_slash / gain,
        bond=max(params.trainer_bond, in_flight * params.fraud_slash) / gain,
        in_flight=in_flight,
        reporter_share=assumed.reporter_bps / BPS,
        verifiers=verifiers or Verifiers(),
    )


def tempting_kind(params: TaskParams) -> SubmissionKind:
    """The kind that needs the largest slash."""
    return max(
        params.kinds_asked_for,
        key=lambda kind: needed_slash(gain_of(params, kind), params.sampling_bps, params.kinds[kind].detection_bps),
    )


def slash_trials(
    params: TaskParams, assumed: Assumptions, *, seed: int, epochs: int, events: int = EVENTS
) -> tuple[SlashTrial, ...]:
    """One submission at a time and as many as can be in flight, at each sampling rate at which there is anything to
    gain.
    """
    rates = sorted({*RATES_BPS, params.sampling_bps} - {0, BPS})
    in_flight = terms_as_game(params, assumed).in_flight
    plans = [(1, ALWAYS)] + [(in_flight, strategy) for strategy in (BURSTS, ALWAYS) if in_flight > 1]
    return tuple(
        _slash_trial(params, bps, submissions, strategy, assumed, seed, epochs, events)
        for submissions, strategy in plans
        for bps in rates
    )


def _slash_trial(
    params: TaskParams,
    bps: int,
    submissions: int,
    strategy: Strategy,
    assumed: Assumptions,
    seed: int,
    epochs: int,
    events: int,
) -> SlashTrial:
    sampling = bps / BPS
    trainers = trainers_for(sampling, epochs, events) * (2 if strategy.in_bursts else 1)
    bursts = -(-epochs // (2 * submissions)) * 2 * submissions  # whole bursts
    # A bond that just answers for all that is in flight.
    game = Game(sampling, slash=1.0, bond=float(submissions), in_flight=submissions)
    measured = break_even_slash(game, strategy, seed=seed, epochs=bursts, trainers=trainers)
    expected = Fraction(needed_slash(UNIT, bps) * BPS, MARGIN_BPS * UNIT)
    chosen = None
    if bps == params.sampling_bps:
        terms = terms_as_game(params, assumed)
        chosen = best_strategy(terms, seed=seed, epochs=bursts, trainers=trainers).name
    return SlashTrial(bps, submissions, strategy.name, bursts * trainers, measured, float(expected), chosen)


def lazy_trials(
    params: TaskParams, assumed: Assumptions, *, seed: int, epochs: int, events: int = EVENTS
) -> tuple[LazyTrial, ...]:
    """From no lazy verifier to nothing but lazy ones."""
    return tuple(_lazy_trial(params, lazy, assumed, seed, epochs, events) for lazy in range(assumed.verifiers + 1))


def _lazy_trial(params: TaskParams, lazy: int, assumed: Assumptions, seed: int, epochs: int, events: int) -> LazyTrial:
    count = assumed.verifiers
    flags = tuple(number < lazy for number in range(count))
    game = terms_as_game(params, assumed, Verifiers((1,) * count, flags, params.quorum_bps))
    outcome = play(game, FRAUDS, seed=seed, epochs=epochs, trainers=trainers_for(game.sampling, epochs, events))
    honest = outcome.submissions - outcome.cheated
    lost = (1.0 - game.reporter_share) * outcome.taken
    return LazyTrial(
        lazy=lazy,
        score=score_of(game.verifiers),
        cheat_earns=(outcome.paid - honest - lost) / outcome.cheated,
        checker_fee=float(outcome.fees_V[-1]) if lazy < count else None,
        lazy_fee=float(outcome.fees_V[0]) if lazy else None,
    )


def plant_trials(
    params: TaskParams, assumed: Assumptions, *, seed: int, events: int = EVENTS
) -> tuple[PlantTrial, ...]:
    """From one lazy verifier to nothing but lazy ones; none where checking costs nothing, or no rate suffices."""
    outlook = plant_outlook(params, epoch_submissions(params), assumed)
    if not outlook.rate:
        return ()
    unit = outlook.check_wei  # any will do
    game = CheckingGame(
        plants=outlook.rate,
        sampling=params.sampling_bps / BPS,
        check_cost=1.0,
        slash=outlook.slash_wei / unit,
        fee=outlook.fee_wei / unit,
        count=assumed.verifiers,
        quorum_bps=params.quorum_bps,
    )
    return tuple(_plant_trial(game, lazy, seed, events) for lazy in range(1, assumed.verifiers + 1))


def _plant_trial(game: CheckingGame, lazy: int, seed: int, events: int) -> PlantTrial:
    def least(beside: int) -> float:
        fee = game.fee * _fee_at_stake(game, beside)
        return float(least_rate(Fraction(game.check_cost), Fraction(game.slash + fee)) or 1)

    def ends_checking(rate: float) -> int:
        tried = replace(game, plants=rate)
        return settle_down(tried, lazy, seed=seed, submissions=submissions_for(tried, events))

    everywhere = [least(beside) for beside in range(1, game.count + 1)]
    return PlantTrial(
        lazy=lazy,
        measured=break_even_rate(game, lazy, seed=seed, events=events),
        formula=least(lazy),
        checking_above=ends_checking(min(max(everywhere) * (1 + ASIDE), 1.0)),
        checking_below=ends_checking(min(everywhere) * (1 - ASIDE)),
    )


def _fee_at_stake(game: CheckingGame, lazy: int) -> int:
    """Whether one of `lazy` verifiers would win a fee for a plant by checking, 1; or lose it, -1; or neither.

    By checking it is never wrong about what is settled as fraud, and has no fee for it; where it is settled as paid
    without it, checking costs that fee: because it differs, or because nothing is paid any more.
    """
    as_lazy = score_of(
        Verifiers((1,) * game.count, tuple(number < lazy for number in range(game.count)), game.quorum_bps)
    )
    return (as_lazy == SCORE_FRAUD) - (as_lazy == SCORE_FULL)


def collusion_trials(params: TaskParams, assumed: Assumptions, *, seed: int) -> tuple[CollusionTrial, ...]:
    """A quorum that weighs just what the floor asks for, and all submissions of full epochs its own.

    A median takes half of all weight. So much of the quorum says 100 and answers for it; the others say a little less,
    and risk nothing.
    """
    submissions, gain = epoch_submissions(params), greatest_gain(params)
    quorum = needed_weight(params, submissions * params.max_submission_units) / gain

    def profit(challenged: float, panel_share: float) -> float:
        game = CollusionGame(
            submissions=submissions,
            slash=params.fraud_slash / gain,
            fee=params.verifier_fee / gain,
            weight=quorum * BPS / (2 * params.quorum_bps),
            verdict_share=params.verdict_slash_bps / BPS,
            in_flight=epochs_in_flight(params, assumed.epoch_of(params)),
            challenged=challenged,
            panel_share=panel_share,
            regained=FINDER_BPS / BPS,
        )
        return collude(game, seed=seed, epochs=COLLUSION_EPOCHS).profit

    return tuple(
        CollusionTrial(challenged, tuple(profit(challenged, share) for share in PANEL_SHARES))
        for challenged in CHALLENGED
    )
