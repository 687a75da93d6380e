"""Machines that differ: the same policy up to the noise that is to be measured."""

from functools import lru_cache
from hashlib import sha256

import numpy as np
import pytest
import torch

from assay_core.environments import make_environment
from assay_core.policy import initial_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.protocol.spec import EnvironmentSpec, SamplerSpec
from assay_core.protocol.types import Seed
from assay_protocol.calibration.conditions import FLOAT32, REDUCED, Condition, offered, under
from assay_protocol.calibration.dishonest import moved, poisoned, quantised

SAMPLER = SamplerSpec(max_new_tokens=4)


@lru_cache
def policy() -> CausalPolicy:
    torch.set_num_threads(1)
    environment = make_environment(EnvironmentSpec(name="sorting", args={"digits": 4}))
    config = {"kind": "tiny", "layers": 2, "width": 32, "heads": 2, "context": 16, "warmup": {"steps": 5, "batch": 32}}
    return initial_policy(config, Seed(sha256(b"conditions").digest()), environment)


def rolled(machine: CausalPolicy):
    prompts = [machine.encode(text) for text in ("4213=", "9876=", "0000=")]
    uniforms_BT = np.random.default_rng(0).random((3, SAMPLER.max_new_tokens))
    return prompts, machine.generate(prompts, uniforms_BT, SAMPLER)


@pytest.mark.parametrize("condition", [each for each in FLOAT32 if each.attention != "eager"], ids=str)
def test_float32_machines_differ_by_float_noise_alone(condition: Condition) -> None:
    prompts, plain = rolled(policy())
    _, generated = rolled(under(policy(), condition))
    assert [each.token_ids for each in generated] == [each.token_ids for each in plain]
    ids = [each.token_ids for each in plain]
    for ours, theirs in zip(
        under(policy(), condition).prefill(prompts, ids, SAMPLER), policy().prefill(prompts, ids, SAMPLER), strict=True
    ):
        assert np.abs(ours.logprobs_T - theirs.logprobs_T).max() < 1e-5
        assert ours.hidden_NH.shape == theirs.hidden_NH.shape


@pytest.mark.parametrize("condition", [each for each in REDUCED if each.precision != "float32"], ids=str)
def test_reduced_precision_is_seen_and_is_small(condition: Condition) -> None:
    prompts, plain = rolled(policy())
    ids = [each.token_ids for each in plain]
    ours = under(policy(), condition).prefill(prompts, ids, SAMPLER)
    errors = [
        np.abs(one.logprobs_T - each.logprobs_T).max()
        for one, each in zip(ours, policy().prefill(prompts, ids, SAMPLER), strict=True)
    ]
    assert 1e-6 < max(errors) < 0.1


def test_machine_trains_the_declared_weights_themselves() -> None:
    machine = under(policy(), Condition("bfloat16 weights"))
    logprobs_BT, _ = machine.token_logprobs([[1, 2]], [[3, 4]], 1.0)
    logprobs_BT.sum().backward()
    gradients = [parameter.grad for parameter in policy().trainable().values()]
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    policy().backbone.module().zero_grad(set_to_none=True)


def test_settings_of_a_machine_end_with_its_forward_pass() -> None:
    before = (torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled)
    rolled(under(policy(), Condition(threads=2, matmul="medium", is_onednn=False)))
    assert before == (torch.get_num_threads(), torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled)


def test_an_attention_that_the_policy_lacks_is_not_offered() -> None:
    assert not offered(Condition(attention="eager"), policy())
    assert offered(Condition(attention="math"), policy())


def test_quantised_policy_is_near_the_declared_one_and_leaves_it_alone() -> None:
    before = {name: value.detach().clone() for name, value in policy().trainable().items()}
    other = quantised(policy(), 8).trainable()
    for name, value in policy().trainable().items():
        assert torch.equal(value, before[name])
        if value.dim() == 2:
            gap = (other[name] - value).abs().amax(dim=1)
            assert gap.max() > 0
            assert torch.all(gap <= value.abs().amax(dim=1) / 127 * 0.5001)


def test_moved_policy_has_taken_the_update() -> None:
    update = {name: np.full(value.shape, 0.5, np.float32) for name, value in policy().trainable().items()}
    for name, value in moved(policy(), update).trainable().items():
        assert torch.allclose(value, policy().trainable()[name] - 0.5)


def test_poison_turns_an_update_without_changing_its_length() -> None:
    update = {"a": np.ones((50, 40), np.float32), "b": np.zeros(7, np.float32)}
    bent = poisoned(update, 0.1, np.random.default_rng(0))
    lengths = [np.sqrt(sum(float(np.sum(each**2)) for each in tensors.values())) for tensors in (update, bent)]
    cosine = sum(float(np.sum(update[name] * bent[name])) for name in update) / (lengths[0] * lengths[1])
    assert lengths[0] == pytest.approx(lengths[1])
    assert 1 - cosine == pytest.approx(0.005, rel=0.2)
