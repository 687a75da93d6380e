"""Verifiers that pay or blame wrongly, before panels of which some jurors cheat: a model of `decide` in
contracts/Appeals.sol.

`tests/contracts/Appeals.t.sol` holds the contract to the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from assay_core.protocol.types import (
    PANEL_QUORUM_BPS,
    PANEL_SEATS,
    SCORE_FRAUD,
    SCORE_FULL,
    SCORE_UNAVAILABLE,
    SCORE_UNPAID,
    DisputePhase,
)
from tests.cheats.verifiers import decide, reaches_quorum

MAJORITY_BPS = 5_001


@dataclass(frozen=True)
class Vote:
    """Of one seat."""

    score: int
    beyond: bool = False


@dataclass(frozen=True)
class Ruling:
    """What holds, and whether who had given the old score may be slashed for it."""

    outcome: DisputePhase
    score: int
    is_against_verifiers: bool = False


def rule(standing: int, votes: Sequence[Vote | None]) -> Ruling:
    """What a panel says of a score that stands; one entry for each seat, None: it did not vote."""
    cast = [vote for vote in votes if vote is not None]
    undecided = Ruling(DisputePhase.UNDECIDED, standing)
    if len(votes) < PANEL_SEATS or len(cast) * 2 <= len(votes):
        return undecided
    rate, of = (MAJORITY_BPS, len(cast)) if standing == SCORE_FRAUD else (PANEL_QUORUM_BPS, len(votes))
    score = decide([vote.score for vote in cast], [1] * len(cast), of, rate)
    if score == SCORE_UNAVAILABLE:
        return undecided
    if score == standing:
        return Ruling(DisputePhase.UPHELD, score)
    blaming = sum(vote.score == score and not vote.beyond for vote in cast)
    is_against = standing != SCORE_UNAVAILABLE and reaches_quorum(blaming, len(votes), PANEL_QUORUM_BPS)
    return Ruling(DisputePhase.OVERTURNED, score, is_against)


@dataclass(frozen=True)
class CheatingJurors:
    """`count` of the seats of a full panel say `says` (None: nothing) of a submission that is worth `truth`.

    The others tell the truth. `standing` is what the verifiers had said; `holds` what must hold in the end, and
    `slashed` whether they pay for it.
    """

    name: str
    count: int
    says: int | None
    truth: int
    standing: int
    holds: int
    slashed: bool


CHEATING_JURORS = (
    CheatingJurors("nobody cheats, a fraud was paid", 0, None, SCORE_FRAUD, SCORE_FULL, SCORE_FRAUD, True),
    CheatingJurors("nobody cheats, a good submission was blamed", 0, None, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, True),
    CheatingJurors("a third acquits a paid fraud", 5, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, SCORE_FRAUD, True),
    CheatingJurors(
        "two fifths spare a paid fraud its slash", 6, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID, False
    ),
    CheatingJurors(
        "just under half cannot get a fraud paid", 7, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, SCORE_UNPAID, False
    ),
    CheatingJurors("a third blames a good submission", 5, SCORE_FRAUD, SCORE_FULL, SCORE_FULL, SCORE_FULL, False),
    CheatingJurors(
        "just under half blames a good submission", 7, SCORE_FRAUD, SCORE_FULL, SCORE_FULL, SCORE_FULL, False
    ),
    CheatingJurors("just under half keeps a wrong blame", 7, SCORE_FRAUD, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, False),
    CheatingJurors("just under half stays away", 7, None, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, False),
    CheatingJurors("just under half acquits a fraud", 7, SCORE_FULL, SCORE_FRAUD, SCORE_FRAUD, SCORE_FRAUD, False),
    CheatingJurors(
        "just under half calls it unavailable", 7, SCORE_UNAVAILABLE, SCORE_FULL, SCORE_FRAUD, SCORE_FULL, False
    ),
)


def try_jurors(cheat: CheatingJurors) -> Ruling:
    lie = None if cheat.says is None else Vote(cheat.says)
    return rule(cheat.standing, [lie] * cheat.count + [Vote(cheat.truth)] * (PANEL_SEATS - cheat.count))
