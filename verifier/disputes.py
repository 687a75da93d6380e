"""What follows from challenges, as the ledger tells it: who pays, who is excused, who is owed. Pure.

The same rules as in contracts/Challenges.sol, so that nothing is sent that the contract would refuse.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from offchain.chain.ledger import ChallengeRecord, EpochRecord
from offchain.protocol.encoding import must_replay
from offchain.protocol.types import (
    BPS,
    SCORE_FRAUD,
    SCORE_FULL,
    SCORE_UNPAID,
    Address,
    ChallengePhase,
    TaskParams,
    WorkIndex,
)


@dataclass(frozen=True, slots=True)
class Vote:
    """A verifier's word in an appeal. `beyond`: what decides is something that the epoch's seed had not drawn."""

    score: int
    beyond: bool = False


def suspects(record: EpochRecord, challenge: ChallengeRecord, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for an overturned score if their report gave it, and have not paid yet."""
    if params.verdict_slash == 0 or not is_against_verifiers(record, challenge, params):
        return
    for verifier in sorted(record.reveals.keys() - challenge.verdict_slashes.keys()):
        if not is_excused(record, challenge, verifier, params):
            yield verifier


def is_against_verifiers(record: EpochRecord, challenge: ChallengeRecord, params: TaskParams) -> bool:
    """Whether a quorum stands behind the very score that the appeal gave instead."""
    if challenge.outcome is not ChallengePhase.OVERTURNED:
        return False
    behind = sum(challenge.weights[each] for each, score in challenge.votes.items() if score == challenge.score)
    return behind * BPS >= params.quorum_bps * record.weight_at_seal


def is_excused(record: EpochRecord, challenge: ChallengeRecord, verifier: Address, params: TaskParams) -> bool:
    """Whether a verifier had no reason to know better when it attested, and has corrected itself in the appeal."""
    corrected = challenge.votes.get(verifier) == challenge.score
    return corrected and has_excuse(record, challenge.index, challenge.standing, params)


def has_excuse(record: EpochRecord, index: WorkIndex, standing: int, params: TaskParams) -> bool:
    """Whether those behind a score may correct themselves in an appeal and pay nothing."""
    if standing == SCORE_FRAUD or record.seed is None:
        return False
    return standing == SCORE_UNPAID or not must_replay(record.seed, index, params.sampling_bps)


def absentees(record: EpochRecord, challenge: ChallengeRecord, params: TaskParams) -> Iterator[Address]:
    """Verifiers without a vote in an appeal that is over, who have not paid for it yet."""
    if not challenge.is_open and params.absence_slash > 0:
        yield from sorted(record.members - challenge.votes.keys() - challenge.absences.keys())


def is_owed(challenge: ChallengeRecord, verifier: Address) -> bool:
    """Whether a verifier has a share of a lost bond to claim."""
    return (
        challenge.outcome is ChallengePhase.UPHELD
        and challenge.votes.get(verifier) == challenge.score
        and challenge.weights.get(verifier, 0) > 0
        and verifier not in challenge.claims
    )


def score_in(report: bytes, index: int) -> int:
    """What a report gives to a work: a missing or meaningless byte counts as 0."""
    score = report[index] if index < len(report) else SCORE_UNPAID
    return score if score <= SCORE_FULL or score == SCORE_FRAUD else SCORE_UNPAID
