"""What an operator's submissions and attestations are worth, as the events tell it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.ledger import CommittedSubmission, EpochRecord, TaskLedger
from assay_core.inspect.epochs import phase_words
from assay_core.protocol.economics import epoch_fee, submission_payout, verifier_fee
from assay_core.protocol.types import (
    SCORE_FRAUD,
    SCORE_UNAVAILABLE,
    Address,
    Epoch,
    PolicyState,
    SubmissionId,
    TaskId,
    is_paid,
    score_at,
)


@dataclass(frozen=True, slots=True)
class SubmissionEarning:
    """One submission of a trainer: `earned_wei` is what its score is worth, whether or not it can be claimed
    already.
    """

    submission_id: SubmissionId
    ref: SubmissionRef
    phase: str
    score: int | None
    earned_wei: int
    claimed_wei: int | None
    slashed_wei: int
    is_final: bool
    is_over: bool = False  # final or void: nothing more is decided about it
    is_planted: bool = False  # an opened plant: neither paid nor slashed

    @property
    def name(self) -> str:
        return str(self.submission_id)

    @property
    def is_open(self) -> bool:
        """Whether collateral still answers for it, and money may still come of it."""
        return self.claimed_wei is None and not self.slashed_wei and not self.is_planted

    @property
    def is_releasable(self) -> bool:
        """Whether `claim` does something for it now: it frees collateral, also where the submission earns nothing."""
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

    task_id: TaskId
    epoch: Epoch
    phase: str
    has_revealed: bool
    claimed_wei: int | None
    slashed_wei: int  # for absence, for verdicts that appeals overturned, for plants that it paid
    is_final: bool
    earned_wei: int = 0
    policy: PolicyState = PolicyState.PENDING

    @property
    def name(self) -> str:
        return f"{self.task_id}/{self.epoch}"

    @property
    def is_forfeited(self) -> bool:
        """Whether the epoch's policy was due and skipped: then nobody gets its fee."""
        return self.policy is PolicyState.SKIPPED

    @property
    def claimable_wei(self) -> int:
        return self.earned_wei if self.is_claimable else 0

    @property
    def is_claimable(self) -> bool:
        """Whether `claimFees` would pay it now."""
        return self.is_final and self.is_claimable_once_final

    @property
    def is_claimable_once_final(self) -> bool:
        is_due = self.policy in (PolicyState.PUBLISHED, PolicyState.NOT_DUE)
        return self.has_revealed and is_due and self.claimed_wei is None


@dataclass(frozen=True, slots=True)
class Earnings:
    """What an operator's submissions (as a trainer) and attestations (as a verifier) are worth, as `ledgers` tell."""

    operator: Address
    ledgers: tuple[TaskLedger, ...]
    submissions: tuple[SubmissionEarning, ...]
    fees: tuple[FeeEarning, ...]

    @property
    def earned_wei(self) -> int:
        """Whether or not it can be claimed already."""
        return sum(each.earned_wei for each in (*self.submissions, *self.fees))

    @property
    def claimable_wei(self) -> int:
        return sum(each.claimable_wei for each in (*self.submissions, *self.fees))

    @property
    def claimed_wei(self) -> int:
        return sum(each.claimed_wei or 0 for each in (*self.submissions, *self.fees))

    @property
    def slashed_wei(self) -> int:
        return sum(each.slashed_wei for each in (*self.submissions, *self.fees))


def submissions_of(ledger: TaskLedger, trainer: Address) -> Iterator[SubmissionEarning]:
    """The submissions of a trainer (an operator), in order of epoch and index."""
    for record in ledger.epochs.values():
        for committed in record.submissions_of(trainer):
            yield earning_of(ledger, record, committed)


def earning_of(ledger: TaskLedger, record: EpochRecord, committed: CommittedSubmission) -> SubmissionEarning:
    """What a submission earns, has earned, or lost, and what of it is still to be claimed."""
    submission = committed.submission
    score = None if record.is_void else record.score_of(submission.index)
    fraud = record.frauds.get(submission.index)
    is_planted = submission.index in record.plants
    price = 0 if is_planted else ledger.task.params.kinds[submission.kind].unit_price
    return SubmissionEarning(
        submission_id=SubmissionId(ledger.task_id, record.epoch, submission.index),
        ref=SubmissionRef(ledger.task_id, record.epoch, submission),
        phase=phase_words(record),
        score=score,
        earned_wei=submission_payout(submission.units, price, score or 0),
        claimed_wei=record.claims.get(submission.index),
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
                task_id=ledger.task_id,
                epoch=record.epoch,
                phase=phase_words(record),
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

    As settled, whatever appeals made of it; before it is settled all submissions count, and nobody has differed yet.
    """
    reveal = record.reveals.get(verifier)
    if reveal is None or record.is_void or record.policy_state is PolicyState.SKIPPED:
        return 0
    paid = record.paid if record.is_settled else len(record.submissions)
    fee = epoch_fee(ledger.task.params, paid)
    return verifier_fee(fee, reveal.weight, record.weight_at_seal, differences(record, reveal.report), paid)


def differences(record: EpochRecord, report: bytes) -> int:
    """Submissions settled as paid or fraud that a report judges otherwise; what is worth nothing costs nobody."""
    settled = enumerate(record.scores or b"")
    worth = [(index, score) for index, score in settled if is_paid(score) or score == SCORE_FRAUD]
    return sum(score_at(report, index) != score for index, score in worth)
