"""The state of a task as a pure fold of its events: what happened, when, and what stands now."""

from dataclasses import dataclass, field
from functools import singledispatchmethod

from offchain.chain.events import (
    AbsenceSlashed,
    AppealAbsenceSlashed,
    AppealCommitted,
    AppealRevealed,
    AttestationCommitted,
    AttestationRevealed,
    ChallengeClaimed,
    Challenged,
    ChallengeDecided,
    Claimed,
    EpochAttested,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FeesClaimed,
    FraudSlashed,
    PolicyPublished,
    Position,
    ReportShown,
    TaskClosed,
    TaskFunded,
    TaskOpened,
    TaskRefunded,
    TrainerBondReleased,
    TrainerDelisted,
    TrainerEnlisted,
    VerdictSlashed,
    VerifierBondReleased,
    VerifierDelisted,
    VerifierEnlisted,
    WorkCommitted,
)
from offchain.protocol.errors import Malformed
from offchain.protocol.types import (
    SCORE_UNPAID,
    Address,
    ChallengePhase,
    Epoch,
    PolicyVersion,
    Root,
    Seed,
    TaskId,
    TaskParams,
    Work,
    WorkId,
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
class Reveal:
    """What a verifier stood by."""

    report_hash: bytes
    evidence_root: Root
    position: Position


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
    """The dispute about one work. Addresses of verifiers are operators."""

    index: WorkIndex
    challenger: Address
    standing: int  # the score that is disputed
    claimed: int  # the challenger's
    bond: int
    commit_by: int
    position: Position
    commitments: dict[Address, bytes] = field(default_factory=dict[Address, bytes])
    votes: dict[Address, int] = field(default_factory=dict[Address, int])  # scores
    weights: dict[Address, int] = field(default_factory=dict[Address, int])
    outcome: ChallengePhase = ChallengePhase.NONE  # until decided
    score: int | None = None  # what holds, once decided
    verdict_slashes: dict[Address, int] = field(default_factory=dict[Address, int])
    absences: dict[Address, int] = field(default_factory=dict[Address, int])
    claims: dict[Address, int] = field(default_factory=dict[Address, int])  # paid so far

    @property
    def is_open(self) -> bool:
        return self.outcome is ChallengePhase.NONE


@dataclass(slots=True)
class EpochRecord:
    """One epoch. Addresses are operators; times are Unix seconds, windows' last moments."""

    epoch: Epoch
    commit_by: int
    works: list[CommittedWork] = field(default_factory=list[CommittedWork])
    seed: Seed | None = None
    sealed_at: Position | None = None
    members: frozenset[Address] = frozenset()  # the verifiers that count: enlisted in a block before the seal's
    verifiers_at_seal: int = 0
    weight_at_seal: int = 0
    attest_by: int | None = None
    commitments: dict[Address, bytes] = field(default_factory=dict[Address, bytes])
    reveals: dict[Address, Reveal] = field(default_factory=dict[Address, Reveal])
    is_attested: bool = False
    scores: bytes | None = None  # as settled; `score_of` knows what appeals have made of them
    challenges: dict[WorkIndex, ChallengeRecord] = field(default_factory=dict[WorkIndex, ChallengeRecord])
    shown_reports: set[bytes] = field(default_factory=set[bytes])
    challenge_by: int | None = None
    is_final: bool = False
    is_void: bool = False
    policy: PolicyRecord | None = None
    claims: dict[WorkIndex, int] = field(default_factory=dict[WorkIndex, int])
    frauds: dict[WorkIndex, FraudSlashed] = field(default_factory=dict[WorkIndex, FraudSlashed])
    fees: dict[Address, int] = field(default_factory=dict[Address, int])
    absences: dict[Address, int] = field(default_factory=dict[Address, int])

    @property
    def is_sealed(self) -> bool:
        return self.seed is not None

    @property
    def is_settled(self) -> bool:
        return self.scores is not None

    @property
    def is_over(self) -> bool:
        """Nothing more is decided about its works."""
        return self.is_final or self.is_void

    @property
    def open_challenges(self) -> list[ChallengeRecord]:
        return [each for each in self.challenges.values() if each.is_open]

    def work_of(self, trainer: Address) -> CommittedWork | None:
        """The work of an operator: there is at most one."""
        return next((each for each in self.works if each.work.trainer == trainer), None)

    def score_of(self, index: WorkIndex) -> int | None:
        """What holds now; None until the epoch is settled."""
        if self.scores is None:
            return None
        challenge = self.challenges.get(index)
        if challenge is not None and challenge.score is not None:
            return challenge.score
        return self.settled_score_of(index)

    def settled_score_of(self, index: WorkIndex) -> int | None:
        """What the reports gave, whatever appeals made of it: the policy follows from this."""
        if self.scores is None:
            return None
        return self.scores[index] if index < len(self.scores) else SCORE_UNPAID

    def report_hashes(self) -> list[bytes]:
        """The distinct reports revealed, in the order that `settle` takes them."""
        return sorted({reveal.report_hash for reveal in self.reveals.values()})


class TaskLedger:
    """Apply a task's events in chain order, all of them and each once; then read.

    `Malformed` while applying means that the events do not belong together: the store or the node is broken.
    """

    def __init__(self, task_id: TaskId) -> None:
        self.task_id = task_id
        self.position: Position | None = None
        self.epochs: dict[Epoch, EpochRecord] = {}
        self.policies: list[PolicyRecord] = []
        self.trainers: dict[Address, Epoch] = {}  # operator -> the open epoch when it enlisted
        self.verifiers: dict[Address, int] = {}  # operator -> weight in wei
        self._task: TaskRecord | None = None
        self._enlisted_at: dict[Address, int] = {}  # verifier -> block

    # -- reading

    @property
    def is_known(self) -> bool:
        return self._task is not None

    @property
    def task(self) -> TaskRecord:
        """Raises Malformed: no TaskOpened was applied."""
        if self._task is None:
            raise Malformed(f"task {self.task_id} has events but was never opened")
        return self._task

    @property
    def open_epoch(self) -> EpochRecord | None:
        """The epoch that takes works; None between a seal and the next, or after the last."""
        newest = self.epochs.get(Epoch(len(self.epochs) - 1))
        if newest is None or newest.is_sealed or (self.task.is_closed and not newest.works):
            return None
        return newest

    def previous_seed(self, epoch: Epoch) -> Seed:
        """What a trainer's prompts of an epoch derive from. Raises LookupError: the epoch before is not sealed yet."""
        if epoch == 0:
            return self.task.seed
        before = self.epochs.get(Epoch(epoch - 1))
        if before is None or before.seed is None:
            raise LookupError(f"epoch {epoch - 1} of task {self.task_id} is not sealed yet")
        return before.seed

    def newest_policy(self, before: Position | None = None) -> PolicyRecord:
        """The newest policy now, or as of a place in the chain (what lies exactly there does not count)."""
        known = self.policies if before is None else [each for each in self.policies if each.position < before]
        if not known:
            raise Malformed(f"task {self.task_id} had no policy before {before}")
        return known[-1]

    def staleness_of(self, committed: CommittedWork) -> int:
        """Versions that a work's policy lay behind the newest when it was committed; negative: not yet published."""
        return self.newest_policy(before=committed.position).version - committed.work.policy_version

    def work(self, epoch: Epoch, index: WorkIndex) -> CommittedWork:
        """Raises LookupError: there is no such work."""
        works = self.epochs[epoch].works if epoch in self.epochs else []
        if not 0 <= index < len(works):
            raise LookupError(f"there is no work {WorkId(self.task_id, epoch, index)}")
        return works[index]

    # -- folding

    def apply(self, event: Event) -> None:
        """Raises Malformed: out of order, or about what was never announced."""
        if self.position is not None and event.position <= self.position:
            raise Malformed(f"event at {event.position} comes after {self.position}")
        self._fold(event)
        self.position = event.position

    def _epoch(self, epoch: Epoch) -> EpochRecord:
        if epoch not in self.epochs:
            raise Malformed(f"epoch {epoch} of task {self.task_id} was never opened")
        return self.epochs[epoch]

    def _challenge(self, epoch: Epoch, index: WorkIndex) -> ChallengeRecord:
        challenge = self._epoch(epoch).challenges.get(index)
        if challenge is None:
            raise Malformed(f"work {index} of epoch {epoch} of task {self.task_id} was never challenged")
        return challenge

    @singledispatchmethod
    def _fold(self, event: Event) -> None:
        raise Malformed(f"{type(event).__name__} is no event of a task")

    @_fold.register
    def _(self, event: TaskOpened) -> None:
        self._task = TaskRecord(
            event.task_id,
            event.initiator,
            event.params,
            event.spec_hash,
            event.spec_uri,
            event.policy_root,
            event.seed,
            opened_at_block=event.block_number,
        )
        uri = f"assay:0x{event.policy_root.hex()}"
        self.policies.append(PolicyRecord(PolicyVersion(0), None, event.policy_root, uri, *event.position))

    @_fold.register
    def _(self, event: TaskFunded) -> None:
        self.task.funded_wei += event.amount

    @_fold.register
    def _(self, event: TaskClosed) -> None:
        self.task.is_closed = True

    @_fold.register
    def _(self, event: TaskRefunded) -> None:
        self.task.refunded_wei += event.amount

    @_fold.register
    def _(self, event: TrainerEnlisted) -> None:
        self.trainers[event.trainer] = Epoch(sum(record.is_sealed for record in self.epochs.values()))

    @_fold.register
    def _(self, event: TrainerDelisted) -> None:
        self.trainers.pop(event.trainer, None)

    @_fold.register
    def _(self, event: TrainerBondReleased) -> None:
        pass  # a matter of the trainer's bond

    @_fold.register
    def _(self, event: VerifierBondReleased) -> None:
        pass  # a matter of the verifier's bond

    @_fold.register
    def _(self, event: VerifierEnlisted) -> None:
        self.verifiers[event.verifier] = event.weight
        self._enlisted_at[event.verifier] = event.block_number

    @_fold.register
    def _(self, event: VerifierDelisted) -> None:
        self.verifiers.pop(event.verifier, None)

    @_fold.register
    def _(self, event: EpochOpened) -> None:
        """Told again when the window starts anew, which it does while an epoch has no works."""
        if event.epoch == len(self.epochs):
            self.epochs[event.epoch] = EpochRecord(event.epoch, event.commit_by)
        elif event.epoch == len(self.epochs) - 1 and not self.epochs[event.epoch].works:
            self.epochs[event.epoch].commit_by = event.commit_by
        else:
            raise Malformed(f"epoch {event.epoch} of task {self.task_id} opens after {len(self.epochs)} others")

    @_fold.register
    def _(self, event: WorkCommitted) -> None:
        works = self._epoch(event.epoch).works
        if event.index != len(works):
            raise Malformed(f"work {event.index} of epoch {event.epoch} comes after {len(works)} others")
        work = Work(event.trainer, event.index, event.units, event.policy_version, event.manifest_root)
        works.append(CommittedWork(work, event.position, event.tx_hash))

    @_fold.register
    def _(self, event: EpochSealed) -> None:
        record = self._epoch(event.epoch)
        record.seed, record.sealed_at, record.attest_by = event.seed, event.position, event.attest_by
        record.verifiers_at_seal, record.weight_at_seal = event.verifiers, event.weight
        record.members = frozenset(
            verifier for verifier in self.verifiers if self._enlisted_at[verifier] < event.block_number
        )

    @_fold.register
    def _(self, event: AttestationCommitted) -> None:
        self._epoch(event.epoch).commitments[event.verifier] = event.commitment

    @_fold.register
    def _(self, event: AttestationRevealed) -> None:
        reveal = Reveal(event.report_hash, event.evidence_root, event.position)
        self._epoch(event.epoch).reveals[event.verifier] = reveal

    @_fold.register
    def _(self, event: EpochAttested) -> None:
        self._epoch(event.epoch).is_attested = True

    @_fold.register
    def _(self, event: EpochSettled) -> None:
        record = self._epoch(event.epoch)
        record.scores, record.challenge_by = event.scores, event.challenge_by

    @_fold.register
    def _(self, event: ReportShown) -> None:
        self._epoch(event.epoch).shown_reports.add(event.report_hash)

    @_fold.register
    def _(self, event: Challenged) -> None:
        challenges = self._epoch(event.epoch).challenges
        if event.index in challenges:
            raise Malformed(f"work {event.index} of epoch {event.epoch} is challenged twice")
        challenges[event.index] = ChallengeRecord(
            event.index,
            event.challenger,
            event.standing,
            event.score,
            event.bond,
            event.commit_by,
            event.position,
        )

    @_fold.register
    def _(self, event: AppealCommitted) -> None:
        self._challenge(event.epoch, event.index).commitments[event.verifier] = event.commitment

    @_fold.register
    def _(self, event: AppealRevealed) -> None:
        challenge = self._challenge(event.epoch, event.index)
        challenge.votes[event.verifier], challenge.weights[event.verifier] = event.score, event.weight

    @_fold.register
    def _(self, event: ChallengeDecided) -> None:
        challenge = self._challenge(event.epoch, event.index)
        challenge.outcome, challenge.score = event.phase, event.score

    @_fold.register
    def _(self, event: VerdictSlashed) -> None:
        self._challenge(event.epoch, event.index).verdict_slashes[event.verifier] = event.amount

    @_fold.register
    def _(self, event: AppealAbsenceSlashed) -> None:
        self._challenge(event.epoch, event.index).absences[event.verifier] = event.amount

    @_fold.register
    def _(self, event: ChallengeClaimed) -> None:
        claims = self._challenge(event.epoch, event.index).claims
        claims[event.to] = claims.get(event.to, 0) + event.amount

    @_fold.register
    def _(self, event: PolicyPublished) -> None:
        record = PolicyRecord(event.version, event.epoch, event.policy_root, event.uri, *event.position)
        self._epoch(event.epoch).policy = record
        self.policies.append(record)

    @_fold.register
    def _(self, event: EpochFinal) -> None:
        self._epoch(event.epoch).is_final = True

    @_fold.register
    def _(self, event: EpochVoid) -> None:
        self._epoch(event.epoch).is_void = True

    @_fold.register
    def _(self, event: AbsenceSlashed) -> None:
        self._epoch(event.epoch).absences[event.verifier] = event.amount

    @_fold.register
    def _(self, event: Claimed) -> None:
        self._epoch(event.epoch).claims[event.index] = event.amount

    @_fold.register
    def _(self, event: FeesClaimed) -> None:
        self._epoch(event.epoch).fees[event.verifier] = event.amount

    @_fold.register
    def _(self, event: FraudSlashed) -> None:
        self._epoch(event.epoch).frauds[event.index] = event
