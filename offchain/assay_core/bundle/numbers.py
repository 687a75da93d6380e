"""Arrays as codecs see them: what numbers an update may hold, bfloat16 bit patterns, blocks of a flattened tensor.

All of it is element-wise IEEE or integer arithmetic, so it gives the same bits everywhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from assay_core.protocol.errors import MalformedUpdate

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Uint16 = npt.NDArray[np.uint16]
Shape = tuple[int, ...]

MAX_MAGNITUDE = np.float32(2**64)  # far beyond any pseudo-gradient, and no mean of such numbers overflows
SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal  # hardware differs in what it makes of smaller ones


def bounded(tensor: Float32) -> Float32:
    """The same tensor. Raises MalformedUpdate: it holds NaN, infinity or more than MAX_MAGNITUDE."""
    if not (np.abs(tensor) <= MAX_MAGNITUDE).all():  # NaN is not <= anything
        raise MalformedUpdate("an update holds NaN, infinity or an absurdly large number")
    return tensor


def to_bfloat16(values: Float32) -> Uint16:
    """Bit patterns of finite numbers, rounded to nearest, ties to even."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bfloat16(bits: Uint16) -> Float32:
    """Exact: the lower 16 bits of each number are zero."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def blocks(tensor: Array, size: int) -> Array:
    """[B, size]: the elements in C order, the last block padded with zeros."""
    flat = np.ascontiguousarray(tensor).reshape(-1)
    if padding := -flat.size % size:
        flat = np.concatenate([flat, np.zeros(padding, flat.dtype)])
    return flat.reshape(-1, size)
