"""The events of a task, told in order: what a ledger looks like at any point of an epoch's life."""

from collections.abc import Mapping

from web3 import Web3

from assay_core.chain.contracts import (
    AppealsContract,
    AttestationsContract,
    CommitmentsContract,
    PayoutsContract,
    PlantsContract,
    PoliciesContract,
    VerifiersContract,
)
from assay_core.chain.events import (
    AttestationCommitted,
    AttestationRevealed,
    ChallengeCommitted,
    ChallengeExpired,
    ChallengeRevealed,
    DisputeDecided,
    EpochClosed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FraudSlashed,
    PanelDrawn,
    PanelSummoned,
    PlantCommitted,
    PlantOpened,
    PolicyPublished,
    PolicySkipped,
    ScoreCorrected,
    ScoresSettled,
    SubmissionCommitted,
    TaskClosed,
    TaskOpened,
    TrainerEnlisted,
    VerifierEnlisted,
    VoteCommitted,
    VoteRevealed,
)
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.protocol.encoding import derive, panel_class
from assay_core.protocol.types import (
    PROTOCOL_VERSION,
    Address,
    ChallengeId,
    DisputePhase,
    Epoch,
    KindTerms,
    PolicyState,
    PolicyVersion,
    Root,
    Seed,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
    is_paid,
    kinds_of,
)
from assay_verifier.chores import Contracts
from tests.submissions import SPEC_ROOT, TASK_SEED

PARAMS = TaskParams(
    kinds=kinds_of({SubmissionKind.FULL: KindTerms(10, 10_000)}),
    trainer_bond=100,
    verifier_bond=100,
    fraud_slash=50,
    challenge_bond=1,
    juror_fee=1,
    verifier_fee=3,
    max_epoch_units=100,
    max_submission_units=10,
    max_submissions_each=4,
    quorum_bps=6_667,
    sampling_bps=10_000,
    absence_slash_bps=500,
    verdict_slash_bps=2_000,
    max_staleness=2,
    max_epochs=0,
    protocol_version=PROTOCOL_VERSION,
    commit_window=100,
    attest_window=100,
    reveal_window=100,
    challenge_window=100,
    appeal_window=100,
    panel_class=panel_class("sorting"),
)
UNBONDING_S = 10_000
CONTRACT = Address("0x00000000000000000000000000000000000000AA")
TERMS_HASH = b"\x0e" * 32


def contracts() -> Contracts:
    """Encoders that talk to no node."""
    web3 = Web3()
    return Contracts(
        CommitmentsContract(web3, CONTRACT),
        VerifiersContract(web3, CONTRACT),
        AttestationsContract(web3, CONTRACT),
        PoliciesContract(web3, CONTRACT),
        AppealsContract(web3, CONTRACT),
        PayoutsContract(web3, CONTRACT),
        PlantsContract(web3, CONTRACT),
        UNBONDING_S,
    )


class Chronicle:
    """Each method is one thing that happens, a block later than the last."""

    def __init__(self, policy_root: Root, params: TaskParams = PARAMS) -> None:
        self.task_id = TaskId(1)
        self.ledger = TaskLedger(self.task_id)
        self.block = 0
        self._tell(
            TaskOpened,
            initiator=CONTRACT,
            params=params,
            spec_hash=SPEC_ROOT,
            spec_uri="",
            policy_root=policy_root,
            terms_hash=TERMS_HASH,
            seed=TASK_SEED,
        )
        self.open(0)

    def _tell(self, event: type[Event], /, **fields: object) -> None:
        self.block += 1
        where: Mapping[str, object] = {"block_number": self.block, "log_index": 0, "tx_hash": bytes(32)}
        self.ledger.apply(event(**where, task_id=self.task_id, **fields))  # pyright: ignore[reportCallIssue, reportArgumentType]

    def record(self, epoch: int = 0) -> EpochRecord:
        return self.ledger.epochs[Epoch(epoch)]

    def open(self, epoch: int) -> None:
        self._tell(EpochOpened, epoch=Epoch(epoch), commit_by=1_000)

    def trainer(self, *trainers: Address) -> None:
        for trainer in trainers:
            self._tell(TrainerEnlisted, trainer=trainer)

    def verifier(self, *verifiers: Address, weight: int = 100) -> None:
        first = Epoch(sum(record.is_sealed for record in self.ledger.epochs.values()))
        for verifier in verifiers:
            self._tell(VerifierEnlisted, verifier=verifier, weight=weight, from_epoch=first)

    def submission(self, trainer: Address, root: Root, *, epoch: int = 0, version: int = 0, units: int = 4) -> None:
        self._tell(
            SubmissionCommitted,
            epoch=Epoch(epoch),
            trainer=trainer,
            index=SubmissionIndex(len(self.record(epoch).submissions)),
            kind=SubmissionKind.FULL,
            units=units,
            policy_version=PolicyVersion(version),
            manifest_root=root,
        )

    def close(self, epoch: int = 0) -> None:
        submissions = len(self.record(epoch).submissions)
        self._tell(EpochClosed, epoch=Epoch(epoch), submissions=submissions, seed_block=self.block + 2)

    def seal(self, epoch: int = 0, attest_by: int = 1_000) -> None:
        self.close(epoch)
        weights = self.ledger.electorate(Epoch(epoch))
        self._tell(
            EpochSealed,
            epoch=Epoch(epoch),
            seed=derive(Seed(bytes(32)), "seal", epoch, self.block),
            submissions=len(self.record(epoch).submissions),
            verifiers=len(weights),
            weight=sum(weights.values()),
            attest_by=attest_by,
        )
        self.open(epoch + 1)

    def commit(self, verifier: Address, commitment: bytes, epoch: int = 0, sealed_report: bytes = b"") -> None:
        self._tell(
            AttestationCommitted,
            epoch=Epoch(epoch),
            verifier=verifier,
            commitment=commitment,
            sealed_report=sealed_report,
        )

    def reveal(self, verifier: Address, report: bytes, evidence: Root, epoch: int = 0) -> None:
        self._tell(
            AttestationRevealed,
            epoch=Epoch(epoch),
            verifier=verifier,
            weight=self.record(epoch).weights[verifier],
            report=report,
            evidence_root=evidence,
        )

    def settle_some(self, scores: bytes, epoch: int = 0) -> None:
        first = SubmissionIndex(len(self.record(epoch).settled))
        self._tell(ScoresSettled, epoch=Epoch(epoch), first=first, scores=scores)

    def settle(self, scores: bytes, epoch: int = 0, challenge_by: int = 2_000) -> None:
        self.settle_some(scores, epoch)
        paid = sum(is_paid(score) for score in self.record(epoch).settled)
        self._tell(EpochSettled, epoch=Epoch(epoch), paid=paid, challenge_by=challenge_by)

    def challenge(self, challenger: Address, commitment: bytes, epoch: int = 0) -> ChallengeId:
        number = ChallengeId(len(self.record(epoch).challenges))
        self._tell(ChallengeCommitted, epoch=Epoch(epoch), id=number, challenger=challenger, commitment=commitment)
        return number

    def reveal_challenge(self, number: ChallengeId, index: int, score: int, epoch: int = 0) -> None:
        record = self.record(epoch)
        self._tell(
            ChallengeRevealed,
            epoch=Epoch(epoch),
            id=number,
            index=SubmissionIndex(index),
            challenger=record.challenges[number].challenger,
            standing=record.score_of(SubmissionIndex(index)),
            score=score,
        )

    def expire(self, number: ChallengeId, epoch: int = 0) -> None:
        self._tell(ChallengeExpired, epoch=Epoch(epoch), id=number, burnt=1)

    def dispute(self, index: int, score: int, epoch: int = 0) -> None:
        """Somebody challenges a submission, and says so."""
        self.reveal_challenge(self.challenge(CONTRACT, bytes(32), epoch), index, score, epoch)

    def summon(self, index: int, epoch: int = 0, seed_block: int = 77) -> None:
        self._tell(PanelSummoned, epoch=Epoch(epoch), index=SubmissionIndex(index), seed_block=seed_block)

    def draw(self, index: int, *jurors: Address, epoch: int = 0, commit_by: int = 3_000) -> None:
        self._tell(
            PanelDrawn,
            epoch=Epoch(epoch),
            index=SubmissionIndex(index),
            seed=derive(Seed(bytes(32)), "panel", epoch, index),
            jurors=jurors,
            commit_by=commit_by,
        )

    def commit_vote(self, juror: Address, commitment: bytes, index: int = 0, epoch: int = 0) -> None:
        self._tell(VoteCommitted, epoch=Epoch(epoch), index=SubmissionIndex(index), juror=juror, commitment=commitment)

    def vote(self, juror: Address, score: int, index: int = 0, epoch: int = 0, *, beyond: bool = False) -> None:
        self._tell(
            VoteRevealed,
            epoch=Epoch(epoch),
            index=SubmissionIndex(index),
            juror=juror,
            score=score,
            beyond=beyond,
            seats=1,
        )

    def decide(
        self, index: int, score: int, phase: DisputePhase, epoch: int = 0, *, is_against_verifiers: bool = False
    ) -> None:
        self._tell(
            DisputeDecided,
            epoch=Epoch(epoch),
            index=SubmissionIndex(index),
            score=score,
            phase=phase,
            is_against_verifiers=is_against_verifiers,
        )
        if phase is DisputePhase.OVERTURNED:
            self._tell(ScoreCorrected, epoch=Epoch(epoch), index=SubmissionIndex(index), score=score)

    def plant(self, index: int, epoch: int = 0) -> None:
        """A submission turns out to have been planted."""
        commitment = bytes([index + 1]) * 32
        self._tell(PlantCommitted, commitment=commitment, planter=CONTRACT, deposit=1)
        self._tell(
            PlantOpened, epoch=Epoch(epoch), index=SubmissionIndex(index), commitment=commitment, is_in_time=True
        )

    def skip(self, epoch: int = 0, state: PolicyState = PolicyState.SKIPPED) -> None:
        self._tell(PolicySkipped, epoch=Epoch(epoch), state=state)

    def close_task(self) -> None:
        self._tell(TaskClosed)

    def publish(self, root: Root, epoch: int = 0) -> None:
        version = PolicyVersion(len(self.ledger.policies))
        self._tell(PolicyPublished, epoch=Epoch(epoch), version=version, policy_root=root, uri="")

    def finalise(self, epoch: int = 0) -> None:
        self._tell(EpochFinal, epoch=Epoch(epoch))

    def void(self, epoch: int = 0) -> None:
        self._tell(EpochVoid, epoch=Epoch(epoch))

    def slash(self, trainer: Address, index: int, epoch: int = 0) -> None:
        self._tell(
            FraudSlashed,
            epoch=Epoch(epoch),
            trainer=trainer,
            index=SubmissionIndex(index),
            amount=50,
            reporter=trainer,
            reporter_amount=1,
        )
