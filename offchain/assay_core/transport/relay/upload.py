"""Who may upload: an EIP-712 signature that names the bundle and the moment it stops to count.

A relay never sees a key. A signature that leaks can only upload the same bundle again, which changes nothing.
"""

from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount

from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Address, Root

SIGNATURE_HEADER = "X-Assay-Signature"
EXPIRES_HEADER = "X-Assay-Expires"
ROOT_HEADER = "X-Assay-Root"

TYPES = {"Upload": [{"name": "root", "type": "bytes32"}, {"name": "expires", "type": "uint256"}]}


def sign_upload(account: LocalAccount, chain_id: int, root: Root, expires_at: int) -> bytes:
    """65 bytes r, s, v. `expires_at` is in seconds since 1970."""
    return bytes(account.sign_message(_message(chain_id, root, expires_at)).signature)


def recover_uploader(chain_id: int, root: Root, expires_at: int, signature: bytes) -> Address:
    """The key that signed. Raises Malformed: no key did."""
    if len(signature) != 65:
        raise Malformed(f"an upload signature has 65 bytes, this one {len(signature)}")
    recover: Any = Account.recover_message  # pyright: ignore[reportUnknownVariableType]  # a combomethod
    try:
        return Address(str(recover(_message(chain_id, root, expires_at), signature=signature)))
    except Exception as error:  # eth-keys, eth-account and eth-utils each raise their own
        raise Malformed(f"upload signature cannot be recovered: {error}") from error


def _message(chain_id: int, root: Root, expires_at: int) -> SignableMessage:
    domain = {"name": "Assay Relay", "version": "1", "chainId": chain_id}
    return encode_typed_data(domain, TYPES, {"root": root, "expires": expires_at})
