"""`assay up`: what the README tells a newcomer to type into a second terminal works there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay_protocol.devnet.anvil import free_port

pytestmark = pytest.mark.e2e

ASSAY = [sys.executable, "-c", "from assay_protocol.cli import main; main()"]
READY_WITHIN_S = 120
Ask = Callable[..., Any]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A network with one verifier, as it describes itself. Ends as by Ctrl-C, and leaves no process behind."""
    ports = [flag for name in ("chain", "relay", "explorer") for flag in (f"--{name}-port", str(free_port()))]
    told, log = tmp_path / "told", tmp_path / "log"
    with told.open("wb") as out, log.open("wb") as err:
        arguments = ["up", "--json", "--folder", str(tmp_path / "net"), "--verifiers", "1", *ports]
        process = subprocess.Popen([*ASSAY, *arguments], stdout=out, stderr=err)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not told.read_text().rstrip().endswith("}"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield json.loads(told.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture
def ask(network: dict[str, Any], tmp_path: Path) -> Ask:
    """Run `assay` in the second terminal; what it printed."""
    script = 'source "$0"; exec "$@"'

    def run(*arguments: str) -> Any:
        command = ["bash", "-c", script, network["env_file"], *ASSAY, *arguments, "--json"]
        environment = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment, cwd=tmp_path)
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
    assert httpx.get(network["explorer"] + "/health", timeout=10).json()["status"] == "ok"
