"""How a pseudo-gradient travels: as it is, or as 8-bit integers with one scale per block.

Encoding and decoding are element-wise IEEE operations and maxima, so they give the same bits everywhere.
Tensors are flattened in C order; B blocks of BLOCK elements, the last one padded with zeros.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from offchain.outer.tensor_files import Array, TensorSpec, element_count
from offchain.protocol.errors import MalformedUpdate

Float32 = npt.NDArray[np.float32]
Shape = tuple[int, ...]
CodecName = Literal["fp32", "int8"]
BLOCK = 4_096
LEVELS = 127
MAX_MAGNITUDE = np.float32(2**64)  # far beyond any pseudo-gradient, and no mean of such numbers overflows
SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


class Codec(Protocol):
    """Parts are named by a suffix to the tensor's name; every codec has the part ""."""

    @property
    def name(self) -> CodecName: ...

    def parts(self, shape: Shape) -> dict[str, TensorSpec]:
        """What is stored for a tensor of this shape."""
        ...

    def encode(self, tensor: Float32) -> dict[str, Array]:
        """Raises MalformedUpdate: not finite, or beyond MAX_MAGNITUDE."""
        ...

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        """`parts` have the types and shapes that `parts()` says. Raises MalformedUpdate: impossible numbers."""
        ...


class Fp32:
    """Nothing lost, 4 bytes per element."""

    name: CodecName = "fp32"

    def parts(self, shape: Shape) -> dict[str, TensorSpec]:
        return {"": TensorSpec("F32", shape)}

    def encode(self, tensor: Float32) -> dict[str, Array]:
        return {"": _bounded(np.asarray(tensor, dtype=np.float32))}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        return _bounded(parts[""])


class Int8:
    """Symmetric, 127 levels either side of zero, scaled by each block's largest magnitude; about 1 byte per element.

    The error is at most half a level, 1/254 of the block's largest magnitude. Blocks below float32's normal range
    become zero, so no scale is ever subnormal (hardware differs in what it makes of those).
    """

    name: CodecName = "int8"

    def parts(self, shape: Shape) -> dict[str, TensorSpec]:
        return {"": TensorSpec("I8", shape), "#scale": TensorSpec("F32", (-(-element_count(shape) // BLOCK),))}

    def encode(self, tensor: Float32) -> dict[str, Array]:
        blocks_BN = _blocks(_bounded(np.asarray(tensor, dtype=np.float32)))
        scale_B = np.abs(blocks_BN).max(axis=1, initial=0.0) / np.float32(LEVELS)
        scale_B[scale_B < SMALLEST_NORMAL] = 0.0
        divisor_B = np.where(scale_B > 0, scale_B, np.float32(np.inf))  # x / inf = 0: an empty block
        levels_BN = np.clip(np.rint(blocks_BN / divisor_B[:, None]), -LEVELS, LEVELS).astype(np.int8)
        return {"": levels_BN.reshape(-1)[: tensor.size].reshape(tensor.shape), "#scale": scale_B}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        levels_BN, scale_B = _blocks(parts[""]), parts["#scale"]
        _check_scales(levels_BN, scale_B)
        with np.errstate(over="ignore"):  # found by _bounded
            values_BN = levels_BN.astype(np.float32) * scale_B[:, None]
        return _bounded(values_BN.reshape(-1)[: element_count(shape)].reshape(shape))


def codec_named(name: str) -> Codec:
    """Raises ValueError: there is no such codec."""
    match name:
        case "fp32":
            return Fp32()
        case "int8":
            return Int8()
        case _:
            raise ValueError(f"no codec is named {name!r}: fp32 and int8 are")


def _check_scales(levels_BN: Array, scale_B: Float32) -> None:
    """The scale must be the one that the encoder would choose for these levels: no second encoding, no hidden zeros."""
    if not np.isfinite(scale_B).all() or np.signbit(scale_B).any():
        raise MalformedUpdate("a scale is not a finite number from zero on")
    if ((scale_B > 0) & (scale_B < SMALLEST_NORMAL)).any():
        raise MalformedUpdate("a scale is subnormal")
    if (levels_BN == -128).any():
        raise MalformedUpdate("a level is -128, which symmetric int8 does not use")
    peak_B = np.abs(levels_BN).max(axis=1, initial=0)
    if (peak_B != np.where(scale_B > 0, LEVELS, 0)).any():
        raise MalformedUpdate("a block's scale is not that of its largest element")


def _blocks(tensor: Array) -> Array:
    """[B, BLOCK], padded with zeros."""
    flat = np.ascontiguousarray(tensor).reshape(-1)
    if padding := -flat.size % BLOCK:
        flat = np.concatenate([flat, np.zeros(padding, flat.dtype)])
    return flat.reshape(-1, BLOCK)


def _bounded(tensor: Float32) -> Float32:
    if not (np.abs(tensor) <= MAX_MAGNITUDE).all():  # NaN is not <= anything
        raise MalformedUpdate("an update holds NaN, infinity or an absurdly large number")
    return tensor
