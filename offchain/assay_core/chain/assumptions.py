"""What the contracts rely on of a chain, and where a chain is known, or seen, to be otherwise.

Seeds come of the prevrandao of a block that is fixed before anybody knows it, told by that block's header; where no
header can be shown, of the block's hash. So prevrandao must change with every block and be unknown when an epoch
closes, `block.number` must count the chain's own blocks, and headers must be those of Ethereum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web3 import Web3
from web3.types import RPCEndpoint

from assay_core.chain.headers import encode_header
from assay_core.chain.networks import LOCAL_CHAINS
from assay_core.chain.rpc import asking_node

SEEN_BLOCKS = 6
OP_STACK_DELAY = 60  # blocks of 2 s: longer than its sequencers lag behind the other chain


@dataclass(frozen=True, slots=True)
class _Family:
    """Chains of one make. Sources: the documentations of their differences to Ethereum."""

    name: str
    chain_ids: frozenset[int]
    doubt: str


FAMILIES = (
    _Family(
        "Arbitrum",
        frozenset({42_161, 42_170, 421_614}),
        "block.number is that of Ethereum and prevrandao is always 1, so seeds come of what the sequencer makes up",
    ),
    _Family(
        "Polygon PoS",
        frozenset({137, 80_002}),
        "prevrandao is always 0, so everybody knows the seed of an epoch, and what is spot-checked, before it closes",
    ),
    _Family(
        "BNB Smart Chain",
        frozenset({56, 97}),
        "prevrandao is no random number there, so seeds can be foreseen",
    ),
    _Family(
        "Avalanche C-Chain",
        frozenset({43_114, 43_113}),
        "prevrandao is no random number there, so seeds can be foreseen",
    ),
    _Family(
        "ZKsync Era",
        frozenset({324, 300}),
        "prevrandao is always the same, so seeds come of what the sequencer makes up",
    ),
)
OP_STACK = frozenset({10, 8_453, 11_155_420, 84_532})


def doubts_about(web3: Web3, chain_id: int, seal_delay: int) -> tuple[str, ...]:
    """What of a chain the contracts must not rely on, a sentence each: by its id, and by its newest blocks.

    Raises Unavailable: the node is down.
    """
    if chain_id in LOCAL_CHAINS:
        return ()
    known = [f"{family.name}: {family.doubt}" for family in FAMILIES if chain_id in family.chain_ids]
    if chain_id in OP_STACK and seal_delay < OP_STACK_DELAY:
        known.append(
            "OP stack: prevrandao is that of a block of Ethereum some time ago, which everybody knows already when an "
            f"epoch closes: deploy with --seal-delay {OP_STACK_DELAY} or more"
        )
    return (*known, *_seen(_newest(web3)))


def _newest(web3: Web3) -> list[Mapping[str, Any]]:
    with asking_node("newest blocks"):
        head = web3.eth.block_number
        # Raw: web3 refuses headers of proof-of-authority chains.
        answers = [
            web3.provider.make_request(RPCEndpoint("eth_getBlockByNumber"), [hex(number), False])
            for number in range(max(head - SEEN_BLOCKS + 1, 0), head + 1)
        ]
    blocks = (answer.get("result") for answer in answers)
    return [block for block in blocks if isinstance(block, Mapping)]


def _seen(blocks: list[Mapping[str, Any]]) -> list[str]:
    doubts: list[str] = []
    if len(blocks) == SEEN_BLOCKS and len({block.get("mixHash") for block in blocks}) == 1:
        doubts.append(
            f"its last {SEEN_BLOCKS} blocks have the same prevrandao: seeds can be foreseen where it changes so seldom"
        )
    if any(encode_header(block) is None for block in blocks):
        doubts.append(
            "its node does not tell whole headers of Ethereum's form: seeds come of the hashes of blocks, which their "
            "proposers can choose among many, and later"
        )
    return doubts
