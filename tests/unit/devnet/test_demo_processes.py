"""Child processes of a local network: watched, and stopped by process id."""

import os
import signal
import sys
from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.processes import Children, wait_for_port

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]


def test_leaving_the_block_stops_every_child(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        pids = [children.start(name, SLEEPER).process.pid for name in ("one", "two")]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_child_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("stubborn", STUBBORN)
        while "deaf" not in child.log.read_text():
            assert child.process.poll() is None
        assert children.stop("stubborn", seconds=0.2) == -signal.SIGKILL


def test_a_child_that_ended_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("brief", [sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"]).process.wait()
        with pytest.raises(Stop, match=r"brief ended with exit code 3.*\n.*out of luck"):
            children.check()
        children.check(allowed_to_end=frozenset({"brief"}))


def test_a_killed_child_is_dead_and_nobody_misses_it(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        pid = children.start("one", SLEEPER).process.pid
        children.start("other", SLEEPER)
        assert children.kill("one") == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        children.check()


def test_a_child_that_ended_by_itself_cannot_be_killed(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("brief", [sys.executable, "-c", "raise SystemExit(3)"]).process.wait()
        with pytest.raises(Stop, match="exit code 3"):
            children.kill("brief")


def test_waiting_for_a_port_ends_with_the_child(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("never-listens", [sys.executable, "-c", "pass"])
        with pytest.raises(Stop, match="never-listens ended before it was ready"):
            wait_for_port(child, free_port())
