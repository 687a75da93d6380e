"""Who pays for a score that was wrong, as the ledger tells it. Pure.

The same rules as in contracts/Appeals.sol and contracts/Plants.sol, so that nothing is sent that they would refuse.
"""

from collections.abc import Iterator

from offchain.chain.records import DisputeRecord, EpochRecord
from offchain.protocol.encoding import must_replay
from offchain.protocol.types import SCORE_FRAUD, Address, DisputePhase, TaskParams, WorkIndex, is_paid, score_at


def suspects(record: EpochRecord, dispute: DisputeRecord, params: TaskParams) -> Iterator[Address]:
    """Verifiers who pay for an overturned score, since their report gave it, and have not paid yet."""
    if params.verdict_slash_bps == 0 or not dispute.is_against_verifiers:
        return
    for verifier in sorted(record.reveals.keys() - dispute.verdict_slashes.keys()):
        if score_at(record.reveals[verifier].report, dispute.index) == dispute.standing:
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
    """Whether an opened plant of a final epoch was drawn, and was fraud by the verifiers' own word.

    Where an appeal had to say so, that has its own slash.
    """
    if not record.is_final or index not in record.plants or record.seed is None:
        return False
    dispute = record.disputes.get(index)
    is_by_appeal = dispute is not None and dispute.outcome is DisputePhase.OVERTURNED
    is_fraud = record.score_of(index) == SCORE_FRAUD and not is_by_appeal
    return is_fraud and must_replay(record.seed, index, params.sampling_bps)
