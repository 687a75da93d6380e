"""The chain layer beside the chain: it reads every log as it lies there, and says every act that it can say in the same
bytes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from eth_utils.address import to_checksum_address
from web3 import Web3

from assay_core.chain import contracts as typed
from assay_core.chain.creations import CONTRACTS
from assay_core.chain.deployment import Deployment
from assay_core.chain.events import Event, decode_log, field_names, python_name, readable
from assay_core.chain.events import Log as TypedLog
from assay_core.protocol.types import Address as TypedAddress
from assay_core.protocol.types import (
    Epoch,
    KindTerms,
    PolicyVersion,
    Root,
    SubmissionIndex,
    SubmissionKind,
    TaskId,
    TaskParams,
)
from assay_core.protocol.types import Submission as TypedSubmission
from specs.acts import Act, appeals, attestations, commitments, payouts, policies, staking, tasks, verifiers
from specs.properties import Log
from specs.words import NOBODY, Address, Submission, SubmissionRef, Terms
from tests.differential.calls import act_data, plain
from tests.differential.node import RawLog

SAID_EACH = 12  # acts of a kind that are said twice: web3 encodes slowly
CLASSES: Mapping[str, type[typed.Contract]] = {
    "AssayToken": typed.TokenContract,
    "Staking": typed.StakingContract,
    "TaskRegistry": typed.TaskRegistryContract,
    "Commitments": typed.CommitmentsContract,
    "Verifiers": typed.VerifiersContract,
    "Attestations": typed.AttestationsContract,
    "Policies": typed.PoliciesContract,
    "Panels": typed.PanelsContract,
    "Appeals": typed.AppealsContract,
    "Payouts": typed.PayoutsContract,
    "Plants": typed.PlantsContract,
}


class OtherWords(AssertionError):
    """The chain layer reads a log otherwise, or says an act in other bytes."""


class ChainLayer:
    def __init__(self, addresses: Mapping[str, Address]) -> None:
        named: dict[str, Any] = {
            field: TypedAddress(to_checksum_address(addresses[name])) for field, name in CONTRACTS.items()
        }
        self._deployment = Deployment(
            network="differential", chain_id=31_337, rpc_url="http://127.0.0.1", block=0, git_commit="", **named
        )
        web3 = Web3()
        self._contracts = {name: CLASSES[name](web3, named[field]) for field, name in CONTRACTS.items()}
        self._said = Counter[type[Act]]()

    def check_log(self, raw: RawLog, log: Log) -> None:
        """Raises OtherWords, and whatever a log raises that it cannot read."""
        address = TypedAddress(to_checksum_address(raw.address))
        entry = TypedLog(address, raw.topics, raw.data, log.block, bytes(32), raw.position, bytes(32))
        event = decode_log(entry, self._deployment)
        if event is None:
            if log.contract != "AssayToken":
                raise OtherWords(f"{log} is no event")
            return
        told = {python_name(name): _as_read(value) for name, value in log.fields.items()}
        read = {name: _lower(getattr(event, name)) for name in field_names(type(event))}
        if type(event).__name__ != log.event or {**told, **_texts(event, log)} != read:
            raise OtherWords(f"{log} is read as {event}")

    def check_act(self, act: Act) -> None:
        """Raises OtherWords."""
        self._said[type(act)] += 1
        if self._said[type(act)] > SAID_EACH:
            return
        call = self._say(act)
        if call is not None and call.data != act_data(act):
            raise OtherWords(f"{act} is said as {call}: {call.data.hex()}")

    def _say(self, act: Act) -> typed.Call | None:
        """None: it takes bytes that are no text, or is one that nobody makes."""
        contract: Any = self._contracts[act.CONTRACT]
        try:
            arguments = [_typed(each) for each in act.arguments]
            texts: dict[type[Act], int] = {tasks.OpenTask: 2, policies.PublishPolicy: 3}
            if type(act) in texts:
                arguments[texts[type(act)]] = act.arguments[texts[type(act)]].decode()
        except UnicodeDecodeError:
            return None
        return _say(act, contract, arguments)


def _say(act: Act, contract: Any, arguments: list[Any]) -> typed.Call | None:
    match act:
        case attestations.SealEpochWith() | attestations.SealEpoch():
            header = act.header if isinstance(act, attestations.SealEpochWith) else None
            return contract.seal_epoch(act.task_id, header)
        case commitments.CommitSubmission():
            return contract.commit_submission(*arguments[:-1], is_last=act.is_last)
        case appeals.RevealVote():
            return contract.reveal_vote(*arguments[:4], beyond=act.beyond, salt=act.salt)
        case appeals.DrawPanel():
            return contract.draw_panel(_typed(SubmissionRef(act.task_id, act.epoch, act.submission)), act.header)
        case payouts.OpenPlant():
            return contract.open_plant(_typed(SubmissionRef(act.task_id, act.epoch, act.submission)), act.salt)
        case verifiers.EnlistVerifier(displaced=displaced):
            return contract.enlist(*arguments[:3], None if displaced == NOBODY else arguments[3])
        case staking.SetWorkerKey(worker=worker) if worker == NOBODY:
            return contract.remove_worker_key()
        case _:
            method = getattr(contract, python_name(act.FUNCTION), None)
            return None if method is None else method(*arguments)


def _typed(value: Any) -> Any:
    match value:
        case str():
            return TypedAddress(to_checksum_address(value))
        case Terms():
            kinds = tuple(KindTerms(each.unit_price, each.detection_bps) for each in value.kinds)
            rest = {each.name: getattr(value, each.name) for each in fields(value)[1:]}
            return TaskParams(kinds, **rest)  # pyright: ignore[reportArgumentType]
        case Submission():
            version, root = PolicyVersion(value.policy_version), Root(value.manifest_root)
            trainer, index = TypedAddress(to_checksum_address(value.trainer)), SubmissionIndex(value.index)
            return TypedSubmission(trainer, index, SubmissionKind(value.kind), value.units, version, root)
        case SubmissionRef():
            return typed.SubmissionRef(TaskId(value.task_id), Epoch(value.epoch), _typed(value.submission))
        case tuple():
            return [_typed(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _texts(event: Event, log: Log) -> dict[str, Any]:
    """Strings are read as text that is safe, whatever was written."""
    return {python_name(name): readable(log[name]) for name in ("specURI", "uri") if hasattr(event, python_name(name))}


def _as_read(value: Any) -> Any:
    """Structs and lists as tuples, as `plain` leaves what was read."""
    if isinstance(value, dict):
        return tuple(_as_read(each) for each in value.values())  # pyright: ignore[reportUnknownVariableType]
    return tuple(_as_read(each) for each in value) if isinstance(value, (list, tuple)) else value  # pyright: ignore


def _lower(value: Any) -> Any:
    found = plain(value)
    if isinstance(found, tuple):
        return tuple(_lower(each) for each in found)  # pyright: ignore[reportUnknownVariableType]
    return found.lower() if isinstance(found, str) and found.startswith("0x") else found
