"""States between inner steps, `trace/0000.safetensors` and so on: with them one step can be repeated by itself.

A file holds the trainable parameters after the step, and AdamW's moments as `<name>#first` and `<name>#second`, all
float32. Sizes follow from the policy's shapes, so a stranger's file is measured before it is read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from assay_core.bundle.manifest import Manifest
from assay_core.bundle.numbers import Float32, Shape, bounded
from assay_core.bundle.tensor_files import Layout, TensorSpec, max_file_bytes, write_tensors
from assay_core.protocol.errors import MalformedManifest, MalformedUpdate

FIRST, SECOND = "#first", "#second"

Arrays = Mapping[str, Float32]
Shapes = Mapping[str, Shape]


@dataclass(frozen=True, slots=True, eq=False)
class InnerState:
    """After an inner step: parameters, and AdamW's moments (not corrected for their bias), by parameter name."""

    parameters: Arrays
    first: Arrays
    second: Arrays

    def digest(self) -> bytes:
        """What the trace says about the step. The manifest commits to the whole file."""
        return digest_of(self.parameters)


def digest_of(parameters: Arrays) -> bytes:
    """SHA-256 over names and float32 bytes of the parameters, in their order."""
    digest = hashlib.sha256()
    for name, parameter in parameters.items():
        digest.update(name.encode() + b"\x00")
        digest.update(np.ascontiguousarray(parameter, np.float32).data)
    return digest.digest()


def state_name(step: int) -> str:
    """The file of the state after a step, counted from 0."""
    return f"trace/{step:04d}.safetensors"


def states_bytes(shapes: Shapes, steps: int) -> int:
    """The most that the states of a submission take."""
    return steps * max_file_bytes(_specs(shapes))


def write_state(folder: Path, step: int, state: InnerState) -> None:
    """Write `<bundle>/trace/<step>.safetensors`: equal states give equal bytes."""
    parts = ((state.parameters, ""), (state.first, FIRST), (state.second, SECOND))
    write_tensors(
        folder / state_name(step), {name + suffix: array for part, suffix in parts for name, array in part.items()}
    )


def read_state(directory: Path, manifest: Manifest, step: int, shapes: Shapes) -> InnerState:
    """Read a stranger's state out of a verified bundle. `shapes` are those of the policy's trainable parameters.

    Sizes, types and shapes are checked before numbers are read. Raises MalformedUpdate: absent, too large, other
    tensors, a number that is not finite or absurdly large, a second moment below zero.
    """
    layout = _layout(tuple(sorted(shapes.items())))
    name = state_name(step)
    try:
        entry = manifest.entry(name)
    except MalformedManifest as error:
        raise MalformedUpdate(str(error)) from error
    if entry.size_bytes > layout.max_bytes:
        raise MalformedUpdate(f"file {name!r} has {entry.size_bytes} bytes, at most {layout.max_bytes} are right")
    tensors = layout.read(directory / name)

    def read(suffix: str) -> dict[str, Float32]:
        try:
            return {each: bounded(tensors[each + suffix].reshape(shapes[each])) for each in sorted(shapes)}
        except MalformedUpdate as error:
            raise MalformedUpdate(f"{name}: {error}") from error

    state = InnerState(read(""), read(FIRST), read(SECOND))
    if any((array < 0).any() for array in state.second.values()):
        raise MalformedUpdate(f"{name}: a second moment is below zero")
    return state


@lru_cache(maxsize=4)
def _layout(shapes: tuple[tuple[str, Shape], ...]) -> Layout:
    return Layout(_specs(dict(shapes)))


def _specs(shapes: Shapes) -> dict[str, TensorSpec]:
    return {name + suffix: TensorSpec("F32", shape) for name, shape in shapes.items() for suffix in ("", FIRST, SECOND)}
