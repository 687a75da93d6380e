"""Computers that are not there: one network namespace per peer, joined by a switch, with links shaped by `tc`.

Needs root and the kernel's tbf queue; `shaping_fault` says what is missing. Nothing is left in the root namespace, and
everything is removed with the laboratory.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

BURST_BYTES = 4_096  # what a link lets pass at once, at least: two packets
BURST_S = 0.002  # and at most for that long: cutting a fast link's packets up would take the processor, not the wire
QUEUE_BYTES = 2**20


class Laboratory:
    """Peers 0 … n - 1 at 10.213.0.1 … ; each sends at `uplink_mbit` and receives at `downlink_mbit`."""

    def __init__(self, peers: int, *, uplink_mbit: float, downlink_mbit: float) -> None:
        if not 1 <= peers <= 250:
            raise ValueError("a laboratory holds 1 to 250 peers")
        self._name = f"assay{os.getpid()}"
        self._peers = peers
        self._up, self._down = uplink_mbit, downlink_mbit
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self._hub)
            _ip("-n", self._hub, "link", "add", "switch", "type", "bridge")
            _ip("-n", self._hub, "link", "set", "switch", "up")
            for peer in range(self._peers):
                self._connect(peer)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._remove()

    def address(self, peer: int) -> str:
        return f"10.213.0.{peer + 1}"

    def start(self, peer: int, arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """A Python process in the peer's namespace; killed with the laboratory if it is still there."""
        command = ["ip", "netns", "exec", self._namespace(peer), sys.executable, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
        self._processes.append(process)
        return process

    @property
    def _hub(self) -> str:
        return f"{self._name}-hub"

    def _namespace(self, peer: int) -> str:
        return f"{self._name}-{peer}"

    def _connect(self, peer: int) -> None:
        namespace, port = self._namespace(peer), f"port{peer}"
        _ip("netns", "add", namespace)
        _ip("-n", self._hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        _ip("-n", self._hub, "link", "set", port, "master", "switch", "up")
        _ip("-n", namespace, "addr", "add", f"{self.address(peer)}/24", "dev", "eth0")
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "link", "set", "eth0", "up")
        _shape(namespace, "eth0", self._up)
        _shape(self._hub, port, self._down)

    def _remove(self) -> None:
        for namespace in [*(self._namespace(peer) for peer in range(self._peers)), self._hub]:
            subprocess.run(["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL)


def shaping_fault() -> str | None:
    """Why no laboratory can be built here; None: one can."""
    try:
        with Laboratory(1, uplink_mbit=1, downlink_mbit=1):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", b"") or error)


def _shape(namespace: str, device: str, mbit: float) -> None:
    burst = max(BURST_BYTES, round(mbit * 1e6 / 8 * BURST_S))
    limits = ["rate", f"{round(mbit * 1_000)}kbit", "burst", str(burst), "limit", str(QUEUE_BYTES)]
    _run(["ip", "netns", "exec", namespace, "tc", "qdisc", "add", "dev", device, "root", "tbf", *limits])


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)
