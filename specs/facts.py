"""What can happen. Each fact is an event of the contracts, by name and field.

`SILENT` facts and `HIDDEN` fields are what no log tells: the contracts know them from the call.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from specs.words import Address, Block, Terms


@dataclass(slots=True)
class Fact:
    """`number` counts all facts: which of two came first."""

    SILENT: ClassVar[bool] = False
    HIDDEN: ClassVar[tuple[str, ...]] = ()

    block: Block = field(init=False, repr=False, compare=False)
    number: int = field(init=False, repr=False, compare=False)


# Token: its own events are compared as balances.


@dataclass(slots=True)
class Transferred(Fact):
    SILENT = True
    sender: Address
    to: Address
    amount: int


@dataclass(slots=True)
class Allowed(Fact):
    """By `approve`, or by a permit."""

    SILENT = True
    owner: Address
    spender: Address
    amount: int
    is_permit: bool = False


@dataclass(slots=True)
class Pulled(Fact):
    """A contract took tokens that it was allowed to take."""

    SILENT = True
    owner: Address
    spender: Address
    amount: int


# Staking.


@dataclass(slots=True)
class Bonded(Fact):
    operator: Address
    role: int
    amount: int


@dataclass(slots=True)
class UnbondRequested(Fact):
    operator: Address
    role: int
    amount: int
    withdrawable_at: int


@dataclass(slots=True)
class Withdrawn(Fact):
    operator: Address
    role: int
    amount: int


@dataclass(slots=True)
class WorkerKeySet(Fact):
    HIDDEN = ("renounced_by",)
    operator: Address
    worker: Address
    renounced_by: Address = ""


@dataclass(slots=True)
class Slashed(Fact):
    operator: Address
    role: int
    amount: int
    recipient: Address
    recipient_amount: int


# TaskRegistry.


@dataclass(slots=True)
class TaskOpened(Fact):
    task_id: int
    initiator: Address
    params: Terms
    spec_hash: bytes
    spec_u_r_i: bytes
    policy_root: bytes
    terms_hash: bytes
    seed: bytes


@dataclass(slots=True)
class TaskFunded(Fact):
    task_id: int
    from_: Address
    amount: int


@dataclass(slots=True)
class TaskClosed(Fact):
    task_id: int


@dataclass(slots=True)
class TaskRefunded(Fact):
    task_id: int
    initiator: Address
    amount: int


# Commitments.


@dataclass(slots=True)
class TrainerChange(Fact):
    task_id: int
    trainer: Address


@dataclass(slots=True)
class TrainerEnlisted(TrainerChange):
    """`epoch` is open, or opens next."""

    HIDDEN = ("epoch",)
    epoch: int = 0


@dataclass(slots=True)
class TrainerDelisted(TrainerChange):
    pass


@dataclass(slots=True)
class EpochOpened(Fact):
    """`reserved` is 0 when it is told again."""

    HIDDEN = ("reserved",)
    task_id: int
    epoch: int
    commit_by: int
    reserved: int = 0


@dataclass(slots=True)
class SubmissionCommitted(Fact):
    HIDDEN = ("is_last",)
    task_id: int
    epoch: int
    trainer: Address
    index: int
    kind: int
    units: int
    policy_version: int
    manifest_root: bytes
    is_last: bool = False


@dataclass(slots=True)
class EpochClosed(Fact):
    task_id: int
    epoch: int
    submissions: int
    seed_block: int


@dataclass(slots=True)
class EpochAbandoned(Fact):
    task_id: int
    epoch: int


# Verifiers.


@dataclass(slots=True)
class WeightChange(Fact):
    """From `from_epoch` on a verifier has this weight."""

    task_id: int
    verifier: Address
    weight: int
    from_epoch: int


@dataclass(slots=True)
class VerifierEnlisted(WeightChange):
    pass


@dataclass(slots=True)
class VerifierDelisted(WeightChange):
    HIDDEN = ("weight",)


@dataclass(slots=True)
class VerifierSlashed(WeightChange):
    amount: int = 0


@dataclass(slots=True)
class VerifierBondReleased(Fact):
    task_id: int
    verifier: Address
    amount: int


# Attestations.


@dataclass(slots=True)
class EpochSealed(Fact):
    task_id: int
    epoch: int
    seed: bytes
    submissions: int
    verifiers: int
    weight: int
    attest_by: int


@dataclass(slots=True)
class AttestationCommitted(Fact):
    task_id: int
    epoch: int
    verifier: Address
    commitment: bytes
    sealed_report: bytes


@dataclass(slots=True)
class AttestationRevealed(Fact):
    task_id: int
    epoch: int
    verifier: Address
    weight: int
    report: bytes
    evidence_root: bytes


@dataclass(slots=True)
class EpochAttested(Fact):
    task_id: int
    epoch: int
    weight: int


@dataclass(slots=True)
class ScoresSettled(Fact):
    task_id: int
    epoch: int
    first: int
    scores: bytes


@dataclass(slots=True)
class EpochSettled(Fact):
    task_id: int
    epoch: int
    paid: int
    challenge_by: int


@dataclass(slots=True)
class ScoreCorrected(Fact):
    HIDDEN = ("is_found",)
    task_id: int
    epoch: int
    index: int
    score: int
    is_found: bool = False


@dataclass(slots=True)
class EpochFinal(Fact):
    task_id: int
    epoch: int


@dataclass(slots=True)
class EpochVoid(Fact):
    task_id: int
    epoch: int


@dataclass(slots=True)
class AbsenceSlashed(Fact):
    task_id: int
    epoch: int
    verifier: Address
    amount: int


# Policies.


@dataclass(slots=True)
class PolicyStep(Fact):
    task_id: int
    epoch: int


@dataclass(slots=True)
class PolicyPublished(PolicyStep):
    version: int
    policy_root: bytes
    uri: bytes


@dataclass(slots=True)
class PolicySkipped(PolicyStep):
    state: int


# Panels. `class_` is the pool.


@dataclass(slots=True)
class SeatsTaken(Fact):
    class_: bytes
    juror: Address
    seats: tuple[int, ...]


@dataclass(slots=True)
class SeatMoved(Fact):
    """The last seat of a pool takes the place of one that is left."""

    class_: bytes
    juror: Address
    from_: int
    to: int


@dataclass(slots=True)
class SeatsLeft(Fact):
    class_: bytes
    juror: Address
    seats: tuple[int, ...]


@dataclass(slots=True)
class SeatChange(Fact):
    """One seat, whose it is from now on."""

    SILENT = True
    class_: bytes
    seat: int
    juror: Address


@dataclass(slots=True)
class JurorDismissed(Fact):
    """None of the seats that it holds counts any more in panels of this task."""

    task_id: int
    juror: Address


@dataclass(slots=True)
class JurorAbsent(Fact):
    """Somebody has said that a juror did not vote."""

    SILENT = True
    task_id: int
    epoch: int
    index: int
    juror: Address


# Appeals.


@dataclass(slots=True)
class ChallengeCommitted(Fact):
    task_id: int
    epoch: int
    id: int
    challenger: Address
    commitment: bytes


@dataclass(slots=True)
class ChallengeRevealed(Fact):
    HIDDEN = ("operator",)
    task_id: int
    epoch: int
    id: int
    index: int
    challenger: Address
    standing: int
    score: int
    operator: Address = ""  # that the challenger acts for


@dataclass(slots=True)
class ChallengeExpired(Fact):
    task_id: int
    epoch: int
    id: int
    burnt: int


@dataclass(slots=True)
class PanelSummoned(Fact):
    task_id: int
    epoch: int
    index: int
    seed_block: int


@dataclass(slots=True)
class PanelDrawn(Fact):
    task_id: int
    epoch: int
    index: int
    seed: bytes
    jurors: tuple[Address, ...]
    commit_by: int


@dataclass(slots=True)
class VoteCommitted(Fact):
    task_id: int
    epoch: int
    index: int
    juror: Address
    commitment: bytes


@dataclass(slots=True)
class VoteRevealed(Fact):
    task_id: int
    epoch: int
    index: int
    juror: Address
    score: int
    beyond: bool
    seats: int


@dataclass(slots=True)
class DisputeDecided(Fact):
    task_id: int
    epoch: int
    index: int
    score: int
    phase: int
    is_against_verifiers: bool


@dataclass(slots=True)
class VerdictSlashed(Fact):
    task_id: int
    epoch: int
    index: int
    verifier: Address
    amount: int
    to_finder: int


@dataclass(slots=True)
class AppealPaid(Fact):
    """To a challenger for its challenge `id`, a part of it as `reward`; or, where that is None, to a juror."""

    HIDDEN = ("id", "reward")
    task_id: int
    epoch: int
    index: int
    to: Address
    amount: int
    id: int | None = None
    reward: int = 0


# Payouts and Plants.


@dataclass(slots=True)
class SubmissionEnded(Fact):
    """Nothing can be claimed or slashed for a submission any more, of so many units."""

    task_id: int
    epoch: int
    index: int
    trainer: Address
    units: int


@dataclass(slots=True)
class Claimed(SubmissionEnded):
    HIDDEN = ("to", "units")
    amount: int
    to: Address


@dataclass(slots=True)
class FraudSlashed(SubmissionEnded):
    HIDDEN = ("units",)
    amount: int
    reporter: Address
    reporter_amount: int


@dataclass(slots=True)
class PlantOpened(SubmissionEnded):
    HIDDEN = ("trainer", "planter", "units")
    commitment: bytes
    is_in_time: bool
    planter: Address


@dataclass(slots=True)
class FeesClaimed(Fact):
    task_id: int
    epoch: int
    verifier: Address
    amount: int


@dataclass(slots=True)
class PlantCommitted(Fact):
    HIDDEN = ("epoch",)
    task_id: int
    commitment: bytes
    planter: Address
    deposit: int
    epoch: int


@dataclass(slots=True)
class PlantRefunded(Fact):
    task_id: int
    commitment: bytes


@dataclass(slots=True)
class PlantForfeited(Fact):
    task_id: int
    commitment: bytes
    burnt: int


@dataclass(slots=True)
class PaidPlantSlashed(Fact):
    task_id: int
    epoch: int
    index: int
    verifier: Address
    amount: int
    to_planter: int
