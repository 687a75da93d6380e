"""Who may upload: an EIP-712 signature that names the bundle and the moment it stops to count.

A relay never sees a key. A signature that leaks can only upload the same bundle again, which changes nothing.
"""

from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

from assay_core.chain.signers import Signer
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Address, Root

SIGNATURE_HEADER = "X-Assay-Signature"
EXPIRES_HEADER = "X-Assay-Expires"
ROOT_HEADER = "X-Assay-Root"

TYPES = {"Upload": [{"name": "root", "type": "bytes32"}, {"name": "expires", "type": "uint256"}]}


def sign_upload(account: Signer, chain_id: int, root: Root, expires_at: int) -> bytes:
    """65 bytes r, s, v. `expires_at` is in seconds since 1970. Raises what the signer does."""
    return bytes(account.sign_typed_data(*_typed(chain_id, root, expires_at)).signature)


def recover_uploader(chain_id: int, root: Root, expires_at: int, signature: bytes) -> Address:
    """The key that signed. Raises Malformed: no key did."""
    if len(signature) != 65:
        raise Malformed(f"an upload signature has 65 bytes, this one {len(signature)}")
    recover: Any = Account.recover_message  # pyright: ignore[reportUnknownVariableType]  # a combomethod
    try:
        return Address(str(recover(encode_typed_data(*_typed(chain_id, root, expires_at)), signature=signature)))
    except Exception as error:  # eth-keys, eth-account and eth-utils each raise their own
        raise Malformed(f"upload signature cannot be recovered: {error}") from error


def _typed(chain_id: int, root: Root, expires_at: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Domain, types and values."""
    domain = {"name": "Assay Relay", "version": "1", "chainId": chain_id}
    return domain, TYPES, {"root": root, "expires": expires_at}
