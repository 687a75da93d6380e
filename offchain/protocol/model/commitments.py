"""Commitments to what is revealed later, from what the reveal hands in."""

from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from offchain.protocol.types import Address


def attestation_commitment_of(task_id: int, epoch: int, verifier: Address, report_hash: bytes, salt: bytes) -> bytes:
    """As `offchain.protocol.encoding.attestation_commitment`, for a report of which only the hash is known."""
    types = ["uint256", "uint64", "address", "bytes32", "bytes32"]
    return keccak(abi_encode(types, [task_id, epoch, verifier, report_hash, salt]))
