"""A local chain that mines when it is told to: many transactions a block, at the times that a test chooses."""

import http.client
import json
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from assay_core.chain.artifacts import load_artifacts
from assay_core.chain.bytecode import creation_input
from assay_core.chain.creations import Constants, constructor_inputs, plan_creations
from assay_core.chain.headers import encode_header
from assay_core.protocol.errors import Unavailable
from assay_protocol.devnet.anvil import anvil_command, free_port
from specs.words import Address, Block

Request = tuple[str, list[Any]]
GAS = hex(12_000_000)
GENESIS = 1_800_000_000  # Unix time
VIEWS_AT_ONCE = 1_000
# One order, no fees and no limit: what a block holds, and in which order, is up to the test alone.
OPTIONS = ("--no-mining", "--order", "fifo", "--disable-block-gas-limit", "--gas-price", "0", "--base-fee", "0")
FORGETFUL = ("--prune-history", "8", "--transaction-block-keeper", "16")


@dataclass(frozen=True, slots=True)
class Transaction:
    """From anybody: the node signs for all."""

    sender: Address
    to: Address | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in a block: the one sent as number `sent`; `output` is what it returned or reverted with."""

    hash: str
    output: bytes
    sent: int


@dataclass(frozen=True, slots=True)
class RawLog:
    """An event as the node tells it; `position` counts in the block."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    position: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """`created` is the contract that it made, if any."""

    is_success: bool
    gas: int
    created: Address | None
    logs: tuple[RawLog, ...] = ()


class Ledger(Protocol):
    """Where calls happen: a chain, or only paper."""

    def mine(self, transactions: Sequence[Transaction], timestamp: int) -> tuple[Block, list[Mined]]: ...

    def skip(self, blocks: int, seconds: int) -> list[Block]: ...

    def header(self, number: int) -> bytes: ...

    def receipts(self, mined: Sequence[Mined]) -> list[Receipt]: ...

    def call(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes]: ...


class Node:
    """A chain. Raises Unavailable: it refuses a request."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._nonces: dict[Address, int] = {}
        self.sent = 0

    def batch(self, requests: Sequence[Request]) -> list[Any]:
        """Results in the order of the requests."""
        if not requests:
            return []
        body = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
            for number, (method, parameters) in enumerate(requests)
        ]
        self._connection.request("POST", "/", json.dumps(body), {"Content-Type": "application/json"})
        answers: list[dict[str, Any]] = json.loads(self._connection.getresponse().read())
        answers.sort(key=lambda answer: answer["id"])
        for answer, (method, _) in zip(answers, requests, strict=True):
            if "error" in answer:
                raise Unavailable(f"{method}: {answer['error']}")
        return [answer["result"] for answer in answers]

    def answers(self) -> bool:
        try:
            self._connection.connect()
        except OSError:
            return False
        return True

    def call(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes]:
        """What views answer in the latest block. In parts: a node takes no request of any size."""
        asked: list[Request] = [("eth_call", [{"to": to, "data": "0x" + data.hex()}, "latest"]) for to, data in calls]
        parts = [asked[first : first + VIEWS_AT_ONCE] for first in range(0, len(asked), VIEWS_AT_ONCE)]
        return [bytes.fromhex(answer[2:]) for part in parts for answer in self.batch(part)]

    def mine(self, transactions: Sequence[Transaction], timestamp: int) -> tuple[Block, list[Mined]]:
        """One block with exactly these transactions. They are told in the order in which they are in the block."""
        # Requests of one batch may overtake one another, unless they are of one sender. All have to be taken before the
        # block is asked for.
        hashes = self.batch([self._send(each) for each in transactions])
        ((header,),) = self.batch([("evm_mine_detailed", [{"timestamp": timestamp}])])
        found = {each["hash"]: bytes.fromhex(str(each.get("output", "0x"))[2:]) for each in header["transactions"]}
        if set(found) != set(hashes):
            raise Unavailable(f"{len(hashes)} transactions sent, {len(found)} in the block")
        mined = [Mined(hash_, output, hashes.index(hash_)) for hash_, output in found.items()]
        self.sent += len(transactions)
        return _block(header), mined

    def skip(self, blocks: int, seconds: int) -> list[Block]:
        """So many empty blocks, within so many seconds, or a few more."""
        before = self._newest()
        self.batch([("anvil_mine", [hex(blocks - 1), hex(1)])] if blocks > 1 else [])
        # Its clock goes on between blocks whose times it was not told.
        at = max(before.time + seconds, self._newest().time + 1)
        self.batch([("evm_mine_detailed", [{"timestamp": at}])])
        first = before.number + 1
        asked = [("eth_getBlockByNumber", [hex(number), False]) for number in range(first, first + blocks)]
        return [_block(each) for each in self.batch(asked)]

    def _newest(self) -> Block:
        (newest,) = self.batch([("eth_getBlockByNumber", ["latest", False])])
        return _block(newest)

    def header(self, number: int) -> bytes:
        """RLP of a block's header."""
        (block,) = self.batch([("eth_getBlockByNumber", [hex(number), False])])
        encoded = encode_header(block)
        if encoded is None:
            raise Unavailable(f"the header of block {number} does not hash to its hash")
        return encoded

    def receipts(self, mined: Sequence[Mined]) -> list[Receipt]:
        found = self.batch([("eth_getTransactionReceipt", [each.hash]) for each in mined])
        return [
            Receipt(
                each["status"] == "0x1",
                int(each["gasUsed"], 16),
                each.get("contractAddress"),
                tuple(_log(log) for log in each["logs"]),
            )
            for each in found
        ]

    def _send(self, transaction: Transaction) -> Request:
        nonce = self._nonces.get(transaction.sender, 0)
        self._nonces[transaction.sender] = nonce + 1
        fields = {"from": transaction.sender, "data": "0x" + transaction.data.hex(), "gas": GAS, "gasPrice": "0x0"}
        if transaction.to is not None:
            fields["to"] = transaction.to
        return "eth_sendTransaction", [fields | {"nonce": hex(nonce)}]


def _block(header: Mapping[str, Any]) -> Block:
    data = [bytes.fromhex(str(header[name])[2:]) for name in ("mixHash", "hash")]
    return Block(int(header["number"], 16), int(header["timestamp"], 16), *data)


def _log(log: Mapping[str, Any]) -> RawLog:
    topics = tuple(bytes.fromhex(topic[2:]) for topic in log["topics"])
    return RawLog(str(log["address"]).lower(), topics, bytes.fromhex(log["data"][2:]), int(log["logIndex"], 16))


@contextmanager
def tireless_node() -> Generator[Node]:
    """A chain whose blocks cost little however much it holds, for long runs.

    Of a chain of its own Anvil hashes the whole state for each block; of a fork it does not. So this is a fork of an
    empty chain, which also forgets old states and blocks.
    """
    port = free_port()
    empty = subprocess.Popen([anvil_command(), "--port", str(port), "--silent", "--timestamp", str(GENESIS - 1)])
    try:
        _await(Node(port), empty)
        with running_node("--fork-url", f"http://127.0.0.1:{port}", "--no-storage-caching", *FORGETFUL) as node:
            yield node
    finally:
        empty.terminate()
        empty.wait()


@contextmanager
def running_node(*options: str) -> Generator[Node]:
    """A chain of its own, ended with the block."""
    port = free_port()
    command = [anvil_command(), "--port", str(port), "--silent", "--timestamp", str(GENESIS), *OPTIONS, *options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        node = Node(port)
        _await(node, process)
        node.batch([("anvil_autoImpersonateAccount", [True])])
        yield node
    finally:
        process.terminate()
        process.wait()


def _await(node: Node, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not node.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable("anvil did not start")
        time.sleep(0.05)


def deploy_quickly(node: Node, deployer: Address, constants: Constants) -> Mapping[str, Address]:
    """The contracts by name, at the addresses of a deployment; in one block."""
    artifacts = load_artifacts()
    parameters = {name: [each for each, _ in constructor_inputs(made.abi)] for name, made in artifacts.items()}
    plan = plan_creations(deployer, 0, constants, parameters)
    data = [creation_input(artifacts[each.contract], each.arguments) for each in plan]
    _, mined = node.mine([Transaction(deployer, None, each) for each in data], GENESIS + 1)
    for receipt, creation in zip(node.receipts(mined), plan, strict=True):
        if not receipt.is_success or str(receipt.created).lower() != creation.address.lower():
            raise Unavailable(f"{creation.contract} was not created")
    return {each.contract: each.address.lower() for each in plan}
