"""Who gets what in the end; and planted frauds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from specs import hashes, rules
from specs.acts.act import Act, cannot_pay, pull
from specs.acts.commitments import leave
from specs.acts.verifiers import Slash
from specs.facts import (
    Claimed,
    Fact,
    FeesClaimed,
    FraudSlashed,
    PaidPlantSlashed,
    PlantCommitted,
    PlantForfeited,
    PlantOpened,
    PlantRefunded,
    Slashed,
)
from specs.history import History
from specs.words import (
    BPS,
    FRAUD,
    NOBODY,
    NONE,
    PLANTER_BPS,
    Address,
    DisputePhase,
    Phase,
    PlantState,
    Role,
    Submission,
    SubmissionRef,
)


def is_that_submission(h: History, task_id: int, epoch: int, submission: Submission) -> bool:
    """It was committed so, and has not ended."""
    committed = rules.submissions(h, task_id, epoch)
    is_it = submission.index < len(committed) and rules.as_submission(committed[submission.index]) == submission
    return is_it and not rules.is_ended(h, task_id, epoch, submission.index)


def why_not_claimed(h: History, submissions: Sequence[SubmissionRef]) -> Iterator[str]:
    if not submissions:
        yield "NoSubmissions"
        return
    if len({ref.task_id for ref in submissions}) > 1:
        yield "MixedTasks"
    if len({ref.submission.trainer for ref in submissions}) > 1:
        yield "MixedTrainers"
    if len({(ref.task_id, ref.epoch, ref.submission.index) for ref in submissions}) < len(submissions):
        yield "WrongSubmission"
    for ref in submissions:
        phase = rules.phase(h, ref.task_id, ref.epoch)
        if phase not in (Phase.FINAL, Phase.VOID):
            yield "NotFinal"
        if not is_that_submission(h, ref.task_id, ref.epoch, ref.submission):
            yield "WrongSubmission"
        elif phase == Phase.FINAL and rules.score_of(h, ref.task_id, ref.epoch, ref.submission.index) == FRAUD:
            yield "IsFraud"


def claim(h: History, submissions: Sequence[SubmissionRef], to: Address) -> Iterator[Fact]:
    for ref in submissions:
        amount = rules.earned(h, ref.task_id, ref.epoch, ref.submission)
        yield Claimed(
            ref.task_id, ref.epoch, ref.submission.index, ref.submission.trainer, ref.submission.units, amount, to
        )


@dataclass(frozen=True, slots=True)
class Claim(Act, contract="Payouts", function="claim"):
    submissions: tuple[SubmissionRef, ...]

    def against(self, h: History) -> Iterator[str]:
        yield from why_not_claimed(h, self.submissions)

    def follows(self, h: History) -> Iterator[Fact]:
        yield from claim(h, self.submissions, self.submissions[0].submission.trainer)


@dataclass(frozen=True, slots=True)
class ClaimTo(Act, contract="Payouts", function="claimTo"):
    submissions: tuple[SubmissionRef, ...]
    to: Address

    def against(self, h: History) -> Iterator[str]:
        yield from why_not_claimed(h, self.submissions)
        if self.submissions and self.submissions[0].submission.trainer != self.by:
            yield "NotTheTrainer"
        if self.to == NOBODY and sum(rules.earned(h, ref.task_id, ref.epoch, ref.submission) for ref in self._known(h)):
            yield "ERC20InvalidReceiver"

    def _known(self, h: History) -> list[SubmissionRef]:
        return [ref for ref in self.submissions if is_that_submission(h, ref.task_id, ref.epoch, ref.submission)]

    def follows(self, h: History) -> Iterator[Fact]:
        yield from claim(h, self.submissions, self.to)


@dataclass(frozen=True, slots=True)
class ClaimFees(Act, contract="Payouts", function="claimFees"):
    task_id: int
    epochs: tuple[int, ...]
    verifier: Address

    def against(self, h: History) -> Iterator[str]:
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if len({*self.epochs}) < len(self.epochs):
            yield "AlreadyClaimed"
        for epoch in self.epochs:
            here = {"task_id": self.task_id, "epoch": epoch}
            if rules.phase(h, **here) != Phase.FINAL:
                yield "NotFinal"
                continue
            if reason := rules.why_no_fee(h, **here):
                yield reason
            if h.any(FeesClaimed, **here, verifier=self.verifier):
                yield "AlreadyClaimed"
            if rules.reveal(h, **here, verifier=self.verifier) is None:
                yield "NotRevealed"

    def follows(self, h: History) -> Iterator[Fact]:
        for epoch in self.epochs:
            amount = rules.fee_earned(h, self.task_id, epoch, self.verifier)
            yield FeesClaimed(self.task_id, epoch, self.verifier, amount)


@dataclass(frozen=True, slots=True)
class SlashFraud(Act, contract="Payouts", function="slashFraud"):
    submission: SubmissionRef

    def against(self, h: History) -> Iterator[str]:
        task_id, epoch, submission = self.submission.task_id, self.submission.epoch, self.submission.submission
        phase = rules.phase(h, task_id, epoch)
        if phase not in (Phase.FINAL, Phase.VOID):
            yield "NotFinal"
            return
        if phase == Phase.VOID or rules.score_of(h, task_id, epoch, submission.index) != FRAUD:
            yield "NotFraud"
        if not is_that_submission(h, task_id, epoch, submission):
            yield "WrongSubmission"

    def follows(self, h: History) -> Iterator[Fact]:
        """The finder's reward waits in Appeals; who only calls has it else."""
        task_id, epoch, submission = self.submission.task_id, self.submission.epoch, self.submission.submission
        is_found = rules.is_found(h, task_id, epoch, submission.index)
        reporter = h.places["Appeals"] if is_found else self.by
        flying = rules.units_in_flight(h, task_id, submission.trainer)
        taken = rules.stake_of(h, task_id, flying) - rules.stake_of(h, task_id, flying - submission.units)
        reward = taken * h.constants.reporter_bps // BPS
        if rules.is_trainer(h, task_id, submission.trainer):
            yield from leave(h, task_id, submission.trainer)
        yield Slashed(submission.trainer, Role.TRAINER, taken, reporter, reward)
        yield FraudSlashed(
            task_id, epoch, submission.index, submission.trainer, submission.units, taken, reporter, reward
        )


# Plants.


@dataclass(frozen=True, slots=True)
class CommitPlant(Act, contract="Plants", function="commitPlant"):
    task_id: int
    commitment: bytes

    def against(self, h: History) -> Iterator[str]:
        if self.commitment == NONE:
            yield "EmptyCommitment"
        if rules.plant_state(h, self.task_id, self.commitment) != PlantState.NONE:
            yield "WrongPlant"
        if not rules.is_known(h, self.task_id):
            yield "UnknownTask"
            return
        if rules.terms(h, self.task_id).challenge_window == 0:
            yield "NoChallengeWindow"
        yield from cannot_pay(h, self.by, "Plants", rules.deposit(h, self.task_id))

    def follows(self, h: History) -> Iterator[Fact]:
        amount, covered = rules.deposit(h, self.task_id), rules.next_to_close(h, self.task_id)
        yield pull(h, self.by, "Plants", amount)
        yield PlantCommitted(self.task_id, self.commitment, self.by, amount, covered)


@dataclass(frozen=True, slots=True)
class OpenPlant(Act, contract="Plants", function="openPlant"):
    task_id: int
    epoch: int
    submission: Submission
    salt: bytes

    def _commitment(self) -> bytes:
        return hashes.plant(self.task_id, self.submission.trainer, self.submission.manifest_root, self.salt)

    def against(self, h: History) -> Iterator[str]:
        plant = rules.plant(h, self.task_id, self._commitment())
        if plant is None or rules.plant_state(h, self.task_id, self._commitment()) != PlantState.COMMITTED:
            yield "WrongPlant"
            return
        if self.epoch != plant.epoch:
            yield "PlantOfAnotherEpoch"
        if rules.operator_of(h, self.by) != self.submission.trainer:
            yield "NotTheTrainer"
        if rules.phase(h, self.task_id, self.epoch) not in (Phase.CHALLENGEABLE, Phase.FINAL, Phase.VOID):
            yield "NotSettled"
        elif rules.is_disputed(h, self.task_id, self.epoch, self.submission.index):
            yield "StillDisputed"
        elif rules.is_convicted(h, self.task_id, self.epoch, self.submission.index):
            yield "FoundByAppeal"
        if not is_that_submission(h, self.task_id, self.epoch, self.submission):
            yield "WrongSubmission"

    def follows(self, h: History) -> Iterator[Fact]:
        plant = rules.plant(h, self.task_id, self._commitment())
        assert plant is not None, "checked before"
        submission = self.submission
        place = (self.task_id, self.epoch, submission.index)
        is_in_time = rules.may_blame(h, self.task_id, self.epoch)
        yield PlantOpened(*place, submission.trainer, submission.units, plant.commitment, is_in_time, plant.planter)


@dataclass(frozen=True, slots=True)
class RefundPlant(Act, contract="Plants", function="refundPlant"):
    task_id: int
    trainer: Address
    manifest_root: bytes
    salt: bytes

    def _commitment(self) -> bytes:
        return hashes.plant(self.task_id, self.trainer, self.manifest_root, self.salt)

    def against(self, h: History) -> Iterator[str]:
        plant = rules.plant(h, self.task_id, self._commitment())
        if plant is None or rules.plant_state(h, self.task_id, plant.commitment) != PlantState.COMMITTED:
            yield "WrongPlant"
        elif not rules.guards_nothing(h, self.task_id, plant.epoch, self.trainer, self.manifest_root):
            yield "MayBeCommitted"

    def follows(self, h: History) -> Iterator[Fact]:
        yield PlantRefunded(self.task_id, self._commitment())


@dataclass(frozen=True, slots=True)
class ForfeitPlant(Act, contract="Plants", function="forfeitPlant"):
    task_id: int
    commitment: bytes

    def against(self, h: History) -> Iterator[str]:
        plant = rules.plant(h, self.task_id, self.commitment)
        if plant is None or rules.plant_state(h, self.task_id, self.commitment) != PlantState.COMMITTED:
            yield "WrongPlant"
        elif h.now < plant.block.time + 2 * h.constants.unbonding_s or not rules.is_over(h, self.task_id, plant.epoch):
            yield "StillOpenable"

    def follows(self, h: History) -> Iterator[Fact]:
        plant = rules.plant(h, self.task_id, self.commitment)
        assert plant is not None, "checked before"
        yield PlantForfeited(self.task_id, self.commitment, plant.deposit)


@dataclass(frozen=True, slots=True)
class SlashPaidPlant(Act, contract="Plants", function="slashPaidPlant"):
    task_id: int
    epoch: int
    index: int
    verifier: Address
    report: bytes

    def against(self, h: History) -> Iterator[str]:
        here = (self.task_id, self.epoch, self.index)
        opened = rules.planted(h, *here)
        if opened is None or not opened.is_in_time:  # later nobody can say that it is none
            yield "NotAPlant"
            return
        if rules.phase(h, self.task_id, self.epoch) != Phase.FINAL:
            yield "NotSettled"
        if rules.score_of(h, *here) != FRAUD:
            yield "NotFoundOut"
        # Then the appeal says who is to blame, and only from what was drawn.
        if rules.dispute_phase(h, *here) == DisputePhase.OVERTURNED:
            yield "FoundByAppeal"
        ended = rules.decided(h, *here)
        if ended is not None and not ended.is_against_verifiers:
            yield "LeftUndecided"
        seed, rate = rules.seed(h, self.task_id, self.epoch), rules.terms(h, self.task_id).sampling_bps
        if not hashes.is_drawn(seed, self.index, rate):
            yield "NotDrawn"
        revealed = rules.reveal(h, self.task_id, self.epoch, self.verifier)
        if revealed is None or revealed.report != self.report:
            yield "WrongReport"
        if not rules.is_paid(rules.as_score(self.report, self.index)):
            yield "DidNotPay"
        place = {"task_id": self.task_id, "epoch": self.epoch, "index": self.index, "verifier": self.verifier}
        if h.any(PaidPlantSlashed, **place):
            yield "AlreadySlashed"

    def follows(self, h: History) -> Iterator[Fact]:
        here, t = (self.task_id, self.epoch, self.index), rules.terms(h, self.task_id)
        opened = rules.planted(h, *here)
        assert opened is not None, "checked before"
        reward = (opened.planter, PLANTER_BPS, rules.planter_left(h, *here))
        slash = Slash(self.task_id, self.epoch, self.verifier, t.verdict_slash_bps, *reward)
        taken, rewarded = slash.taken(h), slash.rewarded(h)
        yield from slash.follows(h)
        yield PaidPlantSlashed(*here, self.verifier, taken, rewarded)
