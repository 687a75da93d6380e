"""What an external signer has sent, held to what it was asked for: key, message, and transaction to the byte.

All functions raise Stop: a signer that signs something else is set up wrongly, or worse, and a person must look at it.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import rlp
from eth_account import Account
from eth_account.datastructures import SignedMessage, SignedTransaction
from eth_account.messages import SignableMessage
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException

from assay_core.protocol.errors import Stop

HEX = re.compile(r"0x([0-9a-fA-F]{2})*")
SIGNATURE_BYTES = 65
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1
LEGACY = ("nonce", "gasPrice", "gas", "to", "value", "data")
DYNAMIC_FEE = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "data")  # EIP-1559
DYNAMIC_FEE_TYPE = 2
LOOK = "sign nothing more with it before you know why"


def checked_message(message: SignableMessage, answer: object, address: str, signer: str) -> SignedMessage:
    """The signature of a message, with v as contracts take it: 27 or 28."""
    data = _bytes_of(answer)
    if data is None or len(data) != SIGNATURE_BYTES:
        raise Stop(f"{signer} sent no signature of {SIGNATURE_BYTES} bytes: is it an Ethereum signer?")
    r, s, v = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:64], "big"), data[64]
    v += 27 if v in (0, 1) else 0
    if v not in (27, 28) or not 0 < s <= ORDER // 2:
        raise Stop(f"{signer} sent a signature that contracts refuse (v {v}, or a high s): use another signer")
    signature = HexBytes(data[:64] + bytes([v]))
    try:
        found = Account.recover_message(message, signature=signature)
    except (BadSignature, ValidationError, ValueError):
        found = "nobody"
    if found != address:
        raise Stop(f"{signer} signed as {found} what {address} was asked to sign: {LOOK}")
    digest = keccak(b"\x19" + message.version + message.header + message.body)
    return SignedMessage(HexBytes(digest), r, s, v, signature)


def checked_transaction(transaction: Mapping[str, Any], answer: object, address: str, signer: str) -> SignedTransaction:
    """The signed transaction, be the answer its bytes or an object with them (`raw`); it has just the fields asked for.

    A transaction with `maxFeePerGas` is one of EIP-1559; one with `gasPrice` is of the old kind, signed for a chain.
    """
    raw = _bytes_of(cast("dict[str, object]", answer).get("raw") if isinstance(answer, dict) else answer)
    if not raw:
        raise Stop(f"{signer} sent no signed transaction: is it an Ethereum signer?")
    is_dynamic = "maxFeePerGas" in transaction
    items = _decoded(raw, is_dynamic)
    if items is None:
        raise Stop(f"{signer} sent a transaction of another kind than it was asked to sign: {LOOK}")
    names = DYNAMIC_FEE if is_dynamic else LEGACY
    changed = [name for name, item in zip(names, items, strict=False) if item != _field(transaction.get(name))]
    v, r, s = (int.from_bytes(item, "big") for item in items[-3:])
    if is_dynamic and items[len(names)] != []:
        changed.append("accessList")
    if not is_dynamic and (v - 35) // 2 != transaction["chainId"]:
        changed.append("chainId")
    if changed:
        raise Stop(f"{signer} changed {', '.join(changed)} of the transaction that it was asked to sign: {LOOK}")
    try:
        found = Account.recover_transaction(HexBytes(raw))
    except (BadSignature, ValidationError, ValueError, TypeError):
        found = "nobody"
    if found != address or s > ORDER // 2:
        raise Stop(f"{signer} signed as {found} the transaction that {address} was asked to sign: {LOOK}")
    return SignedTransaction(HexBytes(raw), HexBytes(keccak(raw)), r, s, v)


def _decoded(raw: bytes, is_dynamic: bool) -> list[Any] | None:
    """The items of a transaction; None: it is none of this kind."""
    if is_dynamic and raw[0] != DYNAMIC_FEE_TYPE:
        return None
    try:
        items: Any = rlp.decode(raw[1:] if is_dynamic else raw)  # pyright: ignore[reportUnknownMemberType]
    except RLPException:
        return None
    count = len(DYNAMIC_FEE) + 4 if is_dynamic else len(LEGACY) + 3
    is_flat = isinstance(items, list) and all(isinstance(item, bytes) for item in cast("list[object]", items)[-3:])
    return cast("list[Any]", items) if is_flat and len(cast("list[object]", items)) == count else None


def _field(value: Any) -> bytes:
    """As transactions hold it: numbers without leading zeros, nothing for what is not there."""
    if isinstance(value, int):
        return value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value or b"")


def _bytes_of(answer: object) -> bytes | None:
    return bytes.fromhex(answer[2:]) if isinstance(answer, str) and HEX.fullmatch(answer) else None
