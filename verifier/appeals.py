"""Votes in appeals: judges a challenged work again, writes the vote down, commits to it, reveals it.

Nobody has to believe a challenger: what it disputes is judged again just as it was drawn. If that gives what stands,
it is judged as if the epoch's seed had drawn everything, too, unless those who attested to what was drawn would pay for
what was not: then a cheat could have itself challenged, and live on them. What was not to be had while the epoch was
attested stays worth nothing, though it may be there now: a trainer that hands its bytes over late must not be paid for
them, and those who attested in time must not pay for it.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from offchain.chain.contracts import ChallengesContract
from offchain.chain.ledger import ChallengeRecord, EpochRecord, TaskLedger
from offchain.daemon.status import Status
from offchain.protocol.encoding import appeal_commitment, parse_canonical_json
from offchain.protocol.errors import Reason, Reverted, Unavailable
from offchain.protocol.types import SCORE_UNPAID, Address, ChallengePhase, Epoch, TaskId, WorkIndex
from verifier.checks.update import compared_norm
from verifier.database import Sessions
from verifier.disputes import Vote, has_excuse
from verifier.docket import Docket
from verifier.models import AppealRow, AttestationRow, EvidenceRow, WorkRow
from verifier.transactions import Transactions

log = logging.getLogger(__name__)

GIVE_UP_SHARE = 4  # a quarter of the appeal window before its end, what is not to be had is voted as before


class Appeals:
    """The appeals of one task in which one verifier has a vote."""

    def __init__(
        self,
        task_id: TaskId,
        verifier: Address,
        contract: ChallengesContract,
        transactions: Transactions,
        docket: Docket,
        sessions: Sessions,
        status: Status,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._task_id, self._verifier, self._contract = task_id, verifier, contract
        self._transactions, self._docket, self._sessions = transactions, docket, sessions
        self._status, self._new_salt = status, new_salt

    def advance(self, ledger: TaskLedger, record: EpochRecord, now: int) -> bool:
        """Do what the open challenges of an epoch wait for from us; whether anything was done. Raises Unavailable."""
        if self._verifier not in record.members:
            return False
        return any([self._vote(ledger, record, challenge, now) for challenge in record.open_challenges])

    def _vote(self, ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord, now: int) -> bool:
        if self._verifier in challenge.votes:
            return False
        phase = self._contract.phase_of(self._task_id, record.epoch, challenge.index)
        try:
            if phase is ChallengePhase.APPEAL_COMMIT and self._verifier not in challenge.commitments:
                return self._commit(ledger, record, challenge, now)
            if phase is ChallengePhase.APPEAL_REVEAL and self._verifier in challenge.commitments:
                return self._reveal(record, challenge)
        except Reverted as error:  # the phase has just ended, or we did it a moment ago: a later look knows
            log.warning("vote refused", extra={"epoch": record.epoch, "work": challenge.index, "error": error.error})
        return False

    def _commit(self, ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord, now: int) -> bool:
        row = self.written(record, challenge.index)
        if row is None:
            give_up = now >= challenge.commit_by - ledger.task.params.appeal_window // GIVE_UP_SHARE
            row = self._write(record, challenge.index, self._judge(ledger, record, challenge, give_up=give_up))
        commitment = self._commitment(row)
        self._transactions.send(
            self._contract.commit_appeal(self._task_id, record.epoch, challenge.index, commitment), record.epoch
        )
        self._status("appeal committed", epoch=record.epoch, work=challenge.index)
        return True

    def _reveal(self, record: EpochRecord, challenge: ChallengeRecord) -> bool:
        row = self.written(record, challenge.index)
        if row is None or challenge.commitments[self._verifier] != self._commitment(row):
            log.error("the chain has another vote than we wrote: is the key in use twice?")
            return False
        call = self._contract.reveal_appeal(self._task_id, record.epoch, challenge.index, row.score, row.salt)
        self._transactions.send(call, record.epoch)
        self._status("appeal revealed", epoch=record.epoch, work=challenge.index, score=row.score, beyond=row.beyond)
        return True

    def written(self, record: EpochRecord, index: WorkIndex) -> AppealRow | None:
        """Our vote, sent or not; None also when a reorganisation has sealed the epoch anew since."""
        with self._sessions() as session:
            row = session.get(AppealRow, (self._task_id, record.epoch, index))
        return row if row is not None and row.seed == record.seed else None

    def _write(self, record: EpochRecord, index: WorkIndex, vote: Vote) -> AppealRow:
        if record.seed is None:
            raise ValueError(f"epoch {record.epoch} is not sealed")
        row = AppealRow(self._task_id, record.epoch, index, record.seed, vote.score, self._new_salt(), vote.beyond)
        with self._sessions() as session, session.begin():
            session.merge(row)
        return row

    def _judge(self, ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord, *, give_up: bool) -> Vote:
        """Raises Unavailable: the bytes are not to be had now, and there is time."""
        index, standing = challenge.index, challenge.standing
        with self._sessions() as session:
            before = session.get(WorkRow, (self._task_id, record.epoch, index))
        if before is not None and before.reason == str(Reason.UNAVAILABLE):
            return Vote(SCORE_UNPAID)
        score = SCORE_UNPAID if before is None or before.score is None else before.score
        norms = self._norms(record)
        try:
            score = self._docket.judge_as_drawn(ledger, record, index, norms).score
            if score != standing or not has_excuse(record, index, standing, ledger.task.params):
                return Vote(score)
            in_full = self._docket.judge_in_full(ledger, record, index, norms).score
            return Vote(in_full, beyond=in_full != score)
        except Unavailable:
            if not give_up:
                raise
            return Vote(score)

    def _norms(self, record: EpochRecord) -> dict[WorkIndex, float]:
        """Norms of the updates that we compared when we attested to an epoch; none if we did not."""
        with self._sessions() as session:
            attested = session.get(AttestationRow, (self._task_id, record.epoch))
            mine = EvidenceRow.task_id == self._task_id, EvidenceRow.epoch == record.epoch
            rows = session.scalars(select(EvidenceRow).where(*mine)).all()
        if attested is None or attested.seed != record.seed:
            return {}
        found = ((WorkIndex(row.index), _compared_norm(row)) for row in rows)
        return {index: norm for index, norm in found if norm is not None}

    def _commitment(self, row: AppealRow) -> bytes:
        return appeal_commitment(
            self._task_id, Epoch(row.epoch), WorkIndex(row.index), self._verifier, row.score, row.salt
        )


def _compared_norm(row: EvidenceRow) -> float | None:
    document: Any = parse_canonical_json(row.document.encode())  # we wrote it
    return compared_norm(document["verdict"])
