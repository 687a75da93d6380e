"""A trainer on several machines of its operator, as real processes: assistants die, hang and join; the submission
is good.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import read_update
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, Manifest
from assay_core.bundle.rollouts import RolloutLimits, read_rollouts
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.protocol.encoding import trainer_seed
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    Epoch,
    PolicyVersion,
    Seed,
    TaskId,
)
from assay_core.training.inner import run_inner_steps

pytest.importorskip("torchft")

from assay_trainer.group.leader import Leader
from assay_trainer.group.secret import make_secret
from assay_trainer.submission_builder import Policies, SubmissionBuilder
from assay_trainer.submit import header_of
from assay_trainer.tasks import Assignment
from assay_verifier.judge import judge
from tests.fakes import Notes, QuickStop
from tests.submissions import TRAINER, LoadedContext, case_of
from tests.unit.trainer.ground import ShardStore, bundle

pytestmark = pytest.mark.slow

TASK_SEED, EPOCH_SEED = Seed(bytes(range(32))), Seed(bytes(reversed(range(32))))
STEPS = 24
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=8, group_size=4),
    recipe=RecipeSpec(inner_steps=STEPS, groups_per_step=6, lr=1e-3),
    codec="fp32",
)
WAIT_S = 120.0
HANG_S = 6.0


class Helper:
    """An assistant as a process."""

    def __init__(self, folder: Path, leader: str, secret: Path) -> None:
        folder.mkdir()
        self._status, self._log = folder / "status.jsonl", folder / "log"
        arguments = ["--leader", leader, "--group-secret", str(secret), "--state-dir", str(folder / "state")]
        arguments += ["--status-file", str(self._status), "--poll-s", "0.1"]
        program = "from assay_protocol.cli import main; main(prog_name='assay')"
        command = [sys.executable, "-c", program, "trainer", "assist", *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def messages(self) -> list[str]:
        text = self._status.read_text() if self._status.exists() else ""
        return [str(json.loads(line)["message"]) for line in text[: text.rfind("\n") + 1].splitlines()]

    def until(self, message: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while message not in self.messages():
            assert self.process.poll() is None, self._log.read_text()[-2_000:]
            assert time.monotonic() < deadline, f"never said {message!r}: {self.messages()}"
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


class Site:
    """A leader in this process, with what it takes to make a submission and to judge it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "group.secret"
        self.helpers: list[Helper] = []
        self.notes = Notes()
        shards = ShardStore(folder / "relay")
        environment = make_environment(SPEC.environment)
        start = {"kind": "tiny", "layers": 1, "width": 32, "heads": 2, "warmup": {"steps": 20, "batch": 32}}
        self.policy_folder = folder / "policy"
        save_policy(initial_policy(start, Seed(bytes(32)), environment), self.policy_folder)
        self.policy_root = shards.put(self.policy_folder, build_bundle(self.policy_folder, BundleKind.POLICY, {}))
        self.spec_root = bundle(folder / "task", shards, BundleKind.TASK, {"spec.json": SPEC.to_bytes()})
        stop = QuickStop(after=10**9)
        self.leader = Leader("127.0.0.1", 0, make_secret(self.secret), shards, self.notes, stop, exchange_s=HANG_S)
        policies = Policies(shards, load_policy)
        self._builder = SubmissionBuilder(
            SPEC, self.spec_root, policies, environment, self.notes, stop, group=self.leader
        )
        self.assignment = Assignment(
            TaskId(1),
            Epoch(0),
            TRAINER,
            trainer_seed(TASK_SEED, TaskId(1), Epoch(0), TRAINER),
            PolicyVersion(0),
            self.policy_root,
        )

    def add(self) -> Helper:
        place = self.folder / f"assistant-{len(self.helpers)}"
        self.helpers.append(Helper(place, f"http://127.0.0.1:{self.leader.port}", self.secret))
        return self.helpers[-1]

    def make(self, after_step: dict[int, Callable[[], None]]) -> Manifest:
        """A submission; what is to happen after its steps happens while the others wait."""
        self.notes.on["inner step"] = lambda: after_step.get(int(self.notes.of("inner step")["step"] or 0), _nothing)()
        return self._builder.make(self.assignment, self.submission)

    @property
    def submission(self) -> Path:
        return self.folder / "submission"

    def members(self) -> list[int]:
        return [int(fields["members"] or 0) for message, fields in self.notes.seen if message == "inner step"]

    def close(self) -> None:
        for helper in self.helpers:
            helper.end()
        with self.leader:
            pass


def _nothing() -> None:
    pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    torch.set_num_threads(1)
    made = Site(tmp_path)
    yield made
    made.close()


def require_good(site: Site, manifest: Manifest) -> dict[str, float]:
    """The submission passes a verifier's replay in one process; how far from it, and from ours, it is."""
    case = case_of(header_of(site.assignment, site.spec_root), SPEC, manifest.root, EPOCH_SEED)
    policy = load_policy(site.policy_folder)
    judgement = judge(case, LoadedContext(policy, make_environment(SPEC.environment)), site.submission, manifest)
    assert (judgement.verdict.score, judgement.verdict.reason) == (100, None), judgement
    measured = {finding.check: finding.measured for finding in judgement.verdict.findings}
    rollouts = read_rollouts(site.submission / "rollouts.parquet", RolloutLimits.of(SPEC))
    alone = run_inner_steps(policy, rollouts, SPEC, site.assignment.seed).pseudo_gradient
    shapes = {name: array.shape for name, array in alone.items()}
    together = read_update(site.submission, manifest, shapes, codec_named(SPEC.codec))
    inner = math.fsum(float(np.sum(alone[name].astype(np.float64) * together[name])) for name in alone)
    norms = [
        math.sqrt(math.fsum(float(np.sum(a.astype(np.float64) ** 2)) for a in u.values())) for u in (alone, together)
    ]
    return {**measured, "1 - cosine": 1 - inner / norms[0] / norms[1], "norm": abs(norms[1] / norms[0] - 1)}


def test_one_assistant_is_killed_one_joins_one_hangs_and_the_submission_passes_a_replay(site: Site) -> None:
    first, second = site.add(), site.add()
    for helper in (first, second):
        helper.until("waiting for work")

    def both_are_there() -> None:
        for helper in (first, second):
            helper.until("joined")

    def join() -> None:
        site.add().until("joined")

    manifest = site.make(
        {0: both_are_there, 5: lambda: first.send(signal.SIGKILL), 11: join, 17: lambda: second.send(signal.SIGSTOP)}
    )
    members = site.members()
    assert len(members) == STEPS  # every step once
    most = [max(members[first : first + 6]) for first in (0, 6, 12)]
    assert most == [3, 2, 3] and members[-1] == 2, members
    far = require_good(site, manifest)
    print(json.dumps(far), json.dumps(site.notes.of("inner steps shared")))
    assert far["1 - cosine"] < 1e-5 and far["norm"] < 1e-3  # what a replay allows is 1e-2 and 2e-2
    assert site.notes.of("inner steps shared")["members"] == 3
    site.helpers[2].until("submission done")


def test_leader_goes_on_alone_when_all_assistants_die_and_they_leave_when_asked(site: Site) -> None:
    first, second = site.add(), site.add()
    for helper in (first, second):
        helper.until("waiting for work")

    def both_are_there() -> None:
        for helper in (first, second):
            helper.until("joined")

    manifest = site.make(
        {0: both_are_there, 4: lambda: first.send(signal.SIGKILL), 8: lambda: second.send(signal.SIGINT)}
    )
    assert second.process.wait(30) == 0
    assert second.messages()[-1] == "assistant stopped"
    members = site.members()
    assert len(members) == STEPS
    assert (max(members[:5]), max(members[5:9]), max(members[10:])) == (3, 2, 1), members
    require_good(site, manifest)
