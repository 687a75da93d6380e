"""Real relays on the loopback interface, and people who upload to them."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from eth_account import Account
from eth_account.signers.local import LocalAccount

from offchain.protocol.errors import Unavailable
from offchain.protocol.manifest import BundleKind, Manifest
from offchain.protocol.types import Address, Epoch, Root, TaskId
from offchain.shardcast.client import RelayClient
from offchain.shardcast.relay import RelaySettings, create_relay, server_config
from offchain.shardcast.store import build_bundle

CHAIN_ID = 31_337


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


@dataclass
class RunningRelay:
    """A relay served by uvicorn in a thread."""

    url: str
    directory: Path
    settings: RelaySettings
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def shard_file(self, digest: bytes) -> Path:
        return self.directory / "shards" / digest.hex()[:2] / digest.hex()


StartRelay = Callable[..., RunningRelay]
MakeClient = Callable[..., RelayClient]
MakeBundle = Callable[..., tuple[Path, Manifest]]


@pytest.fixture
def trainer() -> LocalAccount:
    return Account.from_key(b"\x01" * 32)


@pytest.fixture
def outsider() -> LocalAccount:
    return Account.from_key(b"\x02" * 32)


@pytest.fixture
def members(trainer: LocalAccount) -> Members:
    return Members(keys={Address(trainer.address)})


@pytest.fixture
def start_relay(tmp_path: Path, members: Members) -> Iterator[StartRelay]:
    """Starts relays; `name` picks the directory, so that a second start with it is a restart."""
    running: list[RunningRelay] = []

    def start(name: str = "relay", **changes: object) -> RunningRelay:
        port = free_port()
        settings = RelaySettings.model_validate(
            {"directory": tmp_path / name, "chain_id": CHAIN_ID, "port": port, "min_free_bytes": 0, **changes}
        )
        server = uvicorn.Server(server_config(settings, create_relay(settings, members, members)))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until = time.monotonic() + 10
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        relay = RunningRelay(f"http://127.0.0.1:{port}", tmp_path / name, settings, server, thread)
        running.append(relay)
        return relay

    yield start
    for relay in running:
        relay.stop()


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[MakeClient]:
    clients: list[RelayClient] = []

    def make(*relays: str, cache: str = "cache", **changes: object) -> RelayClient:
        options = {"chain_id": CHAIN_ID, "connect_timeout_s": 1.0, "read_timeout_s": 2.0, **changes}
        client = RelayClient(list(relays), tmp_path / cache, **options)  # pyright: ignore[reportArgumentType]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """A bundle of random files: `sizes` by name, equal for equal `seed`."""

    def make(name: str = "bundle", seed: int = 0, kind: BundleKind = BundleKind.WORK, **sizes: int) -> tuple[Path, Manifest]:
        directory, random = tmp_path / name, np.random.default_rng(seed)
        for file, size in (sizes or {"small": 1_000, "large": 9 * 2**20}).items():
            path = directory / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.bytes(size))
        return directory, build_bundle(directory, kind, {"seed": seed})

    return make


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
