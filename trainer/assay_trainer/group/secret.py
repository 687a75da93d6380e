"""The secret that the members of a group share, and how they prove to know it without sending it.

Assistants ask over plain HTTP. Each request carries a nonce and its HMAC-SHA256 under the secret; the answer that says
what to work on (the offer) carries one over that nonce and its bytes. All else that an assistant fetches is checked
against hashes in the offer. Nothing here is hidden from the network: rollouts and policies are published anyway. The
MACs keep strangers from being served, and from handing us submission.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from assay_core.protocol.errors import Stop

NONCE_HEADER, REQUEST_MAC_HEADER, ANSWER_MAC_HEADER = "X-Assay-Nonce", "X-Assay-Request-Mac", "X-Assay-Answer-Mac"
SECRET_BYTES = 32


def read_secret(path: Path) -> bytes:
    """The group's secret. Raises Stop: there is none, or it is too short, or others may read it."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"cannot read the group's secret {path}: copy the file that the leader uses") from error
    if mode & 0o077:
        raise Stop(f"others can read the group's secret: chmod 600 {path}")
    if len(text) < SECRET_BYTES:
        raise Stop(f"the group's secret {path} must have at least {SECRET_BYTES} characters: let the leader make one")
    return text.encode()


def make_secret(path: Path) -> bytes:
    """The secret of this file, which is made if there is none. Raises Stop."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise Stop(f"cannot write the group's secret {path}: {error.strerror}") from error
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(secrets.token_hex(SECRET_BYTES) + "\n")
    return read_secret(path)


def request_mac(secret: bytes, nonce: str, path: str) -> str:
    """Proves to a leader that a request comes from somebody who knows the group's secret."""
    return _mac(secret, "request", nonce, path.encode())


def answer_mac(secret: bytes, nonce: str, body: bytes) -> str:
    """Proves to an assistant that an answer comes from its leader."""
    return _mac(secret, "answer", nonce, body)


def _mac(secret: bytes, purpose: str, nonce: str, data: bytes) -> str:
    return hmac.new(secret, f"{purpose}\n{nonce}\n".encode() + data, hashlib.sha256).hexdigest()
