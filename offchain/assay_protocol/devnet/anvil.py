"""A local chain: one Anvil process on a free loopback port, and the few things that only such a chain can do."""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from web3 import Web3
from web3.types import RPCEndpoint

from assay_core.chain.checkout import source_tree
from assay_core.chain.networks import LOCAL_CHAINS
from assay_core.chain.rpc import asking_node, connect_http
from assay_core.protocol.errors import Stop, Unavailable
from assay_core.protocol.types import Address


def anvil_command() -> str:
    """Anvil where npm puts it, in the source tree or the working directory, else on the path. Raises Stop: nowhere.

    The binary itself, not npm's wrapper around it: ending the wrapper the hard way would leave the chain running.
    """
    folders = [folder for folder in (source_tree(), Path.cwd()) if folder is not None]
    places = [folder / "node_modules" / "@foundry-rs" for folder in folders]
    installed = [path for place in places for path in sorted(place.glob("anvil-*/bin/anvil"))]
    found = str(installed[0]) if installed else shutil.which("anvil")
    if found is None:
        raise Stop("anvil is not installed: run `npm install @foundry-rs/anvil` here, or install Foundry")
    return found


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Anvil:
    """Owns the process. With `state` the chain outlives it: `stop` writes it there, `start` reads it."""

    def __init__(
        self,
        *,
        block_time_s: int | None = None,
        state: Path | None = None,
        port: int | None = None,
        chain_id: int = LOCAL_CHAINS[0],
    ) -> None:
        """`block_time_s` None mines a block for every transaction."""
        self.port = port or free_port()
        self.rpc_url = f"http://127.0.0.1:{self.port}"
        self._block_time_s = block_time_s
        self._state = state
        self._chain_id = chain_id
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def web3(self) -> Web3:
        return connect_http(self.rpc_url)

    def start(self, timeout_s: float = 20.0) -> None:
        """Returns when it answers. Raises Unavailable: it does not."""
        command = [anvil_command(), "--port", str(self.port), "--chain-id", str(self._chain_id), "--silent"]
        if self._block_time_s is not None:
            command += ["--block-time", str(self._block_time_s)]
        if self._state is not None:
            command += ["--state", str(self._state)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"anvil did not start on port {self.port}; try another")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the process, by its id; with `state` it writes the chain first."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def request(self, method: str, *parameters: object) -> Any:
        """One of Anvil's own methods, e.g. `evm_snapshot`. Raises Unavailable: it is down, or refuses."""
        with asking_node(method):
            answer = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        if "error" in answer:
            raise Unavailable(f"anvil refuses {method}: {answer['error']}")
        return answer.get("result")

    def set_balance(self, account: Address, wei: int) -> None:
        self.request("anvil_setBalance", account, hex(wei))

    def snapshot(self) -> str:
        return str(self.request("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Back to a snapshot, but not to its time: blocks would lag behind what the node calls pending."""
        self.request("evm_revert", snapshot)
        self.request("evm_setTime", hex(int(time.time())))
        self.mine()

    def mine(self, blocks: int = 1) -> None:
        self.request("anvil_mine", hex(blocks))

    def pass_time(self, seconds: int) -> None:
        """Let time pass, and a block with it."""
        self.request("evm_increaseTime", hex(seconds))
        self.mine()

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by as many empty ones."""
        self.request("anvil_reorg", depth, [])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
