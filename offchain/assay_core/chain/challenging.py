"""What somebody who disputes a score has to send, step by step: commit, reveal, claim.

Anyone who keeps an `Objection` (its salt above all) can go on after any crash: the ledger tells how far it has come.
"""

from dataclasses import dataclass

from assay_core.chain.contracts import AppealsContract, Call
from assay_core.chain.records import ChallengeRecord, EpochRecord
from assay_core.protocol.encoding import challenge_commitment
from assay_core.protocol.types import (
    SCORE_FRAUD,
    Address,
    ChallengeState,
    Epoch,
    SubmissionIndex,
    TaskId,
    TaskParams,
)


@dataclass(frozen=True, slots=True)
class Objection:
    """That a submission should have another score, as one account means to say."""

    task_id: TaskId
    epoch: Epoch
    index: SubmissionIndex
    score: int
    challenger: Address
    salt: bytes

    @property
    def commitment(self) -> bytes:
        return challenge_commitment(self.task_id, self.epoch, self.challenger, self.index, self.score, self.salt)

    def challenge_in(self, record: EpochRecord) -> ChallengeRecord | None:
        """The challenge by which it was committed to; None: it was not."""
        mine = (each for each in record.challenges.values() if each.commitment == self.commitment)
        return next((each for each in mine if each.challenger == self.challenger), None)


def next_call(
    objection: Objection, record: EpochRecord, params: TaskParams, now: int, appeals: AppealsContract
) -> Call | None:
    """The commitment or the reveal, when it is time for it; None: nothing yet, or nothing more. `now`: Unix time."""
    if record.challenge_by is None:
        return None
    where = objection.task_id, objection.epoch
    challenge = objection.challenge_in(record)
    if challenge is None:
        is_open = now < record.challenge_by and not record.is_over
        return appeals.commit_challenge(*where, objection.commitment) if is_open else None
    is_open = record.challenge_by <= now < record.challenge_by + params.reveal_window
    if challenge.state is not ChallengeState.COMMITTED or not is_open:
        return None
    return appeals.reveal_challenge(*where, challenge.id, objection.index, objection.score, objection.salt)


def claim_call(objection: Objection, record: EpochRecord, appeals: AppealsContract) -> Call | None:
    """The claim of what a decided challenge is owed; None: there can be nothing now.

    More may come in for the finder of a fraud once it is slashed. Raises Unavailable.
    """
    challenge = objection.challenge_in(record)
    if challenge is None or not _is_decided(challenge, record):
        return None
    where = objection.task_id, objection.epoch, challenge.id
    return appeals.claim_challenge(*where) if appeals.owed_to(*where) else None


def is_over(objection: Objection, record: EpochRecord) -> bool:
    """Whether nothing more will be owed once what is owed now is claimed."""
    if not record.is_over:
        return False
    challenge = objection.challenge_in(record)
    if challenge is None or not _is_decided(challenge, record):
        return True
    index = objection.index
    is_found = record.is_final and record.score_of(index) == SCORE_FRAUD
    return not is_found or index in record.frauds or index in record.plants


def _is_decided(challenge: ChallengeRecord, record: EpochRecord) -> bool:
    dispute = None if challenge.index is None else record.disputes.get(challenge.index)
    return dispute is not None and not dispute.is_open
