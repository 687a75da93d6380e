"""Tensors of a policy on disk: safetensors, float32, checked against what the architecture expects before use."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from assay_core.bundle import tensor_files
from assay_core.protocol.errors import Malformed, Unavailable

POLICY_NAME = "policy.json"
FROZEN_NAME = "frozen.safetensors"
CONFIG_NAME = "config.json"
TOKENIZER_NAME = "tokenizer.json"
CARRIED_NAMES = (POLICY_NAME, FROZEN_NAME, CONFIG_NAME, TOKENIZER_NAME)  # the same in every version of a policy

Tensors = dict[str, npt.NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


def write_tensors(path: Path, tensors: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Equal tensors give equal bytes, whatever version of the safetensors library is installed."""
    tensor_files.write_tensors(path, {name: np.asarray(tensors[name], np.float32) for name in tensors})


def read_tensors(path: Path, shapes: Shapes) -> Tensors:
    """Read exactly the tensors that `shapes` names.

    Raises Malformed: no safetensors file, a tensor that is missing, surplus, not float32, of another shape or not
    finite. Shapes are compared in the header, before a tensor is read.
    """
    if not path.is_file():
        raise Malformed(f"policy has no file {path.name}")
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            _check_names(path.name, names, shapes)
            for name in sorted(names):
                header = file.get_slice(name)
                _check_header(f"{path.name}: {name}", tuple(header.get_shape()), header.get_dtype(), shapes[name])
        tensors = load_file(path)
    except SafetensorError as error:
        raise Malformed(f"{path.name} is not a safetensors file: {error}") from error
    except OSError as error:
        raise Unavailable(f"cannot read {path.name}: {error}") from error
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise Malformed(f"{path.name}: {name} holds a number that is not finite")
    return tensors


def carry_over(previous: Path, target: Path) -> None:
    """Copy what is the same in every version of a policy: all but the trainable weights."""
    target.mkdir(parents=True, exist_ok=True)
    for name in CARRIED_NAMES:
        if (previous / name).is_file():
            shutil.copyfile(previous / name, target / name)


def _check_names(file: str, names: set[str], shapes: Shapes) -> None:
    if missing := set(shapes) - names:
        raise Malformed(f"{file} lacks {len(missing)} tensors, such as {min(missing)!r}")
    if surplus := names - set(shapes):
        raise Malformed(f"{file} has {len(surplus)} tensors too many, such as {min(surplus)[:120]!r}")


def _check_header(what: str, shape: tuple[int, ...], dtype: str, expected: tuple[int, ...]) -> None:
    if dtype != "F32":
        raise Malformed(f"{what} is {dtype}, must be F32")
    if shape != expected:
        raise Malformed(f"{what} has shape {list(shape)}, must have {list(expected)}")
