"""What Attestations keeps of an epoch, its verifiers and their reports."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum, auto

from offchain.protocol.model.scores import FOUND_FRAUD, quorum_weight
from offchain.protocol.types import SCORE_FRAUD, SCORE_UNPAID, Address, EpochPhase

FOREVER = 2**40 - 1


class Stance(Enum):
    """What a verifier has done in an epoch; without an attestation, nothing. ABSENT: it was slashed for that."""

    COMMITTED = auto()
    REVEALED = auto()
    ABSENT = auto()


@dataclass(frozen=True, slots=True)
class Attestation:
    """`hash` is what it committed to, from its reveal on its report's."""

    stance: Stance
    hash: bytes = b""


@dataclass(slots=True)
class Enlistment:
    """Epochs below `until_epoch` that were sealed after `block` are the verifier's to judge. Weights are wei."""

    weight: int
    block: int
    delisted_at: int = 0
    until_epoch: int = FOREVER
    is_released: bool = False


@dataclass(slots=True)
class Roll:
    """The verifiers of a task and its newest policy; `fresh_*` were enlisted in block `fresh_block`."""

    weight: int = 0
    sealed_epochs: int = 0
    fresh_block: int = 0
    verifiers: int = 0
    fresh_verifiers: int = 0
    fresh_weight: int = 0
    policy_epochs: int = 0
    policy_version: int = 0
    policy_root: bytes = bytes(32)
    enlistments: dict[Address, Enlistment] = field(default_factory=dict[Address, Enlistment])
    former: dict[Address, Enlistment] = field(default_factory=dict[Address, Enlistment])


@dataclass(slots=True)
class Tally:
    """One report: the weight behind it, the works on which the outcome is the same, whether it counted or was shown."""

    weight: int = 0
    agreements: int = 0
    is_counted: bool = False
    is_shown: bool = False


@dataclass(slots=True)
class Epoch:
    """A sealed epoch. `scores` are as stored; `outcome` is COMMITTING until it is settled or void."""

    weight: int
    block: int
    works: int
    verifiers: int
    quorum_bps: int
    attest_by: int
    reveal_by: int
    uncommitted: int
    seed: bytes
    unrevealed: int = 0
    revealed: int = 0  # weight
    reports: int = 0
    outcome: EpochPhase = EpochPhase.COMMITTING
    challenge_by: int = 0
    open_challenges: int = 0
    scores: list[int] = field(default_factory=list[int])
    attestations: dict[Address, Attestation] = field(default_factory=dict[Address, Attestation])
    tallies: dict[bytes, Tally] = field(default_factory=lambda: defaultdict(Tally))

    @property
    def quorum(self) -> int:
        return quorum_weight(self.quorum_bps, self.weight)

    @property
    def is_settled(self) -> bool:
        return self.outcome in (EpochPhase.CHALLENGEABLE, EpochPhase.FINAL)

    def stored_score(self, index: int) -> int:
        return self.scores[index] if index < len(self.scores) else SCORE_UNPAID

    def score(self, index: int) -> int:
        stored = self.stored_score(index)
        return SCORE_FRAUD if stored == FOUND_FRAUD else stored

    def report_of(self, verifier: Address) -> bytes | None:
        """The hash of the report that a verifier revealed."""
        attestation = self.attestations.get(verifier)
        return attestation.hash if attestation is not None and attestation.stance is Stance.REVEALED else None

    def voting_phase(self, now: int) -> EpochPhase:
        """Where it stands as long as it is neither settled nor void."""
        if now < self.attest_by and self.uncommitted > 0:
            return EpochPhase.ATTEST_COMMIT
        if now < self.reveal_by and self.unrevealed > 0:
            return EpochPhase.ATTEST_REVEAL
        return EpochPhase.ATTESTED if self.revealed >= self.quorum else EpochPhase.MISSED
