"""The hash that runs over all works of a task, and the seed that a seal makes of it: see `libraries/Works.sol`."""

from eth_utils.crypto import keccak

from offchain.protocol.types import Seed

KEPT_BYTES = 19  # enough for what only has to be unforeseeable; the rest is 0


def fold(running_hash: bytes, work_hash: bytes) -> bytes:
    """[32] bytes: the running hash after one more work."""
    return keccak(running_hash + work_hash)[:KEPT_BYTES] + bytes(32 - KEPT_BYTES)


def seal_seed(prevrandao: bytes, running_hash: bytes) -> Seed:
    return Seed(keccak(prevrandao + running_hash))
