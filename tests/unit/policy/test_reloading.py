"""What others will load is the policy that was built, and can be sampled from; else nothing is escrowed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DeepseekV3Config, Lfm2Config, MambaConfig, MistralConfig, PretrainedConfig

from assay_core.policy import initial_policy, load_policy, require_reloading, save_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.weights import CONFIG_NAME
from assay_core.protocol.errors import Stop
from assay_core.protocol.types import Seed
from tests.unit.policy.models import WORDS, llama, start, write_model

SEED = Seed(bytes(32))
SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}
BIAS = "model.layers.1.mlp.gate.e_score_correction_bias"


def deepseek() -> PretrainedConfig:
    experts: dict[str, Any] = {
        "n_shared_experts": 1,
        "n_routed_experts": 4,
        "num_experts_per_tok": 1,
        "first_k_dense_replace": 1,
    }
    heads: dict[str, Any] = {
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
    }
    return DeepseekV3Config(**SIZES, **experts, **heads, moe_intermediate_size=8, n_group=2, topk_group=1)


def built(folder: Path, config: PretrainedConfig, **changes: Any) -> CausalPolicy:
    write_model(folder / "model", config)
    policy = initial_policy(start(folder / "model", trainable=["*"], **changes), SEED)
    save_policy(policy, folder / "bundle")
    return policy


@pytest.mark.parametrize("config", [llama(), MistralConfig(**SIZES, sliding_window=4)], ids=["llama", "sliding window"])
def test_a_plain_model_passes(tmp_path: Path, config: PretrainedConfig) -> None:
    require_reloading(built(tmp_path, config), tmp_path / "bundle")


def test_an_adapted_model_passes(tmp_path: Path) -> None:
    adapter = {"rank": 2, "alpha": 4, "targets": ["*.q_proj"]}
    write_model(tmp_path / "model", llama())
    policy = initial_policy(start(tmp_path / "model", trainable=None, adapter=adapter), SEED)
    save_policy(policy, tmp_path / "bundle")
    require_reloading(policy, tmp_path / "bundle")


def test_a_model_with_one_place_of_context_is_tried_within_it(tmp_path: Path) -> None:
    table = {"kind": "tiny", "layers": 1, "width": 8, "heads": 2, "context": 2, "warmup": {"steps": 0}}
    policy = initial_policy(table, SEED)
    save_policy(policy, tmp_path)
    require_reloading(policy, tmp_path)


def test_a_routing_bias_travels_with_the_weights(tmp_path: Path) -> None:
    policy = built(tmp_path, deepseek())
    bias = dict(policy.backbone.module().named_buffers())[BIAS]
    with torch.no_grad():
        bias.copy_(torch.tensor([4.0, -4.0, 0.5, 1.0]))
    with pytest.raises(Stop, match=BIAS):
        require_reloading(policy, tmp_path / "bundle")
    save_policy(policy, tmp_path / "bundle")
    require_reloading(policy, tmp_path / "bundle")
    assert torch.equal(dict(load_policy(tmp_path / "bundle").backbone.module().named_buffers())[BIAS], bias)


def test_files_that_nobody_could_load_stop(tmp_path: Path) -> None:
    policy = built(tmp_path, llama())
    (tmp_path / "bundle" / CONFIG_NAME).write_text("{}")
    with pytest.raises(Stop, match="nobody could load this policy"):
        require_reloading(policy, tmp_path / "bundle")


def test_state_that_is_no_weight_shows_in_the_logits(tmp_path: Path) -> None:
    policy = built(tmp_path, llama())
    policy.backbone.module().get_submodule("model.layers.0.mlp.act_fn").forward = torch.sin  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Stop, match="other logits"):
        require_reloading(policy, tmp_path / "bundle")


HYBRID = [
    Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]),
    MambaConfig(vocab_size=len(WORDS), hidden_size=16, state_size=4, num_hidden_layers=2),
]


@pytest.mark.parametrize("config", HYBRID, ids=lambda config: config.model_type)
def test_an_architecture_that_keeps_more_than_keys_and_values_stops(tmp_path: Path, config: PretrainedConfig) -> None:
    policy = built(tmp_path, config)
    with pytest.raises(Stop, match="cannot sample from this architecture"):
        require_reloading(policy, tmp_path / "bundle")
