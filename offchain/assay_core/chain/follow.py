"""Follow the chain: read new events into the store; notice when the chain has changed its mind, and take back.

Survives what nodes do: a restart (Unavailable: call again), a chain that lost its last blocks, one that replaced them.
"""

import logging
from collections.abc import Sequence
from typing import Any, Protocol, cast

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3RPCError
from web3.types import BlockIdentifier, FilterParams, LogReceipt

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.chain.event_store import Checkpoint, EventStore
from assay_core.chain.events import Log, decode_logs, event_addresses
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.rpc import asking_node
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address, TaskId

log = logging.getLogger(__name__)


class LogSource(Protocol):
    """What the follower asks a node. All raise Unavailable."""

    def head(self) -> Checkpoint:
        """The newest block."""
        ...

    def block_hash(self, number: int) -> bytes | None:
        """Hash of a block of the present chain; None when it has no such block."""
        ...

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        """Logs of these contracts in a range of blocks, both ends included, in chain order."""
        ...


class NodeLogs:
    """The logs of a node, through web3."""

    def __init__(self, web3: Web3) -> None:
        self._eth = web3.eth

    def head(self) -> Checkpoint:
        number, block_hash = self._block("latest")
        return Checkpoint(number, block_hash)

    def block_hash(self, number: int) -> bytes | None:
        try:
            return self._block(number)[1]
        except _NoBlock:
            return None

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        wanted = cast(FilterParams, {"fromBlock": first, "toBlock": last, "address": list(addresses)})
        with asking_node(f"logs {first}..{last}"):
            try:
                found = self._eth.get_logs(wanted)
            except Web3RPCError as error:
                raise Unavailable(f"the node refused the logs of blocks {first}..{last}; trying again later") from error
        return sorted((to_log(each) for each in found), key=lambda each: (each.block_number, each.log_index))

    def _block(self, which: BlockIdentifier) -> tuple[int, bytes]:
        with asking_node(f"block {which}"):
            try:
                block = self._eth.get_block(which)
            except BlockNotFound as error:
                raise _NoBlock from error
        number, block_hash = block.get("number"), block.get("hash")
        if number is None or block_hash is None:
            raise Unavailable(f"the node gave block {which} without number or hash; trying again later")
        return int(number), bytes(block_hash)


class _NoBlock(Exception):
    """The chain is not that long."""


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


class Follower:
    """Keeps an `EventStore` level with the chain."""

    def __init__(
        self,
        source: LogSource,
        store: EventStore,
        deployment: Deployment,
        *,
        confirmations: int = 0,
        step: int = 2_000,
    ) -> None:
        """`confirmations`: how many blocks must follow one before it is read. `step`: most blocks per question."""
        self._source = source
        self._store = store
        self._deployment = deployment
        self._addresses = event_addresses(deployment)
        self._confirmations = confirmations
        self._step = step

    def catch_up(self) -> None:
        """Read all there is. A crash or an error in between repeats nothing: each range is one transaction.

        Raises Unavailable: the node is down, or the chain changed while it was read; call again.
        """
        head = self._source.head()
        cursor = self._store.cursor()
        if cursor is not None:
            if self._confirmations == 0 and head == cursor:
                return
            if (
                head.block_number < cursor.block_number
                or self._source.block_hash(cursor.block_number) != cursor.block_hash
            ):
                cursor = self._take_back(head)
        last = head.block_number - self._confirmations
        first = self._deployment.block if cursor is None else cursor.block_number + 1
        while first <= last:
            until = min(first + self._step - 1, last)
            self._read(first, until)
            first = until + 1

    def _read(self, first: int, until: int) -> None:
        """One range; its last block's hash before and after says that the chain stayed the same meanwhile."""
        before = self._source.block_hash(until)
        logs = self._source.logs(first, until, self._addresses)
        if before is None or self._source.block_hash(until) != before:
            raise Unavailable(f"the chain changed while blocks {first}..{until} were read; trying again")
        self._store.append(decode_logs(logs, self._deployment), Checkpoint(until, before))

    def _take_back(self, head: Checkpoint) -> Checkpoint | None:
        """Forget what the chain no longer holds; the newest checkpoint that it still does, None: start anew."""
        for checkpoint in self._store.checkpoints():
            if checkpoint.block_number > head.block_number:
                continue
            if self._source.block_hash(checkpoint.block_number) == checkpoint.block_hash:
                break
        else:
            checkpoint = None
        log.warning(
            "the chain was reorganised",
            extra={"head": head.block_number, "back_to": None if checkpoint is None else checkpoint.block_number},
        )
        self._store.roll_back(checkpoint)
        return checkpoint


class TaskFollower:
    """The state of one task, as of the newest block read. Cheap to refresh: only what is new is folded."""

    def __init__(
        self,
        chain: Chain,
        store: EventStore,
        task_id: TaskId,
        *,
        confirmations: int = 0,
        source: LogSource | None = None,
    ) -> None:
        """`source`: where logs come from when not from the chain's node."""
        source = source or NodeLogs(chain.web3)
        self._follower = Follower(source, store, chain.deployment, confirmations=confirmations)
        self._store = store
        self._task_id = task_id
        self._ledger = TaskLedger(task_id)
        self._generation = store.generation()

    def refresh(self) -> TaskLedger:
        """Catch up with the chain and fold. After a reorganisation it is another object than before.

        Raises Unavailable: retry. Stop: there is no such task.
        """
        self._follower.catch_up()
        generation = self._store.generation()
        if generation != self._generation:
            self._ledger, self._generation = TaskLedger(self._task_id), generation
        for event in self._store.events(after=self._ledger.position, task_id=self._task_id):
            self._ledger.apply(event)
        if not self._ledger.is_known:
            raise Stop(f"there is no task {self._task_id} on this network: `assay task list` shows those there are")
        return self._ledger
