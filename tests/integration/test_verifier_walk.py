"""Three verifiers judge two honest trainers and two cheats on a local chain, over a real relay."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import uvicorn
from fastapi.testclient import TestClient

from offchain.chain.anvil import Anvil
from offchain.chain.connection import Chain
from offchain.chain.deployment import Deployment
from offchain.chain.event_store import EventStore
from offchain.chain.events import TaskOpened
from offchain.chain.follow import TaskFollower
from offchain.chain.ledger import TaskLedger
from offchain.chain.sender import Sender
from offchain.environments import make_environment
from offchain.policy import initial_policy, save_policy
from offchain.protocol.manifest import BundleKind
from offchain.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from offchain.protocol.types import Address, Epoch, PolicyVersion, Role, Root, Seed, TaskId, TaskParams
from offchain.shardcast.client import RelayClient
from offchain.shardcast.relay import RelaySettings, create_relay, server_config
from offchain.shardcast.store import build_bundle
from trainer.app import built_worker
from trainer.deviations import make_deviation
from trainer.settings import TrainerSettings
from trainer.tasks import Assignment
from trainer.worker import Worker
from verifier.app import build_service, built_verifier
from verifier.settings import ServeSettings, VerifierSettings
from verifier.worker import VerifierWorker

pytestmark = pytest.mark.chain

UNIT = 10**18
PARAMS = TaskParams(
    unit_price=UNIT,
    trainer_bond=60 * UNIT,
    verifier_bond=100 * UNIT,
    fraud_slash=50 * UNIT,
    absence_slash=5 * UNIT,
    verdict_slash=20 * UNIT,
    challenge_bond=UNIT,
    verifier_fee=3 * UNIT,
    max_epoch_units=100,
    max_work_units=10,
    quorum_bps=6_667,
    sampling_bps=10_000,
    max_staleness=2,
    max_epochs=2,
    commit_window=100,
    attest_window=100,
    reveal_window=100,
    challenge_window=100,
    appeal_window=100,
)
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=4, lr=1e-3),
)
SenderOf = Callable[[str], Sender]


class Open:
    """A relay's authority that lets everybody in: relays have their own tests."""

    def payer_of(self, key: Address) -> Address | None:
        return key

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        return True


@pytest.fixture
def relay(tmp_path: Path, deployment: Deployment) -> Iterator[str]:
    settings = RelaySettings.model_validate(
        {"directory": tmp_path / "relay", "chain_id": deployment.chain_id, "port": 0, "min_free_bytes": 0}
    )
    server = uvicorn.Server(server_config(settings, create_relay(settings, Open(), Open())))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True


@dataclass
class Stage:
    """A task with everybody bonded, and the means to make workers for it."""

    chain: Chain
    deployment_file: Path
    relay: str
    task_id: TaskId
    folder: Path
    password_file: Path
    keystore_of: Callable[[str], Path]
    sender_of: SenderOf
    stack: ExitStack

    def trainer(self, role: str, deviation: str | None = None) -> Worker:
        settings = TrainerSettings(
            network=str(self.deployment_file),
            task_id=self.task_id,
            keystore=self.keystore_of(role),
            password_file=self.password_file,
            state_dir=self.folder / role,
            relays=(self.relay,),
        )
        self.bond(role, Role.TRAINER, PARAMS.trainer_bond)
        return self.stack.enter_context(
            built_worker(settings, threading.Event(), make_deviation(deviation) if deviation else None)
        )

    def verifier_settings(self, role: str) -> VerifierSettings:
        return VerifierSettings(
            network=str(self.deployment_file),
            task_id=self.task_id,
            keystore=self.keystore_of(role),
            password_file=self.password_file,
            state_dir=self.folder / role,
            relays=(self.relay,),
        )

    def verifier(self, role: str) -> VerifierWorker:
        return self.stack.enter_context(built_verifier(self.verifier_settings(role)))

    def bond(self, role: str, as_role: Role, amount: int) -> None:
        sender = self.sender_of(role)
        sender.send(self.chain.token.approve(self.chain.staking.address, amount))
        sender.send(self.chain.staking.bond(as_role, amount))

    def ledger(self) -> TaskLedger:
        return TaskFollower(self.chain, EventStore(None, self.chain.deployment), self.task_id).refresh()

    def address(self, role: str) -> Address:
        return self.sender_of(role).address


@pytest.fixture
def stage(
    chain: Chain,
    deployment: Deployment,
    relay: str,
    sender_of: SenderOf,
    keystore_of: Callable[[str], Path],
    password_file: Path,
    tmp_path: Path,
) -> Iterator[Stage]:
    torch.set_num_threads(1)
    initiator = sender_of("initiator")
    policy_folder, task_folder = tmp_path / "policy", tmp_path / "task"
    start = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, "warmup": {"steps": 30, "batch": 32}}
    save_policy(initial_policy(start, Seed(b"\x01" * 32), make_environment(SPEC.environment)), policy_folder)
    policy = build_bundle(policy_folder, BundleKind.POLICY, {"version": 0})
    task_folder.mkdir()
    (task_folder / "spec.json").write_bytes(SPEC.to_bytes())
    task = build_bundle(task_folder, BundleKind.TASK, {})
    with RelayClient([relay], tmp_path / "cache", chain_id=deployment.chain_id) as client:
        client.publish(policy_folder, policy, initiator.account)
        client.publish(task_folder, task, initiator.account)
    initiator.send(chain.token.approve(chain.registry.address, 500 * UNIT))
    opened = initiator.send(
        chain.registry.open_task(PARAMS, task.root, f"assay:0x{task.root.hex()}", policy.root, 500 * UNIT)
    )
    deployment_file = tmp_path / "deployment.json"
    deployment_file.write_text(deployment.model_dump_json())
    with ExitStack() as stack:
        yield Stage(
            chain,
            deployment_file,
            relay,
            opened.event(TaskOpened).task_id,
            tmp_path,
            password_file,
            keystore_of,
            sender_of,
            stack,
        )


def work(trainers: list[Worker]) -> None:
    """Everybody makes and commits one work."""
    for trainer in trainers:
        while not isinstance(trainer.run_once(), Assignment):
            pass


def run(verifiers: list[VerifierWorker], holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the verifiers came to a standstill"
        if not any([verifier.run_once() for verifier in verifiers]):
            time.sleep(0.1)


def test_verifiers_judge_pay_and_slash_and_agree_on_the_next_policy(stage: Stage, anvil: Anvil) -> None:
    roles = ["verifier 1", "verifier 2", "verifier 3"]
    for role in roles:
        stage.bond(role, Role.VERIFIER, PARAMS.verifier_bond)
    verifiers = [stage.verifier(role) for role in roles]
    run(verifiers, lambda: len(stage.ledger().verifiers) == 3)
    trainers = [
        stage.trainer("trainer 1"),
        stage.trainer("trainer 2"),
        stage.trainer("cheat 1", "other-model"),
        stage.trainer("cheat 2", "altered-update"),
    ]
    work(trainers)
    first = Epoch(0)
    run(verifiers, lambda: stage.ledger().newest_policy().version == 1)
    ledger = stage.ledger()
    record = ledger.epochs[first]
    scores = {each.work.trainer: record.score_of(each.work.index) for each in record.works}
    assert scores == {
        stage.address("trainer 1"): 100,
        stage.address("trainer 2"): 100,
        stage.address("cheat 1"): 255,
        stage.address("cheat 2"): 255,
    }
    assert len(record.report_hashes()) == 1 and len(record.reveals) == 3

    with RelayClient([stage.relay], stage.folder / "reader", chain_id=stage.chain.deployment.chain_id) as client:
        run(verifiers, lambda: len(client.signatures(stage.task_id, first)) == 3, 20)
        signed = client.signatures(stage.task_id, first)
    assert {each.policy_root for each in signed} == {ledger.newest_policy().policy_root}

    anvil.pass_time(PARAMS.challenge_window + 1)
    run(verifiers, lambda: len(stage.ledger().epochs[first].frauds) == 2)
    assert stage.ledger().epochs[first].is_final

    work(trainers[:2])  # from the new policy
    run(verifiers, lambda: stage.ledger().newest_policy().version == 2)
    assert {each.work.policy_version for each in stage.ledger().epochs[Epoch(1)].works} == {PolicyVersion(1)}

    service = TestClient(build_service(ServeSettings(state_dir=stage.folder / "verifier 1")))
    shown = service.get(f"/tasks/{stage.task_id}/epochs/0/works").json()
    assert {each["trainer"]: (each["score"], each["reason"]) for each in shown} == {
        stage.address("trainer 1"): (100, None),
        stage.address("trainer 2"): (100, None),
        stage.address("cheat 1"): (255, "proof_mismatch"),
        stage.address("cheat 2"): (255, "replay_mismatch"),
    }


def test_verifier_that_is_killed_between_writing_and_sending_goes_on_with_the_same_report(
    stage: Stage, anvil: Anvil
) -> None:
    stage.bond("verifier 1", Role.VERIFIER, PARAMS.verifier_bond)
    with built_verifier(stage.verifier_settings("verifier 1")) as verifier:
        run([verifier], lambda: len(stage.ledger().verifiers) == 1)
        anvil.mine()
        work([stage.trainer("trainer 1")])
        attester = verifier._parts.attester  # pyright: ignore[reportPrivateUsage]
        run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_sealed)
        record = stage.ledger().epochs[Epoch(0)]
        docket = verifier._parts.docket  # pyright: ignore[reportPrivateUsage]
        docket.judge_next(stage.ledger(), record)
        judged = docket.judgements(stage.ledger(), record, give_up=False)
        assert judged is not None
        before = attester.write(record, judged)  # and here the process ends
    with built_verifier(stage.verifier_settings("verifier 1")) as verifier:
        run([verifier], lambda: bool(stage.ledger().epochs[Epoch(0)].reveals))
        after = verifier._parts.attester.written(record)  # pyright: ignore[reportPrivateUsage]
        assert after is not None
        assert (after.report, after.salt, after.evidence_root) == (before.report, before.salt, before.evidence_root)
    record = stage.ledger().epochs[Epoch(0)]
    assert len(record.commitments) == len(record.reveals) == 1


def test_work_that_no_relay_has_is_unpaid_and_no_fraud(stage: Stage, anvil: Anvil) -> None:
    stage.bond("verifier 1", Role.VERIFIER, PARAMS.verifier_bond)
    verifier = stage.verifier("verifier 1")
    run([verifier], lambda: len(stage.ledger().verifiers) == 1)
    trainer = stage.sender_of("trainer 1")
    stage.bond("trainer 1", Role.TRAINER, PARAMS.trainer_bond)
    trainer.send(stage.chain.registry.enlist(stage.task_id))
    trainer.send(stage.chain.registry.commit_work(stage.task_id, Epoch(0), Root(b"\x09" * 32), 4, PolicyVersion(0)))
    run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_sealed)
    for _ in range(5):
        verifier.run_once()
    assert not stage.ledger().epochs[Epoch(0)].commitments  # there is still time to wait for the bytes
    anvil.pass_time(PARAMS.attest_window * 4 // 5)
    run([verifier], lambda: stage.ledger().epochs[Epoch(0)].is_settled)
    ledger = stage.ledger()
    assert ledger.epochs[Epoch(0)].scores == bytes([0])
    for _ in range(5):
        verifier.run_once()
    assert len(ledger.policies) == 1  # nothing was accepted, so no policy follows


def test_too_small_a_bond_stops_the_verifier_and_says_what_to_do(stage: Stage) -> None:
    from offchain.protocol.errors import Stop

    with pytest.raises(Stop, match="assay stake bond --role verifier"):
        stage.verifier("outsider").run_once()


def test_unknown_task_stops_the_verifier(stage: Stage) -> None:
    from offchain.protocol.errors import Stop

    stage = replace(stage, task_id=TaskId(99))
    with pytest.raises(Stop, match="no task 99"):
        stage.verifier("outsider")
