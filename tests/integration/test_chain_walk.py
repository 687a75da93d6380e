"""A task from its opening to its last payout, through the typed contracts, the sender and the ledger."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from offchain.chain.anvil import Anvil
from offchain.chain.connection import Chain
from offchain.chain.contracts import WorkRef
from offchain.chain.event_store import EventStore
from offchain.chain.events import Claimed, FraudSlashed, Slashed, TaskOpened
from offchain.chain.follow import TaskFollower
from offchain.chain.keys import recover_policy_signer, sign_policy, sign_worker_key
from offchain.chain.ledger import TaskLedger
from offchain.chain.sender import Sender
from offchain.protocol.encoding import attestation_commitment, report_hash, work_hash
from offchain.protocol.errors import Reverted
from offchain.protocol.types import (
    Epoch,
    EpochPhase,
    PolicyVersion,
    Role,
    Root,
    TaskId,
    WorkIndex,
)
from tests.integration import stage
from tests.integration.stage import UNIT

pytestmark = pytest.mark.chain

SPEC, POLICY, NEXT_POLICY, EVIDENCE = (Root(bytes([number]) * 32) for number in (1, 2, 3, 4))
SALT = b"s" * 32
FIRST = Epoch(0)
PARAMS = replace(stage.PARAMS, sampling_bps=2_000, max_epochs=1)
SenderOf = Callable[[str], Sender]


class Walk:
    """The steps of one task and the people who take them."""

    def __init__(self, chain: Chain, sender_of: SenderOf) -> None:
        self.chain = chain
        self.initiator = sender_of("initiator")
        self.trainers = [sender_of("trainer"), sender_of("second trainer")]
        self.verifiers = sorted((sender_of(f"verifier {number}") for number in range(3)), key=lambda each: each.address)
        self.store = EventStore(None, chain.deployment)
        self.task_id = TaskId(0)
        self.follower: TaskFollower | None = None

    def ledger(self) -> TaskLedger:
        self.follower = self.follower or TaskFollower(self.chain, self.store, self.task_id)
        return self.follower.refresh()

    def open(self) -> None:
        chain, budget = self.chain, 500 * UNIT
        self.initiator.send(chain.token.approve(chain.registry.address, budget))
        receipt = self.initiator.send(chain.registry.open_task(PARAMS, SPEC, "assay:0x01", POLICY, budget))
        self.task_id = receipt.event(TaskOpened).task_id

    def enlist(self) -> None:
        self._bond(self.trainers, Role.TRAINER, PARAMS.trainer_bond)
        self._bond(self.verifiers, Role.VERIFIER, PARAMS.verifier_bond)
        for trainer in self.trainers:
            trainer.send(self.chain.registry.enlist(self.task_id))
        for verifier in self.verifiers:
            verifier.send(self.chain.attestations.enlist(self.task_id))

    def _bond(self, senders: list[Sender], role: Role, amount: int) -> None:
        for sender in senders:
            sender.send(self.chain.token.approve(self.chain.staking.address, amount))
            sender.send(self.chain.staking.bond(role, amount))

    def commit_works(self) -> None:
        for position, trainer in enumerate(self.trainers):
            root = Root(bytes([10 + position]) * 32)
            trainer.send(self.chain.registry.commit_work(self.task_id, Epoch(0), root, 10, PolicyVersion(0)))

    def attest(self, report: bytes) -> None:
        attestations = self.chain.attestations
        for verifier in self.verifiers:
            commitment = attestation_commitment(self.task_id, FIRST, verifier.address, report, SALT)
            verifier.send(attestations.commit_attestation(self.task_id, FIRST, commitment))
        for verifier in self.verifiers:
            verifier.send(attestations.reveal_attestation(self.task_id, FIRST, report_hash(report), SALT, EVIDENCE))

    def publish(self) -> None:
        chain = self.chain
        at, chain_id = chain.attestations.address, chain.deployment.chain_id
        signatures = [
            sign_policy(verifier.account, chain_id, at, self.task_id, FIRST, NEXT_POLICY) for verifier in self.verifiers
        ]
        signers = [recover_policy_signer(each, chain_id, at, self.task_id, FIRST, NEXT_POLICY) for each in signatures]
        assert signers == [verifier.address for verifier in self.verifiers]
        self.initiator.send(
            chain.attestations.publish_policy(self.task_id, FIRST, NEXT_POLICY, "assay:0x03", signatures)
        )

    def ref(self, index: int) -> WorkRef:
        return WorkRef(self.task_id, FIRST, self.ledger().work(FIRST, WorkIndex(index)).work)


@pytest.fixture
def walk(chain: Chain, sender_of: SenderOf) -> Walk:
    return Walk(chain, sender_of)


def test_a_task_is_opened_worked_judged_paid_and_a_cheat_slashed(walk: Walk, anvil: Anvil, sender_of: SenderOf) -> None:
    chain = walk.chain
    honest, cheat = walk.trainers
    outsider = sender_of("outsider")

    walk.open()
    ledger = walk.ledger()
    assert ledger.task.params == PARAMS == chain.registry.params_of(walk.task_id)
    assert ledger.task.initiator == walk.initiator.address
    assert (ledger.task.spec_hash, ledger.task.spec_uri) == (SPEC, "assay:0x01")
    assert ledger.previous_seed(FIRST) == ledger.task.seed
    assert ledger.newest_policy().policy_root == POLICY

    walk.enlist()
    walk.commit_works()
    ledger = walk.ledger()
    assert ledger.trainers.keys() == {honest.address, cheat.address}
    assert ledger.verifiers == {verifier.address: PARAMS.verifier_bond for verifier in walk.verifiers}
    record = ledger.epochs[FIRST]
    assert ledger.open_epoch is record
    for committed in record.works:
        work = committed.work
        assert work_hash(work) == chain.registry.work_hash(walk.task_id, FIRST, work.trainer)
        assert ledger.staleness_of(committed) == 0
    assert chain.registry.sealable(walk.task_id)

    outsider.send(chain.attestations.seal_epoch(walk.task_id))
    ledger = walk.ledger()
    assert record.seed == chain.attestations.seed_of(walk.task_id, FIRST)
    assert record.members == {verifier.address for verifier in walk.verifiers}
    assert ledger.task.is_closed and ledger.open_epoch is None  # one epoch was asked for

    report = bytes([80, 255])
    walk.attest(report)
    walk.ledger()
    assert record.is_attested and not record.is_settled
    assert record.report_hashes() == [report_hash(report)]
    assert {reveal.evidence_root for reveal in record.reveals.values()} == {EVIDENCE}
    assert chain.attestations.phase_of(walk.task_id, FIRST) is EpochPhase.ATTESTED
    assert chain.attestations.tally_of(walk.task_id, FIRST).revealed == 3

    outsider.send(chain.attestations.settle(walk.task_id, FIRST, [report]))
    walk.publish()
    ledger = walk.ledger()
    assert record.scores == report and record.challenge_by is not None
    assert [policy.version for policy in ledger.policies] == [0, 1]
    assert ledger.newest_policy().policy_root == NEXT_POLICY
    assert ledger.newest_policy(before=record.works[0].position).policy_root == POLICY
    assert chain.attestations.policy_of(walk.task_id).version == 1

    anvil.pass_time(PARAMS.challenge_window + 1)
    outsider.send(chain.attestations.finalise(walk.task_id, FIRST))
    before = chain.token.balance_of(honest.address)
    claimed = outsider.send(chain.payouts.claim([walk.ref(0)])).event(Claimed)
    assert claimed.amount == 8 * UNIT == chain.token.balance_of(honest.address) - before
    slashed = outsider.send(chain.payouts.slash_fraud(walk.ref(1)))
    assert slashed.event(Slashed).operator == cheat.address
    assert slashed.event(FraudSlashed).amount == PARAMS.fraud_slash
    assert slashed.event(FraudSlashed).reporter == outsider.address
    fee = chain.payouts.fee_of(walk.task_id, FIRST, walk.verifiers[0].address)
    walk.verifiers[0].send(chain.payouts.claim_fees(walk.task_id, [FIRST]))
    walk.initiator.send(chain.registry.refund_task(walk.task_id))

    ledger = walk.ledger()
    assert record.is_final and record.claims == {0: 8 * UNIT} and set(record.frauds) == {1}
    assert record.fees == {walk.verifiers[0].address: fee} and fee == UNIT
    assert chain.staking.bond_of(cheat.address, Role.TRAINER).bonded_wei == 10 * UNIT
    assert ledger.task.refunded_wei > 0
    assert [each.score_of(WorkIndex(0)) for each in ledger.epochs.values()] == [80]


def test_a_worker_key_acts_for_its_operator_and_can_be_removed(walk: Walk, sender_of: SenderOf) -> None:
    chain, operator, worker = walk.chain, walk.trainers[0], sender_of("worker")
    consent = sign_worker_key(worker.account, chain.deployment.chain_id, chain.staking.address, operator.address)
    operator.send(chain.staking.set_worker_key(worker.address, consent))
    assert chain.staking.operator_of(worker.address) == operator.address
    assert chain.staking.worker_of(operator.address) == worker.address

    walk.open()
    walk.enlist()
    worker.send(chain.registry.commit_work(walk.task_id, Epoch(0), SPEC, 1, PolicyVersion(0)))
    assert walk.ledger().epochs[FIRST].works[0].work.trainer == operator.address

    operator.send(chain.staking.remove_worker_key())
    assert chain.staking.worker_of(operator.address) is None


def test_a_worker_key_that_did_not_consent_is_refused(walk: Walk, sender_of: SenderOf) -> None:
    chain, operator, worker = walk.chain, walk.trainers[0], sender_of("worker")
    consent = sign_worker_key(operator.account, chain.deployment.chain_id, chain.staking.address, operator.address)
    with pytest.raises(Reverted) as caught:
        operator.send(chain.staking.set_worker_key(worker.address, consent))
    assert (caught.value.error, caught.value.arguments) == ("BadWorkerSignature", {"worker": worker.address})
