"""Where an epoch stands, and one submission of it, out of the ledger. Pure."""

from typing import Any

from assay_core.chain.ledger import CommittedSubmission, EpochRecord, TaskLedger
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import SubmissionId


def committed_submission(ledger: TaskLedger, submission_id: SubmissionId) -> tuple[EpochRecord, CommittedSubmission]:
    """Raises Stop: there is no such submission."""
    try:
        committed = ledger.submission(submission_id.epoch, submission_id.index)
    except LookupError as error:
        raise Stop(
            f"{error}: `assay task show {submission_id.task_id}` lists the epochs and their submissions"
        ) from error
    return ledger.epochs[submission_id.epoch], committed


def phase_words(record: EpochRecord) -> str:
    """Where an epoch stands, for people: `attest commit`."""
    return record.phase.name.lower().replace("_", " ")


def epoch_json(record: EpochRecord) -> dict[str, Any]:
    """An epoch for programs."""
    return {
        "epoch": record.epoch,
        "phase": phase_words(record),
        "submissions": [
            {
                "index": committed.submission.index,
                "trainer": committed.submission.trainer,
                "units": committed.submission.units,
                "policy_version": committed.submission.policy_version,
                "manifest_root": committed.submission.manifest_root,
                "score": record.score_of(committed.submission.index),
                "claimed_wei": record.claims.get(committed.submission.index),
                "is_slashed": committed.submission.index in record.frauds,
            }
            for committed in record.submissions
        ],
        "seed": record.seed,
        "attest_by": record.attest_by,
        "challenge_by": record.challenge_by,
        "committed": sorted(record.commitments),
        "revealed": sorted(record.reveals),
        "policy_version": record.policy.version if record.policy else None,
    }
