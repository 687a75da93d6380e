"""The sender against real nodes: what they refuse, lose and forget."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import Call
from assay_core.chain.deployment import Deployment
from assay_core.chain.keys import development_account
from assay_core.chain.sender import Sender, SenderSettings
from assay_core.daemon.stopping import Interrupted, StoppableClock
from assay_core.protocol.errors import Reverted, Stop, Unavailable
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Role, Root, SubmissionKind, TaskId
from assay_protocol.devnet.anvil import Anvil

pytestmark = pytest.mark.chain

SenderOf = Callable[[str], Sender]
IMPATIENT = SenderSettings(timeout_s=1.5, stuck_after_s=0.3, max_poll_s=0.05)


@pytest.fixture
def outsider(sender_of: SenderOf) -> Sender:
    return sender_of("outsider")


@pytest.fixture
def paused(anvil: Anvil, outsider: Sender) -> Iterator[Anvil]:
    """The chain takes transactions but mines none until told to. (Asked for after the people are funded.)"""
    anvil.request("evm_setAutomine", False)
    yield anvil
    anvil.request("evm_setAutomine", True)


def pay(chain: Chain, amount_wei: int = 1) -> Call:
    return chain.token.transfer(chain.deployment.payouts, amount_wei)


def paid(chain: Chain) -> int:
    return chain.token.balance_of(chain.deployment.payouts)


def nonce(chain: Chain, sender: Sender) -> int:
    return chain.web3.eth.get_transaction_count(chain.web3.to_checksum_address(sender.address))


# -- refusals


def test_a_receipt_tells_what_happened(chain: Chain, outsider: Sender) -> None:
    receipt = outsider.send(pay(chain))
    assert receipt.block_number > chain.deployment.block
    assert 21_000 < receipt.gas_used < 100_000 and receipt.fee_wei > 0
    assert receipt.events == ()  # the token's own are not followed
    with pytest.raises(KeyError):
        receipt.event(type(receipt.events))  # pyright: ignore[reportArgumentType]


def test_a_dry_run_sends_nothing(chain: Chain, outsider: Sender) -> None:
    before = nonce(chain, outsider)
    assert 21_000 < outsider.dry_run(pay(chain)) < 100_000
    assert nonce(chain, outsider) == before and paid(chain) == 0


def test_reverts_are_told_by_name_and_values_before_anything_is_sent(chain: Chain, outsider: Sender) -> None:
    task, me = TaskId(77), outsider.address
    root = Root(b"r" * 32)
    expected: list[tuple[Call, str, dict[str, object]]] = [
        (chain.registry.fund_task(task, 1), "UnknownTask", {"taskId": 77}),
        (
            chain.commitments.commit_submission(
                task, Epoch(0), SubmissionKind.FULL, root, 1, PolicyVersion(0), is_last=True
            ),
            "UnknownTask",
            {"taskId": 77},
        ),
        (chain.staking.bond(Role.TRAINER, 0), "ZeroAmount", {}),
        (chain.staking.withdraw(Role.VERIFIER), "NothingToWithdraw", {"operator": me}),
        (
            chain.staking.request_unbond(Role.TRAINER, 5),
            "InsufficientBond",
            {"operator": me, "free": 0, "needed": 5},
        ),
        (
            chain.staking.bond(Role.TRAINER, 5),
            "ERC20InsufficientAllowance",
            {"spender": chain.staking.address, "allowance": 0, "needed": 5},
        ),
        (
            chain.attestations.finalise(task, Epoch(0)),
            "WrongPhase",
            {"taskId": 77, "epoch": 0, "phase": "committing"},
        ),
        (chain.payouts.claim([]), "NoSubmissions", {}),
    ]
    before = nonce(chain, outsider)
    for call, error, arguments in expected:
        for attempt in (outsider.send, outsider.dry_run):
            with pytest.raises(Reverted) as caught:
                attempt(call)
            assert (caught.value.error, caught.value.arguments) == (error, arguments), call
            assert str(caught.value).startswith(f"{call.contract}.{call.function} reverts with {error}(")
    assert nonce(chain, outsider) == before


def test_views_that_revert_are_told_too(chain: Chain) -> None:
    with pytest.raises(Reverted, match=r"TaskRegistry\.paramsOf reverts with UnknownTask\(taskId=9\)"):
        chain.registry.params_of(TaskId(9))


def test_an_account_that_cannot_pay_is_told_what_it_needs(chain: Chain, anvil: Anvil, outsider: Sender) -> None:
    poor = Sender(chain, Account.create())
    with pytest.raises(Stop, match=r"holds 0\.0+ ether for fees but AssayToken\.approve may cost .* send it some"):
        poor.send(chain.token.approve(chain.staking.address, 1))
    with pytest.raises(Stop, match="holds"):
        poor.dry_run(chain.token.approve(chain.staking.address, 1))


# -- nodes and nonces


def test_a_node_of_another_chain_is_refused(deployment: Deployment, ticking_anvil: Anvil) -> None:
    elsewhere = deployment.model_copy(update={"chain_id": 1})
    with pytest.raises(Stop, match="serves chain 31337, but 'local-tests' was deployed on chain 1"):
        Chain.connect(elsewhere)
    with pytest.raises(Stop, match=r"no AssayToken at 0x.*assay deploy --network local-tests"):
        Chain.connect(deployment, ticking_anvil.rpc_url)


def test_a_node_that_is_down_is_unavailable(deployment: Deployment) -> None:
    with pytest.raises(Unavailable, match=r"connecting to http://127\.0\.0\.1:1"):
        Chain.connect(deployment, "http://127.0.0.1:1/with-a-secret")


def test_a_nonce_taken_by_another_process_is_replaced_by_the_next(chain: Chain, outsider: Sender) -> None:
    """Two processes with one key: both calls happen, each once."""
    other = Sender(chain, outsider.account)
    prepare = other._prepare  # pyright: ignore[reportPrivateUsage]
    overtaken: list[bool] = []

    def prepare_and_be_overtaken(call: Call):
        attempts = prepare(call)
        if not overtaken:
            overtaken.append(True)
            outsider.send(pay(chain, 1))
        return attempts

    other._prepare = prepare_and_be_overtaken  # pyright: ignore[reportPrivateUsage]
    other.send(pay(chain, 10))
    assert paid(chain) == 11


def test_a_stuck_transaction_is_replaced_with_higher_fees(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    sender = Sender(chain, outsider.account, IMPATIENT)
    before = nonce(chain, sender)
    with pytest.raises(Unavailable, match="is not mined yet"):
        sender.send(pay(chain))
    pool = paused.request("txpool_content")["pending"]
    waiting = [each for each in pool.values() for each in each.values()]
    assert [int(each["nonce"], 16) for each in waiting] == [before]  # one, however often its fees rose
    (attempts,) = sender._unresolved.values()  # pyright: ignore[reportPrivateUsage]
    assert len(attempts.hashes) >= 3
    assert int(waiting[0]["maxFeePerGas"], 16) == attempts.max_fee


def test_sending_again_after_a_timeout_finds_the_first_one(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    sender = Sender(chain, outsider.account, IMPATIENT)
    with pytest.raises(Unavailable):
        sender.send(pay(chain))
    paused.mine()
    receipt = sender.send(pay(chain))
    assert paid(chain) == 1
    assert receipt.tx_hash in {
        bytes(tx)
        for tx in chain.web3.eth.get_block(receipt.block_number).get("transactions", [])
        if isinstance(tx, bytes)
    }
    paused.request("evm_setAutomine", True)
    sender.send(pay(chain))
    assert paid(chain) == 2  # resolved: from here an equal call is a new one


def test_what_another_process_has_under_way_is_known(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    assert not outsider.is_sending()
    with pytest.raises(Unavailable):
        Sender(chain, outsider.account, IMPATIENT).send(pay(chain))
    assert outsider.is_sending()
    paused.mine()
    assert not outsider.is_sending()


def test_a_call_that_still_waits_is_waited_for(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    sender = Sender(chain, outsider.account, IMPATIENT)
    for _ in range(2):
        with pytest.raises(Unavailable):
            sender.send(pay(chain))
    paused.mine()
    paused.mine()
    assert paid(chain) == 1


def test_another_call_in_between_does_not_make_the_first_one_forgotten(
    chain: Chain, outsider: Sender, paused: Anvil
) -> None:
    sender = Sender(chain, outsider.account, IMPATIENT)
    for amount in (1, 10):
        with pytest.raises(Unavailable):
            sender.send(pay(chain, amount))
    paused.mine()
    for amount in (1, 10):
        sender.send(pay(chain, amount))
    assert paid(chain) == 11


def test_fees_never_rise_above_the_limit(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    limit = 5 * 10**9
    sender = Sender(chain, outsider.account, replace(IMPATIENT, max_fee_wei=limit))
    with pytest.raises(Unavailable):
        sender.send(pay(chain))
    (attempts,) = sender._unresolved.values()  # pyright: ignore[reportPrivateUsage]
    assert attempts.max_fee <= limit


def test_a_revert_that_only_the_block_shows_is_told_by_name(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    """Both calls pass the simulation; whichever is mined second has nothing left to transfer."""
    everything = chain.token.balance_of(outsider.address)
    settings = replace(IMPATIENT, timeout_s=5.0)

    class MineThenSleep:
        def monotonic(self) -> float:
            return time.monotonic()

        def sleep(self, _seconds: float) -> None:
            paused.mine()

    slow = Sender(chain, outsider.account, settings, MineThenSleep())
    prepare = slow._prepare  # pyright: ignore[reportPrivateUsage]

    def prepare_and_be_overtaken(call: Call):
        attempts = prepare(call)
        fast = Sender(chain, outsider.account, IMPATIENT)
        with pytest.raises(Unavailable):
            fast.send(pay(chain, everything))
        return attempts

    slow._prepare = prepare_and_be_overtaken  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Reverted) as caught:
        slow.send(pay(chain, everything))
    assert caught.value.error == "ERC20InsufficientBalance"
    assert caught.value.arguments["needed"] == everything


# -- a chain of its own: the node goes away


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[Anvil]:
    node = Anvil(state=tmp_path / "chain.json")
    node.start()
    yield node
    node.stop()


def local_token_chain(node: Anvil, deployment: Deployment, chain: Chain) -> Chain:
    """The same code at the same addresses on another node: enough to send to."""
    for address in deployment.addresses.values():
        code = chain.web3.eth.get_code(chain.web3.to_checksum_address(address))
        node.request("anvil_setCode", address, "0x" + code.hex())
    return Chain.connect(deployment, node.rpc_url)


def test_a_node_that_restarts_in_between_does_not_lose_or_repeat_a_call(
    restartable: Anvil, deployment: Deployment, chain: Chain
) -> None:
    there = local_token_chain(restartable, deployment, chain)
    approve = there.token.approve(Address(deployment.staking), 5)

    class RestartThenSleep:
        """While the sender waits for its first receipt, the node is stopped, then started again."""

        waits = 0

        def monotonic(self) -> float:
            return float(self.waits)

        def sleep(self, _seconds: float) -> None:
            self.waits += 1
            if self.waits == 1:
                restartable.stop()
            elif self.waits == 3:
                restartable.start()
                restartable.mine()

    restartable.request("evm_setAutomine", False)
    sender = Sender(there, development_account(), SenderSettings(timeout_s=50, stuck_after_s=20), RestartThenSleep())
    receipt = sender.send(approve)
    assert there.token.allowance(sender.address, Address(deployment.staking)) == 5
    assert nonce(there, sender) == 1 and receipt.gas_used > 21_000


def test_sending_while_the_node_is_down_is_unavailable(
    restartable: Anvil, deployment: Deployment, chain: Chain
) -> None:
    there = local_token_chain(restartable, deployment, chain)
    restartable.stop()
    with pytest.raises(Unavailable, match=r"simulating AssayToken\.approve"):
        Sender(there, development_account()).send(there.token.approve(Address(deployment.staking), 5))


def test_a_request_to_stop_ends_the_wait_for_a_transaction(chain: Chain, outsider: Sender, paused: Anvil) -> None:
    flag = threading.Event()
    sender = Sender(chain, outsider.account, clock=StoppableClock(flag))
    threading.Timer(0.3, flag.set).start()
    with pytest.raises(Interrupted):
        sender.send(pay(chain))
    paused.mine()
