"""Real relays on the loopback interface, faulty ones, and people who upload to them."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from eth_account.signers.local import LocalAccount
from starlette.types import ASGIApp, Receive, Scope, Send

from assay_core.bundle.manifest import BundleLimits, Manifest
from assay_core.protocol.errors import Unavailable
from assay_core.protocol.types import Address, Epoch, Root, TaskId
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.upload import EXPIRES_HEADER, ROOT_HEADER, SIGNATURE_HEADER, sign_upload

CHAIN_ID = 31_337
LIMITS = BundleLimits(64 * 2**20)


@dataclass
class Members:
    """Authoriser and SignatureChecker over plain sets; unreachable when `is_down`."""

    keys: set[Address] = field(default_factory=set[Address])
    signed: set[tuple[TaskId, Epoch, Address, Root, bytes]] = field(
        default_factory=set[tuple[TaskId, Epoch, Address, Root, bytes]]
    )
    is_down: bool = False

    def payer_of(self, key: Address) -> Address | None:
        if self.is_down:
            raise Unavailable("the node does not answer")
        return key if key in self.keys else None

    def is_signed_by(
        self, task_id: TaskId, epoch: Epoch, operator: Address, policy_root: Root, signature: bytes
    ) -> bool:
        return (task_id, epoch, operator, policy_root, signature) in self.signed


class Observed:
    """ASGI wrapper: notes each request as `METHOD path`, and can slow the answers down."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.requests: list[str] = []
        self.delay_s = 0.0

    def wrap(self, outer: Callable[[ASGIApp], ASGIApp]) -> None:
        """Put something before the application."""
        self._app = outer(self._app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests.append(f"{scope['method']} {scope['path']}")
            await asyncio.sleep(self.delay_s)
        await self._app(scope, receive, send)


class StaticRelay:
    """ASGI application that answers with whatever it was told to, true or not."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = self._answers.get(scope["path"])
        await send({"type": "http.response.start", "status": 200 if body is not None else 404, "headers": []})
        await send({"type": "http.response.body", "body": body or b""})


@dataclass
class RunningRelay:
    """Something served by uvicorn in a thread."""

    url: str
    directory: Path
    observed: Observed
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def shard_file(self, digest: bytes) -> Path:
        return self.directory / "shards" / digest.hex()[:2] / digest.hex()

    def count(self, beginning: str) -> int:
        return sum(request.startswith(beginning) for request in self.observed.requests)


def run_in_thread(config: uvicorn.Config, observed: Observed, directory: Path) -> RunningRelay:
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    return RunningRelay(f"http://127.0.0.1:{config.port}", directory, observed, server, thread)


def upload_headers(
    account: LocalAccount, root: Root, *, expires_in_s: float = 60, chain_id: int = CHAIN_ID, now: float | None = None
) -> dict[str, str]:
    expires_at = int((time.time() if now is None else now) + expires_in_s)
    return {
        ROOT_HEADER: root.hex(),
        EXPIRES_HEADER: str(expires_at),
        SIGNATURE_HEADER: sign_upload(account, chain_id, root, expires_at).hex(),
    }


def fetch(client: RelayClient, manifest: Manifest) -> Path:
    return client.fetch(manifest.root, manifest.kind, LIMITS)
