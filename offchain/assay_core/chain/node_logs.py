"""Blocks and logs as a follower asks for them, and a node that answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3RPCError
from web3.types import BlockIdentifier, FilterParams, LogReceipt

from assay_core.chain.events import Log
from assay_core.chain.node import NodeTrouble
from assay_core.chain.rpc import asking_node, node_words
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address


@dataclass(frozen=True, slots=True)
class Block:
    """A header, as far as followers need it; `bloom` is empty where the node tells none."""

    number: int
    block_hash: bytes
    parent_hash: bytes
    timestamp: int
    bloom: bytes = b""


class TooMuchAsked(Unavailable):
    """The node does not answer for so many blocks at once; for fewer it may."""


class LogSource(Protocol):
    """What the follower asks a node. All raise Unavailable."""

    def head(self) -> Block:
        """The newest block."""
        ...

    def block(self, number: int) -> Block | None:
        """A block of the present chain; None when it is not that long."""
        ...

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Logs of these contracts in a range of blocks, both ends included, in chain order. Raises TooMuchAsked."""
        ...


class NodeLogs:
    """The logs of a node, through web3."""

    def __init__(self, web3: Web3) -> None:
        self._eth = web3.eth

    def head(self) -> Block:
        found = self._block("latest")
        if found is None:
            raise Unavailable("the node has no newest block; trying again later")
        return found

    def block(self, number: int) -> Block | None:
        return self._block(number)

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        wanted = cast(FilterParams, {"fromBlock": first, "toBlock": last, "address": list(addresses)})
        with asking_node(f"logs {first}..{last}"):
            try:
                found = self._eth.get_logs(wanted)
            except NodeTrouble as trouble:
                if trouble.helps_to_ask_less:
                    raise TooMuchAsked(f"the node did not answer (logs {first}..{last}: {trouble})") from None
                raise
            except Web3RPCError as error:
                raise TooMuchAsked(
                    f"the node refused the logs of blocks {first}..{last}: {node_words(error)}"
                ) from None
            return sorted((to_log(each) for each in found), key=lambda each: (each.block_number, each.log_index))

    def _block(self, which: BlockIdentifier) -> Block | None:
        with asking_node(f"block {which}"):
            try:
                block = self._eth.get_block(which)
            except BlockNotFound:
                return None
        number, block_hash, parent = block.get("number"), block.get("hash"), block.get("parentHash")
        if number is None or block_hash is None or parent is None:
            raise Unavailable(f"the node gave block {which} without number or hash; trying again later")
        bloom = bytes(block.get("logsBloom") or b"")
        return Block(int(number), bytes(block_hash), bytes(parent), int(block.get("timestamp", 0)), bloom)


def to_log(receipt: LogReceipt) -> Log:
    """A log as plain bytes."""
    data: Any = receipt["data"]
    return Log(
        address=Address(to_checksum_address(receipt["address"])),
        topics=tuple(bytes(topic) for topic in receipt["topics"]),
        data=bytes(data),
        block_number=receipt["blockNumber"],
        block_hash=bytes(receipt["blockHash"]),
        log_index=receipt["logIndex"],
        tx_hash=bytes(receipt["transactionHash"]),
    )
