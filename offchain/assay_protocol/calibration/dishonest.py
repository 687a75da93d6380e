"""What a lazy trainer would like to run or send in place of what is asked. The best cheats are the nearest."""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from assay_core.bundle.trajectory import Rollouts
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.interface import Policy
from assay_core.protocol.spec import TaskSpec
from assay_trainer.prover import prove
from assay_trainer.rollout import Unproved

Tensors = Mapping[str, npt.NDArray[np.float32]]
LEAST_LOGPROB = -1e4  # in place of that of a token that is never sampled: files hold finite numbers


def quantised(policy: CausalPolicy, bits: int) -> CausalPolicy:
    """All matrices rounded to so many bits, one scale per row: weight-only quantisation."""
    other = _copy(policy)
    most = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for parameter in other.backbone.module().parameters():
            if parameter.dim() == 2:
                scale = parameter.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / most
                parameter.copy_((parameter / scale).round().clamp(-most, most) * scale)
    return other


def moved(policy: CausalPolicy, pseudo_gradient: Tensors) -> CausalPolicy:
    """The policy one submission's training further: another version than the declared one."""
    other = _copy(policy)
    with torch.no_grad():
        for name, parameter in other.trainable().items():
            parameter -= torch.from_numpy(pseudo_gradient[name])
    return other


def whitewashed(policy: Policy, rollouts: Rollouts, spec: TaskSpec) -> Rollouts:
    """The same tokens with the log-probabilities and proofs of `policy`: what one prefill buys."""
    rows = rollouts.completions
    prefills = policy.prefill([row.prompt_ids for row in rows], [row.completion_ids for row in rows], spec.sampler)
    claimed = [
        Unproved(replace(row, logprobs_T=np.maximum(each.logprobs_T, LEAST_LOGPROB).astype(np.float32)), each.hidden_NH)
        for row, each in zip(rows, prefills, strict=True)
    ]
    return Rollouts(rollouts.group_size, tuple(prove(claimed, spec.toploc)))


def poisoned(update: Tensors, share: float, generator: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """A direction of one's own added, `share` times as long as the update, and the sum cut to the honest length."""
    noise = {name: generator.standard_normal(tensor.shape) for name, tensor in update.items()}
    length = _length(update)
    factor = share * length / max(_length(noise), 1e-300)
    bent = {name: update[name] + factor * noise[name] for name in update}
    back = length / max(_length(bent), 1e-300)
    return {name: (tensor * back).astype(np.float32) for name, tensor in bent.items()}


def _length(tensors: Mapping[str, npt.NDArray[np.floating]]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(tensor, dtype=np.float64))) for tensor in tensors.values())))


def _copy(policy: CausalPolicy) -> CausalPolicy:
    backbone = copy.deepcopy(policy.backbone)
    named = dict(backbone.module().named_parameters())
    trainable = {name: named[name] for name in policy.trainable()}
    return CausalPolicy(backbone, policy.tokenizer, policy.config, trainable)
