"""The outer step: SGD with Nesterov momentum over the aggregated pseudo-gradient, as in DiLoCo and OpenDiLoCo.

Source: Douillard et al. 2023, arXiv:2311.08105, algorithm 1; Jaghouar et al. 2024, arXiv:2407.07852. The same numbers
as torch.optim.SGD(nesterov=True), but float32 and one element-wise operation at a time: the same bits everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offchain.outer.codecs import Float32, Shape
from offchain.outer.exact import require_subnormals
from offchain.outer.tensor_files import TensorSpec, read_tensors, write_tensors
from offchain.protocol.errors import MalformedUpdate
from offchain.protocol.manifest import Manifest

MOMENTUM_NAME = "outer/momentum.safetensors"


@dataclass(frozen=True, slots=True)
class OuterState:
    """The trainable weights of a policy and the momentum that its next step starts from."""

    weights: dict[str, Float32]
    momentum: dict[str, Float32]


def outer_step(
    weights: Mapping[str, Float32],
    momentum: Mapping[str, Float32],
    pseudo_gradient: Mapping[str, Float32],
    *,
    lr: float,
    momentum_decay: float,
) -> OuterState:
    """One Nesterov step. Pseudo-gradient is θ before − θ after, so the step descends along it.

    m' = decay m + g;  θ' = θ − lr (g + decay m'). Raises MalformedUpdate: names or shapes differ, or the result is
    not finite.
    """
    require_subnormals()
    for name, array in weights.items():
        for other in (momentum, pseudo_gradient):
            if other.keys() != weights.keys() or other[name].shape != array.shape:
                raise MalformedUpdate(f"weights, momentum and pseudo-gradient differ in tensor {name!r}")
    rate, decay = np.float32(lr), np.float32(momentum_decay)
    state = OuterState({}, {})
    for name in sorted(weights):
        gradient = pseudo_gradient[name]
        with np.errstate(over="ignore", invalid="ignore"):  # looked for once, below
            moved = np.add(np.multiply(momentum[name], decay), gradient)
            direction = np.add(np.multiply(moved, decay), gradient)
            state.weights[name] = np.subtract(weights[name], np.multiply(direction, rate))
            state.momentum[name] = moved
        if not np.isfinite(state.weights[name]).all() or not np.isfinite(moved).all():
            raise MalformedUpdate(f"the outer step leaves tensor {name!r} not finite")
    return state


def write_momentum(directory: Path, momentum: Mapping[str, Float32]) -> None:
    """Put the momentum into a policy bundle that is being made; `build_bundle` comes after."""
    write_tensors(directory / MOMENTUM_NAME, momentum)


def read_momentum(directory: Path, manifest: Manifest, shapes: Mapping[str, Shape]) -> dict[str, Float32]:
    """The momentum in a verified policy bundle; zeros where it has none (version 0).

    Raises MalformedUpdate: not that of these parameters, or not finite.
    """
    if all(entry.name != MOMENTUM_NAME for entry in manifest.files):
        return {name: np.zeros(shape, np.float32) for name, shape in sorted(shapes.items())}
    specs = {name: TensorSpec("F32", shape) for name, shape in shapes.items()}
    momentum = dict(read_tensors(directory / MOMENTUM_NAME, specs))
    for name, array in momentum.items():
        if not np.isfinite(array).all():
            raise MalformedUpdate(f"momentum {name!r} is not finite")
    return momentum
