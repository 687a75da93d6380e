"""`assay demo` keeps its promises, as a newcomer runs it: separate processes, one command, one exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_300)]


def test_a_local_network_learns_catches_both_cheats_and_pays_out(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assay = [sys.executable, "-c", "from assay_protocol.cli import main; main()"]
    done = subprocess.run([*assay, "demo", "--out", str(out), "--json"], capture_output=True, text=True, timeout=1_200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    summary = json.loads((out / "summary.json").read_text())
    assert json.loads(done.stdout)["policy_roots"] == summary["policy_roots"]
    assert summary["failures"] == []
    assert summary["reward_last"] - summary["reward_first"] >= 0.3
    assert len(summary["policy_roots"]) == len(set(summary["policy_roots"])) > 1
    honest = [each for each in summary["trainers"] if each["honest"]]
    cheats = [each for each in summary["trainers"] if not each["honest"]]
    assert (len(honest), len(cheats)) == (3, 2)
    assert all(each["slashed_wei"] > 0 and each["claimed_wei"] == 0 and each["accepted"] == 0 for each in cheats)
    assert all(each["slashed_wei"] == 0 and each["claimed_wei"] == each["owed_wei"] > 0 for each in honest)
    assert all(each["accepted"] == each["submissions"] for each in honest)
    killed = {each["name"]: each for each in summary["killed"]}
    assert set(killed) == {"relay-2", "trainer-3-assistant"}
    for death in killed.values():
        assert death["exit_code"] == -9
        assert death["policies"] > 0 and death["accepted"] == death["submissions"] > 0
    assert 0 < summary["group"]["shared"] < summary["group"]["inner_steps"]
    assert [each["name"] for each in summary["traffic"]] == [each["name"] for each in honest]
    assert all(each["submissions"] >= 3 and each["times_fewer"] > 100 for each in summary["traffic"])
    functions = {name.split(".")[1] for name in summary["gas"]}
    assert {"commitSubmission", "settle", "claim", "slashFraud", "publishPolicy"} <= functions
    assert (out / "reward.png").read_bytes().startswith(b"\x89PNG")
    screen = (out / "screen.svg").read_text()
    assert all(name in screen for name in ("cheat-1", "relay-3", "trainer-3-assistant"))
