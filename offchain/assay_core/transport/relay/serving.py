"""How a relay serves files: whole shards on the shortest way there is, everything else as Starlette does it."""

import os
from collections.abc import Mapping
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from assay_core.bundle.manifest import HEX32
from assay_core.transport.relay.arrivals import Arrivals
from assay_core.transport.relay.messages import HOPS_HEADER, WAIT_HEADER
from assay_core.transport.relay.request_timeouts import PATHSEND
from assay_core.transport.relay.shard_store import ShardStore

SHARDS = "/v1/shards/"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # names are hashes: content never changes
SPECIAL = frozenset((b"range", b"if-none-match"))


class RangedResponse(FileResponse):
    chunk_size = 2**20  # of a range; whole files go by sendfile, see PunctualProtocol


class WholeShards:
    """ASGI wrapper: answers requests for a whole shard that is here, or comes in in time, and passes on all others.

    Routing, validation and threads would cost more than the kernel's copy of four megabytes.
    """

    def __init__(self, app: ASGIApp, shards: ShardStore, arrivals: Arrivals, most_wait_s: float) -> None:
        self._app = app
        self._shards = shards
        self._arrivals = arrivals
        self._most_wait_s = most_wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        digest = _wanted(scope)
        if digest is not None:
            file = self._shards.shard_file(digest)
            size = _size(file)
            if size is None and await self._lands_in_time(digest, dict(scope["headers"])):
                size = _size(file)
            if size is not None:
                await _answer(file, size, send)
                return
        await self._app(scope, receive, send)

    async def _lands_in_time(self, digest: bytes, headers: Mapping[bytes, bytes]) -> bool:
        """A mirror is not kept waiting for what this relay copies itself: the two might wait for each other."""
        is_for_a_mirror = headers.get(HOPS_HEADER.lower().encode(), b"0") != b"0"
        return await self._arrivals.wait_for(digest, self._wait_s(headers), from_an_uploader=is_for_a_mirror)

    def _wait_s(self, headers: Mapping[bytes, bytes]) -> float:
        try:
            wanted_s = float(headers.get(WAIT_HEADER.lower().encode(), b"0"))
        except ValueError:
            return 0.0
        return min(wanted_s, self._most_wait_s) if wanted_s > 0 else 0.0


def _wanted(scope: Scope) -> bytes | None:
    """The shard of which a request wants all, without conditions; None: it is another kind of request."""
    if scope["type"] != "http" or scope["method"] != "GET" or PATHSEND not in scope.get("extensions", {}):
        return None
    path: str = scope["path"]
    name = path[len(SHARDS) :]
    if not path.startswith(SHARDS) or not HEX32.fullmatch(name):
        return None
    return None if any(header in SPECIAL for header, _ in scope["headers"]) else bytes.fromhex(name)


def _size(file: Path) -> int | None:
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return None


async def _answer(file: Path, size: int, send: Send) -> None:
    headers = [
        (b"content-length", str(size).encode()),
        (b"content-type", b"application/octet-stream"),
        (b"etag", f'"{file.name}"'.encode()),
        *((key.lower().encode(), value.encode()) for key, value in FOREVER.items()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": PATHSEND, "path": str(file)})
