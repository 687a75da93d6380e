"""An assistant beside a leader's real server: what it does before it joins, and what it refuses."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits
from assay_core.bundle.rollouts import rollouts_bytes
from assay_core.bundle.task import LIMITS
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.policy import Policy, load_policy
from assay_core.protocol.errors import Malformed, Stop, Unavailable
from assay_core.protocol.types import Seed
from assay_core.training.inner import run_inner_steps
from assay_trainer.group.client import LeaderClient
from assay_trainer.group.offer import Offer, Stack
from assay_trainer.group.server import Board, LeaderServer
from assay_trainer.prover import proved_rollouts
from assay_trainer.tasks import Assignment
from tests.fakes import Notes, QuickStop
from tests.unit.trainer.ground import SPEC, ShardStore, bundle

pytest.importorskip("torchft")

from assay_trainer.group.assistant import Assistant
from assay_trainer.group.leader import Leader

SECRET = b"s" * 64
SEED = Seed(bytes(range(32)))


class Scene:
    """A board that a server shows, with a task, a policy and rollouts on it, and an assistant beside it."""

    def __init__(self, folder: Path, policy_folder: Path) -> None:
        self.folder = folder
        self.shards = ShardStore(folder / "relay")
        self.policy_root = self.shards.put(policy_folder, build_bundle(policy_folder, BundleKind.POLICY, {}))
        self.task_root = bundle(folder / "task", self.shards, BundleKind.TASK, {"spec.json": SPEC.to_bytes()})
        self.board = Board()
        self.server = LeaderServer("127.0.0.1", 0, SECRET, self.board)
        self.notes = Notes()
        self.stop = QuickStop(after=3)
        self.loaded: list[Path] = []
        client = LeaderClient(f"http://127.0.0.1:{self.server.port}", SECRET, timeout_s=2)
        self.assistant = Assistant(client, folder / "cache", self.notes, self.stop, load_policy=self.load, poll_s=0.01)

    def load(self, folder: Path) -> Policy:
        self.loaded.append(folder)
        return load_policy(folder)

    def show(self, offer: Offer, rollouts: bytes | None = None) -> None:
        if rollouts is not None:
            (self.folder / "rollouts").write_bytes(rollouts)
        places = {root: self.folder / "relay" / root.hex() for root in (offer.spec_root, offer.policy_root)}
        self.board.show(offer, places, self.folder / "rollouts")

    def offer(self, stack: Stack | None = None) -> Offer:
        return Offer("ab" * 16, 0, SEED, self.task_root, self.policy_root, 200, stack)


@pytest.fixture
def scene(tmp_path: Path, policy_folder: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, policy_folder)
    yield made
    made.server.close()


def test_without_submission_it_waits_and_says_so_once(scene: Scene) -> None:
    scene.assistant.run()
    assert scene.notes.messages == ["assistant started", "waiting for work", "assistant stopped"]


def test_leader_that_is_away_is_waited_for(scene: Scene) -> None:
    scene.server.close()
    scene.assistant.run()
    assert scene.notes.messages == ["assistant started", "waiting for the leader", "assistant stopped"]


def test_policy_is_fetched_and_loaded_once_while_the_leader_rolls_out(scene: Scene) -> None:
    scene.show(scene.offer())
    scene.assistant.run_once()
    scene.assistant.run_once()
    assert scene.notes.messages == ["ready for work"]
    assert scene.loaded == [scene.folder / "cache" / scene.policy_root.hex()]


def test_only_bundles_of_the_last_submissions_stay_on_disk(scene: Scene) -> None:
    for number in range(6):
        root = bundle(scene.folder / f"task-{number}", scene.shards, BundleKind.TASK, {"spec.json": SPEC.to_bytes()})
        other = scene.folder / "cache" / bytes([number]).hex().rjust(64, "0")
        other.mkdir(parents=True)
        assert root == scene.task_root
    scene.show(scene.offer())
    scene.assistant.run_once()
    kept = [path.name for path in (scene.folder / "cache").iterdir()]
    assert len(kept) == 4 and {scene.task_root.hex(), scene.policy_root.hex()} <= set(kept)


def test_submission_without_a_spec_is_refused_and_not_looked_at_again(scene: Scene) -> None:
    root = bundle(scene.folder / "empty", scene.shards, BundleKind.TASK, {"other.json": b"{}"})
    scene.show(replace(scene.offer(), spec_root=root))
    scene.assistant.run_once()
    scene.assistant.run_once()
    assert scene.notes.messages == ["work refused", "waiting for work"]
    assert "no spec.json" in str(scene.notes.of("work refused")["why"])


def test_rollouts_that_are_none_are_refused(scene: Scene) -> None:
    data = b"PAR1 not at all"
    stack = Stack(len(data), hashlib.sha256(data).digest(), "http://127.0.0.1:9")
    scene.show(scene.offer(stack), data)
    scene.assistant.run_once()
    assert "Parquet" in str(scene.notes.of("work refused")["why"])


def rolled_out(policy: Policy) -> Rollouts:
    return proved_rollouts(policy, make_environment(SPEC.environment), SPEC, SEED)


def test_lighthouse_that_is_gone_is_no_reason_to_give_the_submission_up(scene: Scene, policy_folder: Path) -> None:
    data = rollouts_bytes(rolled_out(load_policy(policy_folder)))
    scene.show(scene.offer(Stack(len(data), hashlib.sha256(data).digest(), "http://127.0.0.1:9")), data)
    with pytest.raises(Unavailable, match="no lighthouse"):
        scene.assistant.run_once()
    scene.board.clear()
    scene.assistant.run_once()
    assert scene.notes.messages == ["waiting for work"]


def test_leader_without_assistants_makes_the_same_update_as_a_trainer_without_a_group(
    scene: Scene, policy_folder: Path
) -> None:
    policy = load_policy(policy_folder)
    rollouts = rolled_out(policy)
    file = scene.folder / "rollouts.parquet"
    file.write_bytes(rollouts_bytes(rollouts))
    assignment = Assignment(1, 0, "0xA1", SEED, 0, scene.policy_root)  # pyright: ignore[reportArgumentType]
    stop = QuickStop(after=10**6)
    with Leader("127.0.0.1", 0, SECRET, scene.shards, scene.notes, stop, exchange_s=2) as leader:
        leader.prepare(assignment, SPEC, scene.task_root)
        found = leader.inner_steps(file)(policy, rollouts, SPEC, SEED)
    expected = run_inner_steps(policy, rollouts, SPEC, SEED)
    assert all((found.pseudo_gradient[name] == array).all() for name, array in expected.pseudo_gradient.items())
    assert [step.state for step in found.trace] == [step.state for step in expected.trace]
    assert scene.notes.of("inner steps shared") == {
        "steps": 2,
        "shared": 0,
        "members": 1,
        "repeated": 0,
        "lost_s": 0.0,
    }


def test_leader_whose_group_cannot_start_trains_alone(scene: Scene, policy_folder: Path) -> None:
    policy = load_policy(policy_folder)
    rollouts = rolled_out(policy)
    stop = QuickStop(after=10**6)
    with Leader("127.0.0.1", 0, SECRET, scene.shards, scene.notes, stop, exchange_s=2) as leader:
        found = leader.inner_steps(scene.folder / "none")(policy, rollouts, SPEC, SEED)  # nothing was prepared
    assert len(found.trace) == 2
    assert "no submission was prepared" in str(
        scene.notes.of("group given up for this submission, going on alone")["why"]
    )


@pytest.mark.slow  # a process that imports all that a trainer does
def test_trainer_without_a_group_loads_no_engine_for_one() -> None:
    program = "import sys, assay_trainer.app; print([name for name in sys.modules if name.startswith((ENGINE, GROUP))])"
    program = program.replace("ENGINE", "'torchft'").replace("GROUP", "'assay_trainer.group'")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_limits_of_a_task_hold_for_what_the_leader_sends(scene: Scene) -> None:
    client = LeaderClient(f"http://127.0.0.1:{scene.server.port}", SECRET)
    scene.show(scene.offer())
    with pytest.raises(Malformed, match="bytes"):
        client.fetch(scene.policy_root, scene.folder / "cache", BundleLimits(10))
    assert client.fetch(scene.task_root, scene.folder / "cache", LIMITS).is_dir()


def test_assistant_with_another_secret_stops(scene: Scene) -> None:
    client = LeaderClient(f"http://127.0.0.1:{scene.server.port}", b"t" * 64)
    with pytest.raises(Stop, match="copy the file"):
        Assistant(client, scene.folder / "cache", scene.notes, scene.stop, load_policy=load_policy).run()
