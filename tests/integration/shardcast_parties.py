"""Relays, clients and bad networks as processes of their own, for the fault tests of SHARDCAST.

`python -m tests.integration.shardcast_parties ROLE JSON`: a relay; a client that fetches; a publisher; a proxy that
stands for a bad network in front of a relay: it counts what passes, and can be slow or go silent.
"""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from eth_account import Account

from assay_core.bundle.directory import build_bundle, read_manifest
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.protocol.errors import ProtocolError
from assay_core.protocol.types import Address, Root
from assay_core.transport.relay.client import RelayClient
from assay_core.transport.relay.server import RelaySettings, serve
from assay_protocol.cli.logs import start_logging
from assay_protocol.devnet.anvil import free_port
from tests.unit.relay.relays import CHAIN_ID, Members

KEY = b"\x05" * 32
LIMITS = BundleLimits(2**32)
TIMEOUT_S = 60.0
"""Tests that take this long hang."""


# ----------------------------------------------------------------------------------------------------------- roles


def run_relay(options: dict[str, Any]) -> None:
    members = Members(keys={Address(Account.from_key(KEY).address)})
    serve(RelaySettings.model_validate({"chain_id": CHAIN_ID, "min_free_bytes": 0, **options}), members, members)


def run_client(options: dict[str, Any]) -> None:
    relays, cache, roots = options.pop("relays"), Path(options.pop("cache")), options.pop("roots")
    with RelayClient(relays, cache, chain_id=CHAIN_ID, **options) as client:
        for root in roots:
            try:
                print(client.fetch(Root(bytes.fromhex(root)), BundleKind.POLICY, LIMITS), flush=True)
            except ProtocolError as error:
                print(f"{type(error).__name__}: {error}", flush=True)


def run_publisher(options: dict[str, Any]) -> None:
    directory = Path(options["directory"])
    with RelayClient(options["relays"], Path(options["cache"]), chain_id=CHAIN_ID) as client:
        try:
            client.publish(directory, read_manifest(directory), Account.from_key(KEY))
            print("published", flush=True)
        except ProtocolError as error:
            print(f"{type(error).__name__}: {error}", flush=True)


def run_proxy(options: dict[str, Any]) -> None:
    asyncio.run(_Proxy(options).run())


class _Proxy:
    """`rate`: answers pass at so many bytes per second and connection. `silent_after`: then nothing passes any more."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._port, self._to, self._count_file = options["port"], options["to"], Path(options["count"])
        self._rate, self._silent_after = options.get("rate"), options.get("silent_after")
        self._passed = 0

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            await asyncio.gather(self._pass(reader, forth), self._answer(back, writer), return_exceptions=True)
            for each in (writer, forth):
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16 if self._rate is None else max(1, self._rate // 20)):
            if self._silent_after is not None and self._passed + len(data) > self._silent_after:
                await asyncio.sleep(3_600)
            if self._rate is not None:
                await asyncio.sleep(len(data) / self._rate)
            writer.write(data)
            await writer.drain()
            self._passed += len(data)
            part = self._count_file.with_suffix(".part")  # anyone who reads meanwhile reads all of it
            part.write_text(str(self._passed))
            part.replace(self._count_file)
        writer.close()


# ---------------------------------------------------------------------------------------------------- the test's side


@dataclass
class Party:
    """A running process."""

    process: subprocess.Popen[str]
    url: str
    log: Path
    directory: Path

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def lines(self) -> list[str]:
        """What it prints until it ends."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        return output.splitlines()

    def logged(self) -> str:
        return self.log.read_text()

    def answer_bytes(self) -> int:
        """Of a proxy: what has passed from the relay to clients."""
        count = self.directory / "count"
        return int(count.read_text()) if count.exists() else 0

    def shard_file(self, digest: bytes) -> Path:
        """Of a relay."""
        return self.directory / "shards" / digest.hex()[:2] / digest.hex()


class Ground:
    """Starts parties below one folder, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._started = 0

    def close(self) -> None:
        self._stack.close()

    def relay(self, name: str, **options: Any) -> Party:
        """Started again under the same name, it finds what it had."""
        directory = Path(options.pop("directory", self.folder / name))
        port = options.pop("port", None) or free_port()
        party = self._start("relay", directory, port, {"directory": str(directory), "port": port, **options})
        wait_for(lambda: _is_healthy(party.url))
        return party

    def proxy(self, relay: Party, **options: Any) -> Party:
        self._started += 1
        directory, port = self.folder / f"proxy{self._started}", free_port()
        directory.mkdir()
        to = int(relay.url.rsplit(":", 1)[1])
        options |= {"port": port, "to": to, "count": str(directory / "count")}
        party = self._start("proxy", directory, port, options)
        wait_for(lambda: _is_healthy(party.url))
        return party

    def client(self, relays: list[str], *roots: str, cache: str = "cache", **options: Any) -> Party:
        directory = self.folder / cache
        return self._start(
            "client", directory, 0, {"relays": relays, "cache": str(directory), "roots": roots, **options}
        )

    def publisher(self, bundle: Path, *relays: str) -> Party:
        directory = self.folder / "publisher"
        return self._start(
            "publisher", directory, 0, {"relays": relays, "cache": str(directory), "directory": str(bundle)}
        )

    def publish(self, bundle: Path, *relays: str) -> None:
        assert self.publisher(bundle, *relays).lines() == ["published"]

    def policy(self, name: str, *, shards: float, seed: int = 0) -> tuple[Path, Manifest]:
        """A policy of one file with so many shards of random numbers."""
        directory = self.folder / name
        directory.mkdir()
        random = np.random.default_rng(seed)
        (directory / "weights.safetensors").write_bytes(random.bytes(int(shards * 4 * 2**20)))
        return directory, build_bundle(directory, BundleKind.POLICY, {"seed": seed})

    def _start(self, role: str, directory: Path, port: int, options: dict[str, Any]) -> Party:
        self._started += 1
        log = self.folder / f"{role}{self._started}.log"
        command = [sys.executable, "-m", "tests.integration.shardcast_parties", role, json.dumps(options)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        self._stack.callback(_end, process)
        return Party(process, f"http://127.0.0.1:{port}", log, directory)


@contextmanager
def ground(folder: Path) -> Generator[Ground]:
    found = Ground(folder)
    try:
        yield found
    finally:
        found.close()


def wait_for(condition: Any) -> None:
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/health", trust_env=False, timeout=30).status_code == 200
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


ROLES = {"relay": run_relay, "client": run_client, "publisher": run_publisher, "proxy": run_proxy}

if __name__ == "__main__":
    start_logging(is_json=False)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    ROLES[sys.argv[1]](json.loads(sys.argv[2]))
