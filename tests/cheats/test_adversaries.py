"""The demo's cheats: each deviates in exactly one place, and the verifier's judge finds it there."""

from pathlib import Path

import numpy as np
import pytest

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import read_update
from assay_core.bundle.manifest import Manifest
from assay_core.bundle.rollouts import RolloutLimits, read_rollouts
from assay_core.bundle.trajectory import Rollouts
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.protocol.errors import Reason, Stop
from assay_core.protocol.spec import CheckSpec, EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import (
    Epoch,
    PolicyVersion,
    Seed,
)
from assay_trainer.adversaries import ADVERSARIES, Adversary, AlteredUpdate, OtherModel, make_adversary
from assay_trainer.tasks import Assignment
from assay_verifier.verdict import SCORE_FRAUD, SCORE_FULL
from tests.submissions import TASK, TRAINER, OnePolicy, build, judged

SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=8, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=8, lr=1e-3),
    checks=CheckSpec(),
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> OnePolicy:
    environment = make_environment(SPEC.environment)
    policy = initial_policy(
        {"kind": "tiny", "layers": 1, "width": 32, "heads": 2, "warmup": {"steps": 20, "batch": 32}},
        Seed(bytes(32)),
        environment,
    )
    folder = tmp_path_factory.mktemp("policy")
    save_policy(policy, folder)
    return OnePolicy(folder, environment)


def assignment(context: OnePolicy) -> Assignment:
    return Assignment(TASK, Epoch(0), TRAINER, Seed(bytes(range(32))), PolicyVersion(0), context.manifest.root)


def make(context: OnePolicy, folder: Path, adversary: Adversary | None) -> Manifest:
    return build(context, SPEC, assignment(context), folder, adversary)


def rollouts_in(folder: Path) -> Rollouts:
    return read_rollouts(folder / "rollouts.parquet", RolloutLimits.of(SPEC))


def update_in(context: OnePolicy, folder: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    shapes = {name: tuple(value.shape) for name, value in context.policy(context.manifest.root).trainable().items()}
    return dict(read_update(folder, manifest, shapes, codec_named(SPEC.codec)))


def test_an_honest_submission_passes_every_check(context: OnePolicy, tmp_path: Path) -> None:
    verdict = judged(context, SPEC, assignment(context), tmp_path, make(context, tmp_path, None)).verdict
    assert (verdict.score, verdict.reason) == (SCORE_FULL, None)


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("other-model", {Reason.PROOF_MISMATCH, Reason.SAMPLING_MISMATCH}),
        ("altered-update", {Reason.REPLAY_MISMATCH, Reason.BAD_UPDATE}),
    ],
)
def test_each_adversary_is_found_out_as_fraud(
    context: OnePolicy, tmp_path: Path, name: str, reasons: set[Reason]
) -> None:
    manifest = make(context, tmp_path, make_adversary(name))
    verdict = judged(context, SPEC, assignment(context), tmp_path, manifest).verdict
    assert verdict.score == SCORE_FRAUD
    assert verdict.reason in reasons


def test_an_altered_update_differs_from_the_honest_submission_in_its_update_alone(
    context: OnePolicy, tmp_path: Path
) -> None:
    honest, altered = (
        make(context, tmp_path / "honest", None),
        make(context, tmp_path / "altered", AlteredUpdate()),
    )
    assert honest.fields == altered.fields
    differing = {entry.name for entry in honest.files if altered.entry(entry.name) != entry}
    assert differing == {"update/0000.safetensors"}
    mine, theirs = (
        update_in(context, tmp_path / "honest", honest),
        update_in(context, tmp_path / "altered", altered),
    )
    assert all(np.array_equal(mine[name], -theirs[name]) for name in mine)
    assert any(tensor.any() for tensor in mine.values())


def test_another_model_deviates_in_its_rollouts_alone(context: OnePolicy, tmp_path: Path) -> None:
    honest, other = (
        make(context, tmp_path / "honest", None),
        make(context, tmp_path / "other", OtherModel()),
    )
    assert honest.fields == other.fields
    mine, theirs = rollouts_in(tmp_path / "honest"), rollouts_in(tmp_path / "other")
    assert [row.prompt_ids for row in mine.completions] == [row.prompt_ids for row in theirs.completions]
    assert [row.proofs for row in mine.completions] != [row.proofs for row in theirs.completions]


def test_another_model_leaves_the_declared_policy_alone(context: OnePolicy) -> None:
    policy = context.policy(context.manifest.root)
    before = {name: value.detach().clone() for name, value in policy.trainable().items()}
    other = OtherModel().policy_for_rollout(policy)
    assert all(bool((value == before[name]).all()) for name, value in policy.trainable().items())
    assert any(bool((value != before[name]).any()) for name, value in other.trainable().items())


def test_an_unknown_adversary_stops() -> None:
    assert sorted(ADVERSARIES) == ["altered-update", "other-model"]
    with pytest.raises(Stop, match="choose altered-update or other-model"):
        make_adversary("laziness")
