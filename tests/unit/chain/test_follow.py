"""The follower against a chain that behaves as chains do: it grows, forgets, changes its mind and goes away."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.event_store import Checkpoint, EventStore
from assay_core.chain.events import Log, TaskFunded, TaskOpened
from assay_core.chain.follow import Follower
from assay_core.protocol.encoding import PARAMS_TYPE
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address
from tests.unit.chain import places

START = 5
DEPLOYMENT = places.DEPLOYMENT.model_copy(update={"block": START})
FUNDED = keccak(text="TaskFunded(uint256,address,uint256)")
OPENED = keccak(text=f"TaskOpened(uint256,address,{PARAMS_TYPE},bytes32,string,bytes32,bytes32,bytes32)")


@dataclass
class FakeChain:
    """Blocks by content: a block is the amounts of the TaskFunded events in it. Its hash covers all before it."""

    blocks: list[tuple[int, ...]] = field(default_factory=lambda: [()] * START)
    is_down: bool = False
    asked: int = 0
    change_while_reading: "FakeChain | None" = None

    def head(self) -> Checkpoint:
        self._ask()
        return Checkpoint(len(self.blocks) - 1, self._hash(len(self.blocks) - 1))

    def block_hash(self, number: int) -> bytes | None:
        self._ask()
        return self._hash(number) if number < len(self.blocks) else None

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        self._ask()
        assert DEPLOYMENT.registry in addresses and DEPLOYMENT.token not in addresses
        found = [self._log(number, i) for number in range(first, last + 1) for i in range(len(self.blocks[number]))]
        if self.change_while_reading is not None:
            self.blocks, self.change_while_reading = self.change_while_reading.blocks, None
        return found

    def amounts(self, upto: int | None = None) -> list[int]:
        blocks = self.blocks[START:] if upto is None else self.blocks[START : upto + 1]
        return [amount for block in blocks for amount in block]

    def _hash(self, number: int) -> bytes:
        return hashlib.sha256(repr(self.blocks[: number + 1]).encode()).digest()

    def _log(self, number: int, index: int) -> Log:
        topics = (FUNDED, encode(["uint256"], [1]), encode(["address"], ["0x" + "77" * 20]))
        data = encode(["uint256"], [self.blocks[number][index]])
        return Log(DEPLOYMENT.registry, topics, data, number, self._hash(number), index, b"t" * 32)

    def _ask(self) -> None:
        self.asked += 1
        if self.is_down:
            raise Unavailable("the node is down")


@dataclass
class HostileChain(FakeChain):
    """As FakeChain, but block START holds a stranger's task with a URI that is no UTF-8, and a log cut short."""

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        found = super().logs(first, last, addresses)
        if not first <= START <= last:
            return found
        # Solidity's `string` is encoded as `bytes` are: nobody on chain looks at what is in it.
        types = [PARAMS_TYPE, "bytes32", "bytes", "bytes32", "bytes32", "bytes32"]
        roots = [bytes([i]) * 32 for i in range(1, 5)]
        data = encode(types, [astuple(places.PARAMS), roots[0], b"\xff\xfe", *roots[1:]])
        topics = (OPENED, encode(["uint256"], [666]), encode(["address"], ["0x" + "66" * 20]))
        opened = Log(DEPLOYMENT.registry, topics, data, START, self._hash(START), 98, b"t" * 32)
        return [*found, opened, replace(opened, data=data[:-1], log_index=99)]


def stored(store: EventStore) -> list[int]:
    return [event.amount for event in store.events() if isinstance(event, TaskFunded)]


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain()


@pytest.fixture
def store() -> EventStore:
    return EventStore(None, DEPLOYMENT)


def test_events_are_read_once_and_in_order(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT, step=2)
    chain.blocks += [(1,), (2, 3), (), (4,), ()]
    follower.catch_up()
    follower.catch_up()
    assert stored(store) == [1, 2, 3, 4]
    chain.blocks += [(5,)]
    follower.catch_up()
    assert stored(store) == [1, 2, 3, 4, 5]
    assert store.generation() == 0


def test_nothing_new_costs_one_question(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,)]
    follower.catch_up()
    before = chain.asked
    follower.catch_up()
    assert chain.asked == before + 1


def test_another_process_goes_on_where_the_last_one_stopped(chain: FakeChain, store: EventStore) -> None:
    chain.blocks += [(1,), (2,)]
    Follower(chain, store, DEPLOYMENT).catch_up()
    chain.blocks += [(3,)]
    Follower(chain, store, DEPLOYMENT).catch_up()
    assert stored(store) == [1, 2, 3]


def test_a_node_that_is_down_is_retried_without_loss(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,)]
    follower.catch_up()
    chain.blocks += [(2,)]
    chain.is_down = True
    with pytest.raises(Unavailable):
        follower.catch_up()
    assert stored(store) == [1]
    chain.is_down = False
    follower.catch_up()
    assert stored(store) == [1, 2]


def test_replaced_blocks_are_taken_back_and_read_again(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    for block in ((1,), (2,), (3,)):
        chain.blocks.append(block)
        follower.catch_up()
    chain.blocks[-2:] = [(20,), (30,), (40,)]
    follower.catch_up()
    assert stored(store) == [1, 20, 30, 40]
    assert store.generation() == 1


def test_a_shorter_chain_is_believed(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    for block in ((1,), (2,), (3,)):
        chain.blocks.append(block)
        follower.catch_up()
    del chain.blocks[-1]
    follower.catch_up()
    assert stored(store) == [1, 2]


def test_a_chain_started_anew_is_read_from_its_start(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,), (2,)]
    follower.catch_up()
    chain.blocks = [(0,)] * START + [(7,)]
    follower.catch_up()
    assert stored(store) == [7]


def test_no_stranger_stops_a_follower(store: EventStore) -> None:
    chain = HostileChain()
    chain.blocks += [(1,), (2,), (3,)]
    Follower(chain, store, DEPLOYMENT).catch_up()
    assert stored(store) == [1, 2, 3] and store.cursor() == chain.head()
    (opened,) = (event for event in store.events() if isinstance(event, TaskOpened))
    assert opened.task_id == 666 and opened.spec_uri == "\ufffd\ufffd"


def test_unconfirmed_blocks_wait(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT, confirmations=2)
    chain.blocks += [(1,), (2,), (3,)]
    follower.catch_up()
    assert stored(store) == [1]
    chain.blocks += [(), ()]
    follower.catch_up()
    assert stored(store) == [1, 2, 3]


def test_a_chain_that_changes_while_it_is_read_is_not_believed(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,), (2,)]
    chain.change_while_reading = FakeChain([*[()] * START, (1,), (9,), ()])
    with pytest.raises(Unavailable, match="changed while"):
        follower.catch_up()
    assert stored(store) == []
    follower.catch_up()
    assert stored(store) == [1, 9]


BLOCK = st.lists(st.integers(0, 99), max_size=3).map(tuple)
STEP = st.tuples(st.integers(0, 6), st.lists(BLOCK, max_size=6), st.booleans())


@settings(max_examples=75, deadline=None)
@given(steps=st.lists(STEP, max_size=12), step=st.integers(1, 4), confirmations=st.integers(0, 3))
def test_the_store_always_equals_the_chain(
    steps: list[tuple[int, list[tuple[int, ...]], bool]], step: int, confirmations: int
) -> None:
    """Whatever is dropped and added: after catching up the store holds the confirmed chain's events, no more."""
    chain, store = FakeChain(), EventStore(None, DEPLOYMENT)
    follower = Follower(chain, store, DEPLOYMENT, step=step, confirmations=confirmations)
    seen_upto = START - 1
    for dropped, added, looks in steps:
        kept = max(START, len(chain.blocks) - dropped)
        chain.blocks = chain.blocks[:kept] + added
        if looks:
            follower.catch_up()
            # Blocks that were confirmed once and stand unchanged are not taken back when the head drops a little.
            seen_upto = max(len(chain.blocks) - 1 - confirmations, min(seen_upto, len(chain.blocks) - 1))
            cursor = store.cursor()
            read_upto = START - 1 if cursor is None else cursor.block_number
            assert len(chain.blocks) - 1 - confirmations <= read_upto <= max(seen_upto, START - 1)
            assert stored(store) == chain.amounts(read_upto)
    store.close()
