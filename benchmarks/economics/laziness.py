"""Verifiers that check where it pays, in a task in which nobody cheats but planters, played out with a seed.

It knows none of the formulas of `assay_protocol.economics.plants`: submissions are drawn, some of them are plants,
verifiers vote as they have chosen to, and each changes its mind where, on the same luck, the other choice had left it
more.
"""

from dataclasses import dataclass, replace

import numpy as np

from assay_core.protocol.types import SCORE_FRAUD, SCORE_FULL
from benchmarks.economics.simulation import Verifiers, score_of

EVENTS = 60_000  # plants that are drawn: errors of about 0.4 %


@dataclass(frozen=True, slots=True)
class CheckingGame:
    """What a verifier of `count` equal ones faces. Money in any one unit.

    `plants`: share of submissions. `check_cost`: of one submission that was drawn. `slash`: for paying a plant. `fee`:
    of one verifier, per submission. `appealed`: the part of paid plants whose planter appeals, before a panel that
    agrees.
    """

    plants: float
    sampling: float
    check_cost: float
    slash: float
    fee: float
    count: int = 3
    quorum_bps: int = 6_666
    appealed: float = 1.0


def earned(game: CheckingGame, checks: tuple[bool, ...], *, seed: int, submissions: int) -> list[float]:
    """What each verifier earned, some of whom check what is drawn, while the others say 100 to everything."""
    rng = np.random.default_rng(seed)
    drawn = int(rng.binomial(submissions, game.sampling))
    planted = int(rng.binomial(drawn, game.plants))
    appealed = int(rng.binomial(planted, game.appealed))
    settled = score_of(Verifiers((1,) * game.count, tuple(not each for each in checks), game.quorum_bps))
    # A panel corrects the score; fees stay as they were settled.
    paid = submissions - planted * (settled != SCORE_FULL)
    slashes = planted if settled == SCORE_FRAUD else appealed
    totals: list[float] = []
    for does_check in checks:
        differs = settled == (SCORE_FULL if does_check else SCORE_FRAUD)
        fees = game.fee * max(0, paid - differs * planted)
        totals.append(fees - (game.check_cost * drawn if does_check else game.slash * slashes))
    return totals


def would_check(game: CheckingGame, checks: tuple[bool, ...], who: int, *, seed: int, submissions: int) -> bool:
    """Whether a verifier had earned more by checking, everything else being as it was."""

    def outcome(choice: bool) -> float:
        tried = (*checks[:who], choice, *checks[who + 1 :])
        return earned(game, tried, seed=seed, submissions=submissions)[who]

    return outcome(True) > outcome(False)


def settle_down(game: CheckingGame, lazy: int, *, seed: int, submissions: int) -> int:
    """How many check in the end, where `lazy` of them did not at first: one after the other does what pays it more."""
    checks = [number >= lazy for number in range(game.count)]
    calm = turn = 0
    while calm < game.count and turn < 100 * game.count:
        who = turn % game.count
        better = would_check(game, tuple(checks), who, seed=seed + turn, submissions=submissions)
        calm = calm + 1 if better == checks[who] else 0
        checks[who] = better
        turn += 1
    return sum(checks)


def break_even_rate(game: CheckingGame, lazy: int, *, seed: int, events: int = EVENTS) -> float:
    """The rate of plants at which it makes no difference to a lazy verifier, beside others like that, to check.

    1.0: even then it stays lazy.
    """
    checks = tuple(number >= lazy for number in range(game.count))
    low, high = 0.0, 1.0
    while high - low > high / 1_000:
        middle = (low + high) / 2
        tried = replace(game, plants=middle)
        pays = would_check(tried, checks, 0, seed=seed, submissions=submissions_for(tried, events))
        low, high = (low, middle) if pays else (middle, high)
    return high


def submissions_for(game: CheckingGame, events: int) -> int:
    """As many submissions as it takes for so many plants to be drawn."""
    return int(events / (game.sampling * game.plants)) + 1
