"""Settles, and keeps the task going: sends what chores.py finds due, and what needs a look at the chain besides.

Each call is simulated before it is sent, so that a colleague who was faster costs nothing.
"""

import logging
from collections.abc import Callable, Hashable, Mapping
from functools import partial

from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import DisputeRecord, EpochRecord
from assay_core.protocol.errors import Reverted, Unavailable
from assay_core.protocol.types import DisputePhase, Epoch, EpochPhase
from assay_verifier.chores import Contracts, Due, due_calls, fees_due
from assay_verifier.node import Node

log = logging.getLogger(__name__)

FEE_BATCH = 20  # epochs whose fees are claimed in one transaction
# What settling takes, generously: chains bound a transaction at 2^24 gas.
GAS_BOUND = 8_000_000
GAS_OF_SUBMISSION = 20_000
GAS_OF_SCORE = 1_000  # of one submission in one report, where reports differ
STEP = 32  # submissions whose scores share a word of storage

HeaderOf = Callable[[int], bytes | None]
"""RLP of a block's header, by number; None: the node does not tell. Raises Unavailable."""


def submissions_at_once(reports: int, left: int) -> int:
    """How many submissions to settle in one transaction, out of those that are left."""
    if reports <= 1:
        return left  # what all agree on is only written down
    fits = GAS_BOUND // (GAS_OF_SUBMISSION + reports * GAS_OF_SCORE)
    return min(left, max(STEP, fits // STEP * STEP))


class Housekeeper:
    """Sends what is due, in turns. Raises Unavailable and Stop."""

    def __init__(
        self,
        node: Node,
        contracts: Contracts,
        header_of: HeaderOf,
    ) -> None:
        self._node, self._contracts, self._header_of = node, contracts, header_of
        self._tried: set[Hashable] = set()

    def seal(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Seal the open epoch, which the caller found sealable.

        By the header of its seed's block; where the node does not tell that, the contract has everybody wait first.
        """
        what = ("seal", record.epoch)
        if record.seed_block is None or not self._node.rotation.is_ours(what, ledger, record.epoch):
            return False
        header = self._header_of(record.seed_block)
        call = partial(self._contracts.attestations.seal_epoch, ledger.task_id, header)
        return self._send(Due(what, record.epoch, call), ledger)

    def settle(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Settle as many submissions as fit a transaction; fewer where a node finds that they do not."""
        settled = len(record.settled)
        what = ("settle", record.epoch, settled)
        if not self._node.rotation.is_ours(what, ledger, record.epoch):
            return False
        reports, left = record.reports(), len(record.submissions) - settled
        encode = partial(self._contracts.attestations.settle, ledger.task_id, record.epoch, reports)
        count = submissions_at_once(len(reports), left)
        while True:
            try:
                return self._send(Due(what, record.epoch, partial(encode, count)), ledger, own=True)
            except Unavailable as error:
                if count <= STEP:
                    raise
                log.warning(
                    "fewer submissions at once", extra={"epoch": record.epoch, "submissions": count, "why": str(error)}
                )
                count = max(STEP, count // 2 // STEP * STEP)

    def hear(self, ledger: TaskLedger, record: EpochRecord, now: int) -> bool:
        """Bring the disputes of an epoch further: summon, draw, decide."""
        return any([self._hear(ledger, record, each, now) for each in record.open_disputes])

    def _hear(self, ledger: TaskLedger, record: EpochRecord, dispute: DisputeRecord, now: int) -> bool:
        if now < (record.challenge_by or 0) + ledger.task.params.reveal_window:
            return False
        appeals, where = self._contracts.appeals, (ledger.task_id, record.epoch, dispute.index)
        phase = appeals.phase_of(*where)
        if phase is DisputePhase.DECIDABLE:
            what = ("decide", record.epoch, dispute.index)
            return self._send(Due(what, record.epoch, partial(appeals.decide, *where)), ledger)
        if phase is not DisputePhase.REVEALED:
            return False
        what = ("draw", record.epoch, dispute.index)
        if dispute.seed_block is not None and self._node.rotation.is_ours(what, ledger, record.epoch):
            ref = SubmissionRef(ledger.task_id, record.epoch, ledger.submission(record.epoch, dispute.index).submission)
            header = self._header_of(dispute.seed_block)
            if self._send(Due(what, record.epoch, partial(appeals.draw_panel, ref, header)), ledger):
                return True
        # Again, where the chain has forgotten that block before anybody drew: else the contract refuses.
        what = ("summon", record.epoch, dispute.index, dispute.seed_block)
        return self._send(Due(what, record.epoch, partial(appeals.summon_panel, *where)), ledger)

    def tidy(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], now: int) -> bool:
        """Send all that is due and our turn; whether anything was sent."""
        due = due_calls(ledger, phases, now, self._node.verifier, self._contracts)
        return any([self._send(each, ledger) for each in due])

    def claim_fees(self, ledger: TaskLedger) -> bool:
        """Claim fees by the batch; what is less once no further epoch is under way."""
        epochs = fees_due(ledger, self._node.verifier)[:FEE_BATCH]
        is_end = ledger.open_epoch is None and all(each.is_over for each in ledger.epochs.values() if each.submissions)
        if not epochs or (len(epochs) < FEE_BATCH and not is_end):
            return False
        call = partial(self._contracts.payouts.claim_fees, ledger.task_id, epochs, self._node.verifier)
        return self._send(Due(("fees", epochs[0]), epochs[0], call), ledger, own=True)

    def release_bond(self, ledger: TaskLedger, now: int) -> bool:
        """Have our bond unlocked once we have left and it answers for nothing any more."""
        what, newest = ("release",), max(ledger.epochs, default=Epoch(0))
        has_judged = any(self._node.verifier in record.members for record in ledger.epochs.values())
        if self._node.verifier in ledger.verifiers or not has_judged or not self._node.rotation.is_ready(what):
            return False
        held = self._contracts.verifiers.collateral_of(ledger.task_id, self._node.verifier)
        if not held.amount_wei or held.until is None or now < held.until:
            self._node.rotation.refused(what)
            return False
        call = partial(self._contracts.verifiers.release_bond, ledger.task_id, self._node.verifier)
        return self._send(Due(what, newest, call), ledger, own=True)

    def _send(self, due: Due, ledger: TaskLedger, *, own: bool = False) -> bool:
        is_time = (
            self._node.rotation.is_ready(due.what) if own else self._node.rotation.is_ours(due.what, ledger, due.epoch)
        )
        if not is_time or due.what in self._tried:
            return False
        call = due.call()
        if due.is_untold:
            self._tried.add(due.what)
        try:
            self._node.transactions.send(call, due.epoch)
        except Reverted:  # too early, or somebody was faster: the ledger shows whether it is still due
            self._node.rotation.refused(due.what)
            return False
        self._node.status("sent", call=call.function, epoch=due.epoch)
        self._node.rotation.done(due.what)
        return True
