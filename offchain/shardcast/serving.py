"""How a relay serves files: whole shards on the shortest way there is, everything else as Starlette does it."""

import os

from fastapi.responses import FileResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from offchain.protocol.manifest import HEX32
from offchain.shardcast.patience import PATHSEND
from offchain.shardcast.shelf import Shelf

SHARDS = "/v1/shards/"
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # names are hashes: content never changes
SPECIAL = frozenset((b"range", b"if-none-match"))


class RangedResponse(FileResponse):
    chunk_size = 2**20  # of a range; whole files go by sendfile, see PunctualProtocol


class WholeShards:
    """ASGI wrapper: answers requests for a whole shard that is here, and passes on all others.

    Routing, validation and threads would cost more than the kernel's copy of four megabytes.
    """

    def __init__(self, app: ASGIApp, shelf: Shelf) -> None:
        self._app = app
        self._shelf = shelf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET" and PATHSEND in scope.get("extensions", {}):
            path: str = scope["path"]
            name = path[len(SHARDS) :]
            is_plain = not any(header in SPECIAL for header, _ in scope["headers"])
            if path.startswith(SHARDS) and HEX32.fullmatch(name) and is_plain:
                file = self._shelf.shard_file(bytes.fromhex(name))
                try:
                    size = os.stat(file).st_size
                except FileNotFoundError:
                    size = -1
                if size >= 0:
                    headers = [
                        (b"content-length", str(size).encode()),
                        (b"content-type", b"application/octet-stream"),
                        (b"etag", f'"{name}"'.encode()),
                        *((key.lower().encode(), value.encode()) for key, value in FOREVER.items()),
                    ]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    await send({"type": PATHSEND, "path": str(file)})
                    return
        await self._app(scope, receive, send)
