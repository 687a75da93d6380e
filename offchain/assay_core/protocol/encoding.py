"""Canonical encodings and the hashes and seeds derived from them. Every party must get the same bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import cast

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import (
    Address,
    Epoch,
    PanelClass,
    Root,
    Seed,
    Submission,
    SubmissionIndex,
    TaskId,
    TaskParams,
)

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]
MAX_JSON_DEPTH = 16
MAX_SAFE_INT = 2**53 - 1


def canonical_json(value: Json) -> bytes:
    """Sorted keys, no spaces, UTF-8, no floats (a decimal is a string: "0.0003"), integers within ±(2^53 - 1).

    Raises Malformed: the value holds something that two machines could write differently.
    """
    _refuse_inexact(value, MAX_JSON_DEPTH)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse_canonical_json(data: bytes) -> Json:
    """Parse bytes that must be exactly what `canonical_json` writes. Raises Malformed otherwise."""
    try:
        value = cast(Json, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from error
    try:
        same = canonical_json(value) == data
    except (UnicodeEncodeError, RecursionError) as error:
        raise Malformed(f"not canonical JSON: {error}") from error
    if not same:
        raise Malformed("JSON is not in canonical form (sorted keys, no spaces, no duplicate keys)")
    return value


def _refuse_inexact(value: Json, depth: int) -> None:
    if depth == 0:
        raise Malformed(f"JSON is nested deeper than {MAX_JSON_DEPTH} levels")
    if value is None or isinstance(value, (bool, str)):
        return
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INT:
            raise Malformed("an integer exceeds 2^53 - 1: write it as a string")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise Malformed(f"JSON key {key!r} is not a string")
            _refuse_inexact(item, depth - 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_inexact(item, depth - 1)
    else:
        raise Malformed(f"{type(value).__name__} has no canonical JSON form")


PARAMS_TYPE = (
    "((uint128,uint16)[4],uint128,uint128,uint128,uint128,uint128,uint128,uint32,uint16,uint16,uint16,uint16,uint16,"
    "uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint32,uint32,bytes32)"
)  # of `ITaskRegistry.TaskParams`


def submission_hash(submission: Submission) -> bytes:
    """What `ICommitments.submissionHash` stores for a committed submission."""
    return keccak(
        abi_encode(
            ["uint16", "address", "uint8", "uint16", "uint32", "bytes32"],
            [
                submission.index,
                submission.trainer,
                submission.kind,
                submission.units,
                submission.policy_version,
                submission.manifest_root,
            ],
        )
    )


def plant_hash(hash_of_submission: bytes) -> bytes:
    """What takes the place of a submission's hash once it is known to be a planted fraud."""
    return keccak(abi_encode(["bytes32", "string"], [hash_of_submission, "plant"]))


def running_hash(before: bytes, hash_of_submission: bytes) -> bytes:
    """Over all submissions of a task, one after the other; 32 zero bytes before the first."""
    return keccak(abi_encode(["bytes32", "bytes32"], [before, hash_of_submission]))


def submission_place(epoch: Epoch, index: SubmissionIndex) -> int:
    """An epoch and a submission's index in it as one word."""
    return epoch << 16 | index


def terms_hash(task_id: TaskId, initiator: Address, params: TaskParams, spec_hash: Root, policy_root: Root) -> bytes:
    """What who enlists has to name: `TaskOpened.termsHash`."""
    return keccak(
        abi_encode(
            ["uint256", "address", PARAMS_TYPE, "bytes32", "bytes32"],
            [task_id, initiator, astuple(params), spec_hash, policy_root],
        )
    )


def panel_class(name: str) -> PanelClass:
    """The class of tasks that goes by a name, whose jurors form one pool."""
    return PanelClass(keccak(text=name))


def epoch_seed(randomness: bytes, hash_so_far: bytes, task_id: TaskId, epoch: Epoch) -> Seed:
    """The seed of a sealed epoch; `hash_so_far` is the task's `running_hash`.

    `randomness`: the prevrandao of block `EpochClosed.seed_block`; its hash where nobody showed its header.
    """
    types = ["bytes32", "bytes32", "uint256", "uint64"]
    return Seed(keccak(abi_encode(types, [randomness, hash_so_far, task_id, epoch])))


def panel_seed(randomness: bytes, task_id: TaskId, epoch: Epoch, index: SubmissionIndex) -> Seed:
    """By which the panel of a dispute is drawn; `randomness` as in `epoch_seed`, of `PanelSummoned.seed_block`."""
    types = ["bytes32", "uint256", "uint64", "uint16"]
    return Seed(keccak(abi_encode(types, [randomness, task_id, epoch, index])))


def trainer_seed(previous_seed: Seed, task_id: TaskId, epoch: Epoch, trainer: Address) -> Seed:
    """Seed of a trainer's prompts and sampling: it chooses neither and cannot work ahead (design §3).

    `previous_seed` is the seed of the epoch before; for epoch 0 that of `TaskOpened`.
    """
    return Seed(
        keccak(abi_encode(["bytes32", "uint256", "uint64", "address"], [previous_seed, task_id, epoch, trainer]))
    )


def report_hash(report: bytes) -> bytes:
    """As `Attestations` takes it: keccak of the bytes; the contract keeps the first 31."""
    return keccak(report)


def _ballot_commitment(subject: bytes, voter: Address, content: bytes, salt: bytes) -> bytes:
    """As the library Ballot checks it: `subject` is what the vote is about."""
    return keccak(abi_encode(["bytes32", "address", "bytes32", "bytes32"], [subject, voter, content, salt]))


def attestation_commitment(seed: Seed, verifier: Address, report: bytes, salt: bytes) -> bytes:
    """What `commitAttestation` takes; `seed` is the epoch's, `verifier` the operator."""
    return _ballot_commitment(seed, verifier, report_hash(report), salt)


def vote_commitment(seed: Seed, juror: Address, score: int, beyond: bool, salt: bytes) -> bytes:
    """What `commitVote` takes; `seed` is the panel's, `juror` the operator."""
    return _ballot_commitment(seed, juror, keccak(abi_encode(["uint8", "bool"], [score, beyond])), salt)


def challenge_commitment(
    task_id: TaskId, epoch: Epoch, challenger: Address, index: SubmissionIndex, score: int, salt: bytes
) -> bytes:
    """What `commitChallenge` takes; `challenger` is the account that sends it."""
    return keccak(
        abi_encode(
            ["uint256", "uint64", "address", "uint16", "uint8", "bytes32"],
            [task_id, epoch, challenger, index, score, salt],
        )
    )


def plant_commitment(task_id: TaskId, trainer: Address, manifest_root: Root, salt: bytes) -> bytes:
    """What `commitPlant` takes; `trainer` is the operator that will commit the submission."""
    types = ["uint256", "address", "bytes32", "bytes32"]
    return keccak(abi_encode(types, [task_id, trainer, manifest_root, salt]))


def decoy_commitment(task_id: TaskId, salt: bytes) -> bytes:
    """What `commitPlant` takes for a commitment that covers no submission."""
    return plant_commitment(task_id, Address("0x" + "00" * 20), Root(bytes(32)), salt)


def derive(seed: Seed, *labels: str | int) -> Seed:
    """Independent sub-seed for one purpose, e.g. `derive(seed, "sample", submission_index)`.

    SHA-256 over seed and length-prefixed labels: no two label lists share an encoding.
    """
    digest = hashlib.sha256(seed)
    for label in labels:
        part = str(label).encode()
        digest.update(len(part).to_bytes(4, "big") + part)
    return Seed(digest.digest())


def uniform_bps(seed: Seed) -> int:
    """Uniform draw from 0..9999, to compare with a rate in basis points (bias below 2^-240)."""
    return int.from_bytes(seed, "big") % 10_000


def must_replay(seed: Seed, index: int, sampling_bps: int) -> bool:
    """Whether an epoch's seed draws a submission for a full replay; the same rule as in
    contracts/libraries/Sampling.sol.
    """
    return uniform_bps(derive(seed, "replay", index)) < sampling_bps


def merkle_root(leaves: Sequence[bytes]) -> Root:
    """SHA-256 Merkle root, RFC 6962: leaf = H(0x00 || data), node = H(0x01 || left || right).

    Raises ValueError for no leaves: an empty tree commits to nothing.
    """
    if not leaves:
        raise ValueError("a Merkle tree needs at least one leaf")
    level = [hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves]
    return Root(_fold(level))


def _fold(level: Sequence[bytes]) -> bytes:
    if len(level) == 1:
        return level[0]
    split = 1 << (len(level) - 1).bit_length() - 1  # largest power of two below the count
    return hashlib.sha256(b"\x01" + _fold(level[:split]) + _fold(level[split:])).digest()
