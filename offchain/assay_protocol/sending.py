"""Calls sent one after another, or simulated as if they were."""

from collections.abc import Sequence
from typing import Any

from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.types import RPCEndpoint

from assay_core.chain.connection import Chain
from assay_core.chain.contracts import Call
from assay_core.chain.reverts import decode_revert
from assay_core.chain.rpc import asking_node
from assay_core.chain.sender import Receipt, Sender
from assay_core.chain.signers import Signer
from assay_core.protocol.amounts import COIN_DECIMALS, plain
from assay_core.protocol.errors import Reverted, Stop
from assay_core.protocol.types import Address

# Anybody may finalise; when somebody was quicker, what we wanted is done.
DONE_BY_OTHERS = frozenset({("finalise", "WrongPhase")})
METHOD_NOT_FOUND = -32601


def send_all(chain: Chain, account: Signer, calls: Sequence[Call]) -> list[tuple[Call, Receipt]]:
    """Send each call and wait for it; pass over what others have done. Raises Reverted, Unavailable, Stop."""
    sender, sent = Sender(chain, account), list[tuple[Call, Receipt]]()
    for call in calls:
        try:
            sent.append((call, sender.send(call)))
        except Reverted as error:
            if (call.function, error.error) not in DONE_BY_OTHERS:
                raise
    return sent


def gas_of(chain: Chain, account: Signer, calls: Sequence[Call]) -> list[int]:
    """Gas that each call would use now, sent after those before it.

    Raises Reverted, Unavailable. Stop: the account cannot pay, or the node cannot simulate calls that build on each
    other (`eth_simulateV1`).
    """
    if len(calls) == 1:
        return [Sender(chain, account).dry_run(calls[0])]
    steps = [{"from": account.address, "to": call.to, "input": "0x" + call.data.hex()} for call in calls]
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


def gas_price_wei(chain: Chain) -> int:
    """What gas costs now. Raises Unavailable."""
    with asking_node("fees"):
        return int(chain.web3.eth.gas_price)


def require_coin(chain: Chain, payer: Signer, fee_wei: int) -> None:
    """Nodes simulate for those who cannot pay, too. Raises Stop: `payer` cannot."""
    held = chain.balance_wei(Address(payer.address))
    if held < fee_wei:
        raise Stop(
            f"{payer.address} holds {plain(held, COIN_DECIMALS)} for fees of about {plain(fee_wei, COIN_DECIMALS)}: "
            f"send it some of the native coin of {chain.deployment.network!r}"
        )


def succeeds(chain: Chain, caller: Address, call: Call) -> bool:
    """Whether the contracts would take a call now. Raises Unavailable."""
    sender, to = Web3.to_checksum_address(caller), Web3.to_checksum_address(call.to)
    with asking_node(str(call)):
        try:
            chain.web3.eth.call({"from": sender, "to": to, "data": Web3.to_hex(call.data)}, "pending")
        except ContractLogicError:
            return False
    return True
