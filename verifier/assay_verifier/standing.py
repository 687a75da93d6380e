"""What a verifier's daemon does and waits for, and whether its task is over, out of the ledger. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.inspect.earnings import fees_of, policy_of
from assay_core.inspect.waiting import wait_of
from assay_core.protocol.types import Address, Epoch, EpochPhase, PolicyState


@dataclass(frozen=True, slots=True)
class Standing:
    """In words; `deadline`: Unix time of the next moment by which something must have happened, None: there is none."""

    doing: str
    deadline: int | None
    earned_wei: int


def standing_of(ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], verifier: Address) -> Standing:
    """What is under way in all epochs, what we owe first."""
    owed = [
        record
        for epoch, record in sorted(ledger.epochs.items())
        if phases.get(epoch) is EpochPhase.ATTEST_COMMIT
        and verifier in record.members
        and verifier not in record.commitments
    ]
    waits = [wait for record in ledger.epochs.values() if record not in owed and (wait := wait_of(ledger, record))]
    parts = [f"judges epoch {record.epoch}" for record in owed] + [f"waits for {wait.what}" for wait in waits]
    times = [record.attest_by for record in owed] + [wait.until for wait in waits]
    earned_wei = sum(each.earned_wei for each in fees_of(ledger, verifier))
    deadline = min((time for time in times if time is not None), default=None)
    return Standing("; ".join(parts) or "waits for an epoch to open", deadline, earned_wei)


def why_over(ledger: TaskLedger, now: int) -> str | None:
    """Why nothing can come of a task any more; None: something can."""
    most = ledger.task.params.max_epochs
    if not all(_is_over(ledger, record, now) for record in ledger.epochs.values()):
        return None
    if ledger.task.is_closed:
        return "the task is closed"
    return f"all {most} epochs of the task are over" if most and len(ledger.epochs) >= most else None


def _is_over(ledger: TaskLedger, record: EpochRecord, now: int) -> bool:
    """Whether nothing more is decided about an epoch, nor a policy due of it."""
    if record.is_abandoned:
        return True
    if not record.is_sealed:
        return ledger.task.is_closed and not record.submissions and now >= record.commit_by
    return record.is_over and policy_of(record) is not PolicyState.PENDING
