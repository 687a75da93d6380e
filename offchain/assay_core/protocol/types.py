"""Words of the protocol as types. Amounts are integer wei, windows seconds, rates basis points."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NewType

# The rules off chain under which submissions are made and judged, which a task names: see version.py.
PROTOCOL_VERSION = 1

TaskId = NewType("TaskId", int)
Epoch = NewType("Epoch", int)
SubmissionIndex = NewType("SubmissionIndex", int)
ChallengeId = NewType("ChallengeId", int)  # counts from 0 in each epoch
PolicyVersion = NewType("PolicyVersion", int)
Address = NewType("Address", str)  # EIP-55 checksummed
Root = NewType("Root", bytes)  # 32 bytes: a SHA-256 Merkle root
Seed = NewType("Seed", bytes)  # 32 bytes
PanelClass = NewType("PanelClass", bytes)  # 32 bytes: names a pool of jurors

SCORE_UNPAID = 0
SCORE_FULL = 100
SCORE_VOID = 252  # as `finalScoresOf` tells it: a submission of a void epoch
SCORE_FOUND_FRAUD = 253  # as it is stored: a fraud that a challenger found
SCORE_UNAVAILABLE = 254  # its bytes could not be had in time: pays nothing, costs no verifier a fee
SCORE_FRAUD = 255
BPS = 10_000

MAX_SUBMISSIONS = 1_024  # of one epoch
MAX_VERIFIERS = 64  # of one task
DEFAULT_CLASS = "general"  # of jurors: names the pool where a task file does not
PANEL_SEATS = 15  # of a panel: where fewer may judge, nothing is decided
PANEL_QUORUM_BPS = 6_666  # share of a panel's seats that makes a fraud, and that may blame verifiers
FINDER_BPS = 5_000  # of what a challenge costs verifiers, for its finder; likewise for a planter
FINDER_CAP = 10  # the most of it, in challenge bonds
SEALED_OVERHEAD = 128  # bytes of a sealed report beyond those of the report


class Role(IntEnum):
    """What an operator is bonded for; the order is that of `IStaking.Role`."""

    TRAINER = 0
    VERIFIER = 1


class SubmissionKind(IntEnum):
    """What a submission may be; the order is that of `ITaskRegistry.SubmissionKind`."""

    FULL = 0  # rollouts and the training on them
    ROLLOUTS = 1
    TRAINING = 2
    LABELS = 3


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


class DisputePhase(IntEnum):
    """Where the dispute about one submission stands: `IAppeals.DisputePhase`. The last three are for good."""

    NONE = 0
    REVEALED = 1
    APPEAL_COMMIT = 2
    APPEAL_REVEAL = 3
    DECIDABLE = 4
    UPHELD = 5
    OVERTURNED = 6
    UNDECIDED = 7


class ChallengeState(IntEnum):
    """Where one challenge stands: `IAppeals.ChallengeState`."""

    NONE = 0
    COMMITTED = 1
    REVEALED = 2
    EXPIRED = 3
    CLAIMED = 4


class PolicyState(IntEnum):
    """What became of the policy of an epoch: `IPolicies.PolicyState`."""

    PENDING = 0
    PUBLISHED = 1
    NOT_DUE = 2
    SKIPPED = 3


class PlantState(IntEnum):
    """Where a plant stands: `IPlants.PlantState`."""

    NONE = 0
    COMMITTED = 1
    OPENED = 2
    FORFEITED = 3


@dataclass(frozen=True, slots=True)
class KindTerms:
    """What one kind of submission earns, and how well cheating in it is found. A price of 0: it is not asked for."""

    unit_price: int = 0
    detection_bps: int = 0  # probability that a cheat is found in a submission that was drawn


Kinds = tuple[KindTerms, KindTerms, KindTerms, KindTerms]


def kinds_of(asked_for: dict[SubmissionKind, KindTerms]) -> Kinds:
    """The terms of all kinds, where these are asked for."""
    none = KindTerms()
    full, rollouts, training, labels = (asked_for.get(kind, none) for kind in SubmissionKind)
    return full, rollouts, training, labels


@dataclass(frozen=True, slots=True)
class TaskParams:
    """On-chain terms of a task: field order and meaning of `ITaskRegistry.TaskParams`."""

    kinds: Kinds  # by SubmissionKind
    trainer_bond: int
    verifier_bond: int
    fraud_slash: int
    challenge_bond: int
    juror_fee: int
    verifier_fee: int
    max_epoch_units: int
    max_submission_units: int
    max_submissions_each: int
    quorum_bps: int
    sampling_bps: int
    absence_slash_bps: int
    verdict_slash_bps: int
    max_staleness: int
    max_epochs: int
    protocol_version: int
    commit_window: int
    attest_window: int
    reveal_window: int
    challenge_window: int
    appeal_window: int
    panel_class: PanelClass

    @property
    def kinds_asked_for(self) -> list[SubmissionKind]:
        return [kind for kind in SubmissionKind if self.kinds[kind].unit_price > 0]

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> "TaskParams":
        """From the struct as ABIs decode it."""
        kinds, *rest = values
        full, rollouts, training, labels = (KindTerms(*each) for each in kinds)
        return cls((full, rollouts, training, labels), *rest)


@dataclass(frozen=True, slots=True)
class Submission:
    """One submission, as the stored hash commits to it: field order of `ICommitments.Submission`."""

    trainer: Address
    index: SubmissionIndex
    kind: SubmissionKind
    units: int
    policy_version: PolicyVersion
    manifest_root: Root


@dataclass(frozen=True, slots=True)
class SubmissionId:
    """Names a submission: task, epoch, position in the epoch. Written `task/epoch/index`."""

    task_id: TaskId
    epoch: Epoch
    index: SubmissionIndex

    def __str__(self) -> str:
        return f"{self.task_id}/{self.epoch}/{self.index}"

    @classmethod
    def parse(cls, text: str) -> "SubmissionId":
        """Raises ValueError unless `text` reads `task/epoch/index`."""
        task, epoch, index = (int(part) for part in text.split("/"))
        return cls(TaskId(task), Epoch(epoch), SubmissionIndex(index))


def is_score(score: int) -> bool:
    """Whether somebody may give this score."""
    return 0 <= score <= SCORE_FULL or score in (SCORE_UNAVAILABLE, SCORE_FRAUD)


def is_paid(score: int) -> bool:
    """Whether a submission with this score earns something."""
    return 0 < score <= SCORE_FULL


def pay_of(score: int) -> int:
    """What a score pays, in hundredths of what a submission can earn."""
    return score if is_paid(score) else 0


def score_at(report: bytes, index: int) -> int:
    """The score that a report gives to a submission: a missing or meaningless byte counts as 0."""
    score = report[index] if index < len(report) else SCORE_UNPAID
    return score if is_score(score) else SCORE_UNPAID
