"""Votes of a juror: judges a disputed submission, writes the vote down, commits to it, reveals it, claims its fee.

A juror did not judge the epoch, and believes nobody who did, nor the challenger. It judges the submission just as it
was drawn. If that gives what stands, it judges as if the epoch's seed had drawn everything: what only that shows
corrects the score, and blames nobody who looked at what was drawn. Whether bytes were there in time nobody can tell
afterwards: where a submission stands as unavailable, or is not to be had now, it says just that, and the score stands.
"""

import logging
import secrets
from collections.abc import Callable

from assay_core.chain.contracts import AppealsContract
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import DisputeRecord, EpochRecord
from assay_core.protocol.encoding import vote_commitment
from assay_core.protocol.errors import Reverted, Unavailable
from assay_core.protocol.types import (
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    DisputePhase,
    Seed,
    SubmissionIndex,
)
from assay_verifier.disputes import Vote
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.models import AppealRow
from assay_verifier.node import Node

log = logging.getLogger(__name__)

GIVE_UP_SHARE = 4  # a quarter of the appeal window before its end, what is not to be had is unavailable


class Appeals:
    """The disputes of one task that one juror (the operator) is drawn for."""

    def __init__(
        self,
        node: Node,
        contract: AppealsContract,
        queue: JudgingQueue,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._node, self._contract, self._queue, self._new_salt = node, contract, queue, new_salt
        self._unpaid: set[tuple[int, int]] = set()  # disputes that owe us nothing

    def advance(self, ledger: TaskLedger, record: EpochRecord, now: int) -> bool:
        """Do what the disputes of an epoch wait for from us; whether anything was done. Raises Unavailable."""
        ours = [each for each in record.disputes.values() if self._node.verifier in each.seats]
        return any([self._advance(ledger, record, each, now) for each in ours])

    def _advance(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord, now: int) -> bool:
        try:
            if not dispute.is_open:
                return self._claim(ledger, record, dispute)
            return self._node.verifier not in dispute.votes and self._vote(ledger, record, dispute, now)
        except Reverted as error:  # the phase has just ended, or we did it a moment ago: a later look knows
            log.warning(
                "vote refused", extra={"epoch": record.epoch, "submission": dispute.index, "error": error.error}
            )
            return False

    def _vote(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord, now: int) -> bool:
        phase = self._contract.phase_of(self._node.task_id, record.epoch, dispute.index)
        if phase is DisputePhase.APPEAL_COMMIT and self._node.verifier not in dispute.commitments:
            return self._commit(ledger, record, dispute, now)
        if phase is DisputePhase.APPEAL_REVEAL and self._node.verifier in dispute.commitments:
            return self._reveal(record, dispute)
        return False

    def _commit(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord, now: int) -> bool:
        row = self.written(record, dispute)
        if row is None:
            give_up = now >= (dispute.commit_by or 0) - ledger.task.params.appeal_window // GIVE_UP_SHARE
            row = self._write(record, dispute, self._judge(ledger, record, dispute, give_up=give_up))
        where = self._node.task_id, record.epoch, dispute.index
        self._node.transactions.send(self._contract.commit_vote(*where, self._commitment(row)), record.epoch)
        self._node.status("vote committed", epoch=record.epoch, submission=dispute.index)
        return True

    def _reveal(self, record: EpochRecord, dispute: DisputeRecord) -> bool:
        row = self.written(record, dispute)
        if row is None or dispute.commitments[self._node.verifier] != self._commitment(row):
            log.error("the chain has another vote than we wrote: is the key in use twice?")
            return False
        where = self._node.task_id, record.epoch, dispute.index
        call = self._contract.reveal_vote(*where, row.score, beyond=row.beyond, salt=row.salt)
        self._node.transactions.send(call, record.epoch)
        self._node.status(
            "vote revealed", epoch=record.epoch, submission=dispute.index, score=row.score, beyond=row.beyond
        )
        return True

    def _claim(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord) -> bool:
        """Claim the fee of our seats, once: who voted against the outcome has none, and the contract says so."""
        where = record.epoch, dispute.index
        is_due = ledger.task.params.juror_fee > 0 and self._node.verifier in dispute.votes
        if not is_due or (dispute.index, self._node.verifier) in record.appeals_paid or where in self._unpaid:
            return False
        self._unpaid.add(where)  # until it is proven otherwise
        self._node.transactions.send(
            self._contract.claim_vote(self._node.task_id, *where, self._node.verifier), record.epoch
        )
        self._node.status("juror's fee claimed", epoch=record.epoch, submission=dispute.index)
        return True

    def written(self, record: EpochRecord, dispute: DisputeRecord) -> AppealRow | None:
        """Our vote, sent or not; None also when a reorganisation has drawn another panel since."""
        with self._node.sessions() as session:
            row = session.get(AppealRow, (self._node.task_id, record.epoch, dispute.index))
        return row if row is not None and row.seed == dispute.seed else None

    def _write(self, record: EpochRecord, dispute: DisputeRecord, vote: Vote) -> AppealRow:
        if dispute.seed is None:
            raise ValueError(f"the panel for submission {dispute.index} of epoch {record.epoch} is not drawn")
        key = self._node.task_id, record.epoch, dispute.index
        row = AppealRow(*key, dispute.seed, vote.score, self._new_salt(), vote.beyond)
        with self._node.sessions() as session, session.begin():
            session.merge(row)
        return row

    def _judge(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord, *, give_up: bool) -> Vote:
        """Raises Unavailable: the bytes are not to be had now, and there is time."""
        if dispute.standing == SCORE_UNAVAILABLE:
            return Vote(SCORE_UNAVAILABLE)
        try:
            return self._judged(ledger, record, dispute.index, dispute.standing)
        except Unavailable:
            if not give_up:
                raise
            return Vote(SCORE_UNAVAILABLE)

    def _judged(self, ledger: TaskLedger, record: EpochRecord, index: SubmissionIndex, standing: int) -> Vote:
        norms = self._queue.norms(ledger, record)
        score = self._queue.judge_as_drawn(ledger, record, index, norms).score
        if score != standing or standing == SCORE_FRAUD or self._queue.draws_everything(ledger, record, index):
            return Vote(score)
        in_full = self._queue.judge_in_full(ledger, record, index, norms).score
        return Vote(in_full, beyond=in_full != score)

    def _commitment(self, row: AppealRow) -> bytes:
        return vote_commitment(Seed(row.seed), self._node.verifier, row.score, row.beyond, row.salt)
