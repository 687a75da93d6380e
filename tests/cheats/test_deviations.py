"""The demo's cheats: each deviates in exactly one place, and the verifier's judge finds it there."""

from pathlib import Path

import numpy as np
import pytest

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import read_update
from assay_core.bundle.directory import build_bundle, open_bundle
from assay_core.bundle.manifest import BundleKind, BundleLimits, Manifest
from assay_core.bundle.rollouts import RolloutLimits, read_rollouts
from assay_core.bundle.trajectory import Rollouts
from assay_core.daemon.stopping import StopFlag
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.protocol.errors import Reason, Stop
from assay_core.protocol.spec import CheckSpec, EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Address, Epoch, PolicyVersion, Root, Seed, TaskId, Work, WorkIndex, WorkKind
from assay_trainer.deviations import DEVIATIONS, AlteredUpdate, Deviation, OtherModel, make_deviation
from assay_trainer.submission_builder import Policies, SubmissionBuilder
from assay_trainer.tasks import Assignment
from assay_verifier.case import Case
from assay_verifier.judge import Judgement, judge
from assay_verifier.verdict import SCORE_FRAUD, SCORE_FULL

TRAINER = Address("0x00000000000000000000000000000000000000A1")
SPEC_ROOT = Root(b"\x05" * 32)
SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=8, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=8, lr=1e-3),
    checks=CheckSpec(),
)


class Never:
    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float) -> bool:
        return False


class OnePolicy:
    """Transport and verifier's bench in one: there is a single policy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = build_bundle(folder, BundleKind.POLICY, {}).root

    def fetch(self, root: Root, kind: BundleKind, limits: BundleLimits) -> Path:
        open_bundle(self.folder, limits, root)
        return self.folder

    def policy(self, root: Root):
        return load_policy(self.fetch(root, BundleKind.POLICY, BundleLimits(2**20)))

    def environment(self):
        return make_environment(SPEC.environment)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> OnePolicy:
    policy = initial_policy(
        {"kind": "tiny", "layers": 1, "width": 32, "heads": 2, "warmup": {"steps": 20, "batch": 32}},
        Seed(bytes(32)),
        make_environment(SPEC.environment),
    )
    folder = tmp_path_factory.mktemp("policy")
    save_policy(policy, folder)
    return OnePolicy(folder)


def assignment(context: OnePolicy) -> Assignment:
    return Assignment(TaskId(1), Epoch(0), TRAINER, Seed(bytes(range(32))), PolicyVersion(0), context.root)


def quiet(message: str, /, **fields: object) -> None:
    pass


def make(context: OnePolicy, folder: Path, deviation: Deviation | None) -> Manifest:
    stop: StopFlag = Never()
    policies = Policies(context, load_policy)
    builder = SubmissionBuilder(SPEC, SPEC_ROOT, policies, context.environment(), quiet, stop, deviation)
    return builder.make(assignment(context), folder)


def judged(context: OnePolicy, folder: Path, manifest: Manifest) -> Judgement:
    asked = assignment(context)
    case = Case(
        task_id=asked.task_id,
        epoch=asked.epoch,
        work=Work(TRAINER, WorkIndex(0), WorkKind.FULL, SPEC.rollout.groups, asked.policy_version, manifest.root),
        spec=SPEC,
        spec_root=SPEC_ROOT,
        trainer_seed=asked.seed,
        epoch_seed=None,
        policy_root=context.root,
        newest_version=asked.policy_version,
        max_staleness=2,
        sampling_bps=10_000,
    )
    return judge(case, context, folder, manifest)


def rollouts_in(folder: Path) -> Rollouts:
    return read_rollouts(folder / "rollouts.parquet", RolloutLimits.of(SPEC))


def update_in(context: OnePolicy, folder: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    shapes = {name: tuple(value.shape) for name, value in context.policy(context.root).trainable().items()}
    return dict(read_update(folder, manifest, shapes, codec_named(SPEC.codec)))


def test_an_honest_work_passes_every_check(context: OnePolicy, tmp_path: Path) -> None:
    verdict = judged(context, tmp_path, make(context, tmp_path, None)).verdict
    assert (verdict.score, verdict.reason) == (SCORE_FULL, None)


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("other-model", {Reason.PROOF_MISMATCH, Reason.SAMPLING_MISMATCH}),
        ("altered-update", {Reason.REPLAY_MISMATCH, Reason.BAD_UPDATE}),
    ],
)
def test_each_deviation_is_found_out_as_fraud(
    context: OnePolicy, tmp_path: Path, name: str, reasons: set[Reason]
) -> None:
    verdict = judged(context, tmp_path, make(context, tmp_path, make_deviation(name))).verdict
    assert verdict.score == SCORE_FRAUD
    assert verdict.reason in reasons


def test_an_altered_update_differs_from_the_honest_work_in_its_update_alone(context: OnePolicy, tmp_path: Path) -> None:
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
    policy = context.policy(context.root)
    before = {name: value.detach().clone() for name, value in policy.trainable().items()}
    other = OtherModel().policy_for_rollout(policy)
    assert all(bool((value == before[name]).all()) for name, value in policy.trainable().items())
    assert any(bool((value != before[name]).any()) for name, value in other.trainable().items())


def test_an_unknown_deviation_stops() -> None:
    assert sorted(DEVIATIONS) == ["altered-update", "other-model"]
    with pytest.raises(Stop, match="choose altered-update or other-model"):
        make_deviation("laziness")
