"""Create the contracts on a chain of one's own, with a node and a key and nothing else: no compiler, no ape."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from web3 import Web3
from web3.exceptions import TimeExhausted, Web3RPCError

from assay_core.chain.artifacts import Artifact
from assay_core.chain.bytecode import creation_input
from assay_core.chain.creations import Creation
from assay_core.chain.rpc import asking_node
from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Stop, Unavailable

GAS_HEADROOM_PERCENT = 25
FEE_TIMES = 2  # of the present gas price, so that blocks in between may raise it


@dataclass(frozen=True, slots=True)
class Created:
    """Transactions by field, as deployment files name them, and the block of the first contract."""

    creations: Mapping[str, str]
    block: int


def create_all(
    web3: Web3,
    account: Signer,
    nonce: int,
    planned: Iterable[tuple[Creation, int]],
    artifacts: Mapping[str, Artifact],
    *,
    timeout_s: float,
    poll_s: float = 0.05,
) -> Created:
    """Sign all creations, send them, wait for them. `planned`: each with the gas that it was estimated to use.

    Raises Stop: the signer refuses, and nothing was sent; or a creation failed. Unavailable: node or signer is down, or
    they are not mined in time.
    """
    with asking_node("fees"):  # once: nodes suggest what was paid last
        chain_id, gas_price = web3.eth.chain_id, web3.eth.gas_price * FEE_TIMES
    signed: list[tuple[Creation, bytes]] = []
    for number, (creation, gas) in enumerate(planned, nonce):
        data = creation_input(artifacts[creation.contract], creation.arguments)
        transaction: dict[str, Any] = {
            "chainId": chain_id,
            "nonce": number,
            "data": Web3.to_hex(data),
            "value": 0,
            "gas": gas * (100 + GAS_HEADROOM_PERCENT) // 100,
            "gasPrice": gas_price,
        }
        signed.append((creation, bytes(account.sign_transaction(transaction).raw_transaction)))
    sent = {creation.field: _send(web3, creation, raw) for creation, raw in signed}
    blocks = [_mined(web3, field, tx_hash, timeout_s, poll_s) for field, tx_hash in sent.items()]
    return Created(sent, min(blocks))


def _send(web3: Web3, creation: Creation, raw: bytes) -> str:
    with asking_node(f"creating {creation.contract}"):
        try:
            return Web3.to_hex(web3.eth.send_raw_transaction(raw))
        except Web3RPCError as error:
            raise Stop(f"the node refuses to create {creation.contract}: {str(error)[:300]}") from error


def _mined(web3: Web3, field: str, tx_hash: str, timeout_s: float, poll_s: float) -> int:
    with asking_node(f"creation of {field}"):
        try:
            receipt: Any = web3.eth.wait_for_transaction_receipt(tx_hash, timeout_s, poll_s)  # pyright: ignore[reportArgumentType]
        except TimeExhausted as error:
            raise Unavailable(f"the creation of {field} ({tx_hash}) is not mined yet: look at the node") from error
    if receipt["status"] != 1:
        raise Stop(f"the creation of {field} failed ({tx_hash}): look at the node, then deploy again")
    return int(receipt["blockNumber"])
