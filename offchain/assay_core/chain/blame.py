"""Who pays for a score that was wrong, as the ledger tells it. Pure.

The same rules as in contracts/Appeals.sol and contracts/Plants.sol, so that nothing is sent that they would refuse.
"""

from collections.abc import Iterator

from assay_core.chain.records import DisputeRecord, EpochRecord
from assay_core.protocol.encoding import must_replay
from assay_core.protocol.types import (
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    Address,
    DisputePhase,
    SubmissionIndex,
    TaskParams,
    is_paid,
    pay_of,
    score_at,
)


def suspects(record: EpochRecord, dispute: DisputeRecord, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for an overturned score, and have not yet."""
    is_against = dispute.is_against_verifiers and dispute.outcome is DisputePhase.OVERTURNED
    if params.verdict_slash_bps == 0 or not is_against:
        return
    for verifier in sorted(record.reveals.keys() - dispute.verdict_slashes.keys()):
        if is_behind(dispute, score_at(record.reveals[verifier].report, dispute.index)):
            yield verifier


def is_behind(dispute: DisputeRecord, given: int) -> bool:
    """Whether a report gave the score that fell, erred as far to its side, or would have paid what is fraud."""
    if given == dispute.standing or dispute.score == SCORE_FRAUD:
        return given == dispute.standing or is_paid(given)
    stood, due, gave = (pay_of(each) for each in (dispute.standing, dispute.score or 0, given))
    errs_alike = gave >= stood if stood > due else stood < due and gave <= stood
    return given != SCORE_UNAVAILABLE and errs_alike


def fooled(record: EpochRecord, index: SubmissionIndex, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for having paid a plant that was drawn and is found out, and have not paid for it yet."""
    if params.verdict_slash_bps == 0 or not is_found_out(record, index, params):
        return
    for verifier in sorted(record.reveals):
        has_paid = is_paid(score_at(record.reveals[verifier].report, index))
        if has_paid and (index, verifier) not in record.paid_plants:
            yield verifier


def is_found_out(record: EpochRecord, index: SubmissionIndex, params: TaskParams) -> bool:
    """Whether a plant of a final epoch was opened in time and drawn, and was fraud by the verifiers' own word.

    Where an appeal had to say so, that has its own slash. Where somebody objected, two thirds of the panel's seats have
    to say that what was drawn shows it.
    """
    if not record.is_final or index not in record.plants_in_time or record.seed is None:
        return False
    dispute = record.disputes.get(index)
    is_upheld = dispute is None or (dispute.outcome is DisputePhase.UPHELD and dispute.is_against_verifiers)
    is_fraud = record.score_of(index) == SCORE_FRAUD and is_upheld
    return is_fraud and must_replay(record.seed, index, params.sampling_bps)
