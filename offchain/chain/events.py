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
from functools import cache
from typing import Any, ClassVar

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from offchain.chain.abis import AbiEntry, canonical_type, entries, signature
from offchain.chain.deployment import Deployment
from offchain.protocol.errors import Malformed
from offchain.protocol.types import (
    Address,
    ChallengePhase,
    Epoch,
    PolicyVersion,
    Role,
    Root,
    Seed,
    TaskId,
    TaskParams,
    WorkIndex,
)

log = logging.getLogger(__name__)

Position = tuple[int, int]  # block number, log index
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
    operator: Address
    role: Role
    amount: int


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
class TrainerEnlisted(RegistryEvent):
    trainer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerDelisted(RegistryEvent):
    trainer: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerBondReleased(RegistryEvent):
    trainer: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochOpened(RegistryEvent):
    epoch: Epoch
    commit_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkCommitted(RegistryEvent):
    epoch: Epoch
    trainer: Address
    index: WorkIndex
    units: int
    policy_version: PolicyVersion
    manifest_root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationsEvent(TaskEvent):
    CONTRACT = "Attestations"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierEnlisted(AttestationsEvent):
    verifier: Address
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierDelisted(AttestationsEvent):
    verifier: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierBondReleased(AttestationsEvent):
    verifier: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSealed(AttestationsEvent):
    epoch: Epoch
    seed: Seed
    works: int
    verifiers: int
    weight: int
    attest_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationCommitted(AttestationsEvent):
    epoch: Epoch
    verifier: Address
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationRevealed(AttestationsEvent):
    epoch: Epoch
    verifier: Address
    report_hash: bytes
    evidence_root: Root


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAttested(AttestationsEvent):
    epoch: Epoch
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochSettled(AttestationsEvent):
    epoch: Epoch
    scores: bytes
    challenge_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportShown(AttestationsEvent):
    epoch: Epoch
    report_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPublished(AttestationsEvent):
    epoch: Epoch
    version: PolicyVersion
    policy_root: Root
    uri: str


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
class ChallengesEvent(TaskEvent):
    CONTRACT = "Challenges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    challenger: Address
    standing: int
    score: int
    bond: int
    commit_by: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealCommitted(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    verifier: Address
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealRevealed(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    verifier: Address
    score: int
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeDecided(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    score: int
    phase: ChallengePhase


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictSlashed(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    verifier: Address
    amount: int
    to_challenger: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppealAbsenceSlashed(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    verifier: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeClaimed(ChallengesEvent):
    epoch: Epoch
    index: WorkIndex
    to: Address
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutsEvent(TaskEvent):
    CONTRACT = "Payouts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(PayoutsEvent):
    epoch: Epoch
    trainer: Address
    index: WorkIndex
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
    index: WorkIndex
    amount: int
    reporter: Address
    reporter_amount: int


EVENT_TYPES: tuple[type[Event], ...] = (
    *(Bonded, UnbondRequested, Withdrawn, WorkerKeySet, Slashed),
    *(TaskOpened, TaskFunded, TaskClosed, TaskRefunded, TrainerEnlisted, TrainerDelisted, TrainerBondReleased),
    *(EpochOpened, WorkCommitted),
    *(VerifierEnlisted, VerifierDelisted, VerifierBondReleased, EpochSealed, AttestationCommitted),
    *(AttestationRevealed, EpochAttested, EpochSettled, ReportShown, PolicyPublished, EpochFinal, EpochVoid),
    *(AbsenceSlashed, Challenged, AppealCommitted, AppealRevealed, ChallengeDecided, VerdictSlashed),
    *(AppealAbsenceSlashed, ChallengeClaimed),
    *(Claimed, FeesClaimed, FraudSlashed),
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
    return [
        deployment.staking,
        deployment.registry,
        deployment.attestations,
        deployment.challenges,
        deployment.payouts,
    ]


def _contract_at(address: Address, deployment: Deployment) -> str | None:
    return {
        deployment.staking: "Staking",
        deployment.registry: "TaskRegistry",
        deployment.attestations: "Attestations",
        deployment.challenges: "Challenges",
        deployment.payouts: "Payouts",
    }.get(address)


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
    return name + "_" if name == "from" else name


def _read_as(part: AbiEntry) -> str:
    """The type to decode data as: a string lies there as bytes do, and need not be text."""
    return "bytes" if part["type"] == "string" else canonical_type(part)


def _typed(part: AbiEntry, value: Any) -> Any:
    if part["type"] == "string":
        return readable(value)
    if part["type"] == "address":
        return to_checksum_address(value)
    if part["internalType"] == "enum Role":
        return Role(value)
    if part["internalType"] == "enum ChallengePhase":
        return ChallengePhase(value)
    if part["internalType"] == "struct TaskParams":
        return TaskParams(*value)
    return value


def field_names(kind: type[Event]) -> list[str]:
    """Names of an event's own fields, without those that say where it happened."""
    where = {"block_number", "log_index", "tx_hash"}
    return [each.name for each in fields(kind) if each.name not in where]
