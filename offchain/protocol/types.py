"""Words of the protocol as types. Amounts are integer wei, windows seconds, rates basis points."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

TaskId = NewType("TaskId", int)
Epoch = NewType("Epoch", int)
WorkIndex = NewType("WorkIndex", int)
PolicyVersion = NewType("PolicyVersion", int)
Address = NewType("Address", str)  # EIP-55 checksummed
Root = NewType("Root", bytes)  # 32 bytes: a SHA-256 Merkle root
Seed = NewType("Seed", bytes)  # 32 bytes

SCORE_UNPAID = 0
SCORE_FULL = 100
SCORE_FRAUD = 255
BPS = 10_000


class Role(IntEnum):
    """What an operator is bonded for; the order is that of `IStaking.Role`."""

    TRAINER = 0
    VERIFIER = 1


class EpochPhase(IntEnum):
    """The order is that of `IAttestations.EpochPhase`."""

    COMMITTING = 0
    ATTEST_COMMIT = 1
    ATTEST_REVEAL = 2
    ATTESTED = 3
    CHALLENGEABLE = 4
    FINAL = 5
    VOID = 6
    MISSED = 7


class ChallengePhase(IntEnum):
    """Where a challenge stands: `IChallenges.ChallengePhase`. The last three are for good."""

    NONE = 0
    APPEAL_COMMIT = 1
    APPEAL_REVEAL = 2
    DECIDABLE = 3
    UPHELD = 4
    OVERTURNED = 5
    UNDECIDED = 6


@dataclass(frozen=True, slots=True)
class TaskParams:
    """On-chain terms of a task: field order and meaning of `ITaskRegistry.TaskParams`."""

    unit_price: int
    trainer_bond: int
    verifier_bond: int
    fraud_slash: int
    absence_slash: int
    verdict_slash: int
    challenge_bond: int
    verifier_fee: int
    max_epoch_units: int
    max_work_units: int
    quorum_bps: int
    sampling_bps: int
    max_staleness: int
    max_epochs: int
    commit_window: int
    attest_window: int
    reveal_window: int
    challenge_window: int
    appeal_window: int


@dataclass(frozen=True, slots=True)
class Work:
    """One submission, as the stored hash commits to it."""

    trainer: Address
    index: WorkIndex
    units: int
    policy_version: PolicyVersion
    manifest_root: Root


@dataclass(frozen=True, slots=True)
class WorkId:
    """Names a work: task, epoch, position in the epoch. Written `task/epoch/index`."""

    task_id: TaskId
    epoch: Epoch
    index: WorkIndex

    def __str__(self) -> str:
        return f"{self.task_id}/{self.epoch}/{self.index}"

    @classmethod
    def parse(cls, text: str) -> "WorkId":
        """Raises ValueError unless `text` reads `task/epoch/index`."""
        task, epoch, index = (int(part) for part in text.split("/"))
        return cls(TaskId(task), Epoch(epoch), WorkIndex(index))
