"""The steps of one task on a local chain, without workers, and the people who take them."""

from collections.abc import Callable, Sequence

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.event_store import EventStore
from assay_core.chain.events import TaskOpened
from assay_core.chain.follow import TaskFollower
from assay_core.chain.headers import header_of
from assay_core.chain.keys import PolicyWord, recover_policy_signer, sign_policy
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.records import EpochRecord
from assay_core.chain.sender import Sender
from assay_core.protocol.encoding import attestation_commitment, panel_class, vote_commitment
from assay_core.protocol.types import (
    PROTOCOL_VERSION,
    Address,
    Epoch,
    KindTerms,
    PolicyVersion,
    Role,
    Root,
    Seed,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
    kinds_of,
)
from assay_protocol.devnet.anvil import Anvil

UNIT = 10**18
SPEC, POLICY, NEXT_POLICY, EVIDENCE = (Root(bytes([number]) * 32) for number in (1, 2, 3, 4))
SALT = b"s" * 32
FIRST = Epoch(0)
CLASS = panel_class("walkers")
MANY = 65_535  # submissions to settle in one call
# Two submissions pay 20, cost 3 for verifiers and can be slashed 100: two thirds of 300 outweigh that.
PARAMS = TaskParams(
    kinds=kinds_of({SubmissionKind.FULL: KindTerms(UNIT, 10_000)}),
    trainer_bond=60 * UNIT,
    verifier_bond=100 * UNIT,
    fraud_slash=50 * UNIT,
    challenge_bond=UNIT,
    juror_fee=UNIT // 10,
    verifier_fee=3 * UNIT,
    max_epoch_units=100,
    max_submission_units=10,
    max_submissions_each=1,
    quorum_bps=6_666,
    sampling_bps=2_000,
    absence_slash_bps=500,
    verdict_slash_bps=2_000,
    max_staleness=2,
    max_epochs=1,
    protocol_version=PROTOCOL_VERSION,
    commit_window=100,
    attest_window=100,
    reveal_window=100,
    challenge_window=100,
    appeal_window=100,
    panel_class=CLASS,
)
SenderOf = Callable[[str], Sender]


class Walk:
    """Everybody is bonded for just one task."""

    def __init__(self, chain: Chain, sender_of: SenderOf, params: TaskParams = PARAMS) -> None:
        self.chain, self.params = chain, params
        self.initiator = sender_of("initiator")
        self.trainers = [sender_of("trainer"), sender_of("second trainer")]
        self.verifiers = sorted((sender_of(f"verifier {number}") for number in range(3)), key=lambda each: each.address)
        self.store = EventStore(None, chain.deployment)
        self.task_id = TaskId(0)
        self.follower: TaskFollower | None = None

    def ledger(self) -> TaskLedger:
        self.follower = self.follower or TaskFollower(self.chain, self.store, self.task_id)
        return self.follower.refresh()

    def record(self) -> EpochRecord:
        return self.ledger().epochs[FIRST]

    def ref(self, index: int) -> SubmissionRef:
        return SubmissionRef(self.task_id, FIRST, self.ledger().submission(FIRST, SubmissionIndex(index)).submission)

    # -- until the seal

    def open(self) -> None:
        chain, budget = self.chain, 500 * UNIT
        self.initiator.send(chain.token.approve(chain.registry.address, budget))
        receipt = self.initiator.send(chain.registry.open_task(self.params, SPEC, "assay:0x01", POLICY, budget))
        self.task_id = receipt.event(TaskOpened).task_id

    def enlist(self) -> None:
        self.bond(self.trainers, Role.TRAINER, self.params.trainer_bond)
        self.bond(self.verifiers, Role.VERIFIER, self.params.verifier_bond)
        terms_hash = self.ledger().task.terms_hash
        for trainer in self.trainers:
            trainer.send(self.chain.commitments.enlist(self.task_id, terms_hash))
        for verifier in self.verifiers:
            verifier.send(self.chain.verifiers.enlist(self.task_id, terms_hash, self.params.verifier_bond))

    def bond(self, senders: Sequence[Sender], role: Role, amount: int) -> None:
        for sender in senders:
            sender.send(self.chain.token.approve(self.chain.staking.address, amount))
            sender.send(self.chain.staking.bond(role, amount))

    def commit_submissions(self) -> None:
        for position, trainer in enumerate(self.trainers):
            root = Root(bytes([10 + position]) * 32)
            where = self.task_id, FIRST, SubmissionKind.FULL
            trainer.send(self.chain.commitments.commit_submission(*where, root, 10, PolicyVersion(0), is_last=False))

    def seal(self, anvil: Anvil) -> None:
        """With the header of the block of its seed."""
        seed_block = self.record().seed_block
        assert seed_block is not None
        anvil.mine(2)
        header = header_of(self.chain.web3, seed_block)
        assert header is not None
        self.initiator.send(self.chain.attestations.seal_epoch(self.task_id, header))

    # -- judgement

    def seed(self) -> Seed:
        seed = self.record().seed
        assert seed is not None
        return seed

    def attest(self, *reports: bytes) -> None:
        """One report each; one for all where it is the only one."""
        attestations, seed = self.chain.attestations, self.seed()
        said = list(zip(self.verifiers, reports * len(self.verifiers), strict=False))
        for verifier, report in said:
            commitment = attestation_commitment(seed, verifier.address, report, SALT)
            verifier.send(attestations.commit_attestation(self.task_id, FIRST, commitment, b"sealed"))
        for verifier, report in said:
            verifier.send(attestations.reveal_attestation(self.task_id, FIRST, report, SALT, EVIDENCE))

    def settle(self) -> None:
        call = self.chain.attestations.settle(self.task_id, FIRST, self.record().reports(), MANY)
        self.initiator.send(call)

    def settled(self, anvil: Anvil, report: bytes) -> "Walk":
        """From nothing to a settled epoch."""
        self.open()
        self.enlist()
        self.commit_submissions()
        self.seal(anvil)
        self.attest(report)
        self.settle()
        return self

    def publish(self) -> None:
        chain = self.chain
        at, chain_id = chain.policies.address, chain.deployment.chain_id
        word = PolicyWord(self.task_id, FIRST, self.seed(), NEXT_POLICY)
        signatures = [sign_policy(verifier.account, chain_id, at, word) for verifier in self.verifiers]
        signers = [recover_policy_signer(each, chain_id, at, word) for each in signatures]
        assert signers == [verifier.address for verifier in self.verifiers]
        self.initiator.send(chain.policies.publish_policy(self.task_id, FIRST, NEXT_POLICY, "assay:0x03", signatures))

    # -- appeals

    def seat(self, jurors: Sequence[Sender], seats: int) -> None:
        bond = seats * self.chain.panels.seat_bond_wei()
        self.bond(jurors, Role.VERIFIER, bond)
        for juror in jurors:
            juror.send(self.chain.panels.take_seats(self.params.panel_class, seats))

    def draw(self, anvil: Anvil, index: int) -> None:
        """Once reveals of challenges are over."""
        anvil.pass_time(self.params.reveal_window + 1)
        submission = SubmissionIndex(index)
        self.initiator.send(self.chain.appeals.summon_panel(self.task_id, FIRST, submission))
        anvil.mine(2)
        seed_block = self.record().disputes[submission].seed_block
        assert seed_block is not None
        self.initiator.send(self.chain.appeals.draw_panel(self.ref(index), header_of(self.chain.web3, seed_block)))

    def vote(self, jurors: Sequence[Sender], index: int, score: int, *, beyond: bool = False) -> None:
        where = self.task_id, FIRST, SubmissionIndex(index)
        dispute = self.record().disputes[SubmissionIndex(index)]
        assert dispute.seed is not None
        drawn = [juror for juror in jurors if juror.address in dispute.seats]
        for juror in drawn:
            commitment = vote_commitment(dispute.seed, juror.address, score, beyond, SALT)
            juror.send(self.chain.appeals.commit_vote(*where, commitment))
        for juror in drawn:
            juror.send(self.chain.appeals.reveal_vote(*where, score, beyond=beyond, salt=SALT))
        self.initiator.send(self.chain.appeals.decide(*where))

    def balance(self, account: Address) -> int:
        return self.chain.token.balance_of(account)
