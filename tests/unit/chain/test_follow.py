"""The follower against a chain that behaves as chains do: it grows, forgets, changes its mind and goes away."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace

import pytest
from eth_abi.abi import encode
from eth_utils.conversions import to_bytes
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.chain.event_store import EventStore
from assay_core.chain.events import Log, TaskFunded, TaskOpened
from assay_core.chain.follow import CLOSE, DEEP, LOOKS, OVERLAP, SURE_S, Follower
from assay_core.chain.node_logs import Block, TooMuchAsked
from assay_core.chain.pace import MOST_S, Pace
from assay_core.protocol.encoding import PARAMS_TYPE
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address
from tests.examples import examples
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

    def head(self) -> Block:
        self._ask()
        return self._block(len(self.blocks) - 1)

    def block(self, number: int) -> Block | None:
        self._ask()
        return self._block(number) if number < len(self.blocks) else None

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

    def _block(self, number: int) -> Block:
        bloom = bloom_of(to_bytes(hexstr=DEPLOYMENT.registry), FUNDED) if self.blocks[number] else b"\0" * 256
        return Block(number, self._hash(number), self._hash(number - 1), 12 * number, bloom)

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


def bloom_of(*items: bytes) -> bytes:
    """As the Yellow Paper has it: three bits of each item's hash."""
    bits = 0
    for item in items:
        digest = keccak(item)
        for at in (0, 2, 4):
            bits |= 1 << (int.from_bytes(digest[at : at + 2]) & 2047)
    return bits.to_bytes(256)


def stored(store: EventStore) -> list[int]:
    return [event.amount for event in store.events() if isinstance(event, TaskFunded)]


def cursor_of(store: EventStore) -> bytes | None:
    cursor = store.cursor()
    return None if cursor is None else cursor.block_hash


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


def test_a_shorter_chain_is_believed_once_it_stays_so(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    for block in ((1,), (2,), (3,)):
        chain.blocks.append(block)
        follower.catch_up()
    del chain.blocks[-1]
    for _ in range(LOOKS - 1):
        follower.catch_up()
        assert stored(store) == [1, 2, 3], "a node behind a balancer may just be slow"
    follower.catch_up()
    assert stored(store) == [1, 2] and store.generation() == 1


def test_a_chain_started_again_is_read_from_its_start(chain: FakeChain, store: EventStore) -> None:
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
    assert stored(store) == [1, 2, 3] and cursor_of(store) == chain.head().block_hash
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
    follower, old = Follower(chain, store, DEPLOYMENT), [()] * CLOSE
    chain.blocks += [(1,), (2,), *old]
    chain.change_while_reading = FakeChain([*[()] * START, (1,), (9,), (), *old])
    with pytest.raises(Unavailable, match="changed while"):
        follower.catch_up()
    assert stored(store) == []
    follower.catch_up()
    assert stored(store) == [1, 9]


def test_newest_blocks_that_do_not_follow_each_other_are_not_believed(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,)]
    follower.catch_up()
    chain.blocks += [(2,), (3,), (4,)]
    ask, asked = chain.block, list[int]()

    def change_in_between(number: int) -> Block | None:
        asked.append(number)
        if len(asked) == 2:  # between the look at what was read before and the headers of what is new
            chain.blocks[START] = (7,)
        return ask(number)

    chain.block = change_in_between  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Unavailable, match="changed while"):
        follower.catch_up()
    follower.catch_up()
    assert stored(store) == [7, 2, 3, 4]


BLOCK = st.lists(st.integers(0, 99), max_size=3).map(tuple)
STEP = st.tuples(st.integers(0, 6), st.lists(BLOCK, max_size=6), st.booleans())


@settings(max_examples=examples(75))
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
            for _ in range(LOOKS):
                follower.catch_up()
            # Blocks that were confirmed once and stand unchanged are not taken back when the head drops a little.
            seen_upto = max(len(chain.blocks) - 1 - confirmations, min(seen_upto, len(chain.blocks) - 1))
            cursor = store.cursor()
            read_upto = START - 1 if cursor is None else cursor.block_number
            assert len(chain.blocks) - 1 - confirmations <= read_upto <= max(seen_upto, START - 1)
            assert stored(store) == chain.amounts(read_upto)
    store.close()


# -- nodes that limit, and nodes that lag


@dataclass
class LimitedChain(FakeChain):
    """Answers for so many blocks at once, or for so many logs."""

    most_blocks: int = 10
    most_logs: int = 10_000
    refused: int = 0
    answered: int = 0

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        found = super().logs(first, last, addresses)
        if last - first + 1 > self.most_blocks or len(found) > self.most_logs:
            self.refused += 1
            raise TooMuchAsked("block range too large")
        self.answered += 1
        return found


@pytest.mark.parametrize("most", [1, 10, 499, 500])
def test_the_range_shrinks_to_what_the_node_answers_for(store: EventStore, most: int) -> None:
    chain = LimitedChain(most_blocks=most)
    chain.blocks += [(number,) if number % 50 == 0 else () for number in range(1_500)]
    Follower(chain, store, DEPLOYMENT).catch_up()
    assert stored(store) == list(range(0, 1_500, 50))
    assert chain.refused < 20 + 6 * chain.answered // 64, "it does not ask again and again for what was refused"
    assert chain.answered < 1.2 * 1_500 / most + 20, "it asks for as many as it may"


def test_the_range_grows_again_when_the_node_allows_more(store: EventStore) -> None:
    chain = LimitedChain(most_blocks=10)
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [()] * 300
    follower.catch_up()
    chain.most_blocks, chain.answered = 2_000, 0
    chain.blocks += [*[()] * 3_990, *[(1,)] * 10]
    follower.catch_up()
    assert chain.answered < 200, "4,000 blocks of 10 at a time would be 400 questions"
    assert len(stored(store)) == 10


def test_blocks_with_many_logs_are_read_in_smaller_ranges(store: EventStore) -> None:
    chain = LimitedChain(most_blocks=2_000, most_logs=20)
    chain.blocks += [*[()] * 500, *[tuple(range(9))] * 30, *[()] * 500]
    Follower(chain, store, DEPLOYMENT).catch_up()
    assert len(stored(store)) == 270 and chain.answered < 200


def test_a_node_that_does_not_answer_for_one_block_is_unavailable_in_its_own_words(store: EventStore) -> None:
    chain = LimitedChain(most_blocks=0)
    chain.blocks += [()] * 100
    with pytest.raises(Unavailable, match="block range too large"):
        Follower(chain, store, DEPLOYMENT).catch_up()
    assert chain.refused < 20


@dataclass
class LaggingChain(FakeChain):
    """Its logs are those of some blocks ago, and it says nothing of that; a node without blooms has none to show."""

    lag: int = 0
    has_blooms: bool = True

    def logs(self, first: int, last: int, addresses: Sequence[Address]) -> list[Log]:
        return [
            each for each in super().logs(first, last, addresses) if each.block_number < len(self.blocks) - self.lag
        ]

    def _block(self, number: int) -> Block:
        block = super()._block(number)
        return block if self.has_blooms else replace(block, bloom=b"")


def test_logs_that_lag_behind_their_block_are_waited_for(store: EventStore) -> None:
    chain = LaggingChain(lag=1)
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,), (), (2,)]
    follower.catch_up()
    assert stored(store) == [1] and store.cursor() is not None
    chain.lag = 0
    follower.catch_up()
    assert stored(store) == [1, 2] and store.generation() == 0, "nothing had to be taken back"


@pytest.mark.parametrize("has_blooms", [True, False])
def test_an_event_that_was_left_out_is_found_when_its_block_is_read_again(store: EventStore, has_blooms: bool) -> None:
    chain = LaggingChain(lag=OVERLAP // 2, has_blooms=has_blooms)
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,)]
    for number in range(2 * OVERLAP):
        chain.blocks += [(number,)] if number % 9 == 0 else [()]
        follower.catch_up()
    chain.lag = 0
    chain.blocks.append(())
    follower.catch_up()
    assert stored(store) == chain.amounts()
    assert (store.generation() > 0) or has_blooms


def test_an_event_is_never_read_after_one_that_is_still_missing(store: EventStore) -> None:
    chain = LaggingChain(lag=1)
    follower = Follower(chain, store, DEPLOYMENT)
    chain.blocks += [(1,)]
    for number in range(2, 20):
        chain.blocks += [(number,)]
        follower.catch_up()
        found = stored(store)
        assert found == list(range(1, len(found) + 1))


def test_a_bloom_that_is_wrong_holds_nobody_up_for_long(store: EventStore) -> None:
    """Another contract's logs may set the same bits."""

    class Crowded(FakeChain):
        def _block(self, number: int) -> Block:
            crowd = bloom_of(to_bytes(hexstr=DEPLOYMENT.registry), FUNDED)
            return replace(super()._block(number), bloom=crowd, timestamp=number)

    chain, now = Crowded(), 0.0
    follower = Follower(chain, store, DEPLOYMENT, clock=lambda: now)
    chain.blocks += [()]
    follower.catch_up()
    assert store.cursor() is None
    chain.blocks += [()] * DEEP
    now += SURE_S
    follower.catch_up()
    cursor = store.cursor()
    assert cursor is not None and cursor.block_number == len(chain.blocks) - 1 - DEEP
    now += 100
    follower.catch_up()
    assert cursor_of(store) == chain.head().block_hash


def test_a_bloom_that_is_nearly_full_says_nothing(store: EventStore) -> None:
    class Busy(FakeChain):
        def _block(self, number: int) -> Block:
            return replace(super()._block(number), bloom=b"\xff" * 256)

    chain = Busy()
    chain.blocks += [()]
    Follower(chain, store, DEPLOYMENT).catch_up()
    assert cursor_of(store) == chain.head().block_hash


def test_how_fast_blocks_come_is_seen(chain: FakeChain, store: EventStore) -> None:
    follower = Follower(chain, store, DEPLOYMENT)
    follower.catch_up()
    assert follower.block_s is None
    chain.blocks += [()] * 3
    follower.catch_up()
    assert follower.block_s == 12


def test_an_idle_follower_asks_less_than_ten_thousand_times_a_day(chain: FakeChain, store: EventStore) -> None:
    """On blocks of 12 seconds; an hour of them, in no time."""
    follower = Follower(chain, store, DEPLOYMENT)
    pace, now = Pace(lambda: follower.block_s), 0.0
    follower.catch_up()
    before, looks = chain.asked, 0
    while now < 3_600:
        now += pace.next_s(is_news=False)
        chain.blocks += [()] * (START + int(now // 12) - len(chain.blocks))
        follower.catch_up()
        looks += 1
    assert (chain.asked - before) * 24 <= 10_000
    # A verifier also asks for the time and, say, for the phases of five epochs and whether it may seal, at each look.
    assert (chain.asked - before + 7 * looks) * 24 <= 30_000


def test_a_daemon_looks_as_often_as_blocks_come_while_there_is_news() -> None:
    pace = Pace(lambda: 4.0)
    assert [pace.next_s(is_news=True) for _ in range(3)] == [4.0, 4.0, 4.0]
    quiet = [pace.next_s(is_news=False) for _ in range(12)]
    assert quiet == sorted(quiet) and quiet[-1] == MOST_S
    assert pace.next_s(is_news=True) == 4.0
    assert Pace(lambda: 4.0, fixed_s=0.25).next_s(is_news=False) == 0.25
    assert Pace(lambda: 600.0).next_s(is_news=True) == 12.0
