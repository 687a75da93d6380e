"""What an operator's works and attestations are worth, as the events tell it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offchain.chain.contracts import AttestationState, WorkRef
from offchain.chain.ledger import EpochRecord, TaskLedger
from offchain.cli.following import phase_of
from offchain.protocol.economics import verifier_fee, work_payout
from offchain.protocol.types import SCORE_FRAUD, SCORE_FULL, Address, Epoch, WorkId

if TYPE_CHECKING:
    from offchain.chain.ledger import CommittedWork


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

    @property
    def claimable_wei(self) -> int:
        return self.earned_wei if self.is_final and self.claimed_wei is None else 0

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.slashed_wei:
            return "slashed"
        if self.claimed_wei is not None:
            return "claimed"
        if self.score == SCORE_FRAUD:
            return "to be slashed" if self.is_final else "judged a fraud"
        if self.claimable_wei:
            return "claimable"
        return "not paid" if self.is_final else self.phase


@dataclass(frozen=True, slots=True)
class FeeEarning:
    """One epoch in which a verifier was to attest."""

    epoch: Epoch
    phase: str
    has_revealed: bool
    claimed_wei: int | None
    slashed_wei: int  # for absence, and for verdicts that appeals overturned
    is_final: bool


def works_of(ledger: TaskLedger, trainer: Address) -> Iterator[WorkEarning]:
    """The works of a trainer (an operator), in order of epoch."""
    for record in ledger.epochs.values():
        committed = record.work_of(trainer)
        if committed is not None:
            yield _earning(ledger, record, committed)


def _earning(ledger: TaskLedger, record: EpochRecord, committed: "CommittedWork") -> WorkEarning:
    work = committed.work
    score = record.score_of(work.index)
    fraud = record.frauds.get(work.index)
    is_paid = score is not None and score <= SCORE_FULL and not record.is_void
    return WorkEarning(
        work_id=WorkId(ledger.task_id, record.epoch, work.index),
        ref=WorkRef(ledger.task_id, record.epoch, work),
        phase=phase_of(record),
        score=score,
        earned_wei=work_payout(work.units, ledger.task.params.unit_price, score or 0) if is_paid else 0,
        claimed_wei=record.claims.get(work.index),
        slashed_wei=fraud.amount if fraud else 0,
        is_final=record.is_final,
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
            )


def _slashed_wei(record: EpochRecord, verifier: Address) -> int:
    disputes = record.challenges.values()
    in_appeals = sum(each.verdict_slashes.get(verifier, 0) + each.absences.get(verifier, 0) for each in disputes)
    return record.absences.get(verifier, 0) + in_appeals


def ready_to_finalise(ledger: TaskLedger, now: int) -> list[Epoch]:
    """Settled epochs whose challenge window has passed, that nobody has finalised yet."""
    return [
        record.epoch
        for record in ledger.epochs.values()
        if record.is_settled
        and not record.is_over
        and record.challenge_by is not None
        and record.challenge_by <= now
        and not record.open_challenges
    ]


def fee_wei(ledger: TaskLedger, attested: AttestationState) -> int:
    """What an attestation earns, once its epoch is final; before it is settled nobody has differed yet."""
    fee = ledger.task.params.verifier_fee
    return verifier_fee(fee, attested.weight, attested.enlisted_weight, attested.differences, attested.works)
