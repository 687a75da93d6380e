"""What a block's bloom filter says about logs that a node may have left out."""

from collections.abc import Iterable

from eth_utils.crypto import keccak

BLOOM_BYTES = 256
# With more bits set than this a bloom tells nothing: on busy chains it is nearly full.
TELLING_BITS = BLOOM_BYTES * 8 // 4


def is_telling(bloom: bytes) -> bool:
    """Whether a filter can say that something is in it, and be believed mostly."""
    return len(bloom) == BLOOM_BYTES and 0 < int.from_bytes(bloom).bit_count() <= TELLING_BITS


def may_hold(bloom: bytes, item: bytes) -> bool:
    """Whether an address or a topic may be in a block; False: it is not."""
    digest, bits = keccak(item), int.from_bytes(bloom)
    return all(bits >> (int.from_bytes(digest[at : at + 2]) & 2047) & 1 for at in (0, 2, 4))


def may_hold_any(bloom: bytes, kinds: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a log of any of these kinds (address, first topic) may be in a block."""
    return any(may_hold(bloom, address) and may_hold(bloom, topic) for address, topic in kinds)
