"""Settles, and keeps the task going: everything that anybody may do and somebody must.

What is due is computed from the ledger alone; each call is simulated before it is sent, so that a colleague who was
faster costs nothing.
"""

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from offchain.chain.contracts import (
    AttestationsContract,
    Call,
    ChallengesContract,
    PayoutsContract,
    TaskRegistryContract,
    WorkRef,
)
from offchain.chain.ledger import ChallengeRecord, EpochRecord, TaskLedger
from offchain.daemon.status import Status
from offchain.protocol.encoding import report_hash
from offchain.protocol.errors import Rejected, Reverted, Unavailable
from offchain.protocol.types import SCORE_FRAUD, Address, ChallengePhase, Epoch, EpochPhase
from verifier.attester import Attester
from verifier.disputes import absentees, is_owed, score_in, suspects
from verifier.inbox import Inbox
from verifier.transactions import Transactions
from verifier.turns import Turns

log = logging.getLogger(__name__)

FEE_BATCH = 50  # epochs whose fees are claimed in one transaction


@dataclass(frozen=True, slots=True)
class Contracts:
    """Encoders of calls, and the contracts' UNBONDING_PERIOD in seconds."""

    attestations: AttestationsContract
    registry: TaskRegistryContract
    challenges: ChallengesContract
    payouts: PayoutsContract
    unbonding_period_s: int


@dataclass(frozen=True, slots=True)
class Due:
    """Something to send. `what` names it, the same for everybody and at every look; `call` encodes it when needed."""

    what: Hashable
    epoch: Epoch
    call: Callable[[], Call]


def due_calls(
    ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], now: int, verifier: Address, contracts: Contracts
) -> Iterator[Due]:
    """What the ledger says is due, but for `sealEpoch`, `settle` and `publishPolicy`, which need more than the ledger.

    Args:
        phases: of the epochs that are sealed and not over.
        now: Unix time.
        verifier: whose own absence is not for itself to report.
    """
    for epoch in sorted(ledger.epochs):
        record, phase = ledger.epochs[epoch], phases.get(epoch)
        if phase is EpochPhase.CHALLENGEABLE and _is_unchallenged(record, now):
            yield Due(("finalise", epoch), epoch, partial(contracts.attestations.finalise, ledger.task_id, epoch))
        elif phase is EpochPhase.MISSED or (phase is EpochPhase.ATTESTED and is_stale(ledger, record, now, contracts)):
            yield Due(("void", epoch), epoch, partial(contracts.attestations.void_epoch, ledger.task_id, epoch))
        if record.is_final:
            yield from _due_slashes(ledger, record, contracts)
        if record.is_over:
            yield from _due_absences(ledger, record, verifier, contracts)
        for challenge in record.challenges.values():
            yield from _due_appeal_absences(ledger, record, challenge, verifier, contracts)
    yield from _due_departures(ledger, contracts)


def is_stale(ledger: TaskLedger, record: EpochRecord, now: int, contracts: Contracts) -> bool:
    """Whether an attested epoch that nobody could settle may be void: an UNBONDING_PERIOD after its reveals ended.

    They may have ended early, which no event tells; by then they have in any case.
    """
    if record.attest_by is None:
        return False
    return now >= record.attest_by + ledger.task.params.reveal_window + contracts.unbonding_period_s


def _is_unchallenged(record: EpochRecord, now: int) -> bool:
    return record.challenge_by is not None and now >= record.challenge_by and not record.open_challenges


def _due_slashes(ledger: TaskLedger, record: EpochRecord, contracts: Contracts) -> Iterator[Due]:
    for committed in record.works:
        work = committed.work
        if record.score_of(work.index) == SCORE_FRAUD and work.index not in record.frauds:
            call = partial(contracts.payouts.slash_fraud, WorkRef(ledger.task_id, record.epoch, work))
            yield Due(("slash", record.epoch, work.index), record.epoch, call)


def _due_absences(ledger: TaskLedger, record: EpochRecord, verifier: Address, contracts: Contracts) -> Iterator[Due]:
    """Verifiers of the epoch that did not reveal."""
    if ledger.task.params.absence_slash == 0:
        return
    for other in sorted(record.members - record.reveals.keys() - record.absences.keys() - {verifier}):
        call = partial(contracts.attestations.slash_absence, ledger.task_id, record.epoch, other)
        yield Due(("absence", record.epoch, other), record.epoch, call)


def _due_appeal_absences(
    ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord, verifier: Address, contracts: Contracts
) -> Iterator[Due]:
    for other in absentees(record, challenge, ledger.task.params):
        if other != verifier:
            where = ledger.task_id, record.epoch, challenge.index
            call = partial(contracts.challenges.slash_absence, *where, other)
            yield Due(("appeal absence", record.epoch, challenge.index, other), record.epoch, call)


def _due_departures(ledger: TaskLedger, contracts: Contracts) -> Iterator[Due]:
    """Trainers that have left, when the open epoch waits for nobody else.

    As long as it waits for others, one that is slow or was crowded out holds nobody up, and may still come.
    """
    record = ledger.open_epoch
    if record is None or not record.works:
        return
    waited_for = sorted(trainer for trainer in ledger.trainers if record.work_of(trainer) is None)
    if all(_has_left(ledger, trainer, record.epoch) for trainer in waited_for):
        for trainer in waited_for:
            call = partial(contracts.registry.delist, ledger.task_id, trainer)
            yield Due(("delist", record.epoch, trainer), record.epoch, call)


def _has_left(ledger: TaskLedger, trainer: Address, open_epoch: Epoch) -> bool:
    """Whether anybody may delist it: enlisted before the last sealed epoch opened, and without a work in it."""
    if open_epoch <= ledger.trainers[trainer] + 1:
        return False
    return ledger.epochs[Epoch(open_epoch - 1)].work_of(trainer) is None


def fees_due(ledger: TaskLedger, verifier: Address) -> list[Epoch]:
    """Final epochs whose fee we earned and have not claimed."""
    if ledger.task.params.verifier_fee == 0:
        return []
    epochs = (ledger.epochs[epoch] for epoch in sorted(ledger.epochs))
    return [each.epoch for each in epochs if each.is_final and verifier in each.reveals and verifier not in each.fees]


class Housekeeper:
    """Sends what is due, in turns. Raises Unavailable and Stop."""

    def __init__(
        self,
        verifier: Address,
        contracts: Contracts,
        transactions: Transactions,
        attester: Attester,
        inbox: Inbox,
        turns: Turns,
        status: Status,
    ) -> None:
        self._verifier, self._contracts, self._transactions = verifier, contracts, transactions
        self._attester, self._inbox, self._turns, self._status = attester, inbox, turns, status
        self._counted: set[Epoch] = set()
        self._not_behind: set[Hashable] = set()

    def seal(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Seal the open epoch, which the caller found sealable."""
        call = partial(self._contracts.attestations.seal_epoch, ledger.task_id)
        return self._send(Due(("seal", record.epoch), record.epoch, call), ledger)

    def settle(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Hand in the bytes of all reports revealed; of those that nobody can show, the contract waits for a while."""
        what = ("settle", record.epoch)
        if not self._turns.is_ours(what, ledger, record.epoch):
            return False
        reports = [report for each in record.report_hashes() if (report := self._report(record, each)) is not None]
        encode = partial(self._contracts.attestations.settle, ledger.task_id, record.epoch)
        try:
            return self._send(Due(what, record.epoch, partial(encode, reports)), ledger)
        except Unavailable:
            if len(reports) < 2:
                raise
            # Perhaps too much for one block. After a while of grace the contract is content with a quorum's report.
            heaviest = max(reports, key=lambda report: _weight(ledger, record, report))
            return self._send(Due(what, record.epoch, partial(encode, [heaviest])), ledger, own=True)

    def decide(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """End the challenges whose votes are in, or whose time is over."""
        return any([self._decide(ledger, record, challenge) for challenge in record.open_challenges])

    def _decide(self, ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord) -> bool:
        where = ledger.task_id, record.epoch, challenge.index
        what = ("decide", record.epoch, challenge.index)
        if self._contracts.challenges.phase_of(*where) is not ChallengePhase.DECIDABLE:
            return False
        if not self._turns.is_ours(what, ledger, record.epoch):
            return False
        found = (self._report(record, each) for each in self._counted_hashes(ledger, record))
        # If one is missing, the contract waits for a while.
        call = partial(self._contracts.challenges.decide, *where, [each for each in found if each is not None])
        return self._send(Due(what, record.epoch, call), ledger)

    def _counted_hashes(self, ledger: TaskLedger, record: EpochRecord) -> list[bytes]:
        """The reports that made the outcome: all but those whose bytes nobody handed in."""
        of = self._contracts.attestations.attestation_of
        counted = {of(ledger.task_id, record.epoch, verifier).report_hash for verifier in record.reveals}
        return sorted(each for each in counted if each is not None)

    def punish(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Have those pay whose report gave a score that was overturned; claim what lost challenges owe us."""
        return any([self._punish(ledger, record, challenge) for challenge in record.challenges.values()])

    def _punish(self, ledger: TaskLedger, record: EpochRecord, challenge: ChallengeRecord) -> bool:
        acted = False
        where = ledger.task_id, record.epoch, challenge.index
        for verifier in suspects(record, challenge, ledger.task.params):
            what = ("verdict", record.epoch, challenge.index, verifier)
            if what in self._not_behind or not self._turns.is_ours(what, ledger, record.epoch):
                continue
            report = self._report(record, record.reveals[verifier].report_hash)
            if report is None:
                self._turns.refused(what)
                continue
            if score_in(report, challenge.index) != challenge.standing:
                self._not_behind.add(what)
                continue
            call = partial(self._contracts.challenges.slash_verdict, *where, verifier, report)
            acted = self._send(Due(what, record.epoch, call), ledger) or acted
        if is_owed(challenge, self._verifier):
            what = ("share", record.epoch, challenge.index)
            call = partial(self._contracts.challenges.claim, *where, self._verifier)
            if self._turns.is_ready(what):
                acted = self._send(Due(what, record.epoch, call), ledger, own=True) or acted
        return acted

    def show_report(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Show our report where it made no outcome: else we would pay as if we had hidden it."""
        if self._verifier not in record.reveals or record.epoch in self._counted:
            return False
        own = self._attester.written(record)
        if own is None or report_hash(own.report) in record.shown_reports:
            return False
        if record.is_settled:
            state = self._contracts.attestations.attestation_of(ledger.task_id, record.epoch, self._verifier)
            if state.report_hash is not None:
                self._counted.add(record.epoch)
                return False
        call = partial(self._contracts.attestations.show_report, ledger.task_id, record.epoch, own.report)
        return self._send(Due(("show", record.epoch), record.epoch, call), ledger, own=True)

    def shows_report(self, ledger: TaskLedger, record: EpochRecord, phase: EpochPhase | None, now: int) -> bool:
        """Whether a report has to be shown that made no outcome, as far as the epoch's phase says."""
        if ledger.task.params.absence_slash == 0:
            return False
        if phase is EpochPhase.ATTESTED:
            return is_stale(ledger, record, now, self._contracts)
        return record.is_void or phase in (EpochPhase.MISSED, EpochPhase.CHALLENGEABLE)

    def tidy(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase], now: int) -> bool:
        """Send all that is due and our turn; whether anything was sent."""
        due = due_calls(ledger, phases, now, self._verifier, self._contracts)
        sent = [self._send(each, ledger) for each in due]
        return any(sent)

    def claim_fees(self, ledger: TaskLedger) -> bool:
        """Claim a whole batch of fees; what is less waits for `assay rewards claim-fees`, or for more."""
        epochs = fees_due(ledger, self._verifier)[:FEE_BATCH]
        if len(epochs) < FEE_BATCH:
            return False
        call = partial(self._contracts.payouts.claim_fees, ledger.task_id, epochs)
        return self._send(Due(("fees", epochs[0]), epochs[0], call), ledger, own=True)

    def _send(self, due: Due, ledger: TaskLedger, *, own: bool = False) -> bool:
        if not own and not self._turns.is_ours(due.what, ledger, due.epoch):
            return False
        call = due.call()
        try:
            self._transactions.send(call, due.epoch)
        except Reverted:  # too early, or somebody was faster: the ledger shows whether it is still due
            self._turns.refused(due.what)
            return False
        self._status("sent", call=call.function, epoch=due.epoch)
        self._turns.done(due.what)
        return True

    def _report(self, record: EpochRecord, wanted: bytes) -> bytes | None:
        """The bytes behind a revealed hash: our own, or out of the evidence of whoever revealed it."""
        own = self._attester.written(record)
        if own is not None and report_hash(own.report) == wanted:
            return own.report
        if record.scores is not None and report_hash(record.scores) == wanted:
            return record.scores
        for verifier, reveal in record.reveals.items():
            if reveal.report_hash != wanted:
                continue
            try:
                report = self._inbox.report(reveal.evidence_root, wanted)
                return report if len(report) <= len(record.works) else None  # what is surplus only costs gas
            except (Unavailable, Rejected) as error:  # another one may have revealed the same report
                log.info("a report is not to be had", extra={"verifier": verifier, "why": str(error)})
        return None


def _weight(ledger: TaskLedger, record: EpochRecord, report: bytes) -> int:
    """The stake behind a report, as far as the events show it."""
    wanted = report_hash(report)
    return sum(ledger.verifiers.get(each, 0) for each, it in record.reveals.items() if it.report_hash == wanted)
