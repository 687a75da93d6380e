"""A real S3 server (moto) as a process, bundles and people for the tests of this folder."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import numpy as np
import obstore
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from obstore.store import S3Store

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.types import Address
from assay_protocol.devnet.anvil import free_port
from tests.unit.transport.trackers_running import Members, RunningTracker

LIMITS = BundleLimits(bundle_bytes=64 * 2**20)
MakeBundle = Callable[..., tuple[Path, Manifest]]


@dataclass(frozen=True, slots=True)
class ObjectServer:
    """As strangers who may write use it: no client of ours in between."""

    url: str

    @property
    def store(self) -> S3Store:
        return S3Store(
            "assay",
            endpoint=self.url,
            region="us-east-1",
            access_key_id="test",
            secret_access_key="test",
            client_options={"allow_http": True},
        )

    def put(self, key: str, data: bytes) -> None:
        obstore.put(self.store, key, data, use_multipart=False)

    def get(self, key: str) -> bytes:
        return bytes(obstore.get(self.store, key).bytes())

    def delete(self, key: str) -> None:
        obstore.delete(self.store, key)

    def written_at(self, prefix: str) -> dict[str, datetime]:
        """By key; the server tells whole seconds."""
        return {str(meta["path"]): meta["last_modified"] for meta in obstore.list(self.store, prefix).collect()}


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """With one bucket named assay."""
    pytest.importorskip("moto")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}) as process:
        server = ObjectServer(f"http://127.0.0.1:{port}")
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    httpx.put(f"{server.url}/assay").raise_for_status()
                    break
                except httpx.TransportError:
                    assert process.poll() is None and time.monotonic() < until, "moto does not start"
                    time.sleep(0.1)
            yield server
        finally:
            process.terminate()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def trainer() -> LocalAccount:
    return Account.from_key(b"\x01" * 32)


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    def make(
        name: str = "bundle", *, seed: int = 0, kind: BundleKind = BundleKind.SUBMISSION, mib: float = 9.5
    ) -> object:
        directory = tmp_path / name
        (directory / "update").mkdir(parents=True)
        random = np.random.default_rng(seed)
        (directory / "update" / "0000.safetensors").write_bytes(random.bytes(int(mib * 2**20)))
        (directory / "rollouts.parquet").write_bytes(random.bytes(1_000))
        (directory / "empty.bin").write_bytes(b"")
        return directory, build_bundle(directory, kind, {"seed": seed})

    return make  # pyright: ignore[reportReturnType]


@pytest.fixture
def members() -> Members:
    return Members({Address(Account.from_key(bytes([key]) * 32).address) for key in (1, 2, 3, 4, 5)})


@pytest.fixture
def tracker(members: Members) -> Iterator[RunningTracker]:
    running = RunningTracker(free_port(), members)
    yield running
    running.stop()
