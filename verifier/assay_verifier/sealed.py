"""Report and salt, encrypted for ourselves: told with a commitment, so that the chain keeps what a lost database held.

The key follows from a signature that only our key can make, and that is the same each time (RFC 6979). It signs nothing
that anybody else could ask for: typed data of a domain of its own. An external signer has to show that it is.
"""

import secrets
from dataclasses import dataclass

from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from assay_core.chain.signers import RemoteAccount, Signer
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.types import Address, Epoch, Root, Seed, TaskId

NONCE_BYTES = 12
TAG_BYTES = 16
HASH_BYTES = 32
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES + 2 * HASH_BYTES  # beyond the report's; the contract allows 128


@dataclass(frozen=True, slots=True)
class Secret:
    """What it takes to reveal."""

    report: bytes
    salt: bytes
    evidence_root: Root


@dataclass(frozen=True, slots=True)
class Subject:
    """What is attested to, by whom: a sealed report opens for nothing else."""

    task_id: TaskId
    epoch: Epoch
    seed: Seed
    verifier: Address

    def to_bytes(self) -> bytes:
        numbers = self.task_id.to_bytes(32, "big") + self.epoch.to_bytes(8, "big")
        return numbers + self.seed + bytes.fromhex(self.verifier[2:])


class Envelope:
    """Seals and opens reports of one key in one deployment."""

    def __init__(self, account: Signer, chain_id: int, attestations: Address) -> None:
        """Raises Stop: an external signer refuses, or signs otherwise each time. Unavailable: it is away."""
        secret = _signed(account, chain_id, attestations)
        if isinstance(account, RemoteAccount) and _signed(account, chain_id, attestations) != secret:
            raise Stop(
                f"the signer of {account.address} signs the same message otherwise each time, and a verifier could not "
                "open its own reports: use one that signs as RFC 6979 says, or a keystore"
            )
        key = HKDF(secret, HASH_BYTES, b"assay", SHA256, context=b"sealed reports")
        self._key = key if isinstance(key, bytes) else key[0]

    def seal(self, secret: Secret, subject: Subject) -> bytes:
        """`OVERHEAD_BYTES` longer than the report, and another each time."""
        cipher = self._cipher(secrets.token_bytes(NONCE_BYTES), subject)
        text, tag = cipher.encrypt_and_digest(secret.salt + secret.evidence_root + secret.report)
        return cipher.nonce + tag + text

    def open(self, sealed: bytes, subject: Subject) -> Secret:
        """Raises Malformed: it was sealed with another key, for something else, or not at all."""
        if len(sealed) < OVERHEAD_BYTES:
            raise Malformed("a sealed report is too short to be one")
        nonce, tag = sealed[:NONCE_BYTES], sealed[NONCE_BYTES : NONCE_BYTES + TAG_BYTES]
        try:
            text = self._cipher(nonce, subject).decrypt_and_verify(sealed[NONCE_BYTES + TAG_BYTES :], tag)
        except ValueError as error:
            raise Malformed("a sealed report is not one that this key has sealed") from error
        return Secret(text[2 * HASH_BYTES :], text[:HASH_BYTES], Root(text[HASH_BYTES : 2 * HASH_BYTES]))

    def _cipher(self, nonce: bytes, subject: Subject) -> ChaCha20_Poly1305.ChaCha20Poly1305Cipher:
        cipher = ChaCha20_Poly1305.new(key=self._key, nonce=nonce)
        cipher.update(subject.to_bytes())
        return cipher


def _signed(account: Signer, chain_id: int, attestations: Address) -> bytes:
    signed = account.sign_typed_data(
        {"name": "Assay sealed reports", "chainId": chain_id, "verifyingContract": attestations},
        {"SealedReports": [{"name": "owner", "type": "address"}]},
        {"owner": account.address},
    )
    return signed.r.to_bytes(HASH_BYTES, "big") + signed.s.to_bytes(HASH_BYTES, "big")
