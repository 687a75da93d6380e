"""What became of a task, as records that the ledger fills from events."""

from dataclasses import dataclass, field

from assay_core.chain.events import FraudSlashed, Position
from assay_core.protocol.encoding import report_hash
from assay_core.protocol.types import (
    SCORE_UNPAID,
    Address,
    ChallengeId,
    ChallengeState,
    DisputePhase,
    Epoch,
    EpochPhase,
    PlantState,
    PolicyState,
    PolicyVersion,
    Root,
    Seed,
    Submission,
    SubmissionIndex,
    TaskId,
    TaskParams,
)


@dataclass(slots=True)
class TaskRecord:
    """A task as it was opened, and what became of its money."""

    task_id: TaskId
    initiator: Address
    params: TaskParams
    spec_hash: Root
    spec_uri: str
    policy_root: Root
    terms_hash: bytes
    seed: Seed
    opened_at_block: int
    is_closed: bool = False
    funded_wei: int = 0
    refunded_wei: int = 0


@dataclass(frozen=True, slots=True)
class CommittedSubmission:
    """A submission and where in the chain it was committed."""

    submission: Submission
    position: Position
    tx_hash: bytes


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a verifier has bound itself to, and what it keeps there for itself."""

    commitment: bytes
    sealed_report: bytes
    position: Position


@dataclass(frozen=True, slots=True)
class Reveal:
    """What a verifier stood by, and with what weight."""

    report: bytes
    evidence_root: Root
    weight: int
    position: Position

    @property
    def report_hash(self) -> bytes:
        return report_hash(self.report)


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """A policy version; version 0, the initiator's, follows from no epoch."""

    version: PolicyVersion
    epoch: Epoch | None
    policy_root: Root
    uri: str
    block_number: int
    log_index: int

    @property
    def position(self) -> Position:
        return self.block_number, self.log_index


@dataclass(slots=True)
class ChallengeRecord:
    """One challenge; submission and score are known once it is revealed."""

    id: ChallengeId
    challenger: Address
    commitment: bytes
    position: Position
    state: ChallengeState = ChallengeState.COMMITTED
    index: SubmissionIndex | None = None
    score: int | None = None
    burnt: int = 0


@dataclass(frozen=True, slots=True)
class Vote:
    """What a juror said. `beyond`: only what the seed had not drawn shows it, so no verifier is to blame."""

    score: int
    beyond: bool
    seats: int
    position: Position


@dataclass(slots=True)
class DisputeRecord:
    """The dispute about one submission. Addresses of jurors are operators."""

    index: SubmissionIndex
    standing: int  # the score that is disputed
    position: Position  # of the first reveal
    challenges: list[ChallengeId] = field(default_factory=list[ChallengeId])
    challengers: set[Address] = field(default_factory=set[Address])
    seed_block: int | None = None  # once the panel is summoned
    seed: Seed | None = None  # once it is drawn
    seats: dict[Address, int] = field(default_factory=dict[Address, int])
    commit_by: int | None = None
    commitments: dict[Address, bytes] = field(default_factory=dict[Address, bytes])
    votes: dict[Address, Vote] = field(default_factory=dict[Address, Vote])
    outcome: DisputePhase = DisputePhase.NONE  # until decided
    score: int | None = None  # what holds, once decided
    is_against_verifiers: bool = False
    verdict_slashes: dict[Address, int] = field(default_factory=dict[Address, int])

    @property
    def is_open(self) -> bool:
        return self.outcome is DisputePhase.NONE

    @property
    def panel_size(self) -> int:
        """Seats, not jurors."""
        return sum(self.seats.values())


@dataclass(slots=True)
class PlantRecord:
    """A planted fraud, or a decoy: which, only its opening tells."""

    commitment: bytes
    planter: Address
    deposit: int
    epoch: Epoch  # that it covers
    position: Position
    state: PlantState = PlantState.COMMITTED
    index: SubmissionIndex | None = None  # of the submission, once a plant is opened


@dataclass(slots=True)
class EpochRecord:
    """One epoch. Addresses are operators; times are Unix seconds, windows' last moments."""

    epoch: Epoch
    commit_by: int
    submissions: list[CommittedSubmission] = field(default_factory=list[CommittedSubmission])
    seed_block: int | None = None  # once it is closed: the block of which its seed comes
    is_abandoned: bool = False
    seed: Seed | None = None
    sealed_at: Position | None = None
    weights: dict[Address, int] = field(default_factory=dict[Address, int])  # of who judges it, once it is sealed
    verifiers_at_seal: int = 0
    weight_at_seal: int = 0
    attest_by: int | None = None
    commitments: dict[Address, Commitment] = field(default_factory=dict[Address, Commitment])
    reveals: dict[Address, Reveal] = field(default_factory=dict[Address, Reveal])
    is_attested: bool = False
    settled: bytes = b""  # scores so far: `settle` goes on where it stopped
    is_settled: bool = False
    corrections: dict[SubmissionIndex, int] = field(default_factory=dict[SubmissionIndex, int])  # by appeals
    paid: int = 0  # submissions that earned something when it was settled
    challenges: dict[ChallengeId, ChallengeRecord] = field(default_factory=dict[ChallengeId, ChallengeRecord])
    disputes: dict[SubmissionIndex, DisputeRecord] = field(default_factory=dict[SubmissionIndex, DisputeRecord])
    appeals_paid: dict[tuple[SubmissionIndex, Address], int] = field(
        default_factory=dict[tuple[SubmissionIndex, Address], int]
    )
    challenge_by: int | None = None
    is_final: bool = False
    is_void: bool = False
    policy: PolicyRecord | None = None
    policy_state: PolicyState = PolicyState.PENDING
    claims: dict[SubmissionIndex, int] = field(default_factory=dict[SubmissionIndex, int])
    frauds: dict[SubmissionIndex, FraudSlashed] = field(default_factory=dict[SubmissionIndex, FraudSlashed])
    plants: dict[SubmissionIndex, bytes] = field(
        default_factory=dict[SubmissionIndex, bytes]
    )  # commitments of opened plants
    plants_in_time: set[SubmissionIndex] = field(
        default_factory=set[SubmissionIndex]
    )  # opened within the challenge window
    paid_plants: dict[tuple[SubmissionIndex, Address], int] = field(
        default_factory=dict[tuple[SubmissionIndex, Address], int]
    )
    fees: dict[Address, int] = field(default_factory=dict[Address, int])
    absences: dict[Address, int] = field(default_factory=dict[Address, int])

    @property
    def is_closed(self) -> bool:
        """It takes no further submissions."""
        return self.seed_block is not None

    @property
    def is_sealed(self) -> bool:
        return self.seed is not None

    @property
    def is_over(self) -> bool:
        """Nothing more is decided about its submissions."""
        return self.is_final or self.is_void

    @property
    def phase(self) -> EpochPhase:
        """As its events tell it. A window that has just passed shows with the next event: only the chain's `phaseOf`
        knows the time.
        """
        if self.is_void:
            return EpochPhase.VOID
        if self.is_final:
            return EpochPhase.FINAL
        if self.is_settled:
            return EpochPhase.CHALLENGEABLE
        if self.is_attested:
            return EpochPhase.ATTESTED
        if self.reveals:
            return EpochPhase.ATTEST_REVEAL
        return EpochPhase.ATTEST_COMMIT if self.is_sealed else EpochPhase.COMMITTING

    @property
    def members(self) -> frozenset[Address]:
        """Who judges it, once it is sealed."""
        return frozenset(self.weights)

    @property
    def revealed_weight(self) -> int:
        return sum(reveal.weight for reveal in self.reveals.values())

    @property
    def scores(self) -> bytes | None:
        """As settled, all of them; `score_of` knows what appeals have made of them."""
        return self.settled if self.is_settled else None

    @property
    def open_disputes(self) -> list[DisputeRecord]:
        return [each for each in self.disputes.values() if each.is_open]

    @property
    def unrevealed_challenges(self) -> list[ChallengeRecord]:
        """Challenges of which nobody knows the submission yet; they keep the epoch from becoming final until they
        expire.
        """
        return [each for each in self.challenges.values() if each.state is ChallengeState.COMMITTED]

    def submissions_of(self, trainer: Address) -> list[CommittedSubmission]:
        """The submissions of an operator, in the order of their indices."""
        return [each for each in self.submissions if each.submission.trainer == trainer]

    def score_of(self, index: SubmissionIndex) -> int | None:
        """What holds now; None until the epoch is settled."""
        return self.corrections.get(index, self.settled_score_of(index))

    def settled_score_of(self, index: SubmissionIndex) -> int | None:
        """What the reports gave, whatever appeals made of it: the policy follows from this."""
        if self.scores is None:
            return None
        return self.scores[index] if index < len(self.scores) else SCORE_UNPAID

    def reports(self) -> list[bytes]:
        """The distinct reports revealed, in the order that `settle` takes them."""
        return sorted({reveal.report for reveal in self.reveals.values()}, key=report_hash)
