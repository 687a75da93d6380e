"""What the contracts tell, as types. Off-chain code rebuilds its state from these alone.

Each event is a dataclass named as in Solidity, with its parameters in snake_case plus where it happened. A log counts
only when it comes from the address of the contract that declares the event.

Anybody may put anything into a string on chain: strings are read as text that is safe to print and to store, however
little of what was written that leaves (`readable`). Nothing follows from them.
"""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from keyword import iskeyword
from typing import Any, ClassVar

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from assay_core.chain.abis import AbiEntry, canonical_type, entries, signature
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import (
    Address,
    ChallengeId,
    DisputePhase,
    Epoch,
    PanelClass,
    PolicyState,
    PolicyVersion,
    Role,
    Root,
    Seed,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
)

log = logging.getLogger(__name__)

Position = tuple[int, int]  # block number, log index
ENUMERATIONS: Mapping[str, type[IntEnum]] = {
    "enum Role": Role,
    "enum SubmissionKind": SubmissionKind,
    "enum PolicyState": PolicyState,
    "enum DisputePhase": DisputePhase,
}
MAX_TEXT_BYTES = 2_048  # of a string in an event; what is beyond is cut off


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where and in which transaction something happened."""

    CONTRACT: ClassVar[str]

    block_number: int
    log_index: int
    tx_hash: bytes

    @property
    def position(self) -> Position:
        return self.block_number, self.log_index


@dataclass(frozen=True, slots=True, kw_only=True)
class StakingEvent(Event):
    CONTRACT = "Staking"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonded(StakingEvent):
    operator: Address
    role: Role
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnbondRequested(StakingEvent):
    operator: Address
    role: Role
    amount: int
    withdrawable_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(StakingEvent):
    operator: Address
    role: Role
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerKeySet(StakingEvent):
    operator: Address
    worker: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Slashed(StakingEvent):
    """What `recipient` did not get of it was burnt."""

    operator: Address
    role: Role
    amount: int
    recipient: Address
    recipient_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelsEvent(Event):
    CONTRACT = "Panels"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatsTaken(PanelsEvent):
    class_: PanelClass
    juror: Address
    seats: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatMoved(PanelsEvent):
    """The last seat of the pool took the place of one that was left."""

    class_: PanelClass
    juror: Address
    from_: int
    to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatsLeft(PanelsEvent):
    class_: PanelClass
    juror: Address
    seats: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JurorDismissed(PanelsEvent):
    task_id: TaskId
    juror: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent(Event):
    """An event of one task."""

    task_id: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEvent(TaskEvent):
    CONTRACT = "TaskRegistry"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOpened(RegistryEvent):
    initiator: Address
    params: TaskParams
    spec_hash: Root
    spec_uri: str
    policy_root: Root
    terms_hash: bytes
    seed: Seed


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFunded(RegistryEvent):
    from_: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClosed(RegistryEvent):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRefunded(RegistryEvent):
    initiator: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentsEvent(TaskEvent):
    CONTRACT = "Commitments"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerEnlisted(CommitmentsEvent):
    trainer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerDelisted(CommitmentsEvent):
    trainer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOpened(CommitmentsEvent):
    """Told again when the window starts again."""

    epoch: Epoch
    commit_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionCommitted(CommitmentsEvent):
    epoch: Epoch
    trainer: Address
    index: SubmissionIndex
    kind: SubmissionKind
    units: int
    policy_version: PolicyVersion
    manifest_root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochClosed(CommitmentsEvent):
    """It takes no further submissions; its seed comes of block `seed_block`.

    Told again when the chain has forgotten that.
    """

    epoch: Epoch
    submissions: int
    seed_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAbandoned(CommitmentsEvent):
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiersEvent(TaskEvent):
    CONTRACT = "Verifiers"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierEnlisted(VerifiersEvent):
    verifier: Address
    weight: int
    from_epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierDelisted(VerifiersEvent):
    """`from_epoch` is the first that it no longer judges."""

    verifier: Address
    from_epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierSlashed(VerifiersEvent):
    """`weight` is left from `from_epoch` on; 0 for one that has left before. `VerifierDelisted` may follow."""

    verifier: Address
    amount: int
    weight: int
    from_epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierBondReleased(VerifiersEvent):
    verifier: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationsEvent(TaskEvent):
    CONTRACT = "Attestations"


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSealed(AttestationsEvent):
    """`attest_by` 0: it is void at once, for want of verifiers."""

    epoch: Epoch
    seed: Seed
    submissions: int
    verifiers: int
    weight: int
    attest_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationCommitted(AttestationsEvent):
    epoch: Epoch
    verifier: Address
    commitment: bytes
    sealed_report: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRevealed(AttestationsEvent):
    epoch: Epoch
    verifier: Address
    weight: int
    report: bytes
    evidence_root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAttested(AttestationsEvent):
    epoch: Epoch
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoresSettled(AttestationsEvent):
    """`first` is the submission of the first of these scores."""

    epoch: Epoch
    first: SubmissionIndex
    scores: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSettled(AttestationsEvent):
    epoch: Epoch
    paid: int
    challenge_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCorrected(AttestationsEvent):
    epoch: Epoch
    index: SubmissionIndex
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochFinal(AttestationsEvent):
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochVoid(AttestationsEvent):
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsenceSlashed(AttestationsEvent):
    epoch: Epoch
    verifier: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesEvent(TaskEvent):
    CONTRACT = "Policies"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPublished(PoliciesEvent):
    epoch: Epoch
    version: PolicyVersion
    policy_root: Root
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySkipped(PoliciesEvent):
    epoch: Epoch
    state: PolicyState


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealsEvent(TaskEvent):
    CONTRACT = "Appeals"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeCommitted(AppealsEvent):
    epoch: Epoch
    id: ChallengeId
    challenger: Address
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRevealed(AppealsEvent):
    epoch: Epoch
    id: ChallengeId
    index: SubmissionIndex
    challenger: Address
    standing: int
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeExpired(AppealsEvent):
    epoch: Epoch
    id: ChallengeId
    burnt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelSummoned(AppealsEvent):
    """Its seed comes of block `seed_block`. Told again when the chain has forgotten that."""

    epoch: Epoch
    index: SubmissionIndex
    seed_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelDrawn(AppealsEvent):
    """`jurors`: one for each seat."""

    epoch: Epoch
    index: SubmissionIndex
    seed: Seed
    jurors: tuple[Address, ...]
    commit_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteCommitted(AppealsEvent):
    epoch: Epoch
    index: SubmissionIndex
    juror: Address
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRevealed(AppealsEvent):
    epoch: Epoch
    index: SubmissionIndex
    juror: Address
    score: int
    beyond: bool
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeDecided(AppealsEvent):
    epoch: Epoch
    index: SubmissionIndex
    score: int
    phase: DisputePhase
    is_against_verifiers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictSlashed(AppealsEvent):
    epoch: Epoch
    index: SubmissionIndex
    verifier: Address
    amount: int
    to_finder: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealPaid(AppealsEvent):
    epoch: Epoch
    index: SubmissionIndex
    to: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutsEvent(TaskEvent):
    CONTRACT = "Payouts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(PayoutsEvent):
    epoch: Epoch
    trainer: Address
    index: SubmissionIndex
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeesClaimed(PayoutsEvent):
    epoch: Epoch
    verifier: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FraudSlashed(PayoutsEvent):
    epoch: Epoch
    trainer: Address
    index: SubmissionIndex
    amount: int
    reporter: Address
    reporter_amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantsEvent(TaskEvent):
    CONTRACT = "Plants"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantCommitted(PlantsEvent):
    commitment: bytes
    planter: Address
    deposit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantOpened(PlantsEvent):
    epoch: Epoch
    index: SubmissionIndex
    commitment: bytes
    is_in_time: bool  # in the first half of the challenge window


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantRefunded(PlantsEvent):
    """It guards nothing: its epoch is void or has no such submission, or it was a decoy."""

    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantForfeited(PlantsEvent):
    commitment: bytes
    burnt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidPlantSlashed(PlantsEvent):
    epoch: Epoch
    index: SubmissionIndex
    verifier: Address
    amount: int
    to_planter: int


EVENT_TYPES: tuple[type[Event], ...] = (
    *(Bonded, UnbondRequested, Withdrawn, WorkerKeySet, Slashed),
    *(SeatsTaken, SeatMoved, SeatsLeft, JurorDismissed),
    *(TaskOpened, TaskFunded, TaskClosed, TaskRefunded),
    *(TrainerEnlisted, TrainerDelisted, EpochOpened, SubmissionCommitted, EpochClosed, EpochAbandoned),
    *(VerifierEnlisted, VerifierDelisted, VerifierSlashed, VerifierBondReleased),
    *(EpochSealed, AttestationCommitted, AttestationRevealed, EpochAttested, ScoresSettled, EpochSettled),
    *(ScoreCorrected, EpochFinal, EpochVoid, AbsenceSlashed),
    *(PolicyPublished, PolicySkipped),
    *(ChallengeCommitted, ChallengeRevealed, ChallengeExpired, PanelSummoned, PanelDrawn, VoteCommitted, VoteRevealed),
    *(DisputeDecided, VerdictSlashed, AppealPaid),
    *(Claimed, FeesClaimed, FraudSlashed),
    *(PlantCommitted, PlantOpened, PlantRefunded, PlantForfeited, PaidPlantSlashed),
)
EVENT_BY_NAME: Mapping[str, type[Event]] = {kind.__name__: kind for kind in EVENT_TYPES}


@dataclass(frozen=True, slots=True)
class Log:
    """One log as a node returns it, already in bytes."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    log_index: int
    tx_hash: bytes


def decode_log(entry: Log, deployment: Deployment) -> Event | None:
    """The event of a log; None when it is none of ours (another address, or an event that Assay does not follow).

    Raises Malformed: our contract's log does not decode, so that the package's ABIs are not those of the deployment.
    """
    contract = _contract_at(entry.address, deployment)
    if contract is None or not entry.topics:
        return None
    form = _forms().get((contract, entry.topics[0]))
    return None if form is None else form.decode(entry)


def decode_logs(logs: Iterable[Log], deployment: Deployment) -> list[Event]:
    """The events of logs that are ours. One that does not decode is left out with a warning: no log stops a reader."""
    events: list[Event] = []
    for entry in logs:
        try:
            event = decode_log(entry, deployment)
        except Malformed as error:
            log.warning("a log is left out", extra={"why": str(error), "tx": entry.tx_hash.hex()})
            continue
        if event is not None:
            events.append(event)
    return events


def readable(data: bytes) -> str:
    """A string of the chain as text: what is no UTF-8 or not printable becomes U+FFFD, what is too long is cut off.

    Never fails: a task, or a policy that a quorum has signed, is as good as any other whatever its URI says.
    """
    text = data[:MAX_TEXT_BYTES].decode(errors="replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def event_addresses(deployment: Deployment) -> list[Address]:
    """The contracts whose events are followed; the token's transfers are not."""
    return [address for field, address in deployment.addresses.items() if field != "token"]


def event_topics(address: Address, deployment: Deployment) -> list[bytes]:
    """First topics of the events of one contract that are followed."""
    contract = _contract_at(address, deployment)
    return [topic for name, topic in _forms() if name == contract]


def _contract_at(address: Address, deployment: Deployment) -> str | None:
    followed = event_addresses(deployment)
    if address not in followed:
        return None
    return next(CONTRACTS[field] for field, each in deployment.addresses.items() if each == address)


@dataclass(frozen=True, slots=True)
class _Form:
    """How one event lies in a log: which of its parameters are topics, which are data."""

    kind: type[Event]
    indexed: tuple[AbiEntry, ...]
    plain: tuple[AbiEntry, ...]

    def decode(self, entry: Log) -> Event:
        try:
            topics = [
                decode([canonical_type(part)], topic)[0]
                for part, topic in zip(self.indexed, entry.topics[1:], strict=True)
            ]
            data = decode([_read_as(part) for part in self.plain], entry.data)
            parts = zip((*self.indexed, *self.plain), (*topics, *data), strict=True)
            values = {python_name(str(part["name"])): _typed(part, value) for part, value in parts}
        except (DecodingError, ValueError, OverflowError) as error:  # the last: an offset or a length beyond all memory
            where = f"{entry.block_number}/{entry.log_index}"
            raise Malformed(f"{self.kind.__name__} at {where} does not decode") from error
        return self.kind(block_number=entry.block_number, log_index=entry.log_index, tx_hash=entry.tx_hash, **values)


@cache
def _forms() -> Mapping[tuple[str, bytes], _Form]:
    forms: dict[tuple[str, bytes], _Form] = {}
    for kind in EVENT_TYPES:
        for entry in entries(kind.CONTRACT, "event"):
            if entry["name"] == kind.__name__:
                indexed = tuple(part for part in entry["inputs"] if part["indexed"])
                plain = tuple(part for part in entry["inputs"] if not part["indexed"])
                forms[kind.CONTRACT, keccak(text=signature(entry))] = _Form(kind, indexed, plain)
    return forms


def python_name(solidity: str) -> str:
    """`specURI` -> `spec_uri`; `from`, a keyword, -> `from_`."""
    name = re.sub(r"(?<=[a-z0-9])([A-Z]+)", lambda match: "_" + match[1].lower(), solidity)
    return name + "_" if iskeyword(name) else name


def _read_as(part: AbiEntry) -> str:
    """The type to decode data as: a string lies there as bytes do, and need not be text."""
    return "bytes" if part["type"] == "string" else canonical_type(part)


def _typed(part: AbiEntry, value: Any) -> Any:
    if part["type"] == "string":
        return readable(value)
    if part["type"] == "address":
        return to_checksum_address(value)
    if part["type"] == "address[]":
        return tuple(Address(to_checksum_address(each)) for each in value)
    if part["internalType"] in ENUMERATIONS:
        return ENUMERATIONS[part["internalType"]](value)
    if part["internalType"] == "struct TaskParams":
        return TaskParams.from_abi(value)
    return value


def field_names(kind: type[Event]) -> list[str]:
    """Names of an event's own fields, without those that say where it happened."""
    where = {"block_number", "log_index", "tx_hash"}
    return [each.name for each in fields(kind) if each.name not in where]
