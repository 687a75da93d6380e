"""The daemon's look at the chain: what follows from it, what waits, and what stops the operator."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from eth_account import Account
from web3 import Web3

from assay_core.chain.contracts import PanelsContract, TokenContract
from assay_core.chain.ledger import TaskLedger
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root, TaskId
from assay_verifier.aggregate import Aggregator, Signer
from assay_verifier.appeals import Appeals
from assay_verifier.attester import Attester
from assay_verifier.challenger import Challenger, Purse
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.enlisting import Enlister
from assay_verifier.inbox import Inbox, JudgeContext, roots_in_use
from assay_verifier.judging_queue import JudgingQueue
from assay_verifier.models import AttestationRow
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.rotation import Rotation
from assay_verifier.sealed import Envelope
from assay_verifier.settle import Housekeeper
from assay_verifier.transactions import Transactions
from assay_verifier.worker import PATIENCE_S, Parts, VerifierWorker
from tests.unit.verifier.chronicle import CONTRACT, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, Silent
from tests.unit.verifier.honest import SPEC, SPEC_ROOT, TRAINER, Bundle, HonestTrainer

KEY = Account.from_key(b"\x01" * 32)
VERIFIER = Address(KEY.address)


class NeverStop:
    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        return False


@dataclass
class Scene:
    """A chain that is a chronicle, and a worker that looks at it."""

    chronicle: Chronicle
    shards: ShardStore
    folder: Path
    sent: Sent = field(default_factory=Sent)
    status: Silent = field(default_factory=Silent)
    phase: EpochPhase = EpochPhase.ATTEST_COMMIT
    clock_s: int = 0
    is_sealable_now: bool = False
    is_juror: bool = False
    in_use: set[Root] = field(default_factory=set[Root])
    sessions: Sessions = field(init=False)

    def refresh(self) -> TaskLedger:
        return self.chronicle.ledger

    def now(self) -> int:
        return self.clock_s

    def phase_of(self, epoch: Epoch) -> EpochPhase:
        return self.phase

    def is_sealable(self) -> bool:
        return self.is_sealable_now

    def tidy(self, in_use: Iterable[Root]) -> None:
        self.in_use = set(in_use)

    def enlists(self, transactions: Transactions) -> Enlister | None:
        if self.is_juror:
            return None
        return Enlister(VERIFIER, contracts().verifiers, lambda: 100, transactions, self.status)

    def functions(self) -> list[str]:
        return [call.function for call in self.sent.calls]

    def report(self) -> bytes:
        with self.sessions() as session:
            return session.get_one(AttestationRow, (1, 0)).report

    def worker(self, clock: Callable[[], float] = time.monotonic) -> VerifierWorker:
        engine = open_database(f"sqlite:///{self.folder / 'verifier.db'}")
        migrate(engine)
        sessions, task_id, turns = session_factory(engine), TaskId(1), Rotation(VERIFIER, step_s=0.0)
        self.sessions = sessions
        transactions = Transactions(self.sent, sessions, task_id)
        inbox = Inbox(self.shards, SPEC)
        context = JudgeContext(inbox, make_environment(SPEC.environment), load_policy)
        attester = Attester(
            task_id,
            VERIFIER,
            KEY,
            contracts().attestations,
            transactions,
            self.shards,
            sessions,
            Envelope(KEY, 31_337, CONTRACT),
            self.folder / "evidence",
            self.status,
        )
        aggregator = Aggregator(
            SPEC,
            Signer(VERIFIER, KEY, 31_337, CONTRACT, lambda key: key),
            contracts().policies,
            transactions,
            inbox,
            self.shards,
            sessions,
            self.folder / "policies",
            turns,
            self.status,
        )
        queue = JudgingQueue(SPEC, inbox, context)
        appeals = contracts().appeals
        purse = Purse(VERIFIER, TokenContract(Web3(), CONTRACT), appeals, PanelsContract(Web3(), CONTRACT))
        parts = Parts(
            chain=self,
            enlister=self.enlists(transactions),
            recorder=Recorder(sessions, SPEC),
            queue=queue,
            attester=attester,
            passing=PassingOn(self.shards, KEY, inbox, self.status),
            appeals=Appeals(TaskId(1), VERIFIER, appeals, transactions, queue, sessions, self.status),
            challenger=Challenger(task_id, purse, transactions, queue, sessions, turns, self.status),
            aggregator=aggregator,
            housekeeper=Housekeeper(VERIFIER, contracts(), transactions, lambda _: None, turns, self.status),
            status=self.status,
            tidy_cache=self.tidy,
        )
        return VerifierWorker(VERIFIER, parts, NeverStop(), poll_s=0.01, clock=clock)


@pytest.fixture
def scene(policy_bundle: Bundle, tmp_path: Path) -> Scene:
    shards = ShardStore()
    return Scene(Chronicle(shards.add(policy_bundle)), shards, tmp_path)


def test_it_enlists_judges_and_commits(scene: Scene, trainer: HonestTrainer) -> None:
    worker = scene.worker()
    worker.run_once()
    assert scene.functions() == ["enlist"]
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    assert worker.run_once()  # judged, though the epoch is still open
    scene.chronicle.seal()
    worker.run_once()
    assert scene.functions() == ["enlist", "commitAttestation"]


def test_work_that_nobody_has_delays_only_the_attestation_until_the_cut_off(
    scene: Scene, trainer: HonestTrainer
) -> None:
    worker = scene.worker()
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    lost = scene.shards.add(trainer.write(replace(trainer.parts(), trace=())))
    directory = scene.shards.bundles.pop(lost)
    scene.chronicle.work(Address("0x" + "1" * 40), lost)
    scene.chronicle.seal(attest_by=1_000)
    scene.clock_s = 974  # the window has 100 seconds
    while worker.run_once():
        pass
    assert scene.functions() == []
    scene.clock_s = 975
    scene.shards.bundles[lost] = directory  # a moment too late
    worker.run_once()
    assert scene.functions() == ["commitAttestation"]
    assert scene.report() == bytes([100, 254])


def test_an_epoch_that_is_closed_is_sealed_as_soon_as_it_can_be(scene: Scene) -> None:
    worker = scene.worker()
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, Root(b"\x09" * 32))
    scene.chronicle.close()
    worker.run_once()
    assert scene.functions() == []
    scene.is_sealable_now = True
    worker.run_once()
    assert scene.functions() == ["sealEpoch"]


def test_who_only_judges_disputes_neither_enlists_nor_judges_epochs(scene: Scene, trainer: HonestTrainer) -> None:
    scene.is_juror = True
    worker = scene.worker()
    scene.chronicle.work(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    assert not worker.run_once()
    assert scene.functions() == []


@dataclass
class Ticking:
    """A clock that goes on by `tick` with each look at it."""

    now: float = 0.0
    tick: float = 0.01

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def test_where_works_take_long_an_epoch_that_moves_goes_before_the_next_work(
    scene: Scene, trainer: HonestTrainer
) -> None:
    clock = Ticking(tick=2 * PATIENCE_S)
    worker = scene.worker(clock)
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    assert worker.run_once()  # judging takes long by this clock
    clock.tick = 0.01
    scene.chronicle.seal()
    worker.run_once()
    assert scene.functions() == ["commitAttestation"]
    scene.chronicle.commit(VERIFIER, bytes(32))
    scene.chronicle.work(TRAINER, Root(b"\x09" * 32), epoch=1)
    assert not worker.run_once()  # the others will have committed in a moment: reveal first
    clock.now += PATIENCE_S
    assert worker.run_once()  # they have not: on with the next epoch's work


def test_of_the_cache_spec_recent_policies_and_undecided_works_stay(scene: Scene) -> None:
    chronicle = scene.chronicle
    chronicle.verifier(VERIFIER)
    version_0 = chronicle.ledger.newest_policy().policy_root
    works = [Root(bytes([epoch + 1]) * 32) for epoch in range(6)]
    for epoch in range(5):
        chronicle.work(TRAINER, works[epoch], epoch=epoch)
        chronicle.seal(epoch)
    chronicle.work(TRAINER, works[5], epoch=5)
    assert set(roots_in_use(chronicle.ledger)) == {SPEC_ROOT, version_0, *works}
    policies = [Root(bytes([epoch + 101]) * 32) for epoch in range(4)]
    for epoch in range(4):
        chronicle.settle(bytes([100]), epoch=epoch)
        chronicle.publish(policies[epoch], epoch=epoch)
        chronicle.finalise(epoch)
    # the task's maxStaleness is 2: versions 2 to 4 may be trained from, and 2 follows from 1
    # and works of epoch 4, which is not judged yet, must not repeat those of epoch 3
    assert set(roots_in_use(chronicle.ledger)) == {SPEC_ROOT, *policies, works[3], works[4], works[5]}


def test_each_look_tidies_the_cache(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.worker().run_once()
    assert scene.in_use == {SPEC_ROOT, scene.chronicle.ledger.newest_policy().policy_root}
