"""From a trainer to the next policy, in one process: works through adapters, replayed step by step, then aggregated."""

from pathlib import Path
from typing import Any

import pytest
import torch

from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME
from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.environments import make_environment
from assay_core.environments.interface import Environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.interface import Policy
from assay_core.policy.weights import POLICY_NAME
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Stop
from assay_core.protocol.spec import CheckSpec, RecipeSpec, RolloutSpec, TaskSpec
from assay_core.protocol.types import SCORE_FULL, Epoch, PolicyVersion, Root, Seed, TaskId, Work, WorkIndex, WorkKind
from assay_core.training.states import state_name
from assay_protocol.opening import require_room_for_states
from assay_protocol.task_file import load_task_file
from assay_trainer.submission_builder import Policies, SubmissionBuilder
from assay_trainer.tasks import Assignment
from assay_verifier.aggregate import write_next
from assay_verifier.case import Case
from assay_verifier.inbox import Delivery
from assay_verifier.judge import Judgement, judge
from tests.unit.verifier.honest import SPEC, SPEC_ROOT, TRAINER

STEPS = 3
STEP_WISE = SPEC.model_copy(
    update={
        "checks": CheckSpec(replay="steps"),
        "recipe": RecipeSpec(inner_steps=STEPS, groups_per_step=2, lr=3e-3),
    }
)
START: dict[str, Any] = {
    "kind": "tiny",
    "layers": 2,
    "width": 32,
    "heads": 2,
    "context": 16,
    "warmup": {"steps": 30, "batch": 32},
    "adapter": {"rank": 2, "alpha": 4, "targets": ["blocks.*"]},
}


class OnePolicy:
    """A transport and a verifier's bench: there is one policy, in a folder."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder, self._environment = folder, environment
        self.manifest = build_bundle(folder, BundleKind.POLICY, {})
        self._loaded = load_policy(folder)

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        open_bundle(self.folder, limits, root)
        return self.folder

    def policy(self, root: Root) -> Policy:
        assert root == self.manifest.root
        return self._loaded

    def environment(self) -> Environment:
        return self._environment


class Never:
    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        return False


def quiet(message: str, /, **fields: object) -> None:
    pass


def assignment(context: OnePolicy, version: int) -> Assignment:
    seed = derive(Seed(bytes(range(32))), version)
    return Assignment(TaskId(1), Epoch(version), TRAINER, seed, PolicyVersion(version), context.manifest.root)


def work(context: OnePolicy, spec: TaskSpec, folder: Path, version: int = 0) -> Manifest:
    """By the trainer's own workshop."""
    policies = Policies(context, load_policy)
    builder = SubmissionBuilder(spec, SPEC_ROOT, policies, context.environment(), quiet, Never())
    return builder.make(assignment(context, version), folder)


def judged(context: OnePolicy, spec: TaskSpec, folder: Path, manifest: Manifest, version: int = 0) -> Judgement:
    asked = assignment(context, version)
    case = Case(
        task_id=asked.task_id,
        epoch=asked.epoch,
        work=Work(TRAINER, WorkIndex(0), WorkKind.FULL, spec.rollout.groups, asked.policy_version, manifest.root),
        spec=spec,
        spec_root=SPEC_ROOT,
        trainer_seed=asked.seed,
        epoch_seed=derive(asked.seed, "epoch"),
        policy_root=context.manifest.root,
        newest_version=asked.policy_version,
        max_staleness=2,
        sampling_bps=10_000,
    )
    return judge(case, context, folder, open_bundle(folder, BundleLimits(spec.limits.work_bytes), manifest.root))


def test_two_versions_of_an_adapter_are_trained_judged_and_aggregated(tmp_path: Path) -> None:
    environment = make_environment(STEP_WISE.environment)
    save_policy(initial_policy(START, Seed(b"\x01" * 32), environment), tmp_path / "v0")
    context = OnePolicy(tmp_path / "v0", environment)
    for version in range(2):
        folder = tmp_path / f"work-{version}"
        manifest = work(context, STEP_WISE, folder, version)
        assert {state_name(step) for step in range(STEPS)} <= {entry.name for entry in manifest.files}
        verdict = judged(context, STEP_WISE, folder, manifest, version).verdict
        assert (verdict.score, verdict.reason) == (SCORE_FULL, None), verdict.findings[-1]
        target = tmp_path / f"v{version + 1}"
        base = Delivery(context.folder, context.manifest)
        write_next(STEP_WISE, base, [(WorkIndex(0), 100, Delivery(folder, manifest))], target)
        successor = OnePolicy(target, environment)
        changed = {entry.name for entry in successor.manifest.files} - {
            entry.name for entry in successor.manifest.files if entry in context.manifest.files
        }
        assert changed == {WEIGHTS_NAME, MOMENTUM_NAME}
        before, after = context.policy(context.manifest.root), successor.policy(successor.manifest.root)
        assert any(not torch.equal(value, after.trainable()[name]) for name, value in before.trainable().items())
        context = successor


def test_works_whose_states_would_not_fit_are_told_when_the_task_is_opened() -> None:
    shapes = {"blocks.0.up.lora_a": (4, 1_000), "blocks.0.up.lora_b": (4_000, 4)}
    narrow = STEP_WISE.model_copy(update={"limits": STEP_WISE.limits.model_copy(update={"work_bytes": 900_000})})
    with pytest.raises(Stop, match=r"states of 3 inner steps take 72\d+ bytes .* task\.limits\.work_bytes are 675000"):
        require_room_for_states(shapes, narrow)
    require_room_for_states(shapes, narrow.model_copy(update={"checks": CheckSpec()}))
    require_room_for_states(shapes, STEP_WISE)


@pytest.mark.slow
def test_smollm2_learns_through_adapters_and_one_step_of_its_training_is_replayed(tmp_path: Path) -> None:
    """The example's own task and policy, with less to roll out."""
    task = load_task_file(Path(__file__).parents[3] / "examples" / "syllogism-lora.toml")
    rollout, recipe = RolloutSpec(groups=4, group_size=4), {"inner_steps": 3, "groups_per_step": 1}
    spec = task.spec.model_copy(update={"rollout": rollout, "recipe": task.spec.recipe.model_copy(update=recipe)})
    environment = make_environment(spec.environment)
    policy = initial_policy(task.policy, task.seed, environment)
    require_room_for_states({name: tuple(value.shape) for name, value in policy.trainable().items()}, task.spec)
    save_policy(policy, tmp_path / "v0")
    context = OnePolicy(tmp_path / "v0", environment)
    assert {entry.name for entry in context.manifest.files} == {POLICY_NAME, WEIGHTS_NAME}
    assert context.manifest.size_bytes < 2**20
    manifest = work(context, spec, tmp_path / "work")
    found = judged(context, spec, tmp_path / "work", manifest)
    assert (found.verdict.score, found.verdict.reason) == (SCORE_FULL, None), found.verdict.findings[-1]
    steps = {str(finding.evidence["step"]) for finding in found.verdict.findings if "step" in finding.evidence}
    assert len(steps) == 1
    with torch.no_grad():
        for parameter in context.policy(context.manifest.root).trainable().values():
            parameter += 0.01
    assert judged(context, spec, tmp_path / "work", manifest).verdict.score != SCORE_FULL
