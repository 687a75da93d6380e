"""Who may upload to a relay: signature, expiry, permission; all before a body is read."""

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import HTTPException, Request

from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Address, Root
from assay_core.transport.relay.authority import Authoriser, Remembered
from assay_core.transport.relay.upload import EXPIRES_HEADER, SIGNATURE_HEADER, recover_uploader


class Gate:
    """Lets uploads in."""

    def __init__(
        self, authoriser: Authoriser, *, chain_id: int, max_signature_s: float, clock: Callable[[], float]
    ) -> None:
        self._chain_id = chain_id
        self._max_signature_s = max_signature_s
        self._authoriser = authoriser
        self._clock = clock
        # Recovering a key takes milliseconds of Python; the shards of one upload share a signature.
        self._signers = Remembered[tuple[Root, int, bytes], Address](lambda _: max_signature_s, clock)

    def payer(self, request: Request, root: Root) -> Address:
        """Who pays for the upload. Raises HTTPException 401 or 403; Unavailable: the chain does not answer."""
        signature, expires_at = _signature_headers(request)
        now = self._clock()
        if not now < expires_at <= now + self._max_signature_s:
            raise HTTPException(401, _off(expires_at - now, self._max_signature_s, now))
        try:
            key = self._signers.get(
                (root, expires_at, signature),
                lambda: recover_uploader(self._chain_id, root, expires_at, signature),
            )
        except Malformed as error:
            raise HTTPException(401, str(error)) from error
        payer = self._authoriser.payer_of(key)
        if payer is None:
            raise HTTPException(403, f"{key} may not upload: bond it, or open a task with it, first")
        return payer


def _off(left_s: float, most_s: float, now: float) -> str:
    """What is wrong with a signature that is valid for `left_s` more seconds: mostly, a clock."""
    what = f"expired {-left_s:.0f} s ago" if left_s <= 0 else f"is valid for {left_s:.0f} s, and {most_s:.0f} are taken"
    here = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"the upload's signature {what}: by this relay's clock it is {here}; set your clock"


def _signature_headers(request: Request) -> tuple[bytes, int]:
    try:
        signature = bytes.fromhex(request.headers[SIGNATURE_HEADER])
        expires = request.headers[EXPIRES_HEADER]
        if len(signature) != 65 or not expires.isascii() or not expires.isdigit() or len(expires) > 12:
            raise ValueError
        return signature, int(expires)
    except (KeyError, ValueError) as error:
        raise HTTPException(
            401, f"sign the upload: {SIGNATURE_HEADER} (65 bytes in hex) and {EXPIRES_HEADER} (seconds)"
        ) from error
