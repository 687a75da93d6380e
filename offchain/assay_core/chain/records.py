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
    PlantState,
    PolicyState,
    PolicyVersion,
    Root,
    Seed,
    TaskId,
    TaskParams,
    Work,
    WorkIndex,
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
class CommittedWork:
    """A work and where in the chain it was committed."""

    work: Work
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
    """One challenge; work and score are known once it is revealed."""

    id: ChallengeId
    challenger: Address
    commitment: bytes
    position: Position
    state: ChallengeState = ChallengeState.COMMITTED
    index: WorkIndex | None = None
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
    """The dispute about one work. Addresses of jurors are operators."""

    index: WorkIndex
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
    index: WorkIndex | None = None  # of the work, once a plant is opened


@dataclass(slots=True)
class EpochRecord:
    """One epoch. Addresses are operators; times are Unix seconds, windows' last moments."""

    epoch: Epoch
    commit_by: int
    works: list[CommittedWork] = field(default_factory=list[CommittedWork])
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
    corrections: dict[WorkIndex, int] = field(default_factory=dict[WorkIndex, int])  # by appeals
    paid: int = 0  # works that earned something when it was settled
    challenges: dict[ChallengeId, ChallengeRecord] = field(default_factory=dict[ChallengeId, ChallengeRecord])
    disputes: dict[WorkIndex, DisputeRecord] = field(default_factory=dict[WorkIndex, DisputeRecord])
    appeals_paid: dict[tuple[WorkIndex, Address], int] = field(default_factory=dict[tuple[WorkIndex, Address], int])
    challenge_by: int | None = None
    is_final: bool = False
    is_void: bool = False
    policy: PolicyRecord | None = None
    policy_state: PolicyState = PolicyState.PENDING
    claims: dict[WorkIndex, int] = field(default_factory=dict[WorkIndex, int])
    frauds: dict[WorkIndex, FraudSlashed] = field(default_factory=dict[WorkIndex, FraudSlashed])
    plants: dict[WorkIndex, bytes] = field(default_factory=dict[WorkIndex, bytes])  # commitments of opened plants
    plants_in_time: set[WorkIndex] = field(default_factory=set[WorkIndex])  # opened within the challenge window
    paid_plants: dict[tuple[WorkIndex, Address], int] = field(default_factory=dict[tuple[WorkIndex, Address], int])
    fees: dict[Address, int] = field(default_factory=dict[Address, int])
    absences: dict[Address, int] = field(default_factory=dict[Address, int])

    @property
    def is_closed(self) -> bool:
        """It takes no further works."""
        return self.seed_block is not None

    @property
    def is_sealed(self) -> bool:
        return self.seed is not None

    @property
    def is_over(self) -> bool:
        """Nothing more is decided about its works."""
        return self.is_final or self.is_void

    @property
    def members(self) -> frozenset[Address]:
        """Who judges it, once it is sealed."""
        return frozenset(self.weights)

    @property
    def scores(self) -> bytes | None:
        """As settled, all of them; `score_of` knows what appeals have made of them."""
        return self.settled if self.is_settled else None

    @property
    def open_disputes(self) -> list[DisputeRecord]:
        return [each for each in self.disputes.values() if each.is_open]

    @property
    def unrevealed_challenges(self) -> list[ChallengeRecord]:
        """Challenges of which nobody knows the work yet; they keep the epoch from becoming final until they expire."""
        return [each for each in self.challenges.values() if each.state is ChallengeState.COMMITTED]

    def works_of(self, trainer: Address) -> list[CommittedWork]:
        """The works of an operator, in the order of their indices."""
        return [each for each in self.works if each.work.trainer == trainer]

    def score_of(self, index: WorkIndex) -> int | None:
        """What holds now; None until the epoch is settled."""
        return self.corrections.get(index, self.settled_score_of(index))

    def settled_score_of(self, index: WorkIndex) -> int | None:
        """What the reports gave, whatever appeals made of it: the policy follows from this."""
        if self.scores is None:
            return None
        return self.scores[index] if index < len(self.scores) else SCORE_UNPAID

    def reports(self) -> list[bytes]:
        """The distinct reports revealed, in the order that `settle` takes them."""
        return sorted({reveal.report for reveal in self.reveals.values()}, key=report_hash)
