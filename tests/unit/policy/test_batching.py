"""Completions of one prompt share its pass through the model; nobody can tell from what comes out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PretrainedConfig

from assay_core.policy import initial_policy
from assay_core.policy.batching import batches, pad_left, pad_right, within
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.interface import Bf16Bits, Prefill
from assay_core.policy.weights import TOKENIZER_NAME
from assay_core.protocol.spec import SamplerSpec
from assay_core.protocol.types import Seed

SEED = Seed(bytes(32))
WORDS = [f"w{number}" for number in range(11)] + ["<end>"]
SAMPLER = SamplerSpec(max_new_tokens=9)
NOISE = 1e-5
SIZES: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 24,
    "initializer_range": 0.1,
}


def of_transformers(config: PretrainedConfig, folder: Path) -> CausalPolicy:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="w0")).save(
        str(folder / TOKENIZER_NAME)
    )
    table = {"kind": "hf", "path": str(folder), "template": "{prompt}", "eos": "<end>"}
    return initial_policy({**table, "trainable": ["*"]}, SEED)


@pytest.fixture(scope="module", params=["tiny", "llama", "sliding window"])
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalPolicy:
    """Of 12 ids each, and a context of 24 tokens."""
    if request.param == "tiny":
        start = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 24, "warmup": {"steps": 0}}
        return initial_policy(start, SEED)
    config = LlamaConfig(**SIZES) if request.param == "llama" else MistralConfig(**SIZES, sliding_window=4)
    return of_transformers(config, tmp_path_factory.mktemp("model"))


PROMPTS = [[1, 2, 3]] * 4 + [[4]] * 3 + [[5, 6, 7, 8, 9, 1, 2, 3]] * 4
LENGTHS = [1, 5, 9, 2, 9, 1, 4, 3, 9, 8, 1]
COMPLETIONS = [[(row + 3 * t) % 11 for t in range(length)] for row, length in enumerate(LENGTHS)]


def in_one_pass(policy: CausalPolicy, prompt: Sequence[int], ids: Sequence[int]) -> Prefill:
    """What one plain forward pass over the whole sequence says; the distribution straight from the definition."""
    with torch.inference_mode():
        hidden_NH = policy.backbone.hidden(torch.tensor([[*prompt, *ids[:-1]]]))[0]
        chances_TV = policy.backbone.logits(hidden_NH[len(prompt) - 1 :]).double().softmax(-1)
    upto_TV = chances_TV.cumsum(-1)
    picked = torch.tensor(ids)[:, None]
    upto_T, chance_T = upto_TV.gather(1, picked)[:, 0], chances_TV.gather(1, picked)[:, 0]
    bits_NH = hidden_NH.bfloat16().view(torch.int16).numpy().view(np.uint16)
    return Prefill(
        chance_T.log().numpy(),
        (upto_T - chance_T).numpy(),
        upto_T.numpy(),
        chances_TV[:, policy.eos_id].numpy(),
        bits_NH,
    )


def assert_same(one: Prefill, other: Prefill) -> None:
    for name in ("logprobs_T", "cdf_below_T", "cdf_upto_T", "eos_probability_T"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=NOISE, rtol=0)
    assert_same_hidden(one.hidden_NH, other.hidden_NH)


def assert_same_hidden(one_NH: Bf16Bits, other_NH: Bf16Bits) -> None:
    assert one_NH.shape == other_NH.shape
    apart = np.abs(one_NH.astype(np.int32) - other_NH.astype(np.int32))
    assert (apart <= 1).mean() > 0.99  # a bit of bfloat16 tips over now and then


def test_shared_prefill_is_that_of_each_completion_alone(policy: CausalPolicy) -> None:
    together = policy.prefill(PROMPTS, COMPLETIONS, SAMPLER)

    for prompt, ids, prefill in zip(PROMPTS, COMPLETIONS, together, strict=True):
        assert_same(prefill, in_one_pass(policy, prompt, ids))


def test_generation_over_shared_prompts_is_what_prefill_expects(policy: CausalPolicy) -> None:
    """Some end early and drop out of the batch."""
    uniforms_BT = np.random.default_rng(3).random((len(PROMPTS), SAMPLER.max_new_tokens))

    made = policy.generate(PROMPTS, uniforms_BT, SAMPLER)

    assert len({len(each.token_ids) for each in made}) > 2
    for prompt, each, uniforms_T in zip(PROMPTS, made, uniforms_BT, strict=True):
        seen = in_one_pass(policy, prompt, each.token_ids)
        drawn_T = uniforms_T[: len(each.token_ids)]
        np.testing.assert_allclose(each.logprobs_T, seen.logprobs_T, atol=NOISE)
        assert (seen.cdf_below_T - NOISE <= drawn_T).all() and (drawn_T <= seen.cdf_upto_T + NOISE).all()
        assert_same_hidden(each.hidden_NH, seen.hidden_NH)


def test_logits_in_blocks_are_the_same(policy: CausalPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = policy.prefill(PROMPTS, COMPLETIONS, SAMPLER)
    monkeypatch.setattr("assay_core.policy.causal.LOGITS_AT_ONCE", 2 * policy.vocabulary + 1)

    for one, other in zip(at_once, policy.prefill(PROMPTS, COMPLETIONS, SAMPLER), strict=True):
        assert_same(one, other)


def test_sequences_that_fit_the_context_each_but_not_padded_together_are_taken_apart(policy: CausalPolicy) -> None:
    prompts, completions = [[1] * 20, [2, 3]], [[4] * 4, [5] * 22]

    prefills = policy.prefill(prompts, completions, SAMPLER)

    for prompt, ids, prefill in zip(prompts, completions, prefills, strict=True):
        assert_same(prefill, in_one_pass(policy, prompt, ids))


lengths = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30)


@given(lengths, st.integers(1, 8), st.integers(10, 18))
def test_batches_hold_every_row_once_and_fit(rows: list[tuple[int, int]], most: int, context: int) -> None:
    rows = [(prompt, new) for prompt, new in rows if prompt + new <= context] or [(1, 1)]
    prompts, new_tokens = [[prompt] * prompt for prompt, _ in rows], [new for _, new in rows]

    found = list(batches(prompts, new_tokens, most, context))

    assert [row for each in found for row in range(len(rows))[each.rows]] == list(range(len(rows)))
    for each in found:
        assert [each.prompts[owner] for owner in each.owners_B.tolist()] == prompts[each.rows]
        assert each.owners_B.diff().ge(0).all()
        assert len(each.owners_B) <= most
        assert max(map(len, each.prompts)) + max(new_tokens[each.rows]) <= context


def test_padding() -> None:
    ids_UP, real_UP = pad_left([[1, 2, 3], [4]])
    assert ids_UP.tolist() == [[1, 2, 3], [0, 0, 4]]
    assert real_UP.tolist() == [[True, True, True], [False, False, True]]
    assert pad_right([[1], [2, 3]]).tolist() == [[1, 0], [2, 3]]
    assert within([1, 2]).tolist() == [[True, False], [True, True]]
