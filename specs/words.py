"""Words of the specification. Amounts are integer wei, times Unix seconds, rates basis points."""

from dataclasses import dataclass
from enum import IntEnum

Address = str  # lower case
NOBODY: Address = "0x" + "00" * 20
BURNT: Address = "0x000000000000000000000000000000000000dead"
NONE = bytes(32)
BPS = 10_000

FULL = 100
VOID_SCORE = 252
FOUND_FRAUD = 253
UNAVAILABLE = 254
FRAUD = 255

MARGIN_BPS = 12_000
MAX_SUBMISSIONS = 1_024
MAX_VERIFIERS = 64
MAX_URI = 512
MAX_SEATS_AT_ONCE = 64
SEALED_OVERHEAD = 128
PANEL_SEATS = 15
PANEL_QUORUM_BPS = 6_666
FINDER_BPS = PLANTER_BPS = 5_000
REWARD_CAP = 10  # in challenge bonds
REMEMBERED = 256  # blocks whose hashes a contract can ask for


class Role(IntEnum):
    TRAINER = 0
    VERIFIER = 1


class Kind(IntEnum):
    FULL = 0
    ROLLOUTS = 1
    TRAINING = 2
    LABELS = 3


class Phase(IntEnum):
    """Of an epoch."""

    COMMITTING = 0
    ATTEST_COMMIT = 1
    ATTEST_REVEAL = 2
    ATTESTED = 3
    CHALLENGEABLE = 4
    FINAL = 5
    VOID = 6
    MISSED = 7


class DisputePhase(IntEnum):
    NONE = 0
    REVEALED = 1
    APPEAL_COMMIT = 2
    APPEAL_REVEAL = 3
    DECIDABLE = 4
    UPHELD = 5
    OVERTURNED = 6
    UNDECIDED = 7


class ChallengeState(IntEnum):
    NONE = 0
    COMMITTED = 1
    REVEALED = 2
    EXPIRED = 3
    CLAIMED = 4


class PolicyState(IntEnum):
    PENDING = 0
    PUBLISHED = 1
    NOT_DUE = 2
    SKIPPED = 3


class PlantState(IntEnum):
    NONE = 0
    COMMITTED = 1
    OPENED = 2
    FORFEITED = 3


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    time: int
    prevrandao: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class KindTerms:
    unit_price: int = 0
    detection_bps: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a task; fields in the order of `TaskParams`."""

    kinds: tuple[KindTerms, KindTerms, KindTerms, KindTerms]
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
    panel_class: bytes

    @property
    def epoch_cost(self) -> int:
        """The most that one epoch can cost."""
        return self.max_epoch_units * max(kind.unit_price for kind in self.kinds) + self.verifier_fee

    @property
    def most_of_one_submission(self) -> int:
        return self.max_submission_units * max(kind.unit_price for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Submission:
    """What the hash of a submission commits to; fields in the order of `Submission`."""

    trainer: Address
    index: int
    kind: int
    units: int
    policy_version: int
    manifest_root: bytes


@dataclass(frozen=True, slots=True)
class SubmissionRef:
    task_id: int
    epoch: int
    submission: Submission


@dataclass(frozen=True, slots=True)
class Constants:
    """What a deployment is made with."""

    unbonding_s: int
    min_window: int
    reporter_bps: int
    seal_delay: int
    header_wait: int
    seat_bond: int
    chain_id: int


def share_up(amount: int, bps: int) -> int:
    """A slash rounds up."""
    return -(-amount * bps // BPS)


def share_down(amount: int, part: int, whole: int) -> int:
    """What is paid rounds down."""
    return amount * part // whole
