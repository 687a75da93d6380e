"""Adapters: version 0 computes what its base does, only they are trained and sent, and strangers' are checked."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from assay_core.aggregation.optimizer import WEIGHTS_NAME
from assay_core.bundle.directory import build_bundle
from assay_core.bundle.manifest import BundleKind
from assay_core.environments import make_environment
from assay_core.policy import initial_policy, load_policy, save_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.weights import FROZEN_NAME, POLICY_NAME
from assay_core.protocol.encoding import canonical_json
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.spec import EnvironmentSpec, SamplerSpec
from assay_core.protocol.types import Seed
from tests.unit.policy.successor import write_successor

SEED = Seed(bytes(range(32)))
BASE: dict[str, Any] = {
    "kind": "tiny",
    "layers": 2,
    "width": 16,
    "heads": 2,
    "context": 24,
    "warmup": {"steps": 3, "batch": 8},
}
ADAPTER = {"rank": 2, "alpha": 4, "targets": ["blocks.*.qkv", "blocks.1.up"]}
START = {**BASE, "adapter": ADAPTER}
SORTING = make_environment(EnvironmentSpec(name="sorting", args={"digits": 3}))
PROMPTS = [[3, 1, 2, 10], [1, 2, 10]]
COMPLETIONS = [[1, 2, 3], [1, 2, 3, 11]]


@pytest.fixture(scope="module")
def adapted() -> CausalPolicy:
    return initial_policy(START, SEED, SORTING)


@pytest.fixture
def directory(adapted: CausalPolicy, tmp_path: Path) -> Path:
    save_policy(adapted, tmp_path / "policy")
    return tmp_path / "policy"


def logprobs(policy: CausalPolicy) -> torch.Tensor:
    return policy.token_logprobs(PROMPTS, COMPLETIONS, 1.0)[0].detach()


def grown(policy: CausalPolicy) -> CausalPolicy:
    """A copy whose adapter does something."""
    other = copy.deepcopy(policy)
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in other.trainable().items():
            if name.endswith("lora_b"):
                parameter.copy_(torch.randn(parameter.shape, generator=random))
    return other


def test_a_new_adapter_changes_nothing(adapted: CausalPolicy) -> None:
    base = initial_policy(BASE, SEED, SORTING)
    assert torch.equal(logprobs(adapted), logprobs(base))
    assert {name: value.tolist() for name, value in adapted.frozen().items()} == {
        name: value.tolist() for name, value in base.trainable().items()
    }


def test_only_the_adapter_is_trained(adapted: CausalPolicy) -> None:
    assert list(adapted.trainable()) == [
        *(f"blocks.0.qkv.lora_{side}" for side in "ab"),
        *(f"blocks.1.qkv.lora_{side}" for side in "ab"),
        *(f"blocks.1.up.lora_{side}" for side in "ab"),
    ]
    assert adapted.trainable()["blocks.1.up.lora_a"].shape == (2, 16)
    assert adapted.trainable()["blocks.1.up.lora_b"].shape == (64, 2)
    policy = grown(adapted)
    policy.token_logprobs(PROMPTS, COMPLETIONS, 1.0)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in policy.trainable().values())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in policy.frozen().values())


def test_an_adapter_adds_its_product_to_the_weight(adapted: CausalPolicy) -> None:
    """The formula of the paper, against weights that have taken the adapter in."""
    policy = grown(adapted)
    merged = initial_policy(BASE, SEED, SORTING)
    with torch.no_grad():
        for name, matrix_b in policy.trainable().items():
            if name.endswith("lora_b"):
                matrix_a = policy.trainable()[name.removesuffix("b") + "a"]
                merged.trainable()[name.replace("lora_b", "weight")].add_(4 / 2 * matrix_b @ matrix_a)
    assert not torch.allclose(logprobs(policy), logprobs(adapted), atol=1e-2)
    assert torch.allclose(logprobs(policy), logprobs(merged), atol=1e-4)


def test_generation_and_prefill_of_an_adapted_policy_agree(adapted: CausalPolicy) -> None:
    policy, sampler = grown(adapted), SamplerSpec(max_new_tokens=4)
    made = policy.generate(PROMPTS, np.random.default_rng(0).random((2, 4)), sampler)
    seen = policy.prefill(PROMPTS, [each.token_ids for each in made], sampler)
    for one, other in zip(made, seen, strict=True):
        assert np.allclose(one.logprobs_T, other.logprobs_T, atol=1e-4)


def test_a_seed_names_one_adapter(adapted: CausalPolicy) -> None:
    again, other = initial_policy(START, SEED, SORTING), initial_policy(START, Seed(bytes(32)), SORTING)
    for name, parameter in adapted.trainable().items():
        assert torch.equal(parameter, again.trainable()[name])
        if name.endswith("lora_a"):
            assert not torch.equal(parameter, other.trainable()[name])
            assert 0 < parameter.abs().max() <= parameter.shape[1] ** -0.5


def test_what_is_saved_is_loaded_and_saved_again_alike(adapted: CausalPolicy, directory: Path, tmp_path: Path) -> None:
    policy = grown(adapted)
    save_policy(policy, tmp_path / "grown")
    loaded = load_policy(tmp_path / "grown")
    assert loaded.config == policy.config and loaded.config["adapter"] == ADAPTER
    assert torch.equal(logprobs(loaded), logprobs(policy))
    save_policy(loaded, tmp_path / "again")
    for name in (POLICY_NAME, WEIGHTS_NAME, FROZEN_NAME):
        assert (tmp_path / "grown" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_versions_share_all_shards_but_those_of_the_adapter(directory: Path, tmp_path: Path) -> None:
    weights = {name: array + np.float32(0.5) for name, array in load_file(directory / WEIGHTS_NAME).items()}
    write_successor(directory, weights, tmp_path / "next")
    first, second = (build_bundle(each, BundleKind.POLICY, {}) for each in (directory, tmp_path / "next"))
    fresh = {shard for entry in second.files for shard in entry.shards}
    fresh -= {shard for entry in first.files for shard in entry.shards}
    assert fresh == set(second.entry(WEIGHTS_NAME).shards)
    assert second.entry(WEIGHTS_NAME).size_bytes < 0.4 * second.entry(FROZEN_NAME).size_bytes


# ---- what an initiator may get wrong


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        pytest.param({"trainable": ["*"]}, Stop, "either trainable or adapter", id="both"),
        pytest.param({"adapter": {"rank": 2, "alpha": 4}}, Stop, "targets", id="no targets"),
        pytest.param({"adapter": {**ADAPTER, "dropout": 1}}, Stop, "dropout", id="unknown entry"),
        pytest.param({"adapter": {**ADAPTER, "targets": ["mlp.*"]}}, Malformed, "no linear layer", id="no such layer"),
        pytest.param({"adapter": {**ADAPTER, "targets": ["norm"]}}, Malformed, "no linear layer", id="no linear layer"),
        pytest.param({"adapter": {**ADAPTER, "rank": 17}}, Malformed, "no more than 16", id="rank beyond the layer"),
    ],
)
def test_impossible_adapter_is_told_to_the_initiator(
    changes: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        initial_policy({**START, **changes, "warmup": {"steps": 0}}, SEED)


# ---- hostile bundles


@pytest.mark.parametrize(
    "adapter",
    [
        None,
        [],
        {},
        {**ADAPTER, "code": "x"},
        {**ADAPTER, "rank": 0},
        {**ADAPTER, "rank": True},
        {**ADAPTER, "rank": "2"},
        {**ADAPTER, "rank": 10**9},
        {**ADAPTER, "rank": 3},
        {**ADAPTER, "rank": 17},
        {**ADAPTER, "alpha": 0},
        {**ADAPTER, "alpha": -4},
        {**ADAPTER, "alpha": 2**40},
        {**ADAPTER, "targets": []},
        {**ADAPTER, "targets": "blocks.*"},
        {**ADAPTER, "targets": ["(a+)+$"]},
        {**ADAPTER, "targets": ["*"] * 65},
        {**ADAPTER, "targets": ["norm"]},
        {**ADAPTER, "targets": ["blocks.0.qkv"]},
        {**ADAPTER, "targets": ["head"]},
        {**ADAPTER, "targets": ["*"]},
    ],
    ids=str,
)
def test_impossible_adapter_is_malformed(directory: Path, adapter: Any) -> None:
    config = json.loads((directory / POLICY_NAME).read_bytes())
    (directory / POLICY_NAME).write_bytes(canonical_json({**config, "adapter": adapter}))
    with pytest.raises(Malformed):
        load_policy(directory)


@pytest.mark.parametrize("with_trainable", [True, False], ids=["both", "neither"])
def test_policy_that_does_not_say_once_what_is_trained_is_malformed(directory: Path, with_trainable: bool) -> None:
    config = json.loads((directory / POLICY_NAME).read_bytes())
    if with_trainable:
        config["trainable"] = ["*"]
    else:
        del config["adapter"]
    (directory / POLICY_NAME).write_bytes(canonical_json(config))
    with pytest.raises(Malformed, match="either trainable or adapter"):
        load_policy(directory)
