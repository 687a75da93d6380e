"""The trainer as a process of its own: killed, restarted, asked to end.

A submission is committed once, whatever happens.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from assay_core.chain.connection import Chain
from assay_core.chain.deployment import Deployment
from assay_core.chain.event_store import EventStore
from assay_core.chain.follow import TaskFollower
from assay_core.chain.ledger import CommittedSubmission
from assay_core.chain.sender import Sender
from assay_core.protocol.economics import needed_electorate
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Role, TaskId
from assay_protocol.devnet.anvil import free_port
from assay_trainer.group.secret import make_secret
from tests.integration import stage
from tests.integration.stage import UNIT, open_task

pytestmark = pytest.mark.chain

PARAMS = replace(
    stage.PARAMS,
    verifier_fee=UNIT,
    max_submission_units=16,
    max_epochs=3,
    commit_window=200,
)
SPEC = TaskSpec(  # enough inner steps to be caught in the middle of
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=16, group_size=8),
    recipe=RecipeSpec(inner_steps=30, groups_per_step=16, lr=1e-4),
)
SECONDS = 120


@dataclass
class Bonded:
    """A bonded trainer's keystore, and the task it is to work on."""

    chain: Chain
    task_id: TaskId
    folder: Path
    arguments: list[str]

    def start(self) -> "subprocess.Popen[bytes]":
        program = "from assay_protocol.cli import main; main(prog_name='assay')"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", program, *self.arguments], stdout=log, stderr=log)

    def messages(self, of: str = ".") -> list[str]:
        path = self.folder / of / "status.jsonl"
        text = path.read_text() if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # the last one may be half written
        return [str(json.loads(line)["message"]) for line in lines]

    def wait_for(self, message: str, process: "subprocess.Popen[bytes]", after: int = 0) -> None:
        """Until a message stands among those after the first `after`."""
        deadline = time.monotonic() + SECONDS
        while message not in self.messages()[after:]:
            assert process.poll() is None, (self.folder / "log").read_text()[-2_000:]
            assert time.monotonic() < deadline, f"never said {message!r}: {self.messages()}"
            time.sleep(0.02)

    def status(self, *options: str) -> dict[str, Any]:
        """What `assay trainer status` tells, as another process."""
        program = "from assay_protocol.cli import main; main(prog_name='assay')"
        command = ["trainer", "status", "--state-dir", str(self.folder / "state"), "--json", *options]
        done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
        [told] = json.loads(done.stdout)
        assert done.returncode == (0 if told["state"] == "running" else 1), done.stderr
        return told

    def submissions(self) -> list[CommittedSubmission]:
        ledger = TaskFollower(self.chain, EventStore(None, self.chain.deployment), self.task_id).refresh()
        return [submission for record in ledger.epochs.values() for submission in record.submissions]

    def start_assistant(self, leader: str, secret: Path) -> "subprocess.Popen[bytes]":
        program = "from assay_protocol.cli import main; main(prog_name='assay')"
        options = ["--leader", leader, "--group-secret", str(secret), "--state-dir", str(self.folder / "assistant")]
        with (self.folder / "assistant.log").open("ab") as log:
            command = [sys.executable, "-c", program, "trainer", "assist", *options]
            return subprocess.Popen(command, stdout=log, stderr=log)

    def wait_for_assistant(self, message: str, process: "subprocess.Popen[bytes]") -> None:
        """Until it is the last thing that the assistant has said."""
        deadline = time.monotonic() + SECONDS
        while not (said := self.messages("assistant")) or said[-1] != message:
            assert process.poll() is None, (self.folder / "assistant.log").read_text()[-2_000:]
            assert time.monotonic() < deadline, f"never said {message!r}: {said}"
            time.sleep(0.02)

    def shared_steps(self, after: int = 0) -> int:
        """Inner steps that two members took, among the lines after the first `after`."""
        lines = (self.folder / "status.jsonl").read_text().splitlines()[after:]
        said = [json.loads(line) for line in lines]
        return sum(line["message"] == "inner step" and line["members"] == 2 for line in said)


@pytest.fixture
def bonded(
    chain: Chain,
    deployment: Deployment,
    relay: str,
    sender_of: Callable[[str], Sender],
    keystore_of: Callable[[str], Path],
    password_file: Path,
    tmp_path: Path,
) -> Bonded:
    start = {"kind": "tiny", "layers": 1, "width": 32, "heads": 2, "warmup": {"steps": 20, "batch": 32}}
    task_id = open_task(chain, relay, sender_of("initiator"), tmp_path, start, SPEC, PARAMS)
    judge, weight = sender_of("judge"), needed_electorate(PARAMS, PARAMS.max_epoch_units)
    judge.send(chain.token.approve(chain.staking.address, weight))
    judge.send(chain.staking.bond(Role.VERIFIER, weight))
    judge.send(chain.verifiers.enlist(task_id, chain.registry.origin_of(task_id).terms_hash, weight))
    trainer = sender_of("trainer")
    trainer.send(chain.token.approve(chain.staking.address, 2 * PARAMS.trainer_bond))
    trainer.send(chain.staking.bond(Role.TRAINER, 2 * PARAMS.trainer_bond))
    deployment_file = tmp_path / "deployment.json"
    deployment_file.write_text(deployment.model_dump_json())
    options = {
        "--task": task_id,
        "--network": deployment_file,
        "--keystore": keystore_of("trainer"),
        "--password-file": password_file,
        "--state-dir": tmp_path / "state",
        "--relay": relay,
        "--status-file": tmp_path / "status.jsonl",
    }
    flat = [str(part) for option in options.items() for part in option]
    return Bonded(chain, task_id, tmp_path, ["trainer", "run", *flat])


def test_trainer_killed_at_submission_commits_once_after_its_restart_and_ends_cleanly(bonded: Bonded) -> None:
    process = bonded.start()
    bonded.wait_for("inner step", process)
    process.kill()
    process.wait()
    assert bonded.submissions() == []
    said = len(bonded.messages())

    process = bonded.start()
    bonded.wait_for("waiting", process, after=said)
    assert "rolling out" not in bonded.messages()[said:]  # the rollouts of the first life were used
    assert len(bonded.submissions()) == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, (bonded.folder / "log").read_text()[-2_000:]

    process = bonded.start()
    bonded.wait_for("waiting", process, after=len(bonded.messages()))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert len(bonded.submissions()) == 1


def test_a_trainer_tells_how_it_does_while_it_lives_and_ends_with_its_port_open(bonded: Bonded) -> None:
    port = free_port()
    bonded.arguments += ["--metrics-port", str(port), "--stale-after", "60"]
    process = bonded.start()
    bonded.wait_for("inner step", process)
    health = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert health.json()["daemons"][0]["doing"] == "trains for epoch 0"
    assert bonded.status()["state"] == "running"
    bonded.wait_for("waiting", process)
    shown = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    task = f'task="{bonded.task_id}"'
    for line in (
        f'assay_submissions{{state="committed",{task}}} 1.0',
        'assay_stage_seconds_count{stage="rollout"} 1.0',
        'assay_stage_seconds_count{stage="training"} 1.0',
        'assay_stage_seconds_count{stage="upload"} 1.0',
        f'assay_bond_wei{{state="total",{task}}} {float(2 * PARAMS.trainer_bond)}',
        f"assay_epochs_missed{{{task}}} 0.0",
        "assay_coin_wei",
        "assay_block_age_seconds",
        'assay_node_calls_total{method="eth_getLogs"}',
    ):
        assert line in shown, shown
    assert str(bonded.folder) not in shown
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    told = bonded.status()
    assert (told["state"], told["doing"]) == ("not running", "stopped, as it was asked to")


def test_a_trainer_that_hangs_or_died_is_told_from_one_that_runs(bonded: Bonded) -> None:
    process = bonded.start()
    bonded.wait_for("inner step", process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    assert bonded.status("--stale-after", "1")["state"] == "standing still"
    process.kill()
    process.wait()
    told = bonded.status()
    assert (told["state"], told["task_id"]) == ("not running", bonded.task_id)
    assert told["account"]["balances"]["bond_wei"] == str(2 * PARAMS.trainer_bond)


def test_a_port_that_is_taken_is_told_before_anything_is_sent(bonded: Bonded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bonded.arguments += ["--metrics-port", str(taken.getsockname()[1])]
        process = bonded.start()
        assert process.wait(60) == 1
    assert "choose another --metrics-port" in (bonded.folder / "log").read_text()
    assert bonded.chain.commitments.trainers_of(bonded.task_id).trainers == 0 and bonded.messages() == []


def test_ctrl_c_in_the_middle_of_a_submission_ends_cleanly_and_commits_nothing(bonded: Bonded) -> None:
    process = bonded.start()
    bonded.wait_for("inner step", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, (bonded.folder / "log").read_text()[-2_000:]
    assert bonded.messages()[-1] == "trainer stopped"
    assert bonded.submissions() == []


def test_a_trainer_that_ends_with_leave_is_waited_for_no_more(bonded: Bonded) -> None:
    bonded.arguments.append("--leave")
    process = bonded.start()
    bonded.wait_for("inner step", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0, (bonded.folder / "log").read_text()[-2_000:]
    assert bonded.messages()[-2:] == ["trainer stopped", "left the task"]
    assert bonded.chain.commitments.trainers_of(bonded.task_id).trainers == 0


def test_a_trainer_that_ends_without_leaving_says_who_waits_for_it(bonded: Bonded) -> None:
    process = bonded.start()
    bonded.wait_for("inner step", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "waits for our submission" in (bonded.folder / "log").read_text()
    assert bonded.chain.commitments.trainers_of(bonded.task_id).trainers == 1


@pytest.mark.slow
def test_assistant_waits_for_its_leader_and_helps_its_next_life(bonded: Bonded) -> None:
    pytest.importorskip("torchft")
    secret = bonded.folder / "group.secret"
    make_secret(secret)
    place = f"127.0.0.1:{free_port()}"
    bonded.arguments += ["--group", place, "--group-secret", str(secret)]
    assistant, process = bonded.start_assistant(f"http://{place}", secret), bonded.start()
    try:
        bonded.wait_for("inner step", process)
        process.kill()
        process.wait()
        said = len(bonded.messages())
        bonded.wait_for_assistant("waiting for the leader", assistant)  # it has given the dead one up

        process = bonded.start()
        bonded.wait_for("waiting", process, after=said)
        assert bonded.shared_steps(after=said) > 0, bonded.messages()
        assert len(bonded.submissions()) == 1
        for each in (process, assistant):
            each.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (bonded.folder / "log").read_text()[-2_000:]
        assert assistant.wait(30) == 0, (bonded.folder / "assistant.log").read_text()[-2_000:]
    finally:
        for each in (process, assistant):
            each.kill()
            each.wait()


def test_a_second_trainer_with_the_same_key_is_refused_wherever_its_state_is(bonded: Bonded) -> None:
    first = bonded.start()
    bonded.wait_for("trainer started", first)
    program = "from assay_protocol.cli import main; main(prog_name='assay')"
    elsewhere = [*bonded.arguments, "--state-dir", str(bonded.folder / "another-state")]
    second = subprocess.run(
        [sys.executable, "-c", program, *elsewhere], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    first.kill()
    first.wait()
    assert (second.returncode, f"(process {first.pid}): end it, or use another key" in second.stderr) == (1, True)
