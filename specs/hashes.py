"""Every hash that two parties must compute alike, from its words in the interfaces."""

import hashlib
from dataclasses import fields
from functools import cache

from eth_abi.abi import encode
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from specs.words import BPS, Address, Submission, Terms

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
TERMS = (
    "((uint128,uint16)[4],uint128,uint128,uint128,uint128,uint128,uint128,uint32,uint16,uint16,uint16,uint16,uint16,"
    "uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint32,uint32,bytes32)"
)


def words(kinds: str, *values: object) -> bytes:
    """keccak of an ABI encoding."""
    return keccak(encode(kinds.split(), values))


def flat(terms: Terms) -> tuple[object, ...]:
    kinds = [(kind.unit_price, kind.detection_bps) for kind in terms.kinds]
    return (kinds, *(getattr(terms, each.name) for each in fields(terms)[1:]))


def terms_hash(task_id: int, initiator: Address, terms: Terms, spec_hash: bytes, policy_root: bytes) -> bytes:
    kinds = ["uint256", "address", TERMS, "bytes32", "bytes32"]
    return keccak(encode(kinds, [task_id, initiator, flat(terms), spec_hash, policy_root]))


def submission_hash(submission: Submission) -> bytes:
    values = (
        submission.index,
        submission.trainer,
        submission.kind,
        submission.units,
        submission.policy_version,
        submission.manifest_root,
    )
    return words("uint16 address uint8 uint16 uint32 bytes32", *values)


def plant_hash(hashed: bytes) -> bytes:
    return words("bytes32 string", hashed, "plant")


def vote(subject: bytes, voter: Address, content: bytes, salt: bytes) -> bytes:
    """What commits a voter to a content, about a subject and nothing else."""
    return words("bytes32 address bytes32 bytes32", subject, voter, content, salt)


def attestation(seed: bytes, verifier: Address, report: bytes, salt: bytes) -> bytes:
    return vote(seed, verifier, keccak(report), salt)


def judgement(seed: bytes, juror: Address, score: int, beyond: bool, salt: bytes) -> bytes:
    return vote(seed, juror, words("uint8 bool", score, beyond), salt)


def challenge(task_id: int, epoch: int, challenger: Address, index: int, score: int, salt: bytes) -> bytes:
    kinds = "uint256 uint64 address uint16 uint8 bytes32"
    return words(kinds, task_id, epoch, challenger, index, score, salt)


def plant(task_id: int, trainer: Address, manifest_root: bytes, salt: bytes) -> bytes:
    return words("uint256 address bytes32 bytes32", task_id, trainer, manifest_root, salt)


def is_drawn(seed: bytes, index: int, sampling_bps: int) -> bool:
    """Labels with their lengths before them."""
    labels = [b"replay", str(index).encode()]
    text = b"".join(len(label).to_bytes(4, "big") + label for label in labels)
    return int.from_bytes(hashlib.sha256(seed + text).digest(), "big") % BPS < sampling_bps


# EIP-712.


def _domain(contract: Address, chain_id: int, version: str) -> bytes:
    kind = keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    named = (keccak(text="Assay"), keccak(text=version))
    return words("bytes32 bytes32 bytes32 uint256 address", kind, *named, chain_id, contract)


def _digest(domain: bytes, kind: str, kinds: str, *values: object) -> bytes:
    return keccak(b"\x19\x01" + domain + words(f"bytes32 {kinds}", keccak(text=kind), *values))


def consent(staking: Address, chain_id: int, operator: Address, worker: Address, nonce: int, deadline: int) -> bytes:
    kind = "WorkerKey(address operator,address worker,uint256 nonce,uint256 deadline)"
    domain = _domain(staking, chain_id, "2")
    return _digest(domain, kind, "address address uint256 uint256", operator, worker, nonce, deadline)


def policy(policies: Address, chain_id: int, task_id: int, epoch: int, seed: bytes, root: bytes) -> bytes:
    kind = "Policy(uint256 taskId,uint64 epoch,bytes32 seed,bytes32 policyRoot)"
    domain = _domain(policies, chain_id, "2")
    return _digest(domain, kind, "uint256 uint64 bytes32 bytes32", task_id, epoch, seed, root)


def permit(
    token: Address, chain_id: int, owner: Address, spender: Address, value: int, nonce: int, deadline: int
) -> bytes:
    kind = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    domain = _domain(token, chain_id, "1")
    return _digest(domain, kind, "address address uint256 uint256 uint256", owner, spender, value, nonce, deadline)


@cache
def signer(digest: bytes, signature: bytes) -> Address | str:
    """Whose signature it is; an error's name where it is none."""
    if len(signature) != 65:
        return "ECDSAInvalidSignatureLength"
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return "ECDSAInvalidSignatureS"
    if signature[64] not in (27, 28):
        return "ECDSAInvalidSignature"
    try:
        parts = Signature(signature[:64] + bytes([signature[64] - 27]))
        return parts.recover_public_key_from_msg_hash(digest).to_address()
    except (BadSignature, ValidationError):
        return "ECDSAInvalidSignature"
