"""Headers of blocks in the form that their hashes are made of: what proves a block's prevrandao to a contract."""

from collections.abc import Mapping

import rlp
from eth_utils.crypto import keccak
from web3 import Web3
from web3.types import RPCEndpoint

from assay_core.chain.rpc import asking_node
from assay_core.protocol.errors import Unavailable

# In the order of the header; what later forks added may be missing.
_FIRST = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
)
_LATER = ("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash")


def header_of(web3: Web3, number: int) -> bytes | None:
    """RLP of a block's header; None: the block is not there yet, or the node does not tell all of its header.

    Raises Unavailable.
    """
    with asking_node(f"block {number}"):
        # Raw: web3 refuses headers of proof-of-authority chains, whose extraData is longer.
        answer = web3.provider.make_request(RPCEndpoint("eth_getBlockByNumber"), [hex(number), False])
    if "error" in answer:
        raise Unavailable(f"the node refused (block {number}: {answer['error'].get('message')}); try again")
    block = answer.get("result")
    return encode_header(block) if isinstance(block, Mapping) else None


def encode_header(block: Mapping[str, object]) -> bytes | None:
    """The RLP of a header from the fields that a node told; None where they do not hash to the block's hash."""
    fields = [block.get(name) for name in _FIRST]
    fields += [block[name] for name in _LATER if block.get(name) is not None]
    try:
        header = bytes(rlp.encode([_bytes(field) for field in fields]))
    except (TypeError, ValueError):
        return None
    return header if block.get("hash") == "0x" + keccak(header).hex() else None


def _bytes(field: object) -> bytes:
    """Raises TypeError, ValueError: this is no field of a header."""
    if not isinstance(field, str):
        raise TypeError(f"no text: {field!r}")
    # A quantity has no leading zeros, and RLP writes it so; 0 is empty. Data have an even number of digits.
    digits = field.removeprefix("0x")
    if digits == "0":
        return b""
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
