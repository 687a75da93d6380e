"""The daemon: looks at the chain, does what is due, looks again.

Every step reads what stands (ledger, database) and does the next thing that is not done yet, so a crash or a restart at
any point loses nothing and sends nothing twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import StopFlag
from assay_core.protocol.errors import Malformed, Reverted, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root
from assay_verifier.aggregate import Aggregator
from assay_verifier.appeals import Appeals
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger
from assay_verifier.deadlines import cut_off, last_call
from assay_verifier.enlisting import Enlister
from assay_verifier.inbox import roots_in_use
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.settle import Housekeeper

log = logging.getLogger(__name__)

REFUSED_S = 5.0
MOST_WAIT_S = 30.0  # between two looks at a node that does not answer
PATIENCE_S = 6.0  # how long a step of the chain that others have to take too is waited for, rather than judge on


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
    """What the worker directs. None: the operator does not want it."""

    chain: TaskChain
    enlister: Enlister | None
    recorder: Recorder
    queue: JudgingQueue
    attester: Attester
    passing: PassingOn | None
    appeals: Appeals
    challenger: Challenger | None
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
        acted = self._parts.enlister is not None and self._parts.enlister.advance(ledger)
        for step in (
            self._attest,
            self._settle,
            self._aggregate,
            self._keep_going,
            self._pass_on,
            self._dispute,
            self._judge,
        ):
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
        attester, queue, params = self._parts.attester, self._parts.queue, ledger.task.params
        if attester.written(record) is None:
            now = self._parts.chain.now()
            if now >= cut_off(record, params):
                queue.close(ledger, record)
            judged = queue.judgements(ledger, record, give_up=now >= last_call(record, params))
            if judged is None:
                return False
            attester.write(record, judged)
        attester.commit(record)
        queue.forget(ledger, record)
        return True

    def _settle(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        attested = [epoch for epoch, phase in sorted(phases.items()) if phase is EpochPhase.ATTESTED]
        return any([self._parts.housekeeper.settle(ledger, ledger.epochs[epoch]) for epoch in attested])

    def _aggregate(self, ledger: TaskLedger, _phases: Mapping[Epoch, EpochPhase]) -> bool:
        return self._parts.aggregator.advance(ledger)

    def _dispute(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        """Bring disputes further, vote in those that we are drawn for, object to what we can prove wrong."""
        parts, acted, now = self._parts, False, self._parts.chain.now()
        for epoch, record in ledger.epochs.items():
            if record.open_disputes:
                acted = parts.housekeeper.hear(ledger, record, now) or acted
            if record.disputes:
                acted = parts.appeals.advance(ledger, record, now) or acted
            is_ours_to_doubt = record.challenges or phases.get(epoch) is EpochPhase.CHALLENGEABLE
            if parts.challenger is not None and is_ours_to_doubt:
                acted = parts.challenger.advance(ledger, record, now) or acted
        return acted

    def _keep_going(self, ledger: TaskLedger, phases: Mapping[Epoch, EpochPhase]) -> bool:
        housekeeper, record, now = self._parts.housekeeper, ledger.open_epoch, self._parts.chain.now()
        acted = False
        if record is not None and record.is_closed and self._parts.chain.is_sealable():
            acted = housekeeper.seal(ledger, record)
        acted = housekeeper.tidy(ledger, phases, now) or acted
        acted = housekeeper.claim_fees(ledger) or acted
        return housekeeper.release_bond(ledger, now) or acted

    def _pass_on(self, ledger: TaskLedger, _phases: Mapping[Epoch, EpochPhase]) -> bool:
        passing = self._parts.passing
        return passing is not None and passing.advance(ledger, self._parts.chain.now())

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
        if ledger.open_epoch is not None and self._verifier in ledger.verifiers:
            waiting.append(ledger.open_epoch)
        began = self._clock()
        try:
            if not any(self._parts.queue.judge_next(ledger, record) for record in waiting):
                return False
            self._judging_s = self._clock() - began
            return True
        except Malformed as error:  # the ledger's, never a work's
            raise Stop(f"the chain's events contradict each other: {error}") from error
