"""Tensors in safetensors files whose bytes depend on nothing but names, shapes and numbers.

Written here and not by the library, because the roots of policies depend on these bytes: another version of a library
may order or pad otherwise. The order is the library's present one (wider types first, then by name).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from offchain.protocol.errors import MalformedUpdate

Array = npt.NDArray[Any]
DTYPES = {"F32": np.dtype("<f4"), "I8": np.dtype("i1")}
CODES = {dtype: code for code, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a file must hold under one name: `dtype` is F32 or I8."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return DTYPES[self.dtype].itemsize * element_count(self.shape)


def element_count(shape: tuple[int, ...]) -> int:
    """1 for a scalar."""
    count = 1
    for size in shape:
        count *= size
    return count


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write float32 and int8 arrays. Not atomic: the manifest, written last, is what makes a bundle whole."""
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(_header(order, arrays))
        for name in order:
            stream.write(arrays[name].data)


def max_file_bytes(specs: Mapping[str, TensorSpec]) -> int:
    """No honest file with these tensors is larger: numbers, and a header of at most this much."""
    return 64 + sum(spec.size_bytes + 6 * len(name) + 128 + 24 * len(spec.shape) for name, spec in specs.items())


def read_tensors(path: Path, specs: Mapping[str, TensorSpec]) -> Iterator[tuple[str, Array]]:
    """Each tensor in order of name, one in memory at a time; types and shapes are checked before any is read.

    Raises MalformedUpdate: not a safetensors file with exactly these tensors.
    """
    if path.stat().st_size > max_file_bytes(specs):
        raise MalformedUpdate(f"{path.name} has {path.stat().st_size} bytes, at most {max_file_bytes(specs)} are right")
    try:
        with safe_open(path, framework="numpy") as file:
            _check_names(path, set(file.keys()), set(specs))
            for name, spec in specs.items():
                part = file.get_slice(name)
                found = TensorSpec(str(part.get_dtype()), tuple(part.get_shape()))
                if found != spec:
                    raise MalformedUpdate(
                        f"tensor {name!r} is {found.dtype} {found.shape}, not {spec.dtype} {spec.shape}"
                    )
            for name in sorted(specs):
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise MalformedUpdate(f"{path.name} is not a safetensors file: {error}") from error


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    if found != expected:
        odd = sorted(found ^ expected)[0]
        raise MalformedUpdate(f"{path.name} {'lacks' if odd in expected else 'has a surplus'} tensor {odd[:100]!r}")


def _header(order: list[str], arrays: Mapping[str, Array]) -> bytes:
    """Length (8 bytes, little endian), then JSON padded with spaces to a multiple of 8."""
    table: dict[str, object] = {}
    offset = 0
    for name in order:
        array = arrays[name]
        table[name] = {
            "dtype": CODES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    header = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header
