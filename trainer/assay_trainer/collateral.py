"""What of a trainer's bond answers for its submissions, and what frees it again: claims of submissions that are
decided. Pure.

The same rule as in contracts/Commitments.sol: max(trainerBond while enlisted, fraudSlash × units in flight /
maxSubmissionUnits) is locked, and a submission is in flight until it is claimed, slashed or opened as a plant. So a
trainer that never claims runs out of bond, however much it has earned.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.types import SCORE_FRAUD, Address, SubmissionIndex, TaskParams


@dataclass(frozen=True, slots=True)
class Collateral:
    """Wei: locked for this task, and free to be locked. Submissions in flight."""

    locked_wei: int
    free_wei: int
    in_flight: int


def stake_wei(params: TaskParams, units: int) -> int:
    """What so many units in flight would cost, were they judged frauds."""
    return -(-units * params.fraud_slash // params.max_submission_units)


def missing_wei(params: TaskParams, held: Collateral, units: int) -> int:
    """How much more free bond it takes to have so many units in flight."""
    return max(0, max(params.trainer_bond, stake_wei(params, units)) - held.locked_wei - held.free_wei)


def units_in_flight(ledger: TaskLedger, trainer: Address) -> int:
    """Of a trainer's submissions that can still be slashed, or are not claimed yet."""
    return sum(
        committed.submission.units
        for record in ledger.epochs.values()
        for committed in record.submissions_of(trainer)
        if not _is_ended(record, committed.submission.index)
    )


def claimable(ledger: TaskLedger, trainer: Address) -> Iterator[SubmissionRef]:
    """Submissions that can no longer change, and are neither fraud nor claimed: also such as earn nothing."""
    for record in ledger.epochs.values():
        if not record.is_over:
            continue
        for committed in record.submissions_of(trainer):
            index = committed.submission.index
            is_fraud = record.is_final and record.score_of(index) == SCORE_FRAUD
            if not is_fraud and not _is_ended(record, index):
                yield SubmissionRef(ledger.task_id, record.epoch, committed.submission)


def _is_ended(record: EpochRecord, index: SubmissionIndex) -> bool:
    """Whether nothing is locked for a submission any more."""
    return index in record.claims or index in record.frauds or index in record.plants


def is_anything_in_flight(ledger: TaskLedger, trainer: Address) -> bool:
    """Whether submissions of ours wait for a decision that will free bond."""
    return any(not record.is_over and record.submissions_of(trainer) for record in ledger.epochs.values())
