"""Tensors in safetensors files whose bytes depend on nothing but names, shapes and numbers.

Written here and not by the library, because the roots of policies depend on these bytes: another version of a library
may order or pad otherwise. The order is the library's present one (by type, wider ones first, then by name).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from safetensors import SafetensorError, safe_open

from assay_core.bundle.numbers import Array, Float32, Shape
from assay_core.protocol.errors import MalformedUpdate

DTYPES = {"F32": np.dtype("<f4"), "U16": np.dtype("<u2"), "I8": np.dtype("i1"), "U8": np.dtype("u1")}  # in file order
CODES = {dtype: code for code, dtype in DTYPES.items()}
RANKS = {code: rank for rank, code in enumerate(DTYPES)}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a file must hold under one name: `dtype` is a key of DTYPES."""

    dtype: str
    shape: Shape

    @property
    def size_bytes(self) -> int:
        return DTYPES[self.dtype].itemsize * element_count(self.shape)


def element_count(shape: Shape) -> int:
    """1 for a scalar."""
    count = 1
    for size in shape:
        count *= size
    return count


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write arrays of the types in DTYPES. Not atomic: the manifest, written last, is what makes a bundle whole."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    specs = {name: TensorSpec(CODES[array.dtype], array.shape) for name, array in arrays.items()}
    order = _file_order(specs)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(_header(order, specs))
        for name in order:
            stream.write(arrays[name].data)


class Float32Writer:
    """Writes what `write_tensors` would, but piece by piece: all of each tensor, in order of name."""

    def __init__(self, path: Path, shapes: Mapping[str, Shape]) -> None:
        specs = {name: TensorSpec("F32", shape) for name, shape in shapes.items()}
        self._missing_bytes = sum(spec.size_bytes for spec in specs.values())
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("wb")
        self._stream.write(_header(_file_order(specs), specs))

    def append(self, piece: Float32) -> None:
        self._missing_bytes -= self._stream.write(np.ascontiguousarray(piece, np.dtype("<f4")).data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        if kind is None and self._missing_bytes:
            raise ValueError(f"{self._missing_bytes} bytes of the declared tensors were not written")


def max_file_bytes(specs: Mapping[str, TensorSpec]) -> int:
    """No honest file with these tensors is larger: numbers, and a header of at most this much."""
    return 64 + sum(spec.size_bytes + 6 * len(name) + 128 + 24 * len(spec.shape) for name, spec in specs.items())


class TensorFile:
    """A safetensors file with exactly the expected tensors, read in pieces: nothing is kept in memory or open."""

    def __init__(self, path: Path, specs: Mapping[str, TensorSpec]) -> None:
        """Types, shapes and sizes are checked before any number is read.

        Raises MalformedUpdate: not a safetensors file with exactly these tensors.
        """
        self._path, self._specs = path, dict(specs)
        if path.stat().st_size > max_file_bytes(specs):
            raise MalformedUpdate(
                f"{path.name} has {path.stat().st_size} bytes, at most {max_file_bytes(specs)} are right"
            )
        found = file_specs(path)
        _check_names(path, set(found), set(specs))
        for name, spec in specs.items():
            if found[name] != spec:
                raise MalformedUpdate(
                    f"tensor {name!r} is {found[name].dtype} {found[name].shape}, not {spec.dtype} {spec.shape}"
                )
        self._offsets = _offsets(path)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Elements start to stop of a tensor in C order, [stop - start]."""
        spec = self._specs[name]
        dtype = DTYPES[spec.dtype]
        count = (element_count(spec.shape) if stop is None else stop) - start
        offset = self._offsets[name] + start * dtype.itemsize
        piece = np.fromfile(self._path, dtype, count, offset=offset)
        if piece.size != count:
            raise MalformedUpdate(f"{self._path.name} ends within tensor {name!r}")
        return piece


class Layout:
    """Where `write_tensors` puts given tensors: what it wrote is read in one go, which pays where files are many."""

    def __init__(self, specs: Mapping[str, TensorSpec]) -> None:
        order = _file_order(specs)
        self._specs = {name: specs[name] for name in order}
        self._header = _header(order, specs)
        sizes = [spec.size_bytes for spec in self._specs.values()]
        self._offsets = list(accumulate(sizes, initial=len(self._header)))
        self.max_bytes = max_file_bytes(specs)

    def read(self, path: Path) -> dict[str, Array]:
        """All tensors, flat. Another writer's file will do if it holds them. Raises MalformedUpdate, as TensorFile."""
        size = self._offsets[-1]
        if path.stat().st_size == size:
            data = np.fromfile(path, np.uint8, size)
            if data.size == size and data[: len(self._header)].tobytes() == self._header:
                return {
                    name: data[start:stop].view(DTYPES[spec.dtype])
                    for (name, spec), (start, stop) in zip(self._specs.items(), pairwise(self._offsets), strict=True)
                }
        file = TensorFile(path, self._specs)
        return {name: file.read(name) for name in self._specs}


def read_tensors(path: Path, specs: Mapping[str, TensorSpec]) -> Iterator[tuple[str, Array]]:
    """Each tensor in order of name, one in memory at a time. Raises MalformedUpdate, as TensorFile does."""
    file = TensorFile(path, specs)
    for name in sorted(specs):
        yield name, file.read(name).reshape(specs[name].shape)


def file_specs(path: Path) -> dict[str, TensorSpec]:
    """What a safetensors file says that it holds. Raises MalformedUpdate: it is none, or the sizes do not add up."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            parts = [file.get_slice(name) for name in names]
            specs = [TensorSpec(str(part.get_dtype()), tuple(part.get_shape())) for part in parts]
            return dict(zip(names, specs, strict=True))
    except SafetensorError as error:
        raise MalformedUpdate(f"{path.name} is not a safetensors file: {error}") from error


def _offsets(path: Path) -> dict[str, int]:
    """Where each tensor begins in a file that the library has found to be well-formed."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        table = json.loads(stream.read(size))
    return {name: 8 + size + entry["data_offsets"][0] for name, entry in table.items() if name != "__metadata__"}


def _file_order(specs: Mapping[str, TensorSpec]) -> list[str]:
    return sorted(specs, key=lambda name: (RANKS[specs[name].dtype], name))


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    if found != expected:
        odd = sorted(found ^ expected)[0]
        raise MalformedUpdate(f"{path.name} {'lacks' if odd in expected else 'has a surplus'} tensor {odd[:100]!r}")


def _header(order: Sequence[str], specs: Mapping[str, TensorSpec]) -> bytes:
    """Length (8 bytes, little endian), then JSON padded with spaces to a multiple of 8."""
    table: dict[str, object] = {}
    offset = 0
    for name in order:
        end = offset + specs[name].size_bytes
        table[name] = {
            "dtype": specs[name].dtype,
            "shape": list(specs[name].shape),
            "data_offsets": [offset, end],
        }
        offset = end
    header = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header
