"""Records what the chain says, so that `verifier serve` can show it without a node."""

from collections.abc import Mapping

from sqlalchemy import delete
from sqlalchemy.orm import Session

from assay_core.chain.ledger import EpochRecord, TaskLedger
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Epoch, EpochPhase
from assay_verifier.database import Sessions
from assay_verifier.models import EpochRow, EvidenceRow, PolicyRow, SubmissionRow, TaskRow


class Recorder:
    """Writes the rows of one task that have changed since the last time; one transaction a time."""

    def __init__(self, sessions: Sessions, spec: TaskSpec) -> None:
        self._sessions, self._spec = sessions, spec
        self._written: dict[Epoch, tuple[object, ...]] = {}
        self._task: tuple[object, ...] | None = None

    def record(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> None:
        """Nothing else writes these columns, so writing them again does no harm.

        Args:
            phases: what the chain says at this moment; of other epochs it is what their events tell.
        """
        task = (ledger.task.is_closed, len(ledger.policies), ledger.newest_policy().policy_root)
        shown = {epoch: phases.get(epoch, record.phase).name for epoch, record in ledger.epochs.items()}
        changed = [
            record
            for epoch, record in ledger.epochs.items()
            if self._written.get(epoch) != _fingerprint(record, shown[epoch])
        ]
        if task == self._task and not changed:
            return
        with self._sessions() as session, session.begin():
            if task != self._task:
                self._write_task(session, ledger)
            for record in changed:
                self._write_epoch(session, ledger, record, shown[record.epoch])
        self._task = task
        self._written |= {each.epoch: _fingerprint(each, shown[each.epoch]) for each in changed}

    def _write_task(self, session: Session, ledger: TaskLedger) -> None:
        task = ledger.task
        spec = canonical_json(self._spec.model_dump(mode="json")).decode()
        session.merge(TaskRow(ledger.task_id, self._spec.title, task.initiator, task.spec_hash, spec, task.is_closed))
        for policy in ledger.policies:
            row = session.get(PolicyRow, (ledger.task_id, policy.version)) or PolicyRow(ledger.task_id, policy.version)
            row.epoch, row.root, row.uri = policy.epoch, policy.policy_root, policy.uri
            session.add(row)

    def _write_epoch(self, session: Session, ledger: TaskLedger, record: EpochRecord, phase: str) -> None:
        key = (ledger.task_id, record.epoch)
        session.merge(EpochRow(*key, phase, record.seed, record.scores, record.challenge_by))
        for committed in record.submissions:
            submission = committed.submission
            row = session.get(SubmissionRow, (*key, submission.index))
            if (
                row is not None and row.manifest_root != submission.manifest_root
            ):  # another submission since a reorganisation
                session.execute(
                    delete(EvidenceRow).where(
                        EvidenceRow.task_id == key[0],
                        EvidenceRow.epoch == key[1],
                        EvidenceRow.index == submission.index,
                    )
                )
                session.delete(row)
                session.flush()
                row = None
            if row is None:
                row = SubmissionRow(
                    *key,
                    submission.index,
                    submission.trainer,
                    submission.units,
                    submission.policy_version,
                    submission.manifest_root,
                )
                session.add(row)
            row.settled_score = record.score_of(submission.index)
            session.flush()


def _fingerprint(record: EpochRecord, phase: str) -> tuple[object, ...]:
    roots = tuple(each.submission.manifest_root for each in record.submissions)
    return phase, record.seed, record.scores, record.challenge_by, roots
