"""The events of a task, told in order: what a ledger looks like at any point of an epoch's life."""

from collections.abc import Mapping

from web3 import Web3

from offchain.chain.contracts import (
    AttestationsContract,
    ChallengesContract,
    PayoutsContract,
    TaskRegistryContract,
)
from offchain.chain.events import (
    AttestationCommitted,
    AttestationRevealed,
    Challenged,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FraudSlashed,
    PolicyPublished,
    ReportShown,
    TaskOpened,
    TrainerEnlisted,
    VerifierEnlisted,
    WorkCommitted,
)
from offchain.chain.ledger import EpochRecord, TaskLedger
from offchain.protocol.encoding import derive, report_hash
from offchain.protocol.types import Address, Epoch, PolicyVersion, Root, Seed, TaskId, TaskParams, WorkIndex
from tests.unit.verifier.honest import SPEC_ROOT, TASK_SEED
from verifier.settle import Contracts

PARAMS = TaskParams(
    unit_price=10,
    trainer_bond=100,
    verifier_bond=100,
    fraud_slash=50,
    absence_slash=5,
    verdict_slash=20,
    challenge_bond=1,
    verifier_fee=3,
    max_epoch_units=100,
    max_work_units=10,
    quorum_bps=6_667,
    sampling_bps=10_000,
    max_staleness=2,
    max_epochs=0,
    commit_window=100,
    attest_window=100,
    reveal_window=100,
    challenge_window=100,
    appeal_window=100,
)
UNBONDING_S = 10_000
ATTESTATIONS = Address("0x00000000000000000000000000000000000000AA")


def contracts() -> Contracts:
    """Encoders that talk to no node."""
    web3 = Web3()
    return Contracts(
        AttestationsContract(web3, ATTESTATIONS),
        TaskRegistryContract(web3, ATTESTATIONS),
        ChallengesContract(web3, ATTESTATIONS),
        PayoutsContract(web3, ATTESTATIONS),
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
            initiator=ATTESTATIONS,
            params=params,
            spec_hash=SPEC_ROOT,
            spec_uri="",
            policy_root=policy_root,
            seed=TASK_SEED,
        )
        self.open(0)

    def _tell(self, kind: type[Event], **fields: object) -> None:
        self.block += 1
        where: Mapping[str, object] = {"block_number": self.block, "log_index": 0, "tx_hash": bytes(32)}
        self.ledger.apply(kind(**where, task_id=self.task_id, **fields))  # pyright: ignore[reportCallIssue, reportArgumentType]

    def record(self, epoch: int = 0) -> EpochRecord:
        return self.ledger.epochs[Epoch(epoch)]

    def open(self, epoch: int) -> None:
        self._tell(EpochOpened, epoch=Epoch(epoch), commit_by=1_000)

    def trainer(self, *trainers: Address) -> None:
        for trainer in trainers:
            self._tell(TrainerEnlisted, trainer=trainer)

    def verifier(self, *verifiers: Address) -> None:
        for verifier in verifiers:
            self._tell(VerifierEnlisted, verifier=verifier, weight=100)

    def work(self, trainer: Address, root: Root, *, epoch: int = 0, version: int = 0, units: int = 4) -> None:
        self._tell(
            WorkCommitted,
            epoch=Epoch(epoch),
            trainer=trainer,
            index=WorkIndex(len(self.record(epoch).works)),
            units=units,
            policy_version=PolicyVersion(version),
            manifest_root=root,
        )

    def seal(self, epoch: int = 0, attest_by: int = 1_000) -> None:
        verifiers = len(self.ledger.verifiers)
        self._tell(
            EpochSealed,
            epoch=Epoch(epoch),
            seed=derive(Seed(bytes(32)), "seal", epoch, self.block),
            works=len(self.record(epoch).works),
            verifiers=verifiers,
            weight=100 * verifiers,
            attest_by=attest_by,
        )
        self.open(epoch + 1)

    def commit(self, verifier: Address, commitment: bytes, epoch: int = 0) -> None:
        self._tell(AttestationCommitted, epoch=Epoch(epoch), verifier=verifier, commitment=commitment)

    def reveal(self, verifier: Address, report: bytes, evidence: Root, epoch: int = 0) -> None:
        self._tell(
            AttestationRevealed,
            epoch=Epoch(epoch),
            verifier=verifier,
            report_hash=report_hash(report),
            evidence_root=evidence,
        )

    def settle(self, scores: bytes, epoch: int = 0, challenge_by: int = 2_000) -> None:
        self._tell(EpochSettled, epoch=Epoch(epoch), scores=scores, challenge_by=challenge_by)

    def challenge(self, index: int, standing: int, score: int, epoch: int = 0, commit_by: int = 3_000) -> None:
        self._tell(
            Challenged,
            epoch=Epoch(epoch),
            index=WorkIndex(index),
            challenger=ATTESTATIONS,
            standing=standing,
            score=score,
            bond=1,
            commit_by=commit_by,
        )

    def show(self, report: bytes, epoch: int = 0) -> None:
        self._tell(ReportShown, epoch=Epoch(epoch), report_hash=report_hash(report))

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
            index=WorkIndex(index),
            amount=50,
            reporter=trainer,
            reporter_amount=1,
        )
