"""A task on a local chain with a real relay, and the means to make real workers for it."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import uvicorn

from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind
from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.events import TaskOpened
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.sender import Sender
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.protocol.encoding import panel_class
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    PROTOCOL_VERSION,
    Address,
    Epoch,
    KindTerms,
    Role,
    Root,
    Seed,
    SubmissionKind,
    TaskId,
    TaskParams,
    kinds_of,
)
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.server import RelaySettings, create_relay, server_config
from assay_protocol.devnet.anvil import Anvil
from assay_trainer.adversaries import make_adversary
from assay_trainer.app import built_worker
from assay_trainer.settings import TrainerSettings
from assay_trainer.tasks import Assignment
from assay_trainer.worker import Worker
from assay_verifier.app import built_verifier
from assay_verifier.settings import VerifierSettings
from assay_verifier.worker import VerifierWorker

UNIT = 10**18
PARAMS = TaskParams(
    kinds=kinds_of({SubmissionKind.FULL: KindTerms(UNIT, 10_000)}),
    trainer_bond=60 * UNIT,
    verifier_bond=150 * UNIT,  # a quorum of three outweighs four submissions with what they can earn and be slashed for
    fraud_slash=50 * UNIT,
    challenge_bond=UNIT,
    juror_fee=UNIT // 10,
    verifier_fee=3 * UNIT,
    max_epoch_units=100,
    max_submission_units=10,
    max_submissions_each=2,
    quorum_bps=6_667,
    sampling_bps=10_000,
    absence_slash_bps=500,
    verdict_slash_bps=2_000,
    max_staleness=2,
    max_epochs=2,
    protocol_version=PROTOCOL_VERSION,
    commit_window=100,
    attest_window=100,
    reveal_window=100,
    challenge_window=100,
    appeal_window=100,
    panel_class=panel_class("tests"),
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
    with serving_relay(tmp_path / "relay", deployment) as url:
        yield url


@contextmanager
def serving_relay(directory: Path, deployment: Deployment) -> Generator[str]:
    settings = RelaySettings.model_validate(
        {"directory": directory, "chain_id": deployment.chain_id, "port": 0, "min_free_bytes": 0}
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
    anvil: Anvil
    deployment_file: Path
    relay: str
    task_id: TaskId
    folder: Path
    password_file: Path
    keystore_of: Callable[[str], Path]
    sender_of: SenderOf
    stack: ExitStack

    def trainer(
        self, role: str, adversary: str | None = None, bond: int = 4 * PARAMS.trainer_bond, **options: Any
    ) -> Worker:
        settings = TrainerSettings(
            network=str(self.deployment_file),
            task_id=self.task_id,
            keystore=self.keystore_of(role),
            password_file=self.password_file,
            state_dir=self.folder / role,
            relays=(self.relay,),
        )
        self.bond(role, Role.TRAINER, bond)
        return self.stack.enter_context(
            built_worker(
                settings.model_copy(update=options), threading.Event(), make_adversary(adversary) if adversary else None
            )
        )

    def verifier_settings(self, role: str, **options: Any) -> VerifierSettings:
        settings = VerifierSettings(
            network=str(self.deployment_file),
            task_id=self.task_id,
            keystore=self.keystore_of(role),
            password_file=self.password_file,
            state_dir=self.folder / role,
            relays=(self.relay,),
        )
        return settings.model_copy(update=options)

    def verifier(self, role: str, **options: Any) -> VerifierWorker:
        return self.stack.enter_context(built_verifier(self.verifier_settings(role, **options)))

    def run(self, verifiers: list[VerifierWorker], holds: Callable[[], bool], seconds: float = 60) -> None:
        """Let verifiers act until it holds; where nobody sends anything, the chain goes on by itself."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "the verifiers came to a standstill"
            if not any([verifier.run_once() for verifier in verifiers]):
                self.anvil.mine()
                time.sleep(0.1)

    def copy_task_to(self, relay: str) -> None:
        """Spec and first policy, for those who reach only this relay."""
        account = self.sender_of("initiator").account
        with RelayClient([relay], self.folder / "copies", chain_id=self.chain.deployment.chain_id) as client:
            for name in ("policy", "task"):
                client.publish(self.folder / name, read_manifest(self.folder / name), account)

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
    anvil: Anvil,
    deployment: Deployment,
    relay: str,
    sender_of: SenderOf,
    keystore_of: Callable[[str], Path],
    password_file: Path,
    tmp_path: Path,
) -> Iterator[Stage]:
    torch.set_num_threads(1)
    start = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, "warmup": {"steps": 30, "batch": 32}}
    task_id = open_task(chain, relay, sender_of("initiator"), tmp_path, start, SPEC, PARAMS)
    deployment_file = tmp_path / "deployment.json"
    deployment_file.write_text(deployment.model_dump_json())
    with ExitStack() as stack:
        yield Stage(
            chain,
            anvil,
            deployment_file,
            relay,
            task_id,
            tmp_path,
            password_file,
            keystore_of,
            sender_of,
            stack,
        )


def open_task(
    chain: Chain,
    relay: str,
    initiator: Sender,
    folder: Path,
    start: Mapping[str, Any],
    spec: TaskSpec,
    params: TaskParams,
) -> TaskId:
    """A task with its first policy and its spec on the relay; `start` says what policy that is."""
    save_policy(initial_policy(start, Seed(b"\x01" * 32), make_environment(spec.environment)), folder / "policy")
    policy = build_bundle(folder / "policy", BundleKind.POLICY, {"version": 0})
    (folder / "task").mkdir()
    (folder / "task" / "spec.json").write_bytes(spec.to_bytes())
    task = build_bundle(folder / "task", BundleKind.TASK, {})
    with RelayClient([relay], folder / "cache", chain_id=chain.deployment.chain_id) as client:
        client.publish(folder / "policy", policy, initiator.account)
        client.publish(folder / "task", task, initiator.account)
    initiator.send(chain.token.approve(chain.registry.address, 500 * UNIT))
    call = chain.registry.open_task(params, task.root, f"assay:0x{task.root.hex()}", policy.root, 500 * UNIT)
    return initiator.send(call).event(TaskOpened).task_id


def submission(trainers: list[Worker]) -> None:
    """Everybody makes and commits one submission; first all enlist, as an epoch waits only for those who have."""
    steps = [trainer.run_once() for trainer in trainers]
    for trainer, step in zip(trainers, steps, strict=True):
        for _ in range(9):
            if isinstance(step, Assignment):
                break
            step = trainer.run_once()
        assert isinstance(step, Assignment), f"the trainer makes no submission: {step}"
