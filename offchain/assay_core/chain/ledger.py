"""The state of a task as a pure fold of its events: what happened, when, and what stands now.

Who judges which epoch with what weight follows from the epochs that events name, never from blocks or their order.
"""

from functools import singledispatchmethod

from assay_core.chain.events import (
    AbsenceSlashed,
    AppealPaid,
    AttestationCommitted,
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeExpired,
    ChallengeRevealed,
    Claimed,
    DisputeDecided,
    EpochAbandoned,
    EpochAttested,
    EpochClosed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FeesClaimed,
    FraudSlashed,
    PaidPlantSlashed,
    PanelDrawn,
    PanelSummoned,
    PlantCommitted,
    PlantForfeited,
    PlantOpened,
    PlantRefunded,
    PolicyPublished,
    PolicySkipped,
    Position,
    ScoreCorrected,
    ScoresSettled,
    SubmissionCommitted,
    TaskClosed,
    TaskFunded,
    TaskOpened,
    TaskRefunded,
    TrainerDelisted,
    TrainerEnlisted,
    VerdictSlashed,
    VerifierBondReleased,
    VerifierDelisted,
    VerifierEnlisted,
    VerifierSlashed,
    VoteCommitted,
    VoteRevealed,
)
from assay_core.chain.records import (
    ChallengeRecord,
    Commitment,
    CommittedSubmission,
    DisputeRecord,
    EpochRecord,
    PlantRecord,
    PolicyRecord,
    Reveal,
    TaskRecord,
    Vote,
)
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import (
    Address,
    ChallengeId,
    ChallengeState,
    Epoch,
    PlantState,
    PolicyState,
    PolicyVersion,
    Seed,
    Submission,
    SubmissionId,
    SubmissionIndex,
    TaskId,
)


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
        self.verifiers: dict[Address, int] = {}  # enlisted now: operator -> weight in wei
        self.plants: dict[bytes, PlantRecord] = {}  # by commitment
        self._task: TaskRecord | None = None
        self._weights: dict[Address, list[tuple[Epoch, int]]] = {}  # from which epoch on, ascending

    # -- reading

    @property
    def is_known(self) -> bool:
        """Whether the task was opened, as far as events were read."""
        return self._task is not None

    @property
    def task(self) -> TaskRecord:
        """Raises Malformed: no TaskOpened was applied."""
        if self._task is None:
            raise Malformed(f"task {self.task_id} has events but was never opened")
        return self._task

    @property
    def open_epoch(self) -> EpochRecord | None:
        """The epoch that is not sealed yet, closed or not; None while there is none, or after the last."""
        newest = self.epochs.get(Epoch(len(self.epochs) - 1))
        return None if newest is None or newest.is_sealed or newest.is_abandoned else newest

    @property
    def next_policy_epoch(self) -> Epoch:
        """The epoch whose policy is next: neither published nor skipped."""
        pending = (epoch for epoch, each in self.epochs.items() if each.policy_state is PolicyState.PENDING)
        return min(pending, default=Epoch(len(self.epochs)))

    def weight_at(self, epoch: Epoch, verifier: Address) -> int:
        """With which a verifier judges an epoch, as far as is known now; 0: it does not. Sealed epochs never change."""
        reached = [weight for first, weight in self._weights.get(verifier, ()) if first <= epoch]
        return reached[-1] if reached else 0

    def electorate(self, epoch: Epoch) -> dict[Address, int]:
        """Who judges an epoch, or would, were it sealed now."""
        weights = {verifier: self.weight_at(epoch, verifier) for verifier in self._weights}
        return {verifier: weight for verifier, weight in weights.items() if weight > 0}

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

    def staleness_of(self, committed: CommittedSubmission) -> int:
        """Versions that a submission's policy lay behind the newest when it was committed; negative: not yet
        published.
        """
        return self.newest_policy(before=committed.position).version - committed.submission.policy_version

    def submission(self, epoch: Epoch, index: SubmissionIndex) -> CommittedSubmission:
        """Raises LookupError: there is no such submission."""
        submissions = self.epochs[epoch].submissions if epoch in self.epochs else []
        if not 0 <= index < len(submissions):
            raise LookupError(f"there is no submission {SubmissionId(self.task_id, epoch, index)}")
        return submissions[index]

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

    def _challenge(self, epoch: Epoch, challenge: ChallengeId) -> ChallengeRecord:
        found = self._epoch(epoch).challenges.get(challenge)
        if found is None:
            raise Malformed(f"challenge {challenge} of epoch {epoch} of task {self.task_id} was never committed")
        return found

    def _dispute(self, epoch: Epoch, index: SubmissionIndex) -> DisputeRecord:
        found = self._epoch(epoch).disputes.get(index)
        if found is None:
            raise Malformed(f"submission {index} of epoch {epoch} of task {self.task_id} was never challenged")
        return found

    def _plant(self, commitment: bytes) -> PlantRecord:
        if commitment not in self.plants:
            raise Malformed(f"plant 0x{commitment.hex()} of task {self.task_id} was never committed")
        return self.plants[commitment]

    def _set_weight(self, verifier: Address, from_epoch: Epoch, weight: int) -> None:
        """As the contracts keep it: at the earliest from where it last changed."""
        steps = self._weights.setdefault(verifier, [])
        if steps and steps[-1][0] >= from_epoch:
            from_epoch = steps.pop()[0]
        steps.append((from_epoch, weight))

    @singledispatchmethod
    def _fold(self, event: Event) -> None:
        raise Malformed(f"{type(event).__name__} is no event of a task")

    # tasks

    @_fold.register
    def _(self, event: TaskOpened) -> None:
        self._task = TaskRecord(
            event.task_id,
            event.initiator,
            event.params,
            event.spec_hash,
            event.spec_uri,
            event.policy_root,
            event.terms_hash,
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

    # trainers and submissions

    @_fold.register
    def _(self, event: TrainerEnlisted) -> None:
        self.trainers[event.trainer] = self._open_number()

    @_fold.register
    def _(self, event: TrainerDelisted) -> None:
        self.trainers.pop(event.trainer, None)

    @_fold.register
    def _(self, event: EpochOpened) -> None:
        """Told again when the window starts again, which it does while an epoch has no submissions."""
        if event.epoch == len(self.epochs):
            self.epochs[event.epoch] = EpochRecord(event.epoch, event.commit_by)
        elif event.epoch == len(self.epochs) - 1 and not self.epochs[event.epoch].submissions:
            self.epochs[event.epoch].commit_by = event.commit_by
        else:
            raise Malformed(f"epoch {event.epoch} of task {self.task_id} opens after {len(self.epochs)} others")

    @_fold.register
    def _(self, event: SubmissionCommitted) -> None:
        submissions = self._epoch(event.epoch).submissions
        if event.index != len(submissions):
            raise Malformed(f"submission {event.index} of epoch {event.epoch} comes after {len(submissions)} others")
        submission = Submission(
            event.trainer, event.index, event.kind, event.units, event.policy_version, event.manifest_root
        )
        submissions.append(CommittedSubmission(submission, event.position, event.tx_hash))

    @_fold.register
    def _(self, event: EpochClosed) -> None:
        self._epoch(event.epoch).seed_block = event.seed_block

    @_fold.register
    def _(self, event: EpochAbandoned) -> None:
        self._epoch(event.epoch).is_abandoned = True

    def _open_number(self) -> Epoch:
        """Of the epoch that is open, or opens next."""
        return Epoch(sum(record.is_sealed for record in self.epochs.values()))

    # verifiers

    @_fold.register
    def _(self, event: VerifierEnlisted) -> None:
        self.verifiers[event.verifier] = event.weight
        self._set_weight(event.verifier, event.from_epoch, event.weight)

    @_fold.register
    def _(self, event: VerifierDelisted) -> None:
        self.verifiers.pop(event.verifier, None)
        self._set_weight(event.verifier, event.from_epoch, 0)

    @_fold.register
    def _(self, event: VerifierSlashed) -> None:
        if event.verifier in self.verifiers:  # else it has left before, and no weight changes
            self.verifiers[event.verifier] = event.weight
            self._set_weight(event.verifier, event.from_epoch, event.weight)

    @_fold.register
    def _(self, event: VerifierBondReleased) -> None:
        pass  # a matter of the verifier's bond

    # judgement

    @_fold.register
    def _(self, event: EpochSealed) -> None:
        record = self._epoch(event.epoch)
        record.seed, record.sealed_at, record.attest_by = event.seed, event.position, event.attest_by
        record.verifiers_at_seal, record.weight_at_seal = event.verifiers, event.weight
        record.weights = self.electorate(event.epoch)

    @_fold.register
    def _(self, event: AttestationCommitted) -> None:
        committed = Commitment(event.commitment, event.sealed_report, event.position)
        self._epoch(event.epoch).commitments[event.verifier] = committed

    @_fold.register
    def _(self, event: AttestationRevealed) -> None:
        reveal = Reveal(event.report, event.evidence_root, event.weight, event.position)
        self._epoch(event.epoch).reveals[event.verifier] = reveal

    @_fold.register
    def _(self, event: EpochAttested) -> None:
        self._epoch(event.epoch).is_attested = True

    @_fold.register
    def _(self, event: ScoresSettled) -> None:
        record = self._epoch(event.epoch)
        if event.first != len(record.settled):
            raise Malformed(
                f"scores of epoch {event.epoch} from submission {event.first} come after {len(record.settled)}"
            )
        record.settled += event.scores

    @_fold.register
    def _(self, event: EpochSettled) -> None:
        record = self._epoch(event.epoch)
        record.is_settled, record.paid, record.challenge_by = True, event.paid, event.challenge_by

    @_fold.register
    def _(self, event: ScoreCorrected) -> None:
        self._epoch(event.epoch).corrections[event.index] = event.score

    @_fold.register
    def _(self, event: EpochFinal) -> None:
        self._epoch(event.epoch).is_final = True

    @_fold.register
    def _(self, event: EpochVoid) -> None:
        self._epoch(event.epoch).is_void = True

    @_fold.register
    def _(self, event: AbsenceSlashed) -> None:
        self._epoch(event.epoch).absences[event.verifier] = event.amount

    # policies

    @_fold.register
    def _(self, event: PolicyPublished) -> None:
        policy = PolicyRecord(event.version, event.epoch, event.policy_root, event.uri, *event.position)
        record = self._epoch(event.epoch)
        record.policy, record.policy_state = policy, PolicyState.PUBLISHED
        self.policies.append(policy)

    @_fold.register
    def _(self, event: PolicySkipped) -> None:
        self._epoch(event.epoch).policy_state = event.state

    # appeals

    @_fold.register
    def _(self, event: ChallengeCommitted) -> None:
        challenges = self._epoch(event.epoch).challenges
        if event.id != len(challenges):
            raise Malformed(f"challenge {event.id} of epoch {event.epoch} comes after {len(challenges)} others")
        challenges[event.id] = ChallengeRecord(event.id, event.challenger, event.commitment, event.position)

    @_fold.register
    def _(self, event: ChallengeRevealed) -> None:
        challenge = self._challenge(event.epoch, event.id)
        challenge.state, challenge.index, challenge.score = ChallengeState.REVEALED, event.index, event.score
        disputes = self._epoch(event.epoch).disputes
        if event.index not in disputes:
            disputes[event.index] = DisputeRecord(event.index, event.standing, event.position)
        disputes[event.index].challenges.append(event.id)
        disputes[event.index].challengers.add(event.challenger)

    @_fold.register
    def _(self, event: ChallengeExpired) -> None:
        challenge = self._challenge(event.epoch, event.id)
        challenge.state, challenge.burnt = ChallengeState.EXPIRED, event.burnt

    @_fold.register
    def _(self, event: PanelSummoned) -> None:
        self._dispute(event.epoch, event.index).seed_block = event.seed_block

    @_fold.register
    def _(self, event: PanelDrawn) -> None:
        dispute = self._dispute(event.epoch, event.index)
        dispute.seed, dispute.commit_by = event.seed, event.commit_by
        for juror in event.jurors:
            dispute.seats[juror] = dispute.seats.get(juror, 0) + 1

    @_fold.register
    def _(self, event: VoteCommitted) -> None:
        self._dispute(event.epoch, event.index).commitments[event.juror] = event.commitment

    @_fold.register
    def _(self, event: VoteRevealed) -> None:
        vote = Vote(event.score, event.beyond, event.seats, event.position)
        self._dispute(event.epoch, event.index).votes[event.juror] = vote

    @_fold.register
    def _(self, event: DisputeDecided) -> None:
        dispute = self._dispute(event.epoch, event.index)
        dispute.outcome, dispute.score = event.phase, event.score
        dispute.is_against_verifiers = event.is_against_verifiers

    @_fold.register
    def _(self, event: VerdictSlashed) -> None:
        self._dispute(event.epoch, event.index).verdict_slashes[event.verifier] = event.amount

    @_fold.register
    def _(self, event: AppealPaid) -> None:
        paid, key = self._epoch(event.epoch).appeals_paid, (event.index, event.to)
        paid[key] = paid.get(key, 0) + event.amount

    # payouts

    @_fold.register
    def _(self, event: Claimed) -> None:
        self._epoch(event.epoch).claims[event.index] = event.amount

    @_fold.register
    def _(self, event: FeesClaimed) -> None:
        self._epoch(event.epoch).fees[event.verifier] = event.amount

    @_fold.register
    def _(self, event: FraudSlashed) -> None:
        self._epoch(event.epoch).frauds[event.index] = event

    # plants

    @_fold.register
    def _(self, event: PlantCommitted) -> None:
        newest = self.open_epoch
        epoch = Epoch(self._open_number() + (newest is not None and newest.is_closed))
        self.plants[event.commitment] = PlantRecord(
            event.commitment, event.planter, event.deposit, epoch, event.position
        )

    @_fold.register
    def _(self, event: PlantOpened) -> None:
        plant = self._plant(event.commitment)
        plant.state, plant.index = PlantState.OPENED, event.index
        record = self._epoch(event.epoch)
        record.plants[event.index] = event.commitment
        if event.is_in_time:
            record.plants_in_time.add(event.index)

    @_fold.register
    def _(self, event: PlantRefunded) -> None:
        self._plant(event.commitment).state = PlantState.OPENED

    @_fold.register
    def _(self, event: PlantForfeited) -> None:
        self._plant(event.commitment).state = PlantState.FORFEITED

    @_fold.register
    def _(self, event: PaidPlantSlashed) -> None:
        self._epoch(event.epoch).paid_plants[event.index, event.verifier] = event.amount
