"""The folder of a network: one run at a time, nothing wiped that runs, nothing left behind that nobody names."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay_core.protocol.errors import Stop
from assay_protocol.devnet.folder import MARKER, PROCESSES, Running, began_at, claimed, end, fresh, left_running
from assay_protocol.devnet.processes import Children

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
PARENT = """
import sys, time
from pathlib import Path
from assay_protocol.devnet.folder import PROCESSES
from assay_protocol.devnet.processes import Children
folder = Path(sys.argv[1])
with Children(folder / "logs", folder / PROCESSES) as children:
    print(children.start("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"]).process.pid, flush=True)
    time.sleep(60)
"""


def have(folder: Path) -> None:
    with fresh(folder, "--folder"):
        pass


def test_a_folder_in_which_a_network_runs_is_left_as_it_is(tmp_path: Path) -> None:
    with fresh(tmp_path / "net", "--folder"):
        (tmp_path / "net" / "keys").write_text("dear")
        with pytest.raises(Stop, match=f"a network runs in .*, started by process {os.getpid()}: .* --folder"):
            have(tmp_path / "net")
        assert (tmp_path / "net" / "keys").read_text() == "dear"


def test_what_a_former_run_left_goes_only_where_a_fresh_one_is_wanted(tmp_path: Path) -> None:
    with fresh(tmp_path, "--out"):
        (tmp_path / "state").mkdir()
        (tmp_path / "keys").write_text("dear")
    with claimed(tmp_path, "--out"):
        assert (tmp_path / "keys").exists()
    with fresh(tmp_path, "--out"):
        assert [path.name for path in tmp_path.iterdir()] == [MARKER]


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("dear")
    with pytest.raises(Stop, match="not of a former run: name another folder with --out"), fresh(tmp_path, "--out"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_what_is_refused_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="taken"), claimed(tmp_path / "net", "--folder"):
        raise Stop("the port is taken")
    assert not (tmp_path / "net").exists()


def test_the_lock_of_a_run_that_was_killed_is_gone(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("1\n")  # a process that is always there, and no run
    with fresh(tmp_path, "--folder"):
        assert (tmp_path / MARKER).read_text() == f"{os.getpid()}\n"


def test_processes_that_a_killed_run_left_are_named_and_ended_on_request(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    with subprocess.Popen(SLEEPER) as left:
        listed = [{"name": "relay-1", "pid": left.pid, "began": began_at(left.pid)}]
        (tmp_path / PROCESSES).write_text(json.dumps(listed))
        with pytest.raises(Stop, match=rf"killed in .*relay-1 \(process {left.pid}\) still run: `assay up --end-left`"):
            have(tmp_path)
        with claimed(tmp_path, "--folder", may_end=lambda found: [each.name for each in found] == ["relay-1"]):
            assert left.wait(5) == -signal.SIGTERM


def test_another_process_with_the_id_of_one_that_ended_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / PROCESSES).write_text(json.dumps([{"name": "anvil", "pid": os.getpid(), "began": "1"}]))
    assert left_running(tmp_path) == []
    assert began_at(2**22 + 1) == ""


@pytest.mark.parametrize("text", ["", "no JSON", '[{"pid": 1}]', "{}"])
def test_a_damaged_list_of_processes_names_none(tmp_path: Path, text: str) -> None:
    (tmp_path / PROCESSES).write_text(text)
    assert left_running(tmp_path) == []


def test_a_left_process_that_is_deaf_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay_protocol.devnet.folder.END_SECONDS", 0.3)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None and deaf.stdout.readline()
        end([Running("deaf", deaf.pid, began_at(deaf.pid))])
        assert deaf.wait(5) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent has died")
def test_children_of_a_run_that_is_killed_end_with_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        (listed,) = left_running(tmp_path)
        assert (listed.name, listed.pid) == ("sleeper", child)
        parent.kill()
    for _ in range(1_000):
        if not listed.is_alive:
            break
        time.sleep(0.01)
    assert not listed.is_alive


def test_children_are_listed_while_they_run(tmp_path: Path) -> None:
    with Children(tmp_path / "logs", tmp_path / PROCESSES) as children:
        children.start("one", SLEEPER)
        assert [each.name for each in left_running(tmp_path)] == ["one"]
    assert left_running(tmp_path) == []
