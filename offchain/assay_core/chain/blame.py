"""Who pays for a score that was wrong, as the ledger tells it. Pure.

The same rules as in contracts/Appeals.sol and contracts/Plants.sol, so that nothing is sent that they would refuse.
"""

from collections.abc import Iterator

from assay_core.chain.records import DisputeRecord, EpochRecord
from assay_core.protocol.encoding import must_replay
from assay_core.protocol.types import SCORE_FRAUD, Address, DisputePhase, TaskParams, WorkIndex, is_paid, score_at


def suspects(record: EpochRecord, dispute: DisputeRecord, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for an overturned score, and have not yet: their report gave it, or would have paid fraud."""
    if params.verdict_slash_bps == 0 or not dispute.is_against_verifiers:
        return
    for verifier in sorted(record.reveals.keys() - dispute.verdict_slashes.keys()):
        given = score_at(record.reveals[verifier].report, dispute.index)
        if given == dispute.standing or (dispute.score == SCORE_FRAUD and is_paid(given)):
            yield verifier


def fooled(record: EpochRecord, index: WorkIndex, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for having paid a plant that was drawn and is found out, and have not paid for it yet."""
    if params.verdict_slash_bps == 0 or not is_found_out(record, index, params):
        return
    for verifier in sorted(record.reveals):
        has_paid = is_paid(score_at(record.reveals[verifier].report, index))
        if has_paid and (index, verifier) not in record.paid_plants:
            yield verifier


def is_found_out(record: EpochRecord, index: WorkIndex, params: TaskParams) -> bool:
    """Whether a plant of a final epoch was opened in time and drawn, and was fraud by the verifiers' own word.

    Where an appeal had to say so, that has its own slash; where one was left undecided, there is none.
    """
    if not record.is_final or index not in record.plants_in_time or record.seed is None:
        return False
    dispute = record.disputes.get(index)
    is_disputed = dispute is not None and dispute.outcome in (DisputePhase.OVERTURNED, DisputePhase.UNDECIDED)
    is_fraud = record.score_of(index) == SCORE_FRAUD and not is_disputed
    return is_fraud and must_replay(record.seed, index, params.sampling_bps)
