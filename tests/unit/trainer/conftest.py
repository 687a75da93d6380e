"""Fixtures: the ground of `ground.py`, with one tiny policy for all tests."""

from pathlib import Path

import pytest
import torch

from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, save_policy
from assay_core.protocol.types import Seed
from tests.unit.trainer.ground import SPEC, Ground, ListedChain, ShardStore, bundle


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def policy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has begun to sort."""
    policy = initial_policy(
        {"kind": "tiny", "layers": 1, "width": 32, "heads": 2, "warmup": {"steps": 20, "batch": 32}},
        Seed(bytes(32)),
        make_environment(SPEC.environment),
    )
    folder = tmp_path_factory.mktemp("policy")
    save_policy(policy, folder)
    return folder


@pytest.fixture
def ground(tmp_path: Path, policy_folder: Path) -> Ground:
    shards = ShardStore(tmp_path / "relay")
    spec_root = bundle(tmp_path / "task", shards, BundleKind.TASK, {"spec.json": SPEC.to_bytes()})
    policy_root = shards.put(policy_folder, build_bundle(policy_folder, BundleKind.POLICY, {}))
    return Ground(tmp_path, shards, ListedChain(spec_root, policy_root), policy_root)
