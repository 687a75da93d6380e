"""Trainers that cheat where it pays and verifiers that look at nothing, played out epoch by epoch with a seed.

It knows none of the formulas of `assay_core.protocol.economics`: it draws submissions, locks collateral, lets verifiers
vote, takes slashes out of bonds, and counts. Money is in units of what one submission can earn. Arrays: _N trainers, _V
verifiers.
"""

from dataclasses import dataclass, replace

import numpy as np

from assay_core.protocol.types import BPS, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID

Floats = np.typing.NDArray[np.float64]
Flags = np.typing.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Strategy:
    """Cheat in a share of the submissions. Draws are public at the seal, before the next submission is committed.

    `in_bursts`: as many as can be in flight, then none until all are judged. `careful`: once a submission was drawn,
    cheat no more until it is slashed.
    """

    name: str
    share: float
    in_bursts: bool = False
    careful: bool = False

    def cheats(self, epoch: int, in_flight: int) -> bool:
        """Whether it may cheat in this epoch."""
        return not self.in_bursts or epoch % (2 * in_flight) < in_flight


HONEST = Strategy("honest", 0.0)
ALWAYS = Strategy("always", 1.0)
BURSTS = Strategy("bursts", 1.0, in_bursts=True)
CAREFUL = Strategy("until drawn", 1.0, careful=True)
SHARES = (Strategy("1 in 4", 0.25), Strategy("2 in 4", 0.5), Strategy("3 in 4", 0.75))
STRATEGIES = (HONEST, *SHARES, BURSTS, CAREFUL, ALWAYS)  # all that a rational trainer tries


@dataclass(frozen=True, slots=True)
class Verifiers:
    """Who judges: `stakes` and whether each is lazy, that is votes 100 whatever the submission.

    `overturned` is the probability that a score which spares a fraud that was drawn is challenged and overturned.
    """

    stakes: tuple[int, ...] = (1, 1, 1)
    lazy: tuple[bool, ...] = (False, False, False)
    quorum_bps: int = 6_666
    overturned: float = 0.0


@dataclass(frozen=True, slots=True)
class Game:
    """The terms. `bond` and `slash` in units of the most that one submission earns; `submission_cost` is that of honest
    submission.

    A submission is committed only where `slash` of the bond is free, and locks it until the submission is judged.
    """

    sampling: float
    slash: float
    bond: float
    in_flight: int = 1
    detection: float = 1.0
    submission_cost: float = 1.0  # the most tempting case: honest submission earns nothing
    reporter_share: float = 0.0
    verdict_slash: float = 0.0
    verifiers: Verifiers = Verifiers()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, per submission where it says so."""

    submissions: int
    cheated: int
    found: int
    idle: int  # submissions that no free bond answered for
    paid: float  # to trainers, sum
    taken: float  # of their bonds, sum; what reporters get back is not deducted
    profit_per_submission: float
    fees_V: Floats  # share of its full fee that each verifier earned, mean over epochs and trainers
    verdict_slashes_V: Floats  # per submission


@dataclass(slots=True)
class _Bonds:
    """What trainers have bonded, and what of it is locked for submissions in flight."""

    bonded_N: Floats
    locked_N: Floats

    def lock(self, amount: float) -> Flags:
        """Lock an amount for anyone who has it free; tells who that is."""
        can_N = self.bonded_N - self.locked_N >= amount * (1.0 - 1e-9)  # sums of floats
        self.locked_N[can_N] += amount
        return can_N

    def judge(self, committed_N: Flags, slashed_N: Flags, amount: float, bond: float) -> float:
        """Unlock what answered for judged submissions, and take it where they were fraud. Who lost it bonds again."""
        taken_N = np.where(slashed_N, np.minimum(amount, self.bonded_N), 0.0)
        self.locked_N[committed_N] -= amount
        self.bonded_N -= taken_N
        self.bonded_N[slashed_N] = np.maximum(self.bonded_N[slashed_N], bond)
        return float(taken_N.sum())


@dataclass(slots=True)
class _Counts:
    submissions: int = 0
    idle: int = 0
    cheated: int = 0
    found: int = 0
    spared: int = 0  # drawn, and yet not slashed
    taken: float = 0.0


def score_of(verifiers: Verifiers) -> int:
    """The score of a fraud that was drawn, as `libraries/Scores.sol` decides it: checkers vote 255, the lazy 100."""
    total = sum(verifiers.stakes)
    fraud = total - sum(stake for stake, lazy in zip(verifiers.stakes, verifiers.lazy, strict=True) if lazy)
    if fraud > 0 and fraud * BPS >= verifiers.quorum_bps * total:
        return SCORE_FRAUD
    return SCORE_UNPAID if fraud * 2 >= total else SCORE_FULL


def play(game: Game, strategy: Strategy, *, seed: int, epochs: int, trainers: int) -> Outcome:
    """Let every trainer commit a submission in each epoch, cheat as `strategy` has it, and settle all of them.

    A submission is judged `in_flight` epochs after its commitment. Who is slashed comes back with another bond. Equal
    seeds draw the same submissions whatever the terms.
    """
    # One stream for each kind of luck, so that a change of terms or strategy leaves the others as they were.
    cheating, drawing, finding, appealing = (np.random.default_rng([seed, kind]) for kind in range(4))
    settled, counts = score_of(game.verifiers), _Counts()
    bonds = _Bonds(np.full(trainers, game.bond), np.zeros(trainers))
    awaited_N = np.zeros(trainers, np.intp)  # submissions that were drawn, and are not judged yet
    in_flight: list[tuple[Flags, Flags, Flags]] = []
    for epoch in range(epochs + game.in_flight):
        if len(in_flight) == game.in_flight or epoch >= epochs:
            committed_N, found_N, overturned_N = in_flight.pop(0)
            slashed_N = found_N & (overturned_N if settled != SCORE_FRAUD else True)
            awaited_N -= found_N
            counts.taken += bonds.judge(committed_N, slashed_N, game.slash, game.bond)
            counts.found += _count(slashed_N)
            counts.spared += _count(found_N & ~slashed_N)
        if epoch < epochs:
            committed_N = bonds.lock(game.slash)
            share = strategy.share if strategy.cheats(epoch, game.in_flight) else 0.0
            cheats_N = _happens(cheating, share, trainers) & committed_N
            if strategy.careful:
                cheats_N &= awaited_N == 0
            drawn_N = _happens(drawing, game.sampling, trainers)
            found_N = cheats_N & drawn_N & _happens(finding, game.detection, trainers)
            in_flight.append((committed_N, found_N, _happens(appealing, game.verifiers.overturned, trainers)))
            awaited_N += found_N
            counts.submissions += _count(committed_N)
            counts.idle += trainers - _count(committed_N)
            counts.cheated += _count(cheats_N)
    return _tally(game, settled, counts)


def _count(flags: Flags) -> int:
    return int(np.count_nonzero(flags))


def _happens(rng: np.random.Generator, probability: float, count: int) -> Flags:
    """[N] independent events; none are drawn for what is certain."""
    return np.full(count, probability == 1.0) if probability in (0.0, 1.0) else rng.random(count) < probability


def _tally(game: Game, settled: int, counts: _Counts) -> Outcome:
    """From counts to money: `found` submissions were slashed, `spared` ones found by some verifiers and yet not."""
    submissions, drawn = counts.submissions, counts.found + counts.spared
    honest = submissions - counts.cheated
    paid = honest + counts.cheated - drawn + (counts.spared if settled == SCORE_FULL else 0)
    profit = paid - honest * game.submission_cost - (1.0 - game.reporter_share) * counts.taken
    # Fees are for what is paid. One that was settled as paid or fraud costs who voted otherwise as much again.
    lazy_V = np.array(game.verifiers.lazy)
    differs_V = np.where(lazy_V, settled == SCORE_FRAUD, settled == SCORE_FULL)
    unpaid = settled != SCORE_FULL
    overturned = counts.found if settled != SCORE_FRAUD else 0
    return Outcome(
        submissions=submissions,
        cheated=counts.cheated,
        found=counts.found,
        idle=counts.idle,
        paid=float(paid),
        taken=counts.taken,
        profit_per_submission=profit / submissions,
        fees_V=np.maximum(0.0, 1.0 - (unpaid + 1.0 * differs_V) * drawn / submissions),
        verdict_slashes_V=np.where(lazy_V, game.verdict_slash * overturned / submissions, 0.0),
    )


def best_strategy(game: Game, *, seed: int, epochs: int, trainers: int) -> Strategy:
    """What a rational trainer does: whatever earned most when each strategy was tried on equal luck."""
    profits = [
        play(game, each, seed=seed, epochs=epochs, trainers=trainers).profit_per_submission for each in STRATEGIES
    ]
    return STRATEGIES[int(np.argmax(profits))]  # of equals the first, which is the more honest


def break_even_slash(game: Game, strategy: Strategy = ALWAYS, *, seed: int, epochs: int, trainers: int) -> float:
    """The slash at which a strategy earned what honest submission did, `bond` being scaled along with it.

    What is taken is then proportional to the slash, so that one run tells. Infinite when nobody was slashed.
    """
    unit = replace(game, slash=1.0, bond=game.bond / game.slash)
    outcome = play(unit, strategy, seed=seed, epochs=epochs, trainers=trainers)
    lost = (1.0 - game.reporter_share) * outcome.taken
    gained = (
        outcome.profit_per_submission * outcome.submissions + lost - outcome.submissions * (1.0 - game.submission_cost)
    )
    return gained / lost if lost else float("inf")


def trainers_for(found: float, epochs: int, events: int) -> int:
    """As many trainers as it takes for `events` submissions found, and as many not found: errors of about 1 /
    √events.
    """
    rarer = min(found, 1.0 - found) or 1.0
    return max(int(np.ceil(events / (rarer * epochs))), 1)
