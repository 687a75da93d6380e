"""From a trainer to the next policy, in one process: submissions through adapters, replayed step by step, then
aggregated.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from assay_core.aggregation.optimizer import MOMENTUM_NAME, WEIGHTS_NAME
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.policy.weights import POLICY_NAME
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Stop
from assay_core.protocol.spec import CheckSpec, RecipeSpec, RolloutSpec
from assay_core.protocol.types import (
    SCORE_FULL,
    Epoch,
    PolicyVersion,
    Seed,
    SubmissionIndex,
)
from assay_core.training.states import state_name
from assay_protocol.opening import require_room_for_states
from assay_protocol.task_file import load_task_file
from assay_trainer.tasks import Assignment
from assay_verifier.aggregate import write_next
from assay_verifier.inbox import Delivery
from tests.submissions import TASK, TRAINER, OnePolicy, build, judged
from tests.unit.verifier.honest import SPEC

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


def assignment(context: OnePolicy, version: int) -> Assignment:
    seed = derive(Seed(bytes(range(32))), version)
    return Assignment(TASK, Epoch(version), TRAINER, seed, PolicyVersion(version), context.manifest.root)


def test_two_versions_of_an_adapter_are_trained_judged_and_aggregated(tmp_path: Path) -> None:
    environment = make_environment(STEP_WISE.environment)
    save_policy(initial_policy(START, Seed(b"\x01" * 32), environment), tmp_path / "v0")
    context = OnePolicy(tmp_path / "v0", environment)
    for version in range(2):
        folder = tmp_path / f"submission-{version}"
        asked = assignment(context, version)
        manifest = build(context, STEP_WISE, asked, folder)
        assert {state_name(step) for step in range(STEPS)} <= {entry.name for entry in manifest.files}
        verdict = judged(context, STEP_WISE, asked, folder, manifest, derive(asked.seed, "epoch")).verdict
        assert (verdict.score, verdict.reason) == (SCORE_FULL, None), verdict.findings[-1]
        target = tmp_path / f"v{version + 1}"
        base = Delivery(context.folder, context.manifest)
        write_next(STEP_WISE, base, [(SubmissionIndex(0), 100, Delivery(folder, manifest))], target)
        successor = OnePolicy(target, environment)
        changed = {entry.name for entry in successor.manifest.files} - {
            entry.name for entry in successor.manifest.files if entry in context.manifest.files
        }
        assert changed == {WEIGHTS_NAME, MOMENTUM_NAME}
        before, after = context.policy(context.manifest.root), successor.policy(successor.manifest.root)
        assert any(not torch.equal(value, after.trainable()[name]) for name, value in before.trainable().items())
        context = successor


def test_submissions_whose_states_would_not_fit_are_told_when_the_task_is_opened() -> None:
    shapes = {"blocks.0.up.lora_a": (4, 1_000), "blocks.0.up.lora_b": (4_000, 4)}
    narrow = STEP_WISE.model_copy(update={"limits": STEP_WISE.limits.model_copy(update={"submission_bytes": 900_000})})
    with pytest.raises(
        Stop, match=r"states of 3 inner steps take 72\d+ bytes .* task\.limits\.submission_bytes are 675000"
    ):
        require_room_for_states(shapes, narrow)
    require_room_for_states(shapes, narrow.model_copy(update={"checks": CheckSpec()}))
    require_room_for_states(shapes, STEP_WISE)


@pytest.mark.slow
def test_smollm2_learns_through_adapters_and_one_step_of_its_training_is_replayed(tmp_path: Path) -> None:
    """The example's own task and policy, with less to roll out."""
    task = load_task_file(Path(__file__).parents[3] / "examples" / "syllogism-lora.toml")
    rollout, recipe = RolloutSpec(groups=4, group_size=4), {"inner_steps": 3, "groups_per_step": 1}
    one_step = {"checks": task.spec.checks.model_copy(update={"steps_replayed": 1})}
    shorter = {"rollout": rollout, "recipe": task.spec.recipe.model_copy(update=recipe)}
    spec = task.spec.model_copy(update=shorter | one_step)
    environment = make_environment(spec.environment)
    policy = initial_policy(task.policy, task.seed, environment)
    require_room_for_states({name: tuple(value.shape) for name, value in policy.trainable().items()}, task.spec)
    save_policy(policy, tmp_path / "v0")
    context = OnePolicy(tmp_path / "v0", environment)
    assert {entry.name for entry in context.manifest.files} == {POLICY_NAME, WEIGHTS_NAME}
    assert context.manifest.size_bytes < 2**20
    asked, folder = assignment(context, 0), tmp_path / "submission"
    manifest = build(context, spec, asked, folder)
    epoch_seed = derive(asked.seed, "epoch")
    found = judged(context, spec, asked, folder, manifest, epoch_seed)
    assert (found.verdict.score, found.verdict.reason) == (SCORE_FULL, None), found.verdict.findings[-1]
    steps = {str(finding.evidence["step"]) for finding in found.verdict.findings if "step" in finding.evidence}
    assert len(steps) == 1
    with torch.no_grad():
        for parameter in context.policy(context.manifest.root).trainable().values():
            parameter += 0.01
    assert judged(context, spec, asked, folder, manifest, epoch_seed).verdict.score != SCORE_FULL
