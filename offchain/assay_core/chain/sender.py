"""Send transactions from one account so that each intent takes effect once, or says why it did not.

The chain is asked first (simulation), the nonce stays the same for all attempts at one call, and a call whose fate is
unknown is looked up before it is sent again. Other processes of this machine may send with the same key: see nonces.py.
"""

import logging
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, cast

from eth_typing import HexStr
from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import Call
from assay_core.chain.events import Event, decode_logs
from assay_core.chain.networks import LOCAL_CHAINS
from assay_core.chain.node import NodeTrouble
from assay_core.chain.node_logs import to_log
from assay_core.chain.nonces import Clock, LastSent, SharedNonces
from assay_core.chain.reverts import reverted
from assay_core.chain.rpc import asking_node, node_words
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Reverted, Stop, Unavailable
from assay_core.protocol.types import Address

log = logging.getLogger(__name__)

# How nodes name the next nonce when one is too low.
NEXT_NONCE = re.compile(r"(?:state|next nonce|expected)[: ]+(\d+)")
MOST_NONCES = 12  # tried for one call
ELSEWHERE = "is its key in use elsewhere?"
EventKind = TypeVar("EventKind", bound=Event)


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """`timeout_s` bounds one `send`; `stuck_after_s` is how long an attempt may wait before its fees are raised."""

    timeout_s: float = 180.0
    stuck_after_s: float = 30.0
    first_poll_s: float = 0.03
    max_poll_s: float = 2.0
    gas_headroom_bps: int = 3_000
    fee_bump_bps: int = 2_000  # nodes ask for 10 to 12.5 %
    max_fee_wei: int = 2_000 * 10**9  # per gas: no bump goes above
    lag_s: float = 20.0  # how long reads may lag behind what we sent, before a revert is believed
    unseen_s: float = 120.0  # how long a transaction is taken to wait in a mempool that the node does not show
    nonces: Path | None = None  # folder of locks and notes of nonces; None: below ~/.assay


@dataclass(frozen=True, slots=True)
class Receipt:
    """A call that took effect."""

    tx_hash: bytes
    block_number: int
    gas_used: int
    fee_wei: int
    events: tuple[Event, ...]

    def event(self, kind: type[EventKind]) -> EventKind:
        """The first event of a kind. Raises KeyError: the transaction emitted none."""
        for event in self.events:
            if isinstance(event, kind):
                return event
        raise KeyError(kind.__name__)


@dataclass(slots=True)
class _Attempts:
    """All attempts at one call: the same nonce, rising fees."""

    call: Call
    nonce: int
    gas: int
    max_fee: int
    priority_fee: int
    raw: bytes
    hashes: list[bytes]
    was_accepted: bool = False  # a node has taken one of them, or may have
    sent_at: float = 0.0  # Unix time


class Sender:
    """Signs and sends calls for one account."""

    def __init__(
        self, chain: Chain, account: Signer, settings: SenderSettings | None = None, clock: Clock = time
    ) -> None:
        self._chain = chain
        self._eth = chain.web3.eth
        self.account = account
        self._settings = settings or SenderSettings()
        self._clock = clock
        self._unresolved: dict[Call, _Attempts] = {}  # sent, and never seen to the end
        self.address = Address(account.address)
        self._nonces = SharedNonces(chain.deployment.chain_id, self.address, self._settings.nonces)
        self._done_at: float | None = None  # when our last transaction was seen in a block
        self._has_approved = False  # whether that was an approval
        self.last_block = 0  # in which it is: what does not show that is old

    def dry_run(self, call: Call) -> int:
        """Gas that the call would use now. Raises Reverted, Unavailable; Stop: the account cannot pay."""
        self._simulate(call)
        gas = self._estimate(call)
        max_fee, _ = self._fees()
        self._require_balance(gas * max_fee, call)
        return gas

    def send(self, call: Call) -> Receipt:
        """Simulate, send, and wait until it is mined.

        Raises Reverted: the contracts refuse. Stop: the account cannot pay, or its signer refuses. Unavailable: node or
        signer is down or the call is not mined in time; sending an equal call again then first looks for the old one.
        """
        deadline = self._clock.monotonic() + self._settings.timeout_s
        attempts = self._unresolved.get(call)
        if attempts is not None:
            receipt = self._receipt_of(attempts)
            if receipt is not None:
                return self._done(attempts, receipt)
            if not self._is_lost(attempts):
                return self._see_through(attempts, deadline)
        attempts = self._prepare(call)
        try:
            with self._nonces.held(deadline, self._clock):
                self._enter(attempts, deadline)
            return self._see_through(attempts, deadline)
        except _NonceTaken as error:
            self._unresolved.pop(call, None)
            raise Unavailable(f"{call}: the nonces of {self.address} keep being taken; {ELSEWHERE}") from error

    def is_sending(self) -> bool:
        """Whether a transaction of this account is under way, as the node or this machine knows. Raises Unavailable."""
        return self._next_nonce() > self._count("latest")

    # -- before sending

    def _transaction(self, call: Call) -> TxParams:
        return {
            "from": Web3.to_checksum_address(self.address),
            "to": Web3.to_checksum_address(call.to),
            "data": call.data,
        }

    def _simulate(self, call: Call) -> None:
        """As of the block that is being made, since bonds and windows count by block."""
        with asking_node(f"simulating {call}"):
            try:
                self._eth.call(self._transaction(call), "pending")
            except ContractLogicError as error:
                raise reverted(error, str(call)) from error
            except Web3RPCError as error:
                raise self._from_rpc(error, call) from error

    def _estimate(self, call: Call) -> int:
        with asking_node(f"estimating {call}"):
            try:
                return self._eth.estimate_gas(self._transaction(call), "pending")
            except ContractLogicError as error:
                raise reverted(error, str(call)) from error
            except Web3RPCError as error:
                raise self._from_rpc(error, call) from error

    def _fees(self) -> tuple[int, int]:
        """Most per gas in all and for the proposer. Raises Stop: the chain has no EIP-1559 fees."""
        with asking_node("fees"):
            base = self._eth.get_block("latest").get("baseFeePerGas")
            if base is None:
                raise Stop("this chain has no EIP-1559 fees: use one that has")
            priority = int(self._eth.max_priority_fee)
        return min(2 * int(base) + priority, self._settings.max_fee_wei), priority

    def _require_balance(self, needed: int, call: Call) -> None:
        held = self._chain.balance_wei(self.address)
        if held < needed:
            raise Stop(
                f"{self.address} holds {_ether(held)} for fees but {call} may cost {_ether(needed)}: "
                f"send it some of the native coin of {self._chain.deployment.network!r}"
            )

    def _prepare(self, call: Call) -> _Attempts:
        self._simulate_through_lag(call)
        gas = self._estimate(call)
        gas += gas * self._settings.gas_headroom_bps // 10_000
        max_fee, priority = self._fees()
        self._require_balance(gas * max_fee, call)
        return _Attempts(call, -1, gas, max_fee, priority, b"", [])

    def _simulate_through_lag(self, call: Call) -> None:
        """A revert may be that of a state before our last transaction, as long as the node's reads lag behind it."""
        wait_s = 0.2
        while True:
            try:
                return self._simulate(call)
            except Reverted as error:
                is_recent = self._done_at is not None and self._clock.monotonic() < self._done_at + self._settings.lag_s
                lacks_ours = self._has_approved and error.error == "ERC20InsufficientAllowance"
                if not is_recent or not (lacks_ours or self._is_behind()):
                    raise
            self._clock.sleep(wait_s)
            wait_s = min(wait_s * 1.5, self._settings.max_poll_s)

    def _is_behind(self) -> bool:
        with asking_node("newest block"):
            return self._eth.block_number < self.last_block

    def _sign(self, attempts: _Attempts, max_fee: int, priority_fee: int) -> None:
        """Raises Unavailable, Stop: the signer is away, or refuses; then all is as it was."""
        signed = self.account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain.deployment.chain_id,
                "nonce": attempts.nonce,
                "to": Web3.to_checksum_address(attempts.call.to),
                "value": 0,
                "data": HexStr("0x" + attempts.call.data.hex()),
                "gas": attempts.gas,
                "maxFeePerGas": Wei(max_fee),
                "maxPriorityFeePerGas": Wei(priority_fee),
            }
        )
        attempts.max_fee, attempts.priority_fee = max_fee, priority_fee
        attempts.raw = bytes(signed.raw_transaction)
        attempts.hashes.append(bytes(signed.hash))

    # -- the nonce, while no other process of this machine sends

    def _enter(self, attempts: _Attempts, deadline: float) -> None:
        """Find a nonce that is free, and have a node take the transaction, or perhaps take it. Raises _NonceTaken."""
        wait_s, least = self._settings.first_poll_s, 0
        for number in range(1, MOST_NONCES + 1):
            attempts.nonce = max(self._next_nonce(), least)
            attempts.hashes.clear()
            self._unresolved.pop(attempts.call, None)  # until it is signed with this nonce, nothing is under way
            self._sign(attempts, attempts.max_fee, attempts.priority_fee)
            self._unresolved[attempts.call], attempts.sent_at = attempts, time.time()
            try:
                self._broadcast(attempts)
                break
            except Unavailable:  # of a refusal: waiting for better times needs no lock, and no nonce is used
                if not attempts.was_accepted:
                    return
                break
            except _NonceTaken as taken:
                told = {"call": str(attempts.call), "nonce": attempts.nonce}
                log.info("nonce was taken, trying the next", extra=told)
                if number == MOST_NONCES or self._clock.monotonic() > deadline:
                    raise
                least = max(attempts.nonce + 1, taken.next_nonce)
            self._clock.sleep(wait_s)  # what counts may lag behind what takes
            wait_s = min(wait_s * 2, self._settings.max_poll_s)
        self._nonces.note(_last_of(attempts))

    def _count(self, at: Literal["latest", "pending"]) -> int:
        with asking_node("nonce"):
            return self._eth.get_transaction_count(Web3.to_checksum_address(self.address), at)

    def _next_nonce(self) -> int:
        """The node's, or the one after our own last, which it may not count while that waits."""
        counted, last = self._count("pending"), self._nonces.last()
        if last is None or last.nonce < counted or not self._is_alive(last):
            return counted
        return last.nonce + 1

    def _is_alive(self, sent: LastSent) -> bool:
        """Whether a transaction waits, or was mined though its nonce is not counted yet.

        A node that shows no mempool is believed only after a while. A local chain shows all that waits, and forgets.
        """
        is_local = self._chain.deployment.chain_id in LOCAL_CHAINS
        with asking_node("our last transaction"):
            try:
                found = self._eth.get_transaction(cast(HexStr, sent.tx_hash))
            except TransactionNotFound:
                return not is_local and time.time() < sent.at + self._settings.unseen_s
        return not is_local or found.get("blockNumber") is None

    # -- sending and waiting

    def _see_through(self, attempts: _Attempts, deadline: float) -> Receipt:
        """Broadcast and wait; raise the fees when stuck; ride out a node that restarts."""
        settings, clock = self._settings, self._clock
        poll_s, sent_at = settings.first_poll_s, None
        trouble: Unavailable | None = None
        while True:
            try:
                if sent_at is None:
                    self._broadcast(attempts)
                    sent_at = clock.monotonic()
                if (receipt := self._receipt_of(attempts)) is not None:
                    return self._done(attempts, receipt)
                if clock.monotonic() - sent_at > settings.stuck_after_s:
                    if self._is_lost(attempts):
                        raise _Replaced(
                            f"{attempts.call}: another transaction took its nonce, {attempts.nonce} of {self.address}; "
                            f"{ELSEWHERE} Send it again"
                        )
                    self._raise_fees(attempts)
                    sent_at = None
                    continue
                trouble = None
            except _Replaced:
                raise
            except Unavailable as error:
                trouble, sent_at = error, None  # a restarted node may have forgotten it: broadcast again
            if clock.monotonic() > deadline:
                newest = "0x" + attempts.hashes[-1].hex()
                raise trouble or Unavailable(f"{attempts.call} is not mined yet (transaction {newest}): send it again")
            clock.sleep(poll_s)
            poll_s = min(poll_s * 1.5, settings.max_poll_s)

    def _broadcast(self, attempts: _Attempts) -> None:
        with asking_node(f"sending {attempts.call}"):
            try:
                self._eth.send_raw_transaction(attempts.raw)
                attempts.was_accepted = True
                log.debug("sent", extra={"call": str(attempts.call), "nonce": attempts.nonce})
            except NodeTrouble:  # on its way there or back: a node may have it
                attempts.was_accepted = True
                raise
            except Web3RPCError as error:
                self._handle_refusal(error, attempts)

    def _handle_refusal(self, error: Web3RPCError, attempts: _Attempts) -> None:
        """Return when the refusal does no harm or is mended; raise otherwise."""
        text = _message(error)
        if "already known" in text or "already imported" in text or "known transaction" in text:
            attempts.was_accepted = True
            return
        if "nonce too low" in text or "nonce is too low" in text:
            # Once a node has taken ours, ours may be what used the nonce: wait for its receipt rather than send twice.
            if not attempts.was_accepted and self._receipt_of(attempts) is None:
                named = NEXT_NONCE.search(text)
                raise _NonceTaken(int(named[1]) if named else 0) from error
            return
        if "replacement" in text and not attempts.was_accepted:
            log.warning("another transaction waits with our nonce", extra={"nonce": attempts.nonce, "why": ELSEWHERE})
            raise _NonceTaken from error
        if "underpriced" in text or "less than block base fee" in text or "fee too low" in text:
            self._raise_fees(attempts)
            raise Unavailable(f"the node wants higher fees for {attempts.call}; trying again") from error
        raise self._from_rpc(error, attempts.call) from error

    def _raise_fees(self, attempts: _Attempts) -> None:
        """Sign again with the same nonce and at least `fee_bump_bps` more, or what the market asks now."""
        limit = self._settings.max_fee_wei
        max_fee, priority = self._fees()
        bump = 10_000 + self._settings.fee_bump_bps
        new_max = max(max_fee, -(-attempts.max_fee * bump // 10_000))
        new_priority = max(priority, -(-attempts.priority_fee * bump // 10_000))
        if new_max > limit:
            log.warning("fees are at their limit", extra={"call": str(attempts.call), "max_fee_wei": limit})
            return
        self._sign(attempts, new_max, min(new_priority, new_max))
        log.info("fees raised", extra={"call": str(attempts.call), "nonce": attempts.nonce, "max_fee_wei": new_max})

    # -- looking for what was sent

    def _receipt_of(self, attempts: _Attempts) -> TxReceipt | None:
        with asking_node(f"receipt of {attempts.call}"):
            for tx_hash in reversed(attempts.hashes):
                try:
                    return self._eth.get_transaction_receipt(cast(HexStr, "0x" + tx_hash.hex()))
                except TransactionNotFound:
                    continue
        return None

    def _is_lost(self, attempts: _Attempts) -> bool:
        """Whether no attempt can be mined as things stand: its nonce was used otherwise, or is ahead of the chain's."""
        mined = self._count("latest")
        if mined == attempts.nonce:
            return False
        if mined < attempts.nonce:  # the node lost what came before, a gap; or it counts nothing that waits
            return self._count("pending") < attempts.nonce and not self._is_alive(_last_of(attempts))
        return self._receipt_of(attempts) is None

    def _done(self, attempts: _Attempts, receipt: TxReceipt) -> Receipt:
        self._unresolved.pop(attempts.call, None)
        self.last_block, self._done_at = receipt["blockNumber"], self._clock.monotonic()
        self._has_approved = attempts.call.function == "approve"
        if receipt["status"] == 0:
            raise self._why_reverted(attempts.call, receipt)
        return Receipt(
            tx_hash=bytes(receipt["transactionHash"]),
            block_number=receipt["blockNumber"],
            gas_used=receipt["gasUsed"],
            fee_wei=receipt["gasUsed"] * receipt["effectiveGasPrice"],
            events=tuple(decode_logs((to_log(each) for each in receipt["logs"]), self._chain.deployment)),
        )

    def _why_reverted(self, call: Call, receipt: TxReceipt) -> Reverted:
        """Somebody came between simulation and block: ask again as of that block."""
        with asking_node(f"asking why {call} reverted"):
            try:
                self._eth.call(self._transaction(call), receipt["blockNumber"])
            except ContractLogicError as error:
                return reverted(error, str(call))
            except Web3RPCError as error:
                return Reverted("Unknown", {"message": _message(error)}, str(call))
        return Reverted("Unknown", {"transaction": "0x" + bytes(receipt["transactionHash"]).hex()}, str(call))

    def _from_rpc(self, error: Web3RPCError, call: Call) -> Exception:
        text = _message(error)
        if "insufficient funds" in text:
            held = self._chain.balance_wei(self.address)
            return Stop(
                f"{self.address} holds {_ether(held)}, too little to pay for {call}: "
                f"send it some of the native coin of {self._chain.deployment.network!r}"
            )
        return Unavailable(f"the node refused {call}: {text[:300]}")


class _NonceTaken(Exception):
    """Another transaction of the account has our nonce. `next_nonce`: the next as the node names it, else 0."""

    def __init__(self, next_nonce: int = 0) -> None:
        super().__init__()
        self.next_nonce = next_nonce


class _Replaced(Unavailable):
    """What we sent cannot be mined any more."""


def _last_of(attempts: _Attempts) -> LastSent:
    return LastSent(attempts.nonce, "0x" + attempts.hashes[-1].hex(), attempts.sent_at)


def _message(error: Web3RPCError) -> str:
    """In lower case."""
    return node_words(error).lower()


def _ether(wei: int) -> str:
    return f"{wei / 10**18:.6f} ether"
