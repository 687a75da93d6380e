"""Trainers that cheat where it pays and verifiers that look at nothing, played out epoch by epoch with a seed.

It knows none of the formulas of `offchain.protocol.economics`: it draws works, lets verifiers vote, takes slashes out
of bonds, and counts. Money is in units of what one work can earn. Arrays: _N trainers, _V verifiers.
"""

from dataclasses import dataclass, replace

import numpy as np

from offchain.protocol.types import BPS, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID

Floats = np.typing.NDArray[np.float64]
Flags = np.typing.NDArray[np.bool_]

GENERATIONS = 2  # bonds of one trainer that works in flight can draw on: the one it has, and the one it lost


@dataclass(frozen=True, slots=True)
class Strategy:
    """Cheat in a share of the works. Draws are public at the seal, before the next work is committed.

    `in_bursts`: as many as can be in flight, then none until all are judged. `careful`: once a work was drawn, gamble
    with what is left of the bond only while more than so many works can be committed before the slash.
    """

    name: str
    share: float
    in_bursts: bool = False
    careful: int = 0

    def cheats(self, epoch: int, in_flight: int) -> bool:
        """Whether it may cheat in this epoch."""
        return not self.in_bursts or epoch % (2 * in_flight) < in_flight


HONEST = Strategy("honest", 0.0)
ALWAYS = Strategy("always", 1.0)
BURSTS = Strategy("bursts", 1.0, in_bursts=True)
SHARES = (Strategy("1 in 4", 0.25), Strategy("2 in 4", 0.5), Strategy("3 in 4", 0.75))


def strategies(in_flight: int) -> tuple[Strategy, ...]:
    """All that a rational trainer tries."""
    careful = (Strategy(f"until drawn, then {left}", 1.0, careful=left) for left in range(1, in_flight))
    return (HONEST, *SHARES, BURSTS, ALWAYS, *careful)


@dataclass(frozen=True, slots=True)
class Verifiers:
    """Who judges: `stakes_V` and whether each is lazy, that is votes 100 whatever the work.

    `overturned` is the probability that a score which spares a fraud that was drawn is challenged and overturned.
    """

    stakes: tuple[int, ...] = (1, 1, 1)
    lazy: tuple[bool, ...] = (False, False, False)
    quorum_bps: int = 6_666
    overturned: float = 0.0


@dataclass(frozen=True, slots=True)
class Game:
    """The terms. `bond` and `slash` in units of the most that one work earns; `work_cost` is that of honest work."""

    sampling: float
    slash: float
    bond: float
    in_flight: int = 1
    work_cost: float = 1.0  # the most tempting case: honest work earns nothing
    reporter_share: float = 0.0
    verdict_slash: float = 0.0
    verifiers: Verifiers = Verifiers()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, per work where it says so."""

    works: int
    cheated: int
    found: int
    paid: float  # to trainers, sum
    taken: float  # of their bonds, sum; what reporters get back is not deducted
    profit_per_work: float
    fees_V: Floats  # share of its full fee that each verifier earned, mean over epochs and trainers
    verdict_slashes_V: Floats  # per work


def score_of(verifiers: Verifiers) -> int:
    """The score of a fraud that was drawn, as `libraries/Scores.sol` decides it: checkers vote 255, the lazy 100."""
    total = sum(verifiers.stakes)
    fraud = total - sum(stake for stake, lazy in zip(verifiers.stakes, verifiers.lazy, strict=True) if lazy)
    if fraud > 0 and fraud * BPS >= verifiers.quorum_bps * total:
        return SCORE_FRAUD
    return SCORE_UNPAID if fraud * 2 >= total else SCORE_FULL


def play(game: Game, strategy: Strategy, *, seed: int, epochs: int, trainers: int) -> Outcome:
    """Let every trainer commit a work in each epoch, cheat as `strategy` has it, and settle all of them.

    A work is judged `in_flight` epochs after its commitment. Who is slashed comes back under another name, with another
    bond; works in flight then still draw on the old one. Equal seeds draw the same works whatever the terms.
    """
    # One stream for each kind of luck, so that a change of terms or strategy leaves the others as they were.
    cheating, drawing, appealing = (np.random.default_rng([seed, kind]) for kind in range(3))
    settled = score_of(game.verifiers)
    bonds_NG = np.full((trainers, GENERATIONS), game.bond)
    generation_N = np.zeros(trainers, np.intp)
    everyone_N = np.arange(trainers)
    drawn_N = np.zeros(trainers, np.intp)  # works of the present bond that were drawn
    commits_left_N = np.zeros(trainers, np.intp)  # before the first of them is slashed
    in_flight: list[tuple[Flags, Flags, np.typing.NDArray[np.intp]]] = []
    cheated = found = spared = 0
    taken = 0.0
    for epoch in range(epochs + game.in_flight):
        if len(in_flight) == game.in_flight or epoch >= epochs:
            fraud_N, overturned_N, owner_N = in_flight.pop(0)
            slashed_N = fraud_N & (overturned_N if settled != SCORE_FRAUD else True)
            spared += int(np.count_nonzero(fraud_N & ~slashed_N))
            found += int(np.count_nonzero(slashed_N))
            amount, anew_N = _slash(bonds_NG, generation_N, everyone_N, slashed_N, owner_N, game)
            taken += amount
            drawn_N[anew_N] = 0
        if epoch < epochs:
            share = strategy.share if strategy.cheats(epoch, game.in_flight) else 0.0
            cheats_N = _happens(cheating, share, trainers)
            if strategy.careful:
                risks_N = (drawn_N > 0) & (drawn_N * game.slash < game.bond)
                cheats_N &= ~(risks_N & (commits_left_N <= strategy.careful))
            fraud_N = cheats_N & _happens(drawing, game.sampling, trainers)
            overturned_N = _happens(appealing, game.verifiers.overturned, trainers)
            cheated += int(np.count_nonzero(cheats_N))
            in_flight.append((fraud_N, overturned_N, generation_N.copy()))
            commits_left_N = np.where(fraud_N & (drawn_N == 0), game.in_flight - 1, commits_left_N - 1)
            drawn_N += fraud_N
    return _tally(game, settled, epochs * trainers, cheated, found, spared, taken)


def _happens(rng: np.random.Generator, probability: float, count: int) -> Flags:
    """[N] independent events; none are drawn for what is certain."""
    return np.full(count, probability == 1.0) if probability in (0.0, 1.0) else rng.random(count) < probability


def _slash(
    bonds_NG: Floats,
    generation_N: np.typing.NDArray[np.intp],
    everyone_N: np.typing.NDArray[np.intp],
    slashed_N: Flags,
    owner_N: np.typing.NDArray[np.intp],
    game: Game,
) -> tuple[float, Flags]:
    """Take one slash of each bond that answers for a fraud; whoever loses part of its present bond starts anew.

    Returns what was taken in all, and who starts anew.
    """
    bond_N = bonds_NG[everyone_N, owner_N]
    taken_N = np.where(slashed_N, np.minimum(bond_N, game.slash), 0.0)
    bonds_NG[everyone_N, owner_N] = bond_N - taken_N
    anew_N = slashed_N & (owner_N == generation_N)
    generation_N[anew_N] = (generation_N[anew_N] + 1) % GENERATIONS
    bonds_NG[everyone_N[anew_N], generation_N[anew_N]] = game.bond
    return float(taken_N.sum()), anew_N


def _tally(game: Game, settled: int, works: int, cheated: int, found: int, spared: int, taken: float) -> Outcome:
    """From counts to money: `found` works were slashed, `spared` ones drawn and yet not."""
    unseen = cheated - found - spared
    honest = works - cheated
    paid = honest + unseen + (spared if settled == SCORE_FULL else 0)
    profit = paid - honest * game.work_cost - (1.0 - game.reporter_share) * taken
    # Fees follow the score that was settled: whoever voted otherwise loses that work's part.
    drawn = found + spared
    lazy_V = np.array(game.verifiers.lazy)
    differs_V = np.where(lazy_V, settled != SCORE_FULL, settled != SCORE_FRAUD)
    overturned = found if settled != SCORE_FRAUD else 0
    return Outcome(
        works=works,
        cheated=cheated,
        found=found,
        paid=float(paid),
        taken=taken,
        profit_per_work=profit / works,
        fees_V=1.0 - differs_V * drawn / works,
        verdict_slashes_V=np.where(lazy_V, game.verdict_slash * overturned / works, 0.0),
    )


def best_strategy(game: Game, *, seed: int, epochs: int, trainers: int) -> Strategy:
    """What a rational trainer does: whatever earned most when each strategy was tried on equal luck."""
    tried = strategies(game.in_flight)
    profits = [play(game, each, seed=seed, epochs=epochs, trainers=trainers).profit_per_work for each in tried]
    return tried[int(np.argmax(profits))]  # of equals the first, which is the more honest


def break_even_slash(game: Game, strategy: Strategy = ALWAYS, *, seed: int, epochs: int, trainers: int) -> float:
    """The slash at which a strategy earned what honest work did, `bond` being scaled along with it.

    What is taken is then proportional to the slash, so that one run tells. Infinite when nobody was slashed.
    """
    unit = replace(game, slash=1.0, bond=game.bond / game.slash)
    outcome = play(unit, strategy, seed=seed, epochs=epochs, trainers=trainers)
    lost = (1.0 - game.reporter_share) * outcome.taken
    gained = outcome.profit_per_work * outcome.works + lost - outcome.works * (1.0 - game.work_cost)
    return gained / lost if lost else float("inf")


def trainers_for(sampling: float, epochs: int, events: int) -> int:
    """As many trainers as it takes for `events` works found, and as many not found: errors of about 1 / √events."""
    rarer = min(sampling, 1.0 - sampling) or 1.0
    return max(int(np.ceil(events / (rarer * epochs))), 1)
