"""Where tests let a trainer submission: a chain that is a list of events, a transport that is a folder, a tiny task."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.chain.contracts import SubmissionRef
from assay_core.chain.events import (
    Claimed,
    EpochClosed,
    EpochFinal,
    EpochOpened,
    EpochSealed,
    EpochSettled,
    EpochVoid,
    Event,
    FraudSlashed,
    PolicyPublished,
    ScoresSettled,
    SubmissionCommitted,
    TaskClosed,
    TaskOpened,
    TrainerDelisted,
    TrainerEnlisted,
    VerifierEnlisted,
)
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.pace import Pace
from assay_core.chain.signers import Signer
from assay_core.daemon.stopping import StopFlag
from assay_core.environments import make_environment
from assay_core.policy import load_policy
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.errors import Reverted, Unavailable
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    PROTOCOL_VERSION,
    Address,
    Epoch,
    KindTerms,
    PanelClass,
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
from assay_trainer.adversaries import Adversary
from assay_trainer.collateral import Collateral
from assay_trainer.journal import Journal
from assay_trainer.node import Node
from assay_trainer.planter import Planter
from assay_trainer.pulse import Counted, Pulse
from assay_trainer.submission_builder import Policies
from assay_trainer.submit import Commission, Commitment
from assay_trainer.worker import Worker
from tests.fakes import Notes, QuickStop

TASK = TaskId(7)
TRAINER = Address("0x00000000000000000000000000000000000000A1")
JUDGE = Address("0x00000000000000000000000000000000000000C3")
RIVAL = Address("0x00000000000000000000000000000000000000B2")
KEY: LocalAccount = Account.from_key(b"\x07" * 32)
SEED = Seed(bytes(range(32)))
TERMS: dict[str, Any] = {
    "kinds": kinds_of({SubmissionKind.FULL: KindTerms(1, 10_000)}),
    "trainer_bond": 100,
    "verifier_bond": 100,
    "fraud_slash": 100,
    "challenge_bond": 1,
    "juror_fee": 1,
    "verifier_fee": 1,
    "max_epoch_units": 40,
    "max_submission_units": 4,
    "max_submissions_each": 3,
    "quorum_bps": 6_667,
    "sampling_bps": 5_000,
    "absence_slash_bps": 100,
    "verdict_slash_bps": 1_000,
    "max_staleness": 1,
    "max_epochs": 0,
    "protocol_version": PROTOCOL_VERSION,
    "commit_window": 100,
    "attest_window": 100,
    "reveal_window": 100,
    "challenge_window": 100,
    "appeal_window": 100,
    "panel_class": PanelClass(bytes(32)),
}
TERMS_HASH = b"\x0e" * 32
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=4, lr=1e-3),
)


class Crash(BaseException):
    """The process dies here: nothing catches it."""


@dataclass
class ShardStore:
    """A transport whose relay is a folder. `is_down` makes it unreachable."""

    folder: Path
    is_down: bool = False
    published: list[Root] = field(default_factory=list[Root])

    def put(self, directory: Path, manifest: Manifest) -> Root:
        shutil.copytree(directory, self.folder / manifest.root.hex(), dirs_exist_ok=True)
        return manifest.root

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        if self.is_down or not (self.folder / root.hex()).is_dir():
            raise Unavailable("no relay has it")
        assert open_bundle(self.folder / root.hex(), limits, root).kind is kind
        return self.folder / root.hex()

    def publish(self, directory: Path, manifest: Manifest, account: Signer) -> None:
        if self.is_down:
            raise Unavailable("no relay takes it")
        assert account is KEY
        self.published.append(self.put(directory, open_bundle(directory, BundleLimits(2**20), manifest.root)))


class ListedChain:
    """One task on a chain that is a list of events. `refusals` are raised by the next commits, in order."""

    def __init__(self, spec_root: Root, policy_root: Root, **terms: Any) -> None:
        self.trainer = TRAINER
        self.time = 1_000
        self.bond_wei = 1_000
        self.in_flight = 0
        self.claims: list[list[SubmissionRef]] = []
        self.is_last: list[bool] = []
        self.sends_still = False
        self.params = TaskParams(**(TERMS | terms))
        self.enlistments = 0
        self.commits: list[Root] = []
        self.refusals: list[Exception] = []
        self.before_commit: Callable[[], None] = lambda: None
        self.after_commit: Callable[[], None] = lambda: None
        self._ledger = TaskLedger(TASK)
        self._block = 0
        self.add(
            TaskOpened,
            initiator=RIVAL,
            params=self.params,
            spec_hash=spec_root,
            spec_uri="",
            policy_root=policy_root,
            terms_hash=TERMS_HASH,
            seed=SEED,
        )
        weight = needed_electorate(self.params, self.params.max_epoch_units)
        self.add(VerifierEnlisted, verifier=JUDGE, weight=weight, from_epoch=0)
        self.open(0)

    def add(self, event: type[Event], /, **fields: Any) -> None:
        self._block += 1
        self._ledger.apply(
            event(block_number=self._block, log_index=0, tx_hash=bytes(32), task_id=TASK, **fields)  # pyright: ignore[reportCallIssue]
        )

    def open(self, epoch: int) -> None:
        self.add(EpochOpened, epoch=Epoch(epoch), commit_by=self.time + 100)

    def commit_as(self, trainer: Address, root: Root, units: int = 4, version: int = 0) -> Commitment:
        record = self._ledger.open_epoch
        assert record is not None
        index = SubmissionIndex(len(record.submissions))
        self.add(
            SubmissionCommitted,
            epoch=record.epoch,
            trainer=trainer,
            index=index,
            kind=SubmissionKind.FULL,
            units=units,
            policy_version=PolicyVersion(version),
            manifest_root=root,
        )
        return Commitment(index, bytes(32), 60_000)

    def seal(self, *, opens_next: bool = True) -> None:
        record = self._ledger.open_epoch
        assert record is not None
        seed = Seed(bytes([record.epoch + 1]) * 32)
        self.shut()
        self.add(
            EpochSealed,
            epoch=record.epoch,
            seed=seed,
            submissions=len(record.submissions),
            verifiers=1,
            weight=1,
            attest_by=self.time + 100,
        )
        if opens_next:
            self.open(record.epoch + 1)

    def shut(self) -> None:
        """The open epoch takes no further submissions."""
        record = self._ledger.open_epoch
        assert record is not None
        self.add(EpochClosed, epoch=record.epoch, submissions=len(record.submissions), seed_block=self._block + 2)

    def settle(self, epoch: int, scores: bytes) -> None:
        self.add(ScoresSettled, epoch=Epoch(epoch), first=SubmissionIndex(0), scores=scores)
        paid = sum(is_paid(score) for score in scores)
        self.add(EpochSettled, epoch=Epoch(epoch), paid=paid, challenge_by=self.time)

    def finalise(self, epoch: int) -> None:
        self.add(EpochFinal, epoch=Epoch(epoch))

    def publish_policy(self, epoch: int, root: Root) -> None:
        version = PolicyVersion(len(self._ledger.policies))
        self.add(PolicyPublished, epoch=Epoch(epoch), version=version, policy_root=root, uri="")

    def slash(self, epoch: int, index: int) -> None:
        self.settle(epoch, b"\xff")
        self.add(
            FraudSlashed,
            epoch=Epoch(epoch),
            trainer=TRAINER,
            index=SubmissionIndex(index),
            amount=100,
            reporter=RIVAL,
            reporter_amount=10,
        )
        self.bond_wei -= self.params.fraud_slash
        self.in_flight -= 1
        self.delist()

    def void(self, epoch: int) -> None:
        self.add(EpochVoid, epoch=Epoch(epoch))

    def delist(self) -> None:
        self.add(TrainerDelisted, trainer=TRAINER)

    def close(self) -> None:
        self.add(TaskClosed)

    # -- TaskChain

    def refresh(self) -> TaskLedger:
        return self._ledger

    def now(self) -> int:
        return self.time

    def is_sending(self) -> bool:
        return self.sends_still

    def stake(self, submissions: int) -> int:
        """What so many submissions of ours can be slashed."""
        return -(-submissions * SPEC.rollout.groups * self.params.fraud_slash // self.params.max_submission_units)

    def show(self, wei: int) -> str:
        return f"{wei} wei"

    def at_least(self, wei: int) -> str:
        return f"{wei} wei"

    def collateral(self) -> Collateral:
        enlisted = TRAINER in self._ledger.trainers
        locked = max(self.params.trainer_bond * enlisted, self.stake(self.in_flight))
        return Collateral(locked, self.bond_wei - locked, self.in_flight)

    def enlist(self, terms_hash: bytes) -> None:
        assert terms_hash == self._ledger.task.terms_hash
        if self.bond_wei < self.params.trainer_bond:
            raise reverted("InsufficientBond")
        self.enlistments += 1
        self.add(TrainerEnlisted, trainer=TRAINER)

    def leave(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.delist()

    def claim(self, submissions: Sequence[SubmissionRef]) -> None:
        self.claims.append(list(submissions))
        for ref in submissions:
            self.in_flight -= 1
            self.add(Claimed, epoch=ref.epoch, trainer=TRAINER, index=ref.submission.index, amount=0)

    def commit(self, commission: Commission) -> Commitment:
        self.before_commit()
        if self.refusals:
            raise self.refusals.pop(0)
        record = self._ledger.open_epoch
        if record is not None and record.epoch != commission.epoch:
            raise reverted("WrongEpoch")
        if record is not None and len(record.submissions_of(TRAINER)) >= self.params.max_submissions_each:
            raise reverted("TooManySubmissions")
        if record is not None and commission.manifest_root in [
            each.submission.manifest_root for each in record.submissions_of(TRAINER)
        ]:
            raise reverted("RepeatedRoot")
        if self.bond_wei < self.stake(self.in_flight + 1):
            raise reverted("InsufficientBond")
        self.commits.append(commission.manifest_root)
        self.is_last.append(commission.is_last)
        self.in_flight += 1
        commitment = self.commit_as(TRAINER, commission.manifest_root, commission.units, commission.policy_version)
        self.after_commit()
        return commitment


@dataclass
class Ground:
    """A task to work on. Each `worker()` is a process of its own over the same state."""

    folder: Path
    shards: ShardStore
    chain: ListedChain
    policy_root: Root
    notes: Notes = field(default_factory=Notes)
    in_use: set[Root] = field(default_factory=set[Root])  # what a worker last said it still needs

    def worker(
        self,
        state: str = "state",
        stop: StopFlag | None = None,
        adversary: Adversary | None = None,
        submissions_each: int = 1,
        planter: Planter | None = None,
        pulse: Pulse | None = None,
    ) -> Worker:
        flag, pace = stop or QuickStop(), Pace(lambda: None, 0.001)
        pulse = pulse or Pulse()
        carrier = Counted(self.shards, pulse)
        node = Node(self.chain, carrier, KEY, self.journal(state), self.notes, flag, pace, self.remember, pulse)
        return Worker(
            node,
            Policies(carrier, load_policy),
            make_environment,
            adversary=adversary,
            submissions_each=submissions_each,
            planter=planter,
        )

    def remember(self, in_use: Iterable[Root]) -> None:
        self.in_use = set(in_use)

    def journal(self, state: str = "state") -> Journal:
        return Journal(self.folder / state)

    def enlisted(self) -> "Ground":
        self.chain.enlist(TERMS_HASH)
        return self

    def task_bundle(self, spec: bytes) -> Root:
        """Another task bundle on the shelf."""
        return bundle(self.folder / "other-task", self.shards, BundleKind.TASK, {"spec.json": spec})


def bundle(folder: Path, shards: ShardStore, kind: BundleKind, files: dict[str, bytes]) -> Root:
    """Put a bundle of these files on the shelf."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return shards.put(folder, build_bundle(folder, kind, {}))


def reverted(error: str) -> Reverted:
    return Reverted(error, {"taskId": TASK}, "Commitments.commitSubmission")
