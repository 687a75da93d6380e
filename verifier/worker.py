"""The daemon: looks at the chain, does what is due, looks again.

Every step reads what stands (ledger, database) and does the next thing that is not done yet, so a crash or a restart at
any point loses nothing and sends nothing twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from offchain.chain.contracts import AttestationsContract
from offchain.chain.ledger import EpochRecord, TaskLedger
from offchain.daemon.status import Status
from offchain.daemon.stopping import StopFlag
from offchain.protocol.errors import Malformed, Reverted, Stop, Unavailable
from offchain.protocol.types import Address, Epoch, EpochPhase, Root
from verifier.aggregate import Aggregator
from verifier.appeals import Appeals
from verifier.attester import Attester
from verifier.docket import Docket
from verifier.inbox import roots_in_use
from verifier.recorder import Recorder
from verifier.settle import Housekeeper
from verifier.transactions import Transactions

log = logging.getLogger(__name__)

REFUSED_S = 5.0
NOT_TAKEN_S = 60.0
MOST_WAIT_S = 30.0  # between two looks at a node that does not answer
PATIENCE_S = 6.0  # how long a step of the chain that others have to take too is waited for, rather than judge on
GIVE_UP_SHARE = 4  # a quarter of the attest window before its end, what is not to be had counts as unavailable


class TaskChain(Protocol):
    """One task on chain. All raise Unavailable."""

    def refresh(self) -> TaskLedger: ...
    def now(self) -> int:
        """Unix time that the contracts will measure by."""
        ...

    def phase_of(self, epoch: Epoch) -> EpochPhase: ...
    def is_sealable(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the worker directs."""

    chain: TaskChain
    attestations: AttestationsContract
    transactions: Transactions
    recorder: Recorder
    docket: Docket
    attester: Attester
    appeals: Appeals
    aggregator: Aggregator
    housekeeper: Housekeeper
    status: Status
    tidy_cache: Callable[[Iterable[Root]], None]


class VerifierWorker:
    """Verifies one task as one operator."""

    def __init__(
        self,
        verifier: Address,
        parts: Parts,
        stop: StopFlag,
        poll_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._verifier, self._parts, self._stop, self._poll_s, self._clock = verifier, parts, stop, poll_s, clock
        self._not_before: dict[Epoch, float] = {}
        self._patient_until = 0.0
        self._enlist_not_before = 0.0
        self._judging_s = 0.0  # how long the last work took

    def run_forever(self) -> None:
        """Until asked to stop. Trouble with node or relays is waited out. Raises Stop: the operator must act."""
        wait_s = self._poll_s
        while not self._stop.is_set():
            acted = False
            try:
                acted = self.run_once()
                wait_s = self._poll_s
            except Stop:
                raise
            except Unavailable as error:
                log.warning("waiting", extra={"why": str(error)})
                wait_s = min(wait_s * 2, MOST_WAIT_S)
            except Exception:
                log.exception("unforeseen")
                wait_s = min(wait_s * 2, MOST_WAIT_S)
            if not acted:
                self._stop.wait(wait_s)
        self._parts.status("stopped")

    def run_once(self) -> bool:
        """One look and what follows from it; whether anything was done. Raises Unavailable and Stop."""
        ledger = self._parts.chain.refresh()
        phases = {
            epoch: self._parts.chain.phase_of(epoch)
            for epoch, record in ledger.epochs.items()
            if record.is_sealed and not record.is_over
        }
        self._parts.recorder.record(ledger, phases)
        self._parts.tidy_cache(roots_in_use(ledger))
        acted = self._enlist(ledger)
        for step in (self._attest, self._settle, self._aggregate, self._dispute, self._keep_going, self._judge):
            if self._stop.is_set():
                return acted
            try:
                did = step(ledger, phases)
                if did and step in (self._attest, self._settle, self._aggregate):
                    self._patient_until = self._clock() + PATIENCE_S
                acted = did or acted
            except Unavailable as error:  # of one step; the others may still have what they need
                log.warning("a step has to wait", extra={"step": step.__name__.strip("_"), "why": str(error)})
        return acted

    # ---- steps

    def _enlist(self, ledger: TaskLedger) -> bool:
        """Once, at the start. Raises Stop: the task does not take us, and we owe it nothing any more."""
        if self._verifier in ledger.verifiers or ledger.open_epoch is None or self._clock() < self._enlist_not_before:
            return False
        try:
            self._parts.transactions.send(self._parts.attestations.enlist(ledger.task_id))
        except Reverted as error:
            if error.error == "AlreadyEnlisted":  # a moment ago: the ledger will show it
                return False
            if any(self._verifier in record.members and not record.is_over for record in ledger.epochs.values()):
                # We are out, after a slash or of our own will, and still owe votes for what was sealed before.
                self._enlist_not_before = self._clock() + NOT_TAKEN_S
                self._parts.status("not enlisted", task=ledger.task_id, why=error.error)
                return False
            raise self._not_taken(error, ledger) from error
        self._parts.status("enlisted", task=ledger.task_id)
        return True

    def _not_taken(self, error: Reverted, ledger: TaskLedger) -> Stop:
        if error.error == "NotBonded":
            needed = ledger.task.params.verifier_bond
            return Stop(
                f"{self._verifier} has too small a verifier bond for task {ledger.task_id}, which asks for {needed} "
                "wei that answer for no other task: run `assay stake bond --role verifier`"
            )
        if error.error == "TooSoonToEnlist":
            when = datetime.fromtimestamp(int(str(error.arguments["from"])), UTC).isoformat(timespec="minutes")
            return Stop(f"{self._verifier} has left task {ledger.task_id} and may enlist again after {when}")
        return Stop(f"task {ledger.task_id} does not take us as a verifier: {error}")

    def _attest(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        acted = False
        for epoch, phase in sorted(phases.items()):
            record = ledger.epochs[epoch]
            if self._clock() < self._not_before.get(epoch, 0.0):
                continue
            try:
                if phase is EpochPhase.ATTEST_COMMIT and self._owes(record):
                    acted = self._commit(ledger, record) or acted
                elif phase is EpochPhase.ATTEST_REVEAL:
                    acted = self._parts.attester.reveal(record) is not None or acted
                elif self._verifier in record.reveals and (row := self._parts.attester.written(record)):
                    self._parts.attester.publish_evidence(row)
            except Reverted as error:  # the phase has just ended, or the like; a later look knows
                log.warning("attestation refused", extra={"epoch": epoch, "error": error.error})
                self._not_before[epoch] = self._clock() + REFUSED_S
        return acted

    def _owes(self, record: EpochRecord) -> bool:
        """Whether the epoch, which we were enlisted for at its seal, still lacks our commitment."""
        return self._verifier in record.members and self._verifier not in record.commitments

    def _commit(self, ledger: TaskLedger, record: EpochRecord) -> bool:
        """Commit to our report, once all works are judged, or as many as can be before time runs out."""
        attester, docket = self._parts.attester, self._parts.docket
        if attester.written(record) is None:
            window = ledger.task.params.attest_window
            give_up = self._parts.chain.now() >= (record.attest_by or 0) - window // GIVE_UP_SHARE
            judged = docket.judgements(ledger, record, give_up=give_up)
            if judged is None:
                return False
            attester.write(record, judged)
        attester.commit(record)
        docket.forget(ledger, record)
        return True

    def _settle(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        attested = [epoch for epoch, phase in sorted(phases.items()) if phase is EpochPhase.ATTESTED]
        return any([self._parts.housekeeper.settle(ledger, ledger.epochs[epoch]) for epoch in attested])

    def _aggregate(self, ledger: TaskLedger, _phases: Mapping[Epoch, EpochPhase]) -> bool:
        return self._parts.aggregator.advance(ledger)

    def _dispute(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        """Vote where a score is challenged, decide, have the losing side pay."""
        acted = False
        housekeeper, now = self._parts.housekeeper, self._parts.chain.now()
        for epoch, record in ledger.epochs.items():
            phase = phases.get(epoch)
            if phase is EpochPhase.CHALLENGEABLE and record.open_challenges:
                acted = self._parts.appeals.advance(ledger, record, now) or acted
                acted = housekeeper.decide(ledger, record) or acted
            if housekeeper.shows_report(ledger, record, phase, now):
                acted = housekeeper.show_report(ledger, record) or acted
            if record.challenges:
                acted = housekeeper.punish(ledger, record) or acted
        return acted

    def _keep_going(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        housekeeper, record = self._parts.housekeeper, ledger.open_epoch
        acted = False
        if record is not None and record.works and self._parts.chain.is_sealable():
            acted = housekeeper.seal(ledger, record)
        acted = housekeeper.tidy(ledger, phases, self._parts.chain.now()) or acted
        return housekeeper.claim_fees(ledger) or acted

    def _judge(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        """One work: of the oldest epoch that waits for our attestation, else of the open one.

        Where a work takes long, an epoch that is about to move goes first: else each of its steps, and the policy that
        trainers wait for, would wait for a work.
        """
        if self._clock() < self._patient_until and self._judging_s > PATIENCE_S:
            return False
        waiting = [
            ledger.epochs[epoch]
            for epoch, phase in sorted(phases.items())
            if phase is EpochPhase.ATTEST_COMMIT
            and self._owes(ledger.epochs[epoch])
            and self._parts.attester.written(ledger.epochs[epoch]) is None
        ]
        if ledger.open_epoch is not None:
            waiting.append(ledger.open_epoch)
        began = self._clock()
        try:
            if not any(self._parts.docket.judge_next(ledger, record) for record in waiting):
                return False
            self._judging_s = self._clock() - began
            return True
        except Malformed as error:  # the ledger's, never a work's
            raise Stop(f"the chain's events contradict each other: {error}") from error
