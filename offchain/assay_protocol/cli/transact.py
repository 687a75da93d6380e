"""Send the transactions of a command one after another, or, with --dry-run, say what they would do and cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay_core.protocol.amounts import plain
from assay_core.protocol.errors import Reverted, Stop
from assay_protocol.sending import send_all

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from assay_core.chain.connection import Chain
    from assay_core.chain.contracts import Call
    from assay_core.chain.sender import Receipt, Sender
    from assay_core.protocol.types import Address
    from assay_protocol.cli.invocation import Invocation

COIN_DECIMALS = 18
METHOD_NOT_FOUND = -32601


@dataclass(frozen=True, slots=True)
class Done:
    """One transaction, sent or (without a hash) only simulated; then the fee is what it would cost at most now."""

    call: str
    gas: int
    fee_wei: int
    tx_hash: bytes | None = None

    def line(self) -> str:
        fee = f"gas {self.gas:,}, fee {plain(self.fee_wei, COIN_DECIMALS)}"
        return f"would send {self.call}: {fee}" if self.tx_hash is None else f"{self.call}: {fee}"

    def json(self) -> dict[str, Any]:
        tx_hash = None if self.tx_hash is None else "0x" + self.tx_hash.hex()
        return {"call": self.call, "gas": self.gas, "fee_wei": self.fee_wei, "tx_hash": tx_hash}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command's transactions; `last` is the receipt of the last one, None for a dry run."""

    done: tuple[Done, ...]
    last: "Receipt | None"

    def json(self, **result: Any) -> dict[str, Any]:
        """The command's JSON: whether it was a dry run, the transactions, and what it achieved."""
        return {"dry_run": self.last is None, "transactions": [each.json() for each in self.done], **result}

    def lines(self, achieved: str) -> list[str]:
        """For people: what was achieved (or, dry, that nothing was sent) and what it cost."""
        head = "dry run: nothing was sent" if self.last is None else achieved
        return [head, *(f"  {each.line()}" for each in self.done)]


def transact(
    invocation: "Invocation", chain: "Chain", calls: Sequence["Call"], account: "LocalAccount | None" = None
) -> Outcome:
    """Send `calls` in order from the chosen key. Raises Reverted, Unavailable, Stop (no key, it cannot pay)."""
    from assay_core.chain.sender import Sender

    sender = Sender(chain, account or invocation.account())
    if invocation.is_dry_run:
        return Outcome(tuple(_simulate(chain, sender, calls)), None)
    done: list[Done] = []
    receipt: Receipt | None = None
    for call, receipt in send_all(sender, calls):
        done.append(Done(str(call), receipt.gas_used, receipt.fee_wei, receipt.tx_hash))
    return Outcome(tuple(done), receipt)


def succeeds(chain: "Chain", caller: "Address", call: "Call") -> bool:
    """Whether the contracts would take a call now. Raises Unavailable."""
    from web3 import Web3
    from web3.exceptions import ContractLogicError

    from assay_core.chain.rpc import asking_node

    sender, to = Web3.to_checksum_address(caller), Web3.to_checksum_address(call.to)
    with asking_node(str(call)):
        try:
            chain.web3.eth.call({"from": sender, "to": to, "data": Web3.to_hex(call.data)}, "pending")
        except ContractLogicError:
            return False
    return True


def _simulate(chain: "Chain", sender: "Sender", calls: Sequence["Call"]) -> list[Done]:
    fee_per_gas = _fee_per_gas(chain)
    if len(calls) == 1:
        gas = sender.dry_run(calls[0])
        return [Done(str(calls[0]), gas, gas * fee_per_gas)]
    return [
        Done(str(call), gas, gas * fee_per_gas)
        for call, gas in zip(calls, _simulate_together(chain, sender.address, calls), strict=True)
    ]


def _simulate_together(chain: "Chain", address: "Address", calls: Sequence["Call"]) -> list[int]:
    """Gas of calls that build on each other (`eth_simulateV1`). Raises Reverted; Stop: the node cannot do it."""
    from web3.types import RPCEndpoint

    from assay_core.chain.reverts import decode_revert
    from assay_core.chain.rpc import asking_node

    steps = [{"from": address, "to": call.to, "input": "0x" + call.data.hex()} for call in calls]
    request = {"blockStateCalls": [{"calls": steps}], "validation": False}
    with asking_node("simulating"):
        response: Any = chain.web3.provider.make_request(RPCEndpoint("eth_simulateV1"), [request, "latest"])
    if (error := response.get("error")) is not None:
        reason = "has no eth_simulateV1" if error.get("code") == METHOD_NOT_FOUND else str(error.get("message"))[:200]
        names = ", then ".join(str(call) for call in calls)
        raise Stop(f"{names} build on each other, and this node cannot simulate that ({reason}): use another --rpc-url")
    used: list[int] = []
    for call, result in zip(calls, response["result"][0]["calls"], strict=True):
        if int(result["status"], 16) != 1:
            data = (result.get("error") or {}).get("data") or result.get("returnData") or "0x"
            found = decode_revert(bytes.fromhex(str(data).removeprefix("0x")))
            raise Reverted(found.name, found.arguments, str(call))
        used.append(int(result["gasUsed"], 16))
    return used


def _fee_per_gas(chain: "Chain") -> int:
    from assay_core.chain.rpc import asking_node

    with asking_node("fees"):
        return int(chain.web3.eth.gas_price)
