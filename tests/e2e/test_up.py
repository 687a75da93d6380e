"""`assay up`: what the README tells a newcomer to type into a second terminal works there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.folder import PROCESSES, left_running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ASSAY = [sys.executable, "-c", "from assay_protocol.cli import main; main()"]
READY_WITHIN_S = 240
Ask = Callable[..., Any]


@dataclass
class Up:
    """`assay up` in a folder whose name has a space, with ports of its own; each `start` is a process."""

    folder: Path
    ports: list[str]
    process: "subprocess.Popen[bytes] | None" = None

    def command(self, *options: str) -> list[str]:
        return [*ASSAY, "up", "--json", "--folder", str(self.folder / "the net"), *options]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self, *options: str) -> dict[str, Any]:
        """Returns how the network describes itself once it stands."""
        told = self.folder / "told"
        with told.open("wb") as out, (self.folder / "log").open("ab") as err:
            self.process = subprocess.Popen(self.command(*options), stdout=out, stderr=err)
        deadline = time.monotonic() + READY_WITHIN_S
        while not told.read_text().rstrip().endswith("}"):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.2)
        return json.loads(told.read_text())

    def pid(self, name: str) -> int:
        listed = json.loads((self.folder / "the net" / PROCESSES).read_text())
        return next(each["pid"] for each in listed if each["name"] == name)

    def end(self, number: int = signal.SIGTERM) -> int:  # a shell may have its children ignore SIGINT
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(90)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while words not in self.log:
            assert time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.2)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """Ends in order, and leaves no process behind."""
    ports = [flag for name in ("chain", "relay", "explorer") for flag in (f"--{name}-port", str(free_port()))]
    up = Up(tmp_path, ports)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.end()


@pytest.fixture
def network(up: Up) -> dict[str, Any]:
    """A network with one verifier, as it describes itself."""
    return up.start("--verifiers", "1", *up.ports)


@pytest.fixture
def ask(network: dict[str, Any], tmp_path: Path) -> Ask:
    """Run `assay` in the second terminal; what it printed."""
    script = 'source "$0"; exec "$@"'

    def run(*arguments: str) -> Any:
        command = ["bash", "-c", script, network["env_file"], *ASSAY, *arguments, "--json"]
        environment = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_a_newcomer_finds_funded_keys_a_task_and_an_explorer(network: dict[str, Any], ask: Ask) -> None:
    names = {entry["name"] for entry in ask("keys", "list")["keys"]}
    assert {"initiator", "worker", "judge"} <= names
    for role, keystore in (("trainer", "worker"), ("verifier", "judge")):
        assert ask("stake", "bond", "--role", role, "100", "--keystore", keystore)["amount_wei"] == str(100 * 10**18)
    assert [task["task_id"] for task in ask("task", "list")["tasks"]] == [network["task_id"]]
    assert len(network["relays"]) == 2
    example = Path(__file__).parents[2] / "examples" / "sorting.toml"
    assert ask("task", "open", str(example), "--keystore", "initiator")["task_id"] == network["task_id"] + 1
    assert httpx.get(network["explorer"] + "/health", timeout=10).json()["status"] in ("ok", "no daemon")


def test_a_network_stands_whatever_dies_and_goes_on_after_its_own_death(
    up: Up, network: dict[str, Any], ask: Ask
) -> None:
    folder = up.folder / "the net"
    for step in ("starting a chain", "starting relays", "opening task 1", "bonding", "starting 1 verifiers", "ready"):
        assert step in up.log
    assert (folder / "password").stat().st_mode & 0o777 == 0o600

    second = subprocess.run(up.command("--fresh"), capture_output=True, text=True, timeout=120)
    assert second.returncode == 1 and "a network runs in" in second.stderr

    os.kill(up.pid("relay-1"), signal.SIGKILL)
    up.wait_for("relay-1 ended with code -9: starting it again")
    assert ask("stake", "bond", "--role", "trainer", "100", "--keystore", "worker")["amount_wei"] == str(100 * 10**18)

    up.end(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while left := left_running(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)

    assert up.start()["rpc_url"] == network["rpc_url"]
    assert ask("stake", "show", "--keystore", "worker")  # bonded still, on the chain that was
    assert [task["task_id"] for task in ask("task", "list")["tasks"]] == [network["task_id"]]
    os.kill(up.pid("anvil"), signal.SIGKILL)
    up.wait_for("anvil ended with code -9: starting it again")
    assert up.end() == 0 and "`assay up` goes on with it" in up.log
