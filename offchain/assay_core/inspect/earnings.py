"""What an operator's works and attestations are worth, as the events tell it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay_core.chain.contracts import WorkRef
from assay_core.chain.ledger import CommittedWork, EpochRecord, TaskLedger
from assay_core.inspect.epochs import phase_of
from assay_core.protocol.economics import verifier_fee, work_payout
from assay_core.protocol.types import SCORE_FRAUD, SCORE_UNAVAILABLE, Address, Epoch, PolicyState, WorkId, score_at


@dataclass(frozen=True, slots=True)
class WorkEarning:
    """One work of a trainer: `earned_wei` is what its score is worth, whether or not it can be claimed already."""

    work_id: WorkId
    ref: WorkRef
    phase: str
    score: int | None
    earned_wei: int
    claimed_wei: int | None
    slashed_wei: int
    is_final: bool
    is_over: bool = False  # final or void: nothing more is decided about it
    is_planted: bool = False  # an opened plant: neither paid nor slashed

    @property
    def is_open(self) -> bool:
        """Whether collateral still answers for it, and money may still come of it."""
        return self.claimed_wei is None and not self.slashed_wei and not self.is_planted

    @property
    def is_releasable(self) -> bool:
        """Whether `claim` does something for it now: it frees collateral, also where the work earns nothing."""
        return self.is_open and self.is_over and (not self.is_final or self.score != SCORE_FRAUD)

    @property
    def claimable_wei(self) -> int:
        return self.earned_wei if self.is_final and self.is_releasable else 0

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.is_planted:
            return "planted fraud"
        if self.slashed_wei:
            return "slashed"
        if self.claimed_wei is not None:
            return "claimed" if self.claimed_wei else "not paid, released"
        if self.score == SCORE_FRAUD and self.phase != "void":
            return "to be slashed" if self.is_final else "judged a fraud"
        if self.claimable_wei:
            return "claimable"
        if not self.is_final:
            return self.phase
        return "unavailable" if self.score == SCORE_UNAVAILABLE else "not paid"


@dataclass(frozen=True, slots=True)
class FeeEarning:
    """One epoch in which a verifier was to attest. `earned_wei`: its fee, whether or not it can be claimed already."""

    epoch: Epoch
    phase: str
    has_revealed: bool
    claimed_wei: int | None
    slashed_wei: int  # for absence, for verdicts that appeals overturned, for plants that it paid
    is_final: bool
    earned_wei: int = 0
    policy: PolicyState = PolicyState.PENDING

    @property
    def is_forfeited(self) -> bool:
        """Whether the epoch's policy was due and skipped: then nobody gets its fee."""
        return self.policy is PolicyState.SKIPPED

    @property
    def is_claimable(self) -> bool:
        """Whether `claimFees` would pay it now."""
        return self.is_final and self.is_claimable_once_final

    @property
    def is_claimable_once_final(self) -> bool:
        is_due = self.policy in (PolicyState.PUBLISHED, PolicyState.NOT_DUE)
        return self.has_revealed and is_due and self.claimed_wei is None


def works_of(ledger: TaskLedger, trainer: Address) -> Iterator[WorkEarning]:
    """The works of a trainer (an operator), in order of epoch and index."""
    for record in ledger.epochs.values():
        for committed in record.works_of(trainer):
            yield earning_of(ledger, record, committed)


def earning_of(ledger: TaskLedger, record: EpochRecord, committed: CommittedWork) -> WorkEarning:
    work = committed.work
    score = None if record.is_void else record.score_of(work.index)
    fraud = record.frauds.get(work.index)
    is_planted = work.index in record.plants
    price = 0 if is_planted else ledger.task.params.kinds[work.kind].unit_price
    return WorkEarning(
        work_id=WorkId(ledger.task_id, record.epoch, work.index),
        ref=WorkRef(ledger.task_id, record.epoch, work),
        phase=phase_of(record),
        score=score,
        earned_wei=work_payout(work.units, price, score or 0),
        claimed_wei=record.claims.get(work.index),
        slashed_wei=fraud.amount if fraud else 0,
        is_final=record.is_final,
        is_over=record.is_over,
        is_planted=is_planted,
    )


def fees_of(ledger: TaskLedger, verifier: Address) -> Iterator[FeeEarning]:
    """The epochs that a verifier (an operator) attested, or was slashed for not attesting."""
    for record in ledger.epochs.values():
        if verifier in record.commitments or verifier in record.reveals or verifier in record.absences:
            yield FeeEarning(
                epoch=record.epoch,
                phase=phase_of(record),
                has_revealed=verifier in record.reveals,
                claimed_wei=record.fees.get(verifier),
                slashed_wei=_slashed_wei(record, verifier),
                is_final=record.is_final,
                earned_wei=fee_wei(ledger, record, verifier),
                policy=policy_of(record),
            )


def _slashed_wei(record: EpochRecord, verifier: Address) -> int:
    in_appeals = sum(each.verdict_slashes.get(verifier, 0) for each in record.disputes.values())
    for_plants = sum(wei for (_, who), wei in record.paid_plants.items() if who == verifier)
    return record.absences.get(verifier, 0) + in_appeals + for_plants


def policy_of(record: EpochRecord) -> PolicyState:
    """As `Payouts` sees it: where nothing is paid no policy is due, even before anybody says so."""
    is_pending = record.policy_state is PolicyState.PENDING
    is_without = record.is_void or (record.is_settled and record.paid == 0)
    return PolicyState.NOT_DUE if is_pending and is_without else record.policy_state


def ready_to_finalise(ledger: TaskLedger, now: int) -> list[Epoch]:
    """Settled epochs whose challenge window has passed, that nobody has finalised yet."""
    return [
        record.epoch
        for record in ledger.epochs.values()
        if record.is_settled
        and not record.is_over
        and record.challenge_by is not None
        and record.challenge_by <= now
        and not record.open_disputes
        and not record.unrevealed_challenges
    ]


def fee_wei(ledger: TaskLedger, record: EpochRecord, verifier: Address) -> int:
    """What an attestation earns, once its epoch is final and its policy published or not due; 0: it earns nothing.

    As settled, whatever appeals made of it; before it is settled nobody has differed yet.
    """
    reveal = record.reveals.get(verifier)
    if reveal is None or record.is_void or record.policy_state is PolicyState.SKIPPED:
        return 0
    fee, works = ledger.task.params.verifier_fee, len(record.works)
    return verifier_fee(fee, reveal.weight, record.weight_at_seal, differences(record, reveal.report), works)


def differences(record: EpochRecord, report: bytes) -> int:
    """Works on which a report and the outcome differ; what was unavailable counts against nobody."""
    return sum(
        score not in (SCORE_UNAVAILABLE, score_at(report, index)) for index, score in enumerate(record.scores or b"")
    )
