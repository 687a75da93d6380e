"""The outer step: SGD with Nesterov momentum over the aggregated pseudo-gradient, as in DiLoCo and OpenDiLoCo.

Source: Douillard et al. 2023, arXiv:2311.08105, algorithm 1; Jaghouar et al. 2024, arXiv:2407.07852. The same numbers
as torch.optim.SGD(nesterov=True), but float32 and one element-wise operation at a time: the same bits everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assay_core.aggregation.exact import CHUNK, require_subnormals
from assay_core.bundle.manifest import Manifest
from assay_core.bundle.named_tensors import Float32File, InMemory, Tensors, Zeros, gather, pieces
from assay_core.bundle.numbers import Float32, Shape
from assay_core.bundle.tensor_files import Float32Writer, element_count, write_tensors
from assay_core.protocol.errors import MalformedUpdate

WEIGHTS_NAME = "weights.safetensors"
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
    """One Nesterov step, in memory.

    m' = decay m + g;  θ' = θ − lr (g + decay m'). Raises MalformedUpdate: names or shapes differ, or the result is
    not finite.
    """
    step = OuterStep(InMemory(weights), InMemory(momentum), InMemory(pseudo_gradient), lr, momentum_decay)
    state = OuterState({}, {})
    for name, shape in sorted(step.shapes.items()):
        moved, momentum_N = step.piece(name, 0, element_count(shape))
        state.weights[name], state.momentum[name] = moved.reshape(shape), momentum_N.reshape(shape)
    return state


class OuterStep:
    """One Nesterov step, computed piece by piece as it is asked for. Pseudo-gradient is θ before − θ after, so the
    step descends along it.
    """

    def __init__(
        self, weights: Tensors, momentum: Tensors, pseudo_gradient: Tensors, lr: float, momentum_decay: float
    ) -> None:
        """Raises MalformedUpdate: names or shapes differ."""
        require_subnormals()
        self.shapes: Mapping[str, Shape] = weights.shapes
        for other in (momentum.shapes, pseudo_gradient.shapes):
            odd = {name for name in {*self.shapes, *other} if self.shapes.get(name) != other.get(name)}
            if odd:
                raise MalformedUpdate(f"weights, momentum and pseudo-gradient differ in tensor {min(odd)!r}")
        self._weights, self._momentum, self._gradient = weights, momentum, pseudo_gradient
        with np.errstate(over="ignore"):  # an absurd rate leaves nothing finite, which is looked for below
            self._rate, self._decay = np.float32(lr), np.float32(momentum_decay)

    def piece(self, name: str, start: int, stop: int) -> tuple[Float32, Float32]:
        """The next weights and the next momentum. Raises MalformedUpdate: not finite."""
        gradient = self._gradient.read(name, start, stop)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for once, below
            moved = np.add(np.multiply(self._momentum.read(name, start, stop), self._decay), gradient)
            direction = np.add(np.multiply(moved, self._decay), gradient)
            weights = np.subtract(self._weights.read(name, start, stop), np.multiply(direction, self._rate))
        if not np.isfinite(weights).all() or not np.isfinite(moved).all():
            raise MalformedUpdate(f"the outer step leaves tensor {name!r} not finite")
        return weights, moved


def write_step(step: OuterStep, weights_path: Path, momentum_path: Path, piece: int) -> None:
    """Write the state after a step, `piece` elements at a time: the files that `write_tensors` would make."""
    with Float32Writer(weights_path, step.shapes) as weights, Float32Writer(momentum_path, step.shapes) as momentum:
        for name, start, stop in pieces(step.shapes, piece):
            moved, kept = step.piece(name, start, stop)
            weights.append(moved)
            momentum.append(kept)


def write_momentum(directory: Path, momentum: Mapping[str, Float32]) -> None:
    """Put the momentum into a policy bundle that is being made; `build_bundle` comes after."""
    write_tensors(directory / MOMENTUM_NAME, momentum)


def open_momentum(directory: Path, manifest: Manifest, shapes: Mapping[str, Shape]) -> Tensors:
    """The momentum in a verified policy bundle; zeros where it has none (version 0).

    Raises MalformedUpdate: not that of these parameters. What is not finite is found by the step.
    """
    if all(entry.name != MOMENTUM_NAME for entry in manifest.files):
        return Zeros(shapes)
    return Float32File(directory / MOMENTUM_NAME, shapes)


def read_momentum(directory: Path, manifest: Manifest, shapes: Mapping[str, Shape]) -> dict[str, Float32]:
    """All of the momentum in memory. Raises MalformedUpdate, as `open_momentum` does, or not finite."""
    momentum = gather(open_momentum(directory, manifest, shapes), CHUNK)
    for name, array in momentum.items():
        if not np.isfinite(array).all():
            raise MalformedUpdate(f"momentum {name!r} is not finite")
    return momentum
