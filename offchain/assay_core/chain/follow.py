"""Follow the chain: read new events into the store; notice when the chain has changed its mind, and take back.

Survives what nodes do: a restart (Unavailable: call again), a chain that lost its last blocks, one that replaced them,
limits on what is asked at once, logs that lag behind blocks.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from eth_utils.conversions import to_bytes

from assay_core.chain.blooms import is_telling, may_hold_any
from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.chain.event_store import Checkpoint, EventStore
from assay_core.chain.events import Log, Position, decode_logs, event_addresses, event_topics
from assay_core.chain.ledger import TaskLedger
from assay_core.chain.node_logs import Block, LogSource, NodeLogs, TooMuchAsked
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import TaskId

log = logging.getLogger(__name__)

CLOSE = 8  # of the newest blocks all headers are looked at
OVERLAP = 32  # blocks that are read again with the next ones, as far as the node answers for so many at once
DEEP = 2  # a block with so many on top, and known for so long, has no logs but those that the node tells
SURE_S, SURE_ANYHOW_S = 10.0, 60.0
MOST_HEALS = 3  # in a row
LOOKS = 3  # a node that goes back on the same chain is believed after so many looks: before it may only lag
GOOD_READS = 64  # after so many what was refused is tried again


class Span:
    """How many blocks to ask for at once: as many as the node answers for, found by halving and by bisection."""

    def __init__(self, most: int) -> None:
        self.size, self._most = most, most
        self._good, self._refused, self._reads = 0, most + 1, 0

    def refused(self, tried: int) -> bool:
        """Whether fewer can be asked for than the `tried` that were refused."""
        self._refused, self._reads = tried, 0
        if self._good >= tried:
            self._good = 0
        self.size = max(1, self._good or tried // 2)
        return tried > 1

    def answered(self, tried: int) -> None:
        if tried < self.size:
            return
        self._good, self._reads = tried, self._reads + 1
        if self._reads % GOOD_READS == 0:
            self._refused = min(4 * self.size, self._most + 1)
        self.size = max(tried, min((tried + self._refused) // 2, self._most))


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`confirmations`: how many blocks must follow one before it is read. `step`: most blocks per question."""
        self._source, self._store, self._deployment, self._clock = source, store, deployment, clock
        self._addresses = event_addresses(deployment)
        self._kinds = [
            (to_bytes(hexstr=address), topic)
            for address in self._addresses
            for topic in event_topics(address, deployment)
        ]
        self._confirmations = confirmations
        self._span = Span(step)
        self._heads = deque[tuple[int, int]](maxlen=32)
        self._doubted: dict[bytes, float] = {}
        self._lagging = 0
        self._next_block: Block | None = None

    @property
    def block_s(self) -> float | None:
        """Seconds from block to block, of late; None: not known yet."""
        if len(self._heads) < 2:
            return None
        (first, began), (last, ended) = self._heads[0], self._heads[-1]
        return (ended - began) / (last - first)

    @property
    def head_at(self) -> int | None:
        """Unix time of the newest block that the node has shown; None: none yet."""
        return self._heads[-1][1] if self._heads else None

    def catch_up(self) -> None:
        """Read all there is. A crash or an error in between repeats nothing: each range is one transaction.

        Stops short of a block whose logs the node seems not to have yet.
        Raises Unavailable: the node is down, or the chain changed while it was read; call again.
        """
        head, self._next_block = self._source.head(), None
        self._note(head)
        cursor = self._store.cursor()
        if cursor is not None:
            if cursor == Checkpoint(head.number, head.block_hash):
                self._lagging = 0
                return
            if self._only_lags(head, cursor):
                return
            if not self._descends(head, cursor):
                cursor = self._take_back(head)
        last = head.number - self._confirmations
        first = self._next(cursor)
        heals = 0
        while first <= last and self._read(first, last, head):
            before, first = first, self._next(self._store.cursor())
            heals += first < before
            if heals > MOST_HEALS:
                raise Unavailable("the node tells the same logs now one way, now another; trying again")

    def _read(self, first: int, last: int, head: Block) -> bool:
        """As many blocks as can be asked for at once; whether to go on. The newest are read closely."""
        far = last - CLOSE
        until = min(first + self._span.size - 1, far if first <= far else last)
        low = first if first <= far else self._low(first, until)
        try:
            return self._read_far(first, until) if first <= far else self._read_close(first, until, low, head)
        except TooMuchAsked as refusal:
            if not self._span.refused(until - low + 1):
                raise
            log.info("fewer blocks at once", extra={"blocks": self._span.size, "why": str(refusal)})
            return True

    def _next(self, cursor: Checkpoint | None) -> int:
        return self._deployment.block if cursor is None else cursor.block_number + 1

    def _note(self, head: Block) -> None:
        if self._heads and head.number < self._heads[-1][0]:
            self._heads.clear()
        if not self._heads or head.number > self._heads[-1][0]:
            self._heads.append((head.number, head.timestamp))

    # -- whether the chain is still the same

    def _only_lags(self, head: Block, cursor: Checkpoint) -> bool:
        """Whether a node that shows fewer blocks than we know shows ours: one behind a balancer may just be slow."""
        known = Checkpoint(head.number, head.block_hash)
        if head.number >= cursor.block_number or known not in self._store.checkpoints():
            self._lagging = 0
            return False
        self._lagging += 1
        return self._lagging < LOOKS

    def _descends(self, head: Block, cursor: Checkpoint) -> bool:
        if head.number == cursor.block_number + 1 and head.parent_hash == cursor.block_hash:
            return True
        if head.number <= cursor.block_number:
            return False
        after = self._next_block = self._source.block(cursor.block_number + 1)
        return after is not None and after.parent_hash == cursor.block_hash

    def _hash(self, number: int) -> bytes | None:
        block = self._source.block(number)
        return None if block is None else block.block_hash

    def _take_back(self, head: Block) -> Checkpoint | None:
        """Forget what the chain no longer holds; the newest checkpoint that it still does, None: start again."""
        for checkpoint in self._store.checkpoints():
            if checkpoint.block_number > head.number:
                continue
            if self._hash(checkpoint.block_number) == checkpoint.block_hash:
                break
        else:
            checkpoint = None
        back_to = None if checkpoint is None else checkpoint.block_number
        log.warning("the chain was reorganised", extra={"head": head.number, "back_to": back_to})
        self._store.roll_back(checkpoint)
        return checkpoint

    # -- reading

    def _read_far(self, first: int, until: int) -> bool:
        """A range of old blocks; its last one's hash before and after says that the chain stayed the same meanwhile."""
        before = self._hash(until)
        logs = self._source.logs(first, until, self._addresses)
        if before is None or self._hash(until) != before:
            raise _changed(first, until)
        self._span.answered(until - first + 1)
        self._store.append(decode_logs(logs, self._deployment), Checkpoint(until, before))
        return True

    def _read_close(self, first: int, until: int, low: int, head: Block) -> bool:
        """The newest blocks: each header follows the one before, and says whether logs may be missing.

        What was read before comes again with it, from `low` on. Whether all was read: a block that lacks logs ends it.
        """
        cursor = self._store.cursor()
        if self._next(cursor) != first:  # another process has read on, or taken back
            return True
        blocks = self._linked(first, until, head, cursor)
        logs = self._source.logs(low, until, self._addresses)
        self._span.answered(until - low + 1)
        if self._heals([each for each in logs if each.block_number < first], low):
            return True
        news = [each for each in logs if each.block_number >= first]
        hashes = {block.number: block.block_hash for block in blocks}
        if any(hashes.get(each.block_number) != each.block_hash for each in news):
            raise _changed(first, until)
        whole = self._believed(blocks, news, head)
        if whole:
            end = whole[-1]
            taken = [each for each in news if each.block_number <= end.number]
            self._store.append(decode_logs(taken, self._deployment), Checkpoint(end.number, end.block_hash))
        return len(whole) == len(blocks)

    def _low(self, first: int, until: int) -> int:
        """Where to read from so that old blocks come again, and no more are asked for than the node answers for."""
        return min(first, max(first - OVERLAP, until - self._span.size + 1, self._deployment.block))

    def _linked(self, first: int, until: int, head: Block, cursor: Checkpoint | None) -> list[Block]:
        """Headers of a range. Raises Unavailable: they do not follow each other, or what was read before."""
        blocks = list[Block]()
        parent = None if cursor is None else cursor.block_hash
        for number in range(first, until + 1):
            block = head if number == head.number else self._block(number)
            if block is None or (parent is not None and block.parent_hash != parent):
                raise _changed(first, until)
            blocks.append(block)
            parent = block.block_hash
        return blocks

    def _block(self, number: int) -> Block | None:
        """Each is asked for once: that after the cursor was looked at before."""
        known, self._next_block = self._next_block, None
        return known if known is not None and known.number == number else self._source.block(number)

    def _believed(self, blocks: Sequence[Block], logs: Sequence[Log], head: Block) -> Sequence[Block]:
        """The blocks up to the first whose bloom tells of logs that did not come, and that may still come."""
        told, now = {each.block_number for each in logs}, self._clock()
        lacking = [each for each in blocks if each.number not in told and self._says_logs(each)]
        self._doubted = {each.block_hash: self._doubted.get(each.block_hash, now) for each in lacking}
        for block in lacking:
            known_s = max(now - self._doubted[block.block_hash], head.timestamp - block.timestamp)
            is_deep = head.number - block.number >= DEEP and known_s >= SURE_S
            if not is_deep and known_s < SURE_ANYHOW_S:
                log.info("the node has a block without its logs", extra={"block": block.number})
                return [each for each in blocks if each.number < block.number]
        return blocks

    def _says_logs(self, block: Block) -> bool:
        return is_telling(block.bloom) and may_hold_any(block.bloom, self._kinds)

    def _heals(self, logs: Sequence[Log], low: int) -> bool:
        """Go back before the first event that the node did not tell when its block was read; whether there is one."""
        known = self._store.positions(low) if logs else set[Position]()
        unknown = (each for each in logs if (each.block_number, each.log_index) not in known)
        missing = [event.block_number for event in decode_logs(unknown, self._deployment)]
        if not missing:
            return False
        before = (each for each in self._store.checkpoints() if each.block_number < min(missing))
        log.warning("the node had left events out, reading them again", extra={"block": min(missing)})
        self._store.roll_back(next(before, None))
        return True


def _changed(first: int, until: int) -> Unavailable:
    return Unavailable(f"the chain changed while blocks {first}..{until} were read; trying again")


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
        self._last_read: int | None = None

    @property
    def block_s(self) -> float | None:
        """Seconds from block to block, of late; None: not known yet."""
        return self._follower.block_s

    @property
    def head_at(self) -> int | None:
        """Unix time of the newest block that the node has shown; None: none yet."""
        return self._follower.head_at

    @property
    def last_read(self) -> int | None:
        """The newest block whose events we have; None: none yet."""
        return self._last_read

    def refresh(self, seen: int = 0) -> TaskLedger:
        """Catch up with the chain and fold. After a reorganisation it is another object than before.

        `seen`: a block that we know of by other ways: a state without it would be an old one.
        Raises Unavailable: retry. Stop: there is no such task.
        """
        self._follower.catch_up()
        cursor = self._store.cursor()
        self._last_read = None if cursor is None else cursor.block_number
        if seen and (cursor is None or cursor.block_number < seen):
            raise Unavailable(f"the node does not show block {seen} yet, in which we did something; trying again")
        generation = self._store.generation()
        if generation != self._generation:
            self._ledger, self._generation = TaskLedger(self._task_id), generation
        for event in self._store.events(after=self._ledger.position, task_id=self._task_id):
            self._ledger.apply(event)
        if not self._ledger.is_known:
            raise Stop(f"there is no task {self._task_id} on this network: `assay task list` shows those there are")
        return self._ledger
