"""Fixtures: one tiny task, its policy, and the honest trainer of `honest.py`."""

from pathlib import Path

import pytest
import torch

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Seed
from tests.unit.verifier.honest import SPEC, Bundle, HonestTrainer


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def spec() -> TaskSpec:
    return SPEC


@pytest.fixture(scope="session")
def policy_bundle(spec: TaskSpec, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("policy")
    start = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, "warmup": {"steps": 30, "batch": 32}}
    policy = initial_policy(start, Seed(b"\x01" * 32), make_environment(spec.environment))
    save_policy(policy, directory)
    return Bundle(directory, build_bundle(directory, BundleKind.POLICY, {"task": 1, "version": 0}))


@pytest.fixture
def trainer(spec: TaskSpec, policy_bundle: Bundle, tmp_path: Path) -> HonestTrainer:
    policy = load_policy(policy_bundle.directory)
    return HonestTrainer(spec, policy, policy_bundle.manifest.root, tmp_path, make_environment(spec.environment))
