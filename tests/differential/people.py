"""Who takes part, and what they sign."""

from functools import cache

from eth_keys.datatypes import PrivateKey

from tests.differential.twin import account_of

TRAINERS = ("first trainer", "second trainer", "third trainer", "both")
VERIFIERS = ("first verifier", "second verifier", "third verifier", "both")
JURORS = tuple(f"{each} juror" for each in ("first", "second", "third", "fourth", "fifth", "sixth"))
ROLES = ("initiator", *TRAINERS, *VERIFIERS[:3], *JURORS, "challenger", "second challenger", "outsider")
WORKERS = ("hot key", "another hot key")
EVERYBODY = (*ROLES, *WORKERS)


@cache
def sign(role: str, digest: bytes) -> bytes:
    """Signing in Python is slow, and the same things are signed again and again."""
    signed = PrivateKey(bytes(account_of(role).key)).sign_msg_hash(digest).to_bytes()
    return signed[:64] + bytes([signed[64] + 27])
