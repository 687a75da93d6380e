"""The daemon's look at the chain: what follows from it, what waits, and what stops the operator."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from eth_account import Account
from web3 import Web3

from assay_core.chain.contracts import Call, PanelsContract, TokenContract
from assay_core.chain.ledger import TaskLedger
from assay_core.daemon.heartbeat import Sources
from assay_core.daemon.stopping import Interrupted, StopFlag
from assay_core.protocol.amounts import Money
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address, Epoch, EpochPhase, Root
from assay_verifier.aggregate import Aggregator, SigningDomain
from assay_verifier.appeals import Appeals
from assay_verifier.challenger import Challenger, Purse
from assay_verifier.database import Sessions, migrate, open_database, session_factory
from assay_verifier.enlisting import Enlister
from assay_verifier.heartbeat import Heartbeat
from assay_verifier.inbox import Inbox, roots_in_use
from assay_verifier.models import AttestationRow, HeartbeatRow
from assay_verifier.node import Node
from assay_verifier.passing import PassingOn
from assay_verifier.recorder import Recorder
from assay_verifier.settle import Housekeeper
from assay_verifier.worker import TIMEOUT_S, Parts, VerifierWorker
from tests.fakes import Notes
from tests.machines import fill
from tests.submissions import SPEC_ROOT, TRAINER
from tests.unit.verifier.chronicle import CONTRACT, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, ShardStore, attester_of, judging_queue, node_of
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer

KEY = Account.from_key(b"\x01" * 32)
VERIFIER = Address(KEY.address)


@dataclass
class StopOnce:
    """A stop flag that is set once something is done, and on which nobody waits long; at the fourth wait, `act`."""

    is_done: Callable[[], object]
    act: Callable[[], object]
    waits: int = 0

    def is_set(self) -> bool:
        return bool(self.is_done()) or self.waits > 100

    def wait(self, timeout: float) -> bool:
        self.waits += 1
        if self.waits == 4:
            self.act()
        return self.is_set()


@dataclass
class Flag:
    """A stop flag that nobody waits for."""

    is_over: bool = False

    def is_set(self) -> bool:
        return self.is_over

    def wait(self, timeout: float) -> bool:
        return self.is_over


@dataclass
class Scene:
    """A chain that is a chronicle, and a worker that looks at it."""

    chronicle: Chronicle
    shards: ShardStore
    folder: Path
    sent: Sent = field(default_factory=Sent)
    status: Notes = field(default_factory=Notes)
    phase: EpochPhase = EpochPhase.ATTEST_COMMIT
    clock_s: int = 0
    block: int = 1
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

    def enlists(self, node: Node) -> Enlister | None:
        return None if self.is_juror else Enlister(node, contracts().verifiers, lambda: 100, Money("wei", 0))

    def functions(self) -> list[str]:
        return [call.function for call in self.sent.calls]

    def report(self) -> bytes:
        with self.sessions() as session:
            return session.get_one(AttestationRow, (1, 0)).report

    def worker(self, clock: Callable[[], float] = time.monotonic, stop: StopFlag | None = None) -> VerifierWorker:
        engine = open_database(f"sqlite:///{self.folder / 'verifier.db'}")
        migrate(engine)
        sessions = self.sessions = session_factory(engine)
        node = node_of(VERIFIER, KEY, self.sent, self.shards, sessions, self.status)
        inbox = Inbox(self.shards, SPEC)
        signer = SigningDomain(31_337, CONTRACT, lambda key: key)
        queue = judging_queue(self.shards)
        appeals = contracts().appeals
        purse = Purse(VERIFIER, TokenContract(Web3(), CONTRACT), appeals, PanelsContract(Web3(), CONTRACT))
        parts = Parts(
            chain=self,
            enlister=self.enlists(node),
            recorder=Recorder(sessions, SPEC),
            queue=queue,
            attester=attester_of(node, self.folder / "evidence"),
            passing=PassingOn(node, inbox),
            appeals=Appeals(node, appeals, queue),
            challenger=Challenger(node, purse, queue),
            aggregator=Aggregator(node, SPEC, signer, contracts().policies, inbox, self.folder / "policies"),
            housekeeper=Housekeeper(node, contracts(), lambda _: None),
            heartbeat=Heartbeat(sessions, node.task_id, Sources(lambda: self.block), self.status),
            status=self.status,
            tidy_cache=self.tidy,
        )
        return VerifierWorker(VERIFIER, parts, stop or threading.Event(), poll_s=0.01, clock=clock)


@pytest.fixture
def scene(policy_bundle: Bundle, tmp_path: Path) -> Scene:
    shards = ShardStore()
    return Scene(Chronicle(shards.add(policy_bundle)), shards, tmp_path)


def test_it_enlists_judges_and_commits(scene: Scene, trainer: HonestTrainer) -> None:
    worker = scene.worker()
    worker.run_once()
    assert scene.functions() == ["enlist"]
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    assert worker.run_once()  # judged, though the epoch is still open
    scene.chronicle.seal()
    worker.run_once()
    assert scene.functions() == ["enlist", "commitAttestation"]


def test_submission_that_nobody_has_delays_only_the_attestation_until_the_cut_off(
    scene: Scene, trainer: HonestTrainer
) -> None:
    worker = scene.worker()
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    lost = scene.shards.add(trainer.write(replace(trainer.parts(), trace=())))
    directory = scene.shards.bundles.pop(lost)
    scene.chronicle.submission(Address("0x" + "1" * 40), lost)
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
    scene.chronicle.submission(TRAINER, Root(b"\x09" * 32))
    scene.chronicle.close()
    worker.run_once()
    assert scene.functions() == []
    scene.is_sealable_now = True
    worker.run_once()
    assert scene.functions() == ["sealEpoch"]


def test_who_only_judges_disputes_neither_enlists_nor_judges_epochs(scene: Scene, trainer: HonestTrainer) -> None:
    scene.is_juror = True
    worker = scene.worker()
    scene.chronicle.submission(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
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


def test_where_submissions_take_long_an_epoch_that_moves_goes_before_the_next_submission(
    scene: Scene, trainer: HonestTrainer
) -> None:
    clock = Ticking(tick=2 * TIMEOUT_S)
    worker = scene.worker(clock)
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    assert worker.run_once()  # judging takes long by this clock
    clock.tick = 0.01
    scene.chronicle.seal()
    worker.run_once()
    assert scene.functions() == ["commitAttestation"]
    scene.chronicle.commit(VERIFIER, bytes(32))
    scene.chronicle.submission(TRAINER, Root(b"\x09" * 32), epoch=1)
    assert not worker.run_once()  # the others will have committed in a moment: reveal first
    clock.now += TIMEOUT_S
    assert worker.run_once()  # they have not: on with the next epoch's submission


def test_of_the_cache_spec_recent_policies_and_undecided_submissions_stay(scene: Scene) -> None:
    chronicle = scene.chronicle
    chronicle.verifier(VERIFIER)
    version_0 = chronicle.ledger.newest_policy().policy_root
    submissions = [Root(bytes([epoch + 1]) * 32) for epoch in range(6)]
    for epoch in range(5):
        chronicle.submission(TRAINER, submissions[epoch], epoch=epoch)
        chronicle.seal(epoch)
    chronicle.submission(TRAINER, submissions[5], epoch=5)
    assert set(roots_in_use(chronicle.ledger)) == {SPEC_ROOT, version_0, *submissions}
    policies = [Root(bytes([epoch + 101]) * 32) for epoch in range(4)]
    for epoch in range(4):
        chronicle.settle(bytes([100]), epoch=epoch)
        chronicle.publish(policies[epoch], epoch=epoch)
        chronicle.finalise(epoch)
    # the task's maxStaleness is 2: versions 2 to 4 may be trained from, and 2 follows from 1
    # and submissions of epoch 4, which is not judged yet, must not repeat those of epoch 3
    assert set(roots_in_use(chronicle.ledger)) == {SPEC_ROOT, *policies, submissions[3], submissions[4], submissions[5]}


def test_each_look_tidies_the_cache(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.worker().run_once()
    assert scene.in_use == {SPEC_ROOT, scene.chronicle.ledger.newest_policy().policy_root}


def test_a_full_disk_is_waited_for_and_told_once(scene: Scene, trainer: HonestTrainer, small_disk: Path) -> None:
    scene = replace(scene, folder=small_disk)
    scene.worker()  # makes the tables
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, scene.shards.add(trainer.write(trainer.parts())))
    scene.chronicle.seal()
    filler = fill(small_disk)
    scene.worker(stop=StopOnce(scene.functions, filler.unlink)).run_forever()
    assert scene.functions() == ["commitAttestation"]
    told = [message for message in scene.status.messages if "this machine" in message]
    assert told == ["waiting for this machine", "this machine is well again"]


def test_a_closed_task_ends_the_daemon_which_says_what_it_brought(scene: Scene) -> None:
    scene.chronicle.close_task()
    scene.clock_s = 10**9
    scene.sent.refusal = "EpochNotOpen"  # somebody else has abandoned the epoch
    scene.worker().run_forever()
    assert scene.status.messages[-1] == "verifier finished"
    end = scene.status.of("verifier finished")
    assert (end["why"], end["epochs"], end["earned"]) == ("the task is closed", 0, "0 wei")
    assert "assay stake leave --role verifier --task 1" in str(end["what_to_do"])
    assert "enlist" not in scene.functions()
    with scene.sessions() as session:
        assert session.get_one(HeartbeatRow, 1).has_ended


def test_a_closed_task_is_seen_through_first(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.submission(TRAINER, SPEC_ROOT)
    scene.chronicle.seal()
    scene.chronicle.close_task()
    worker = scene.worker()
    worker.run_once()
    assert "verifier finished" not in scene.status.messages
    assert str(scene.status.of("now")["doing"]).startswith("judges epoch 0")


def test_a_node_that_is_down_is_told_once_until_it_answers(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    looks = iter([True, True, True, False])

    def refresh() -> TaskLedger:
        if next(looks, False):
            raise Unavailable("the node did not answer")
        stop.is_over = not any(True for _ in looks)
        return scene.chronicle.ledger

    stop = Flag()
    scene.refresh = refresh
    worker = scene.worker(stop=stop)
    worker.run_forever()
    assert [each for each in scene.status.messages if "network" in each] == [
        "waiting for the network",
        "the network answers again",
    ]
    assert scene.status.of("the network answers again")["attempts"] == 3
    assert not caplog.records


def test_a_signal_that_comes_while_a_transaction_waits_ends_the_daemon(scene: Scene) -> None:
    def wait_for_ever(_call: Call) -> bool:
        raise Interrupted

    scene.sent.fits = wait_for_ever
    scene.worker().run_forever()
    assert scene.status.messages[-1] == "stopped"


def test_what_it_does_is_told_when_it_changes_and_its_looks_are_written(scene: Scene) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.trainer(TRAINER)
    worker = scene.worker()
    worker.run_once()
    worker.run_once()
    assert scene.status.messages.count("now") == 1
    assert scene.status.of("now")["doing"] == f"waits for submissions to epoch 0 from {TRAINER}"
    with scene.sessions() as session:
        beat = session.get_one(HeartbeatRow, 1)
        assert (beat.block_number, beat.has_ended) == (1, False) and beat.looked_at >= beat.block_at > 0
