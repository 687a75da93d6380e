"""`assay verify`: the same checks as a verifier's, from files alone; its exit code is its verdict."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.spec import EnvironmentSpec, RecipeSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Root, Seed
from tests.unit.cli.conftest import Assay
from tests.unit.verifier.honest import HonestTrainer

SPEC = TaskSpec(
    title="sort three digits",
    environment=EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=4, group_size=4),
    recipe=RecipeSpec(inner_steps=2, groups_per_step=4, lr=1e-3),
)
START = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, "warmup": {"steps": 30, "batch": 32}}


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `assay explain --save` leaves it: submission, policy, spec.json and case.json; and a cheat's
    submission.
    """
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("saved")
    environment = make_environment(SPEC.environment)
    save_policy(initial_policy(START, Seed(b"\x01" * 32), environment), folder / "policy")
    manifest = build_bundle(folder / "policy", BundleKind.POLICY, {"version": 0})
    trainer = HonestTrainer(SPEC, load_policy(folder / "policy"), manifest.root, folder, environment)
    parts = trainer.parts()
    honest = trainer.write(parts)
    flipped = {name: -tensor for name, tensor in parts.update.items()}
    trainer.write(replace(parts, update=flipped)).directory.rename(folder / "altered")
    (folder / "case.json").write_bytes(canonical_json(trainer.case(honest).json()))
    honest.directory.rename(folder / "submission")
    (folder / "spec.json").write_bytes(SPEC.to_bytes())
    return folder


@pytest.fixture
def saved(original: Path, home: Path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(original, home / "saved")


def test_an_honest_submission_is_accepted_after_every_check(assay: Assay, saved: Path) -> None:
    result = assay("verify", str(saved / "submission"))
    assert result.exit_code == 0, result.output
    assert "replay" in result.stdout
    assert result.stdout.splitlines()[-1] == "accepted; score 100 %"


def test_without_a_case_the_submission_is_taken_at_its_word(assay: Assay, saved: Path) -> None:
    (saved / "case.json").unlink()
    result = assay("verify", str(saved / "submission"))
    assert (result.exit_code, "was believed" in result.stdout) == (0, True)


def test_an_altered_update_is_found_by_the_replay(assay: Assay, saved: Path) -> None:
    (saved / "case.json").unlink()
    result = assay("verify", str(saved / "altered"), "--json")
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert (told["accepted"], told["score"], told["reason"]) == (False, 255, "replay_mismatch")


def test_a_file_that_was_changed_is_malformed(assay: Assay, saved: Path) -> None:
    path = saved / "submission" / "rollouts.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    result = assay("verify", str(saved / "submission"), "--json")
    assert (result.exit_code, json.loads(result.stdout)["reason"]) == (1, "malformed")


def test_another_policy_than_the_submissions_is_our_mistake_not_the_submissions(assay: Assay, saved: Path) -> None:
    build_bundle(saved / "policy", BundleKind.POLICY, {"version": 7})
    result = assay("verify", str(saved / "submission"))
    assert (result.exit_code, "is not the policy" in result.stderr) == (1, True)


def test_the_case_of_another_submission_is_refused(assay: Assay, saved: Path) -> None:
    case = json.loads((saved / "case.json").read_bytes())
    case["submission"]["manifest_root"] = Root(b"\x01" * 32).hex()
    (saved / "case.json").write_bytes(canonical_json(case))
    result = assay("verify", str(saved / "submission"))
    assert (result.exit_code, "is about submission 0101" in result.stderr) == (1, True)


@pytest.mark.parametrize(("gone", "option"), [("spec.json", "--spec FILE"), ("policy", "--policy DIR")])
def test_what_is_missing_is_named(assay: Assay, saved: Path, gone: str, option: str) -> None:
    (saved / gone).rename(saved / "elsewhere")
    result = assay("verify", str(saved / "submission"))
    assert (result.exit_code, option in result.stderr) == (1, True)


def test_a_spec_that_is_none_is_named(assay: Assay, saved: Path) -> None:
    (saved / "spec.json").write_text("{}")
    result = assay("verify", str(saved / "submission"))
    assert (result.exit_code, "not a task's spec.json" in result.stderr) == (1, True)
