"""Child processes of a local network: watched, and stopped by process id."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.anvil import free_port
from assay_protocol.devnet.processes import RESTARTS, Children, wait_for_port

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


def revived(children: Children) -> tuple[list[str], list[str]]:
    """Names, once something has been started again or given up; and what was said."""
    said = list[str]()
    for _ in range(500):
        if names := children.revive(said.append):
            return names, said
        time.sleep(0.01)
    return [], said


def test_a_child_that_dies_is_started_again_as_it_was_and_one_line_says_so(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        first = children.start("relay-1", SLEEPER, {"PLACE": "here"})
        children.start("other", SLEEPER)
        first.process.kill()
        names, said = revived(children)
        assert names == ["relay-1"] and children["relay-1"].process.pid != first.process.pid
        assert children["relay-1"].env == {"PLACE": "here"}
        assert said == [f"relay-1 ended with code -9: starting it again (1 of {RESTARTS}), see {first.log}"]


def test_a_child_that_dies_again_and_again_ends_the_network(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("brief", [sys.executable, "-S", "-c", "print('out of luck'); raise SystemExit(3)"])
        for _ in range(RESTARTS):
            assert revived(children)[0] == ["brief"]
        with pytest.raises(Stop, match=r"brief ends again and again, now with exit code 3(.|\n)*out of luck"):
            revived(children)


def test_a_child_that_has_nothing_left_to_do_is_not_started_again(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start("verifier-1", [sys.executable, "-S", "-c", "pass"])
        child.process.wait()
        said = list[str]()
        assert children.revive(said.append) == [] and said == [f"verifier-1 is done; its log: {child.log}"]
        assert children.revive(said.append) == [] and len(said) == 1
