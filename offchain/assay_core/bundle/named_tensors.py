"""Named float32 tensors that are read piece by piece, so that nobody has to hold a whole model in memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from assay_core.bundle.numbers import Float32, Shape
from assay_core.bundle.tensor_files import TensorFile, TensorSpec, element_count, file_specs


class Tensors(Protocol):
    """An update, a policy's weights, a momentum, an aggregate: in a file, in memory or computed when read."""

    @property
    def shapes(self) -> Mapping[str, Shape]: ...

    def read(self, name: str, start: int, stop: int) -> Float32:
        """Elements start to stop of a tensor in C order, [stop - start]; start is a multiple of SLICE_UNIT."""
        ...


class InMemory:
    """Arrays as Tensors."""

    def __init__(self, arrays: Mapping[str, Float32]) -> None:
        self.shapes: dict[str, Shape] = {name: array.shape for name, array in arrays.items()}
        self._flat = {name: array.reshape(-1) for name, array in arrays.items()}

    def read(self, name: str, start: int, stop: int) -> Float32:
        return self._flat[name][start:stop]


class Float32File:
    """A safetensors file of float32 tensors."""

    def __init__(self, path: Path, shapes: Mapping[str, Shape] | None = None) -> None:
        """Raises MalformedUpdate: not such a file, or not with exactly these tensors (where `shapes` says which)."""
        if shapes is None:
            shapes = {name: spec.shape for name, spec in file_specs(path).items()}
        self.shapes: Mapping[str, Shape] = dict(shapes)
        self._file = TensorFile(path, {name: TensorSpec("F32", shape) for name, shape in shapes.items()})

    def read(self, name: str, start: int, stop: int) -> Float32:
        return self._file.read(name, start, stop)


class Zeros:
    """Tensors that are zero."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.shapes = dict(shapes)

    def read(self, name: str, start: int, stop: int) -> Float32:
        return np.zeros(stop - start, np.float32)


def pieces(shapes: Mapping[str, Shape], size: int) -> Iterator[tuple[str, int, int]]:
    """(name, start, stop) of pieces of at most `size` elements that make up all tensors, in order of name."""
    for name in sorted(shapes):
        count = element_count(shapes[name])
        for start in range(0, count, size):
            yield name, start, min(start + size, count)


def gather(tensors: Tensors, size: int) -> dict[str, Float32]:
    """All of the tensors in memory, read in pieces."""
    return {name: gather_one(tensors, name, size) for name in sorted(tensors.shapes)}


def gather_one(tensors: Tensors, name: str, size: int) -> Float32:
    """One whole tensor, read in pieces."""
    shape = tensors.shapes[name]
    flat = np.empty(element_count(shape), np.float32)
    for _, start, stop in pieces({name: shape}, size):
        flat[start:stop] = tensors.read(name, start, stop)
    return flat.reshape(shape)
