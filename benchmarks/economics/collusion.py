"""Verifiers with a quorum who pay frauds of their own trainers, and anyone who challenges them, played out with a
seed.
"""

from dataclasses import dataclass

import numpy as np

from assay_core.protocol.types import PANEL_SEATS
from assay_protocol.economics.panel import majority_seats, quorum_seats


@dataclass(frozen=True, slots=True)
class CollusionGame:
    """Money in units of what one submission earns. Every submission of an epoch is a fraud of full size, and all are
    paid.

    Smaller submissions earn, risk and count for the floor in proportion to their units, and are more verdicts to answer
    for.

    `weight`: of the colluding verifiers who answer for the scores. `challenged`: probability that somebody looks at an
    epoch, and then challenges all of its submissions. `panel_share`: the part of the jurors' seats that colludes too.
    `regained`: what of the slashes of verdicts comes back, where colluders see challenges coming and are faster: they
    challenge themselves, or are blamed for plants of their own first.
    """

    submissions: int
    slash: float  # of a trainer, for each fraud
    fee: float  # of the colluding verifiers, per epoch
    weight: float
    verdict_share: float
    in_flight: int = 2  # epochs
    challenged: float = 0.0
    panel_share: float = 0.0
    regained: float = 0.0


@dataclass(frozen=True, slots=True)
class Loot:
    """Per epoch, in what an honest epoch would have paid for its submissions."""

    paid: float
    burnt: float

    @property
    def profit(self) -> float:
        return self.paid - self.burnt


def collude(game: CollusionGame, *, seed: int, epochs: int) -> Loot:
    """Play it. Verdicts are slashed when an epoch is final, `in_flight` epochs after it was sealed.

    What the colluders have put up answers for all epochs in flight together. Once it is gone they come back with as
    much, for the next epoch that is sealed.
    """
    rng = np.random.default_rng(seed)
    left = {0: game.weight}  # of each bond that was put up
    owner, paid, burnt = 0, 0.0, 0.0
    in_flight: list[tuple[int, int, int]] = []
    for epoch in range(epochs + game.in_flight):
        if len(in_flight) == game.in_flight or epoch >= epochs:
            bond, blamed, unpaid = in_flight.pop(0)
            paid += game.submissions - unpaid + game.fee
            burnt += blamed * game.slash
            taken = min(blamed * game.verdict_share * game.weight, left[bond])
            left[bond] -= taken
            burnt += taken * (1 - game.regained)
            if taken and bond == owner:
                owner += 1
                left[owner] = game.weight
        if epoch < epochs:
            blamed, unpaid = _judge(game, rng) if rng.random() < game.challenged else (0, 0)
            in_flight.append((owner, blamed, unpaid))
    cost = epochs * game.submissions
    return Loot(paid / cost, burnt / cost)


def _judge(game: CollusionGame, rng: np.random.Generator) -> tuple[int, int]:
    """Of the submissions of a challenged epoch, those that panels call fraud, and those that are not paid after all."""
    honest = PANEL_SEATS - rng.binomial(PANEL_SEATS, game.panel_share, game.submissions)
    blamed = int(np.count_nonzero(honest >= quorum_seats(PANEL_SEATS)))
    # Without two thirds, who say fraud count as 0: half of the votes suffice for the lower score, and blame nobody.
    return blamed, int(np.count_nonzero(honest >= majority_seats(PANEL_SEATS)))
