"""Policies that a lazy trainer would like to run in place of the declared one. The best cheats are the nearest."""

import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from assay_core.policy.causal import CausalPolicy

Tensors = Mapping[str, npt.NDArray[np.float32]]


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
    """The policy one work's training further: another version than the declared one."""
    other = _copy(policy)
    with torch.no_grad():
        for name, parameter in other.trainable().items():
            parameter -= torch.from_numpy(pseudo_gradient[name])
    return other


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
