"""Commands and senders through nodes as hosts run them: behind balancers, with limits, with nonces of yesterday."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import Call
from assay_core.chain.event_store import EventStore
from assay_core.chain.events import Bonded
from assay_core.chain.follow import Follower
from assay_core.chain.node_logs import NodeLogs
from assay_core.chain.sender import Sender, SenderSettings
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Role
from assay_protocol.devnet.anvil import Anvil
from tests.integration.fake_node import Answer, Ask, FakeNode, error, result

pytestmark = pytest.mark.chain

SenderOf = Callable[[str], Sender]


@pytest.fixture
def node(anvil: Anvil) -> Iterator[FakeNode]:
    with FakeNode(anvil.rpc_url) as node:
        yield node


@pytest.fixture
def there(chain: Chain, node: FakeNode) -> Chain:
    """The contracts through the fake node."""
    return Chain.connect(chain.deployment, node.url)


@pytest.fixture
def quick(tmp_path: Path) -> SenderSettings:
    return SenderSettings(timeout_s=20, first_poll_s=0.01, max_poll_s=0.05, nonces=tmp_path / "nonces")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "nonces").mkdir()


def pay(chain: Chain, amount_wei: int = 1) -> Call:
    return chain.token.transfer(chain.deployment.payouts, amount_wei)


def paid(chain: Chain) -> int:
    return chain.token.balance_of(chain.deployment.payouts)


def bond(chain: Chain, sender: Sender, amount_wei: int) -> None:
    sender.send(chain.token.approve(chain.staking.address, amount_wei))
    sender.send(chain.staking.bond(Role.TRAINER, amount_wei))


def bonds(store: EventStore) -> list[int]:
    return [event.amount for event in store.events() if isinstance(event, Bonded)]


# -- logs


def test_events_are_read_ten_blocks_at_a_time(there: Chain, node: FakeNode, anvil: Anvil, sender_of: SenderOf) -> None:
    def limited(method: str, params: list[Any], ask: Ask) -> Answer:
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 10:
            return error(-32602, "eth_getLogs is limited to a 10 blocks range")
        return None

    node.rule = limited
    trainer = sender_of("trainer")
    for amount in (1, 2, 3):
        bond(there, trainer, amount)
        anvil.mine(40)
    store = EventStore(None, there.deployment)
    Follower(NodeLogs(there.web3), store, there.deployment).catch_up()
    assert bonds(store) == [1, 2, 3]


def test_no_event_is_lost_when_logs_lag_behind_blocks(there: Chain, node: FakeNode, sender_of: SenderOf) -> None:
    """The log back-end knows nothing of the newest block, and says so with an empty list."""
    is_lagging = True

    def lagging(method: str, params: list[Any], ask: Ask) -> Answer:
        if method != "eth_getLogs" or not is_lagging:
            return None
        newest = ask("eth_blockNumber", [])["result"]
        return result([log for log in ask(method, params)["result"] if log["blockNumber"] != newest])

    node.rule = lagging
    trainer, store = sender_of("trainer"), EventStore(None, there.deployment)
    follower = Follower(NodeLogs(there.web3), store, there.deployment)
    for amount in (1, 2, 3):
        bond(there, trainer, amount)
        follower.catch_up()
        assert bonds(store) == list(range(1, amount)), "what is not known is not passed over"
    is_lagging = False
    follower.catch_up()
    assert bonds(store) == [1, 2, 3] and store.generation() == 0


# -- nonces


def test_a_back_end_that_counts_old_nonces_is_got_past(
    there: Chain, node: FakeNode, sender_of: SenderOf, quick: SenderSettings
) -> None:
    account = sender_of("outsider").account
    old = node.ask("eth_getTransactionCount", [account.address, "latest"])
    for _ in range(3):
        sender_of("outsider").send(pay(there))

    def count_old(method: str, params: list[Any], ask: Ask) -> Answer:
        return old if method == "eth_getTransactionCount" else None

    node.rule = count_old
    Sender(there, account, quick).send(pay(there, 10))
    assert paid(there) == 13
    assert node.calls["eth_sendRawTransaction"] <= 4 + 3


@pytest.fixture
def waiting(there: Chain, anvil: Anvil, sender_of: SenderOf, quick: SenderSettings) -> Iterator[Sender]:
    """A key, with which another process has just sent something that waits to be mined."""
    account = sender_of("outsider").account
    anvil.request("evm_setAutomine", False)
    daemon = Sender(there, account, replace(quick, timeout_s=0.3))
    with pytest.raises(Unavailable):
        daemon.send(pay(there, 10))
    yield daemon
    anvil.request("evm_setAutomine", True)


def count_no_mempool(method: str, params: list[Any], ask: Ask) -> Answer:
    return ask(method, [params[0], "latest"]) if method == "eth_getTransactionCount" else None


def waiting_nonces(anvil: Anvil) -> int:
    return sum(len(each) for each in anvil.request("txpool_content")["pending"].values())


def test_a_command_beside_a_daemon_does_not_replace_what_that_has_sent(
    waiting: Sender, there: Chain, node: FakeNode, anvil: Anvil, quick: SenderSettings
) -> None:
    """Though the node counts nothing that waits, and would take a higher fee for the same nonce."""
    node.rule = count_no_mempool
    command = Sender(there, waiting.account, replace(quick, timeout_s=0.3))
    assert command.is_sending()
    with pytest.raises(Unavailable, match="is not mined yet"):
        command.send(pay(there, 1))
    assert waiting_nonces(anvil) == 2
    anvil.mine()
    assert paid(there) == 11


def test_a_key_in_use_on_another_machine_is_said_and_not_overtaken(
    waiting: Sender,
    there: Chain,
    node: FakeNode,
    anvil: Anvil,
    quick: SenderSettings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    node.rule = count_no_mempool
    (tmp_path / "elsewhere").mkdir()
    other = Sender(there, waiting.account, replace(quick, timeout_s=4, nonces=tmp_path / "elsewhere"))
    with pytest.raises(Unavailable, match="is not mined yet"):
        other.send(pay(there, 1))
    assert "another transaction waits with our nonce" in caplog.text
    assert waiting_nonces(anvil) == 2
    anvil.mine()
    assert paid(there) == 11


def test_while_one_process_sends_another_waits_for_the_key(
    there: Chain, sender_of: SenderOf, quick: SenderSettings
) -> None:
    account = sender_of("outsider").account
    one, other = Sender(there, account, quick), Sender(there, account, replace(quick, timeout_s=0.2))
    held = one._nonces.held(time.monotonic())  # pyright: ignore[reportPrivateUsage]
    with held, pytest.raises(Unavailable, match="sending with the same key"):
        other.send(pay(there))
    assert paid(there) == 0


def test_threads_with_one_key_send_each_call_once(there: Chain, sender_of: SenderOf, quick: SenderSettings) -> None:
    account = sender_of("outsider").account
    amounts = [1, 10, 100, 1_000]
    senders = [Sender(there, account, quick) for _ in amounts]
    threads = [
        threading.Thread(target=sender.send, args=(pay(there, amount),))
        for sender, amount in zip(senders, amounts, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paid(there) == 1_111


def test_without_a_place_for_locks_things_are_sent_all_the_same(
    there: Chain, sender_of: SenderOf, quick: SenderSettings, tmp_path: Path
) -> None:
    Sender(there, sender_of("outsider").account, replace(quick, nonces=tmp_path / "nowhere")).send(pay(there))
    assert paid(there) == 1


# -- reads that lag


def test_a_call_waits_until_its_approval_is_seen(
    there: Chain, node: FakeNode, anvil: Anvil, sender_of: SenderOf, quick: SenderSettings
) -> None:
    """Each new block is shown only after the third question about state."""
    account = sender_of("outsider").account
    asked = 0

    def behind(method: str, params: list[Any], ask: Ask) -> Answer:
        nonlocal asked
        if method != "eth_call" or "pending" not in params or node.calls["eth_sendRawTransaction"] == 0:
            return None
        asked += 1
        if asked > 3:
            return None
        newest = int(ask("eth_blockNumber", [])["result"], 16)
        return ask(method, [params[0], hex(newest - 1)])

    node.rule = behind
    bond(there, Sender(there, account, quick), 5)
    assert asked > 3
    assert there.staking.bond_of(sender_of("outsider").address, Role.TRAINER).bonded_wei == 5


# -- pending


def test_a_node_without_a_pending_block_is_enough(
    there: Chain, node: FakeNode, sender_of: SenderOf, quick: SenderSettings
) -> None:
    def none_pending(method: str, params: list[Any], ask: Ask) -> Answer:
        if "pending" not in params:
            return None
        return result(None) if method == "eth_getBlockByNumber" else error(-32000, "pending block is not available")

    node.rule = none_pending
    assert abs(there.now() - time.time()) < 120
    bond(there, Sender(there, sender_of("outsider").account, quick), 5)
    assert there.staking.free_bond(Role.TRAINER, sender_of("outsider").address).amount_wei in (0, 5)
