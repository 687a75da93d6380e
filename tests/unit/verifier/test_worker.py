"""The daemon's look at the chain: what follows from it, what waits, and what stops the operator."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from eth_account import Account

from offchain.chain.ledger import TaskLedger
from offchain.environments import make_environment
from offchain.policy import load_policy
from offchain.protocol.errors import Stop
from offchain.protocol.types import Address, Epoch, EpochPhase, Root, TaskId
from tests.unit.verifier.chronicle import ATTESTATIONS, PARAMS, UNBONDING_S, Chronicle, contracts
from tests.unit.verifier.fakes import Sent, Shelf, Silent
from tests.unit.verifier.honest import SPEC, SPEC_ROOT, TRAINER, Bundle, HonestTrainer
from verifier.aggregate import Aggregator, Signer
from verifier.appeals import Appeals
from verifier.attester import Attester
from verifier.database import migrate, open_database, session_factory
from verifier.docket import Docket
from verifier.inbox import Bench, Inbox, roots_in_use
from verifier.recorder import Recorder
from verifier.settle import Housekeeper
from verifier.transactions import Transactions
from verifier.turns import Turns
from verifier.worker import PATIENCE_S, Parts, VerifierWorker

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
    shelf: Shelf
    folder: Path
    sent: Sent = field(default_factory=Sent)
    status: Silent = field(default_factory=Silent)
    phase: EpochPhase = EpochPhase.ATTEST_COMMIT
    clock_s: int = 0
    in_use: set[Root] = field(default_factory=set[Root])

    def refresh(self) -> TaskLedger:
        return self.chronicle.ledger

    def now(self) -> int:
        return self.clock_s

    def phase_of(self, epoch: Epoch) -> EpochPhase:
        return self.phase

    def is_sealable(self) -> bool:
        return False

    def tidy(self, in_use: Iterable[Root]) -> None:
        self.in_use = set(in_use)

    def functions(self) -> list[str]:
        return [call.function for call in self.sent.calls]

    def worker(self, clock: Callable[[], float] = time.monotonic) -> VerifierWorker:
        engine = open_database(f"sqlite:///{self.folder / 'verifier.db'}")
        migrate(engine)
        sessions, task_id, turns = session_factory(engine), TaskId(1), Turns(VERIFIER, step_s=0.0)
        transactions = Transactions(self.sent, sessions, task_id)
        inbox = Inbox(self.shelf, SPEC)
        bench = Bench(inbox, make_environment(SPEC.environment), load_policy)
        attester = Attester(
            task_id,
            VERIFIER,
            KEY,
            contracts().attestations,
            transactions,
            self.shelf,
            sessions,
            self.folder / "evidence",
            self.status,
        )
        aggregator = Aggregator(
            SPEC,
            Signer(VERIFIER, KEY, 31_337, ATTESTATIONS, lambda key: key),
            contracts().attestations,
            transactions,
            inbox,
            self.shelf,
            sessions,
            self.folder / "policies",
            turns,
            self.status,
        )
        docket = Docket(SPEC, inbox, bench)
        parts = Parts(
            chain=self,
            attestations=contracts().attestations,
            transactions=transactions,
            recorder=Recorder(sessions, SPEC),
            docket=docket,
            attester=attester,
            appeals=Appeals(TaskId(1), VERIFIER, contracts().challenges, transactions, docket, sessions, self.status),
            aggregator=aggregator,
            housekeeper=Housekeeper(VERIFIER, contracts(), transactions, attester, inbox, turns, self.status),
            status=self.status,
            tidy_cache=self.tidy,
        )
        return VerifierWorker(VERIFIER, parts, NeverStop(), poll_s=0.01, clock=clock)


@pytest.fixture
def scene(policy_bundle: Bundle, tmp_path: Path) -> Scene:
    shelf = Shelf()
    return Scene(Chronicle(shelf.add(policy_bundle)), shelf, tmp_path)


def test_it_enlists_judges_and_commits(scene: Scene, trainer: HonestTrainer) -> None:
    worker = scene.worker()
    worker.run_once()
    assert scene.functions() == ["enlist"]
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, scene.shelf.add(trainer.write(trainer.parts())))
    assert worker.run_once()  # judged, though the epoch is still open
    scene.chronicle.seal()
    worker.run_once()
    assert scene.functions() == ["enlist", "commitAttestation"]


def test_work_that_nobody_has_delays_only_the_attestation_until_time_runs_out(
    scene: Scene, trainer: HonestTrainer
) -> None:
    scene.chronicle.verifier(VERIFIER)
    scene.chronicle.work(TRAINER, Root(b"\x09" * 32))
    scene.chronicle.work(Address("0x" + "1" * 40), scene.shelf.add(trainer.write(trainer.parts())))
    scene.chronicle.seal(attest_by=1)  # far less than a quarter of the window is left
    scene.worker().run_once()
    assert scene.functions() == ["commitAttestation"]


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
    scene.chronicle.work(TRAINER, scene.shelf.add(trainer.write(trainer.parts())))
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


def test_verifier_without_a_bond_stops_and_says_what_it_needs(scene: Scene) -> None:
    scene.sent.refusal = "NotBonded"
    with pytest.raises(Stop, match="asks for 100 wei that answer for no other task: run `assay stake bond"):
        scene.worker().run_once()


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


@pytest.mark.parametrize("ends", [EpochPhase.MISSED, EpochPhase.ATTESTED])
def test_own_report_is_shown_where_the_epoch_is_void(scene: Scene, trainer: HonestTrainer, ends: EpochPhase) -> None:
    """Else anybody could have us slashed as absent, though we revealed."""
    worker = scene.worker()
    scene.chronicle.verifier(VERIFIER, ATTESTATIONS)
    scene.chronicle.work(TRAINER, scene.shelf.add(trainer.write(trainer.parts())))
    while worker.run_once():
        pass
    scene.chronicle.seal()
    worker.run_once()
    scene.chronicle.commit(VERIFIER, commitment_in(scene))
    scene.phase = EpochPhase.ATTEST_REVEAL
    worker.run_once()
    scene.chronicle.reveal(VERIFIER, bytes([100]), Root(b"\x01" * 32))
    if ends is EpochPhase.ATTESTED:
        scene.chronicle.reveal(ATTESTATIONS, b"hidden", Root(b"\x09" * 32))
        scene.clock_s = 1_000 + PARAMS.reveal_window + UNBONDING_S
    scene.phase = ends
    worker.run_once()
    functions = scene.functions()
    assert functions.index("showReport") < functions.index("voidEpoch")
    scene.chronicle.show(bytes([100]))
    scene.chronicle.void()
    worker.run_once()
    assert scene.functions().count("showReport") == 1


def commitment_in(scene: Scene) -> bytes:
    (commitment,) = (call.arguments["commitment"] for call in scene.sent.calls if call.function == "commitAttestation")
    assert isinstance(commitment, bytes)
    return commitment
