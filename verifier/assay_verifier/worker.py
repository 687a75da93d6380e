"""The daemon: looks at the chain, does what is due, looks again.

Every step reads what stands (ledger, database) and does the next thing that is not done yet, so a crash or a restart at
any point loses nothing and sends nothing twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from assay_core.bundle.disk import disk_fault
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.pace import Pace
from assay_core.chain.records import EpochRecord
from assay_core.daemon.heartbeat import Account
from assay_core.daemon.outage import Outage
from assay_core.daemon.status import Status
from assay_core.daemon.stopping import Interrupted, StopFlag
from assay_core.inspect.earnings import fees_of
from assay_core.protocol.errors import Malformed, Reverted, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root
from assay_verifier.account import account_of
from assay_verifier.aggregate import Aggregator
from assay_verifier.appeals import Appeals
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger
from assay_verifier.database import database_fault
from assay_verifier.deadlines import cut_off, last_call
from assay_verifier.enlisting import Enlister
from assay_verifier.heartbeat import Heartbeat
from assay_verifier.inbox import roots_in_use
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.settle import Housekeeper
from assay_verifier.standing import Standing, standing_of, why_over

log = logging.getLogger(__name__)

REFUSED_S = 5.0
MOST_WAIT_S = 30.0  # between two looks where something failed that nobody foresaw
MOST_STEP_WAIT_S = 5.0  # between two attempts at a step: attestations have a deadline
TIMEOUT_S = 6.0  # how long a step of the chain that others have to take too is waited for, rather than judge on


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
    heartbeat: Heartbeat
    status: Status
    tidy_cache: Callable[[Iterable[Root]], None]
    note_calls: Callable[[], None] = lambda: None


class VerifierWorker:
    """Verifies one task as one operator."""

    def __init__(
        self,
        verifier: Address,
        parts: Parts,
        stop: StopFlag,
        poll_s: float,
        clock: Callable[[], float] = time.monotonic,
        pace: Pace | None = None,
    ) -> None:
        self._pace, self._position = pace or Pace(lambda: None, poll_s), None
        self._verifier, self._parts, self._stop, self._poll_s, self._clock = verifier, parts, stop, poll_s, clock
        self._not_before: dict[Epoch, float] = {}
        self._patient_until = 0.0
        self._judging_s = 0.0  # how long the last submission took
        self._outage = Outage(parts.status, "the network", poll_s, clock)
        self._machine = Outage(
            parts.status, "this machine", poll_s, clock, back="is well again", what_to_do="mend it; we go on"
        )
        self._retry_at: dict[str, float] = {}  # steps that failed: when to try them again
        self._over: str | None = None  # why nothing is left to do

    def run_forever(self) -> None:
        """Until asked to stop, or the task is over. Trouble with node or relays is waited out.

        Raises Stop: the operator must act.
        """
        wait_s = self._poll_s
        self._parts.status("verifier started", verifier=self._verifier)
        try:
            while not self._stop.is_set() and self._over is None:
                acted, wait_s = self._look(wait_s)
                if not acted:
                    self._stop.wait(wait_s)
        except Interrupted:
            pass
        if self._over is None:
            self._parts.status("stopped")

    def _look(self, wait_s: float) -> tuple[bool, float]:
        """Whether anything was done, and how long to wait where nothing was."""
        seen = self._position
        try:
            acted = self.run_once()
            self._machine.is_over()
            if not self._retry_at:
                self._outage.is_over()
            return acted, self._pace.next_s(is_news=acted or self._position != seen)
        except Interrupted:
            raise
        except Exception as error:
            if (fault := disk_fault(error) or database_fault(error)) is not None:
                return False, self._machine.failed(fault)
            if isinstance(error, Unavailable):
                return False, self._outage.failed(str(error))
            if isinstance(error, Stop):
                raise
            log.exception("unforeseen")
            return False, min(wait_s * 2, MOST_WAIT_S)

    def _finish(self, ledger: TaskLedger, standing: Standing, account: Account, why: str) -> None:
        """Say that the task is over, what it has brought, and how to get that."""
        self._over = why
        self._parts.heartbeat.beat(standing, account, has_ended=True)
        fees = list(fees_of(ledger, self._verifier))
        claimable = sum(each.earned_wei for each in fees if each.is_claimable)
        show = self._parts.heartbeat.money.show
        pays = "`assay rewards claim --role verifier` pays it out; " if claimable else ""
        self._parts.status(
            "verifier finished",
            why=why,
            epochs=len(fees),
            earned=show(standing.earned_wei),
            claimable=show(claimable),
            slashed=show(sum(each.slashed_wei for each in fees)),
            what_to_do=f"{pays}`assay stake leave --role verifier --task {ledger.task_id}` frees the bond",
        )

    def run_once(self) -> bool:
        """One look and what follows from it; whether anything was done. Raises Unavailable and Stop."""
        ledger = self._parts.chain.refresh()
        self._position = ledger.position
        self._parts.queue.note_arrivals(ledger)
        self._parts.note_calls()
        phases = {
            epoch: self._parts.chain.phase_of(epoch)
            for epoch, record in ledger.epochs.items()
            if record.is_sealed and not record.is_over
        }
        self._parts.recorder.record(ledger, phases)
        self._parts.tidy_cache(roots_in_use(ledger))
        standing = standing_of(ledger, phases, self._verifier)
        account = account_of(ledger, phases, self._verifier, self._parts.heartbeat.money)
        self._parts.heartbeat.beat(standing, account)
        over = why_over(ledger, self._parts.chain.now() if ledger.task.is_closed else 0)
        acted = over is None and self._parts.enlister is not None and self._parts.enlister.advance(ledger)
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
            name = step.__name__.strip("_")
            if self._clock() < self._retry_at.get(name, 0.0):
                continue
            try:
                did = step(ledger, phases)
                self._retry_at.pop(name, None)
                if did and step in (self._attest, self._settle, self._aggregate):
                    self._patient_until = self._clock() + TIMEOUT_S
                acted = did or acted
            except Unavailable as error:  # of one step; the others may still have what they need
                if disk_fault(error) is not None:
                    raise
                self._retry_at[name] = self._clock() + min(self._outage.failed(f"{name}: {error}"), MOST_STEP_WAIT_S)
        if over is not None and not acted and not self._retry_at:
            self._finish(ledger, standing, account, over)
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
        """Commit to our report, once all submissions are judged, or as many as can be before time runs out."""
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
        queue.forget(record)
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
        """One submission: of the oldest epoch that waits for our attestation, else of the open one.

        Where a submission takes long, an epoch that is about to move goes first: else each of its steps, and the policy
        that trainers wait for, would wait for a submission.
        """
        if self._clock() < self._patient_until and self._judging_s > TIMEOUT_S:
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
        except Malformed as error:  # the ledger's, never a submission's
            raise Stop(f"the chain's events contradict each other: {error}") from error
