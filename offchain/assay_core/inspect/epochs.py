"""Where an epoch stands, and one work of it, out of the ledger. Pure."""

from typing import Any

from assay_core.chain.ledger import CommittedWork, EpochRecord, TaskLedger
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import EpochPhase, WorkId


def committed_work(ledger: TaskLedger, work_id: WorkId) -> tuple[EpochRecord, CommittedWork]:
    """Raises Stop: there is no such work."""
    try:
        committed = ledger.work(work_id.epoch, work_id.index)
    except LookupError as error:
        raise Stop(f"{error}: `assay task show {work_id.task_id}` lists the epochs and their works") from error
    return ledger.epochs[work_id.epoch], committed


def phase_of(record: EpochRecord) -> str:
    """Where an epoch stands, as its events tell it (a window that has just passed shows with the next event)."""
    if record.is_void:
        phase = EpochPhase.VOID
    elif record.is_final:
        phase = EpochPhase.FINAL
    elif record.is_settled:
        phase = EpochPhase.CHALLENGEABLE
    elif record.is_attested:
        phase = EpochPhase.ATTESTED
    elif record.reveals:
        phase = EpochPhase.ATTEST_REVEAL
    elif record.is_sealed:
        phase = EpochPhase.ATTEST_COMMIT
    else:
        phase = EpochPhase.COMMITTING
    return phase.name.lower().replace("_", " ")


def epoch_json(record: EpochRecord) -> dict[str, Any]:
    """An epoch for programs."""
    return {
        "epoch": record.epoch,
        "phase": phase_of(record),
        "works": [
            {
                "index": committed.work.index,
                "trainer": committed.work.trainer,
                "units": committed.work.units,
                "policy_version": committed.work.policy_version,
                "manifest_root": committed.work.manifest_root,
                "score": record.score_of(committed.work.index),
                "claimed_wei": record.claims.get(committed.work.index),
                "is_slashed": committed.work.index in record.frauds,
            }
            for committed in record.works
        ],
        "seed": record.seed,
        "attest_by": record.attest_by,
        "challenge_by": record.challenge_by,
        "committed": sorted(record.commitments),
        "revealed": sorted(record.reveals),
        "policy_version": record.policy.version if record.policy else None,
    }
