"""Relays, clients, bundles and people for the tests of this folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np
import pytest
import uvicorn
from eth_account import Account
from eth_account.signers.local import LocalAccount

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import SHARD_BYTES, BundleKind, Manifest
from assay_core.protocol.types import Address
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.server import RelaySettings, create_relay, server_config
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.relays import (
    CHAIN_ID,
    Members,
    Observed,
    RunningRelay,
    StaticRelay,
    run_in_thread,
)


class StartRelay(Protocol):
    def __call__(self, name: str = ..., *, clock: Callable[[], float] = ..., **changes: Any) -> RunningRelay: ...


StartLiar = Callable[[dict[str, bytes]], RunningRelay]


class MakeClient(Protocol):
    def __call__(self, *relays: RunningRelay | str, cache: str = ..., **changes: Any) -> RelayClient: ...


class MakeBundle(Protocol):
    def __call__(
        self, name: str = ..., *, seed: int = ..., kind: BundleKind = ..., **sizes: int
    ) -> tuple[Path, Manifest]: ...


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
    """Starts relays; a second start with the same name is a restart of the first."""
    running: list[RunningRelay] = []

    def start(name: str = "relay", *, clock: Callable[[], float] = time.time, **changes: Any) -> RunningRelay:
        settings = RelaySettings.model_validate(
            {"directory": tmp_path / name, "chain_id": CHAIN_ID, "port": free_port(), "min_free_bytes": 0, **changes}
        )
        config = server_config(settings, create_relay(settings, members, members, clock))
        config.app = observed = Observed(config.app)  # pyright: ignore[reportArgumentType]
        running.append(run_in_thread(config, observed, settings.directory))
        return running[-1]

    yield start
    for relay in running:
        relay.server.should_exit = True  # not waited for: a graceful end takes longer than most tests


@pytest.fixture
def start_liar() -> Iterator[StartLiar]:
    """Starts relays that answer with whatever they were told to."""
    running: list[RunningRelay] = []

    def start(answers: dict[str, bytes]) -> RunningRelay:
        observed = Observed(StaticRelay(answers))
        config = uvicorn.Config(
            observed, host="127.0.0.1", port=free_port(), log_config=None, lifespan="off", ws="none"
        )
        running.append(run_in_thread(config, observed, Path()))
        return running[-1]

    yield start
    for relay in running:
        relay.server.should_exit = True  # not waited for: a graceful end takes longer than most tests


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[MakeClient]:
    clients: list[RelayClient] = []

    def make(*relays: RunningRelay | str, cache: str = "cache", **changes: Any) -> RelayClient:
        urls = [relay if isinstance(relay, str) else relay.url for relay in relays]
        options: dict[str, Any] = {"chain_id": CHAIN_ID, "connect_timeout_s": 1.0, "read_timeout_s": 5.0, **changes}
        clients.append(RelayClient(urls, tmp_path / cache, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """A bundle of random files, whose sizes are given by name (`update__0000` is update/0000)."""

    def make(
        name: str = "bundle", *, seed: int = 0, kind: BundleKind = BundleKind.SUBMISSION, **sizes: int
    ) -> tuple[Path, Manifest]:
        directory, random = tmp_path / name, np.random.default_rng(seed)
        for file, size in (sizes or {"small": 1_000, "update__0000": SHARD_BYTES + 5_000}).items():
            path = directory / file.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.bytes(size))
        return directory, build_bundle(directory, kind, {"seed": seed})

    return make


@pytest.fixture
def published(
    start_relay: StartRelay, make_client: MakeClient, make_bundle: MakeBundle, trainer: LocalAccount
) -> tuple[RunningRelay, RunningRelay, Manifest]:
    """Two relays with the same bundle of 1 + 2 shards."""
    first, second = start_relay("first"), start_relay("second")
    directory, manifest = make_bundle()
    make_client(first, second, cache="trainer").publish(directory, manifest, trainer)
    return first, second, manifest


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=10) as client:
        yield client
