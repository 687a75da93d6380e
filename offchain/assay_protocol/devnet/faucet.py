"""Coin and tokens out of nothing, on chains of one's own: the node is told to act for the one who holds the supply."""

from typing import Any

from web3.types import RPCEndpoint

from assay_core.chain.connection import Chain
from assay_core.chain.networks import LOCAL_CHAINS
from assay_core.chain.rpc import asking_node
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Address

COIN_WEI = 10 * 10**18
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
NOBODY = "0x" + "00" * 32


def pour(chain: Chain, to: Address, amount_wei: int) -> None:
    """Give `to` tokens, and coin for fees if it has less than 10.

    Raises Stop: it is no local chain, its node acts for nobody, or the supply is elsewhere. Unavailable.
    """
    if chain.deployment.chain_id not in LOCAL_CHAINS:
        raise Stop(
            f"{chain.deployment.network!r} is no local chain: take coin from a faucet of its own, and tokens from "
            "those who hold some (`assay token transfer`; `assay keys import` brings a key in)"
        )
    holder = _first_holder(chain)
    if (held := chain.token.balance_of(holder)) < amount_wei:
        raise Stop(f"{holder}, to whom the supply was given, holds {chain.money().show(held)} of it: ask for less")
    for account in (to, holder):
        if chain.balance_wei(account) < COIN_WEI:
            _ask(chain, "anvil_setBalance", account, hex(COIN_WEI))
    call = chain.token.transfer(to, amount_wei)
    _ask(chain, "anvil_impersonateAccount", holder)
    try:
        sent = _ask(chain, "eth_sendTransaction", {"from": holder, "to": call.to, "data": "0x" + call.data.hex()})
        chain.web3.eth.wait_for_transaction_receipt(sent, timeout=60)
    finally:
        _ask(chain, "anvil_stopImpersonatingAccount", holder)


def _first_holder(chain: Chain) -> Address:
    """To whom the token was minted."""
    wanted = {"address": chain.deployment.token, "topics": [TRANSFER, NOBODY], "fromBlock": "0x0"}
    found: list[dict[str, Any]] = _ask(chain, "eth_getLogs", wanted)
    if not found:
        raise Stop("nobody was given this token's supply: it is not one that Assay deployed")
    return Address(chain.web3.to_checksum_address("0x" + found[0]["topics"][2][-40:]))


def _ask(chain: Chain, method: str, *parameters: object) -> Any:
    with asking_node(method):
        answer: Any = chain.web3.provider.make_request(RPCEndpoint(method), list(parameters))
    if "error" in answer:
        raise Stop(f"the node refuses {method}: {str(answer['error'])[:200]}; a local chain is Anvil's")
    return answer["result"]
