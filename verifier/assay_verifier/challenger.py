"""Challenges what a quorum decided against what we know: a paid fraud, or an honest submission called fraud.

Only where the epoch's seed drew the submission for a replay, where our own report said otherwise, where judging it once
more says so again, and where there are seats for a panel. What is put down is bounded by what our key's account holds.
A challenge is in the database before it is committed to, so that a crash loses neither its bond nor what it wins.
"""

import logging
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from assay_core.bundle.evidence import compared_norm
from assay_core.chain.challenging import Objection, claim_call, is_over, next_call
from assay_core.chain.contracts import AppealsContract, Call, PanelsContract, TokenContract
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.economics import challenge_cost
from assay_core.protocol.encoding import must_replay, parse_canonical_json
from assay_core.protocol.errors import Reverted
from assay_core.protocol.types import (
    PANEL_SEATS,
    SCORE_FRAUD,
    Address,
    Epoch,
    SubmissionIndex,
    TaskParams,
    is_paid,
    score_at,
)
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.models import AttestationRow, ChallengeRow, EvidenceRow
from assay_verifier.node import Node

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Purse:
    """The account that puts bonds down: that of our key."""

    account: Address
    token: TokenContract
    appeals: AppealsContract
    panels: PanelsContract


class Challenger:
    """The challenges of one verifier in one task."""

    def __init__(
        self,
        node: Node,
        purse: Purse,
        queue: JudgingQueue,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._node, self._purse, self._queue, self._new_salt = node, purse, queue, new_salt
        self._looked_at: set[tuple[Epoch, SubmissionIndex, bytes]] = set()

    def advance(self, ledger: TaskLedger, record: EpochRecord, now: int) -> bool:
        """Object to what we can prove wrong in an epoch, and see our challenges through. Raises Unavailable."""
        acted = False
        if record.is_settled and not record.is_over and now < (record.challenge_by or 0):
            acted = any([self._object(ledger, record, index) for index in self._suspicious(ledger, record)])
        return any([self._go_on(ledger, record, row, now) for row in self._rows(record)]) or acted

    # ---- objecting

    def _suspicious(self, ledger: TaskLedger, record: EpochRecord) -> Iterator[SubmissionIndex]:
        """Submissions of which our report says fraud and the outcome pays them, or the other way round.

        Of those that were drawn, or that came so late that we checked them in full.
        """
        with self._node.sessions() as session:
            attested = session.get(AttestationRow, (self._node.task_id, record.epoch))
        if attested is None or record.seed is None or attested.seed != record.seed:
            return
        for committed in record.submissions:
            index = committed.submission.index
            ours, outcome = score_at(attested.report, index), record.settled_score_of(index)
            differs = outcome is not None and _are_opposed(ours, outcome)
            is_drawn = must_replay(record.seed, index, ledger.task.params.sampling_bps)
            if differs and (is_drawn or self._was_checked_in_full(record, index)):
                yield index

    def _was_checked_in_full(self, record: EpochRecord, index: SubmissionIndex) -> bool:
        with self._node.sessions() as session:
            row = session.get(EvidenceRow, (self._node.task_id, record.epoch, index))
        document: Any = {} if row is None else parse_canonical_json(row.document.encode())  # we wrote it
        return row is not None and document["case"]["epoch_seed"] is None

    def _object(self, ledger: TaskLedger, record: EpochRecord, index: SubmissionIndex) -> bool:
        key = record.epoch, index, record.seed or b""
        if key in self._looked_at or any(row.index == index for row in self._rows(record)):
            return False
        outcome = record.settled_score_of(index) or 0
        in_full = self._was_checked_in_full(record, index)
        judge = self._queue.judge_in_full if in_full else self._queue.judge_as_drawn
        again = judge(ledger, record, index, self._norms(record))
        self._looked_at.add(key)
        if not _are_opposed(again.score, outcome):
            log.info("not sure enough to challenge", extra={"epoch": record.epoch, "submission": index})
            return False
        row = ChallengeRow(self._node.task_id, record.epoch, index, record.seed or b"", again.score, self._new_salt())
        with self._node.sessions() as session, session.begin():
            session.merge(row)
        self._node.status("score disputed", epoch=record.epoch, submission=index, standing=outcome, ours=again.score)
        return True

    def _norms(self, record: EpochRecord) -> dict[SubmissionIndex, float]:
        """Norms of the updates that we compared when we attested to an epoch."""
        with self._node.sessions() as session:
            mine = EvidenceRow.task_id == self._node.task_id, EvidenceRow.epoch == record.epoch
            rows = session.scalars(select(EvidenceRow).where(*mine)).all()
        found = ((SubmissionIndex(row.index), _compared_norm(row)) for row in rows)
        return {index: norm for index, norm in found if norm is not None}

    # ---- going on

    def _rows(self, record: EpochRecord) -> list[ChallengeRow]:
        with self._node.sessions() as session:
            ours = ChallengeRow.task_id == self._node.task_id, ChallengeRow.epoch == record.epoch
            rows = session.scalars(select(ChallengeRow).where(*ours, ChallengeRow.is_over.is_(False))).all()
        return [row for row in rows if row.seed == record.seed]

    def _go_on(self, ledger: TaskLedger, record: EpochRecord, row: ChallengeRow, now: int) -> bool:
        what = ("challenge", record.epoch, row.index)
        if not self._node.rotation.is_ready(what):
            return False
        appeals, params = self._purse.appeals, ledger.task.params
        objection = self._objection(row)
        call = next_call(objection, record, params, now, appeals) or claim_call(objection, record, appeals)
        if call is None:
            if is_over(objection, record):
                self._close(row)
            return False
        is_new = objection.challenge_in(record) is None
        if is_new and not (self._is_heard(record, row, params) and self._can_pay(challenge_cost(params), row)):
            self._node.rotation.refused(what)
            return False
        return self._send(call, row)

    def _objection(self, row: ChallengeRow) -> Objection:
        epoch, index = Epoch(row.epoch), SubmissionIndex(row.index)
        return Objection(self._node.task_id, epoch, index, row.score, self._purse.account, row.salt)

    def _is_heard(self, record: EpochRecord, row: ChallengeRow, params: TaskParams) -> bool:
        """Whether a panel may come together. Against the slash for an opened plant even an undecided dispute helps."""
        if row.index in record.plants:
            return True
        seats = self._purse.panels.pool_size(params.panel_class)
        if seats >= PANEL_SEATS:
            return True
        self._node.status("no panel for a challenge", epoch=row.epoch, submission=row.index, seats=seats)
        return False

    def _can_pay(self, cost: int, row: ChallengeRow) -> bool:
        """Whether the account holds what a challenge takes; sees that Appeals may take it."""
        account, token, appeals = self._purse.account, self._purse.token, self._purse.appeals
        held = token.balance_of(account)
        if held < cost:
            self._node.status(
                "cannot pay for a challenge", epoch=row.epoch, submission=row.index, needed=cost, held=held
            )
            return False
        if token.allowance(account, appeals.address) < cost:
            self._node.transactions.send(token.approve(appeals.address, cost), Epoch(row.epoch))
        return True

    def _send(self, call: Call, row: ChallengeRow) -> bool:
        what = ("challenge", row.epoch, row.index)
        try:
            self._node.transactions.send(call, Epoch(row.epoch))
        except Reverted:  # its time is over, or it was done a moment ago: the ledger will show it
            self._node.rotation.refused(what)
            return False
        self._node.rotation.done(what)
        self._node.status("challenge", call=call.function, epoch=row.epoch, submission=row.index, score=row.score)
        return True

    def _close(self, row: ChallengeRow) -> None:
        with self._node.sessions() as session, session.begin():
            session.get_one(ChallengeRow, (row.task_id, row.epoch, row.index)).is_over = True


def _are_opposed(score: int, other: int) -> bool:
    """Whether one is fraud and the other pays."""
    return (score == SCORE_FRAUD and is_paid(other)) or (is_paid(score) and other == SCORE_FRAUD)


def _compared_norm(row: EvidenceRow) -> float | None:
    document: Any = parse_canonical_json(row.document.encode())  # we wrote it
    return compared_norm(document["verdict"])
