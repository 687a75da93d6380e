"""What of this verifier's judgement may be shown to others yet.

Verifiers commit to reports before any is revealed, so that none can copy another's. A service that told scores or
evidence earlier would undo that: it shows nothing of an epoch's verdicts before our attestation is revealed, or
nobody's can be any more.
"""

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from assay_core.protocol.types import EpochPhase
from assay_verifier.models import AttestationRow, EpochRow, SubmissionRow

_AFTER_REVEAL = (EpochPhase.ATTESTED, EpochPhase.MISSED, EpochPhase.CHALLENGEABLE, EpochPhase.FINAL, EpochPhase.VOID)

IS_SHOWN = or_(
    EpochRow.phase.in_([phase.name for phase in _AFTER_REVEAL]),
    exists().where(
        and_(
            AttestationRow.task_id == EpochRow.task_id,
            AttestationRow.epoch == EpochRow.epoch,
            AttestationRow.seed == EpochRow.seed,  # a reveal that a reorganisation took back does not count
            AttestationRow.revealed,
        )
    ),
)
"""Of a row of `epochs`, in a query: whether its verdicts may be shown."""


def shown_epochs(session: Session, task_id: int) -> set[int]:
    """Epochs of a task whose verdicts may be shown."""
    return set(session.scalars(select(EpochRow.epoch).where(EpochRow.task_id == task_id, IS_SHOWN)))


def is_shown(session: Session, task_id: int, epoch: int) -> bool:
    """Whether an epoch's verdicts may be shown: once its reports are revealed."""
    query = select(EpochRow.epoch).where(EpochRow.task_id == task_id, EpochRow.epoch == epoch, IS_SHOWN)
    return session.scalar(query) is not None


def without_verdict(submission: SubmissionRow) -> SubmissionRow:
    """A copy with what the chain says of a submission, and nothing of our judgement."""
    return SubmissionRow(
        submission.task_id,
        submission.epoch,
        submission.index,
        submission.trainer,
        submission.units,
        submission.policy_version,
        submission.manifest_root,
        settled_score=submission.settled_score,
    )
