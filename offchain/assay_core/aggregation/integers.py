"""Codecs that round to small integers, symmetric about zero, scaled by each block's largest magnitude.

Blocks below float32's normal range become zero, so no scale is ever subnormal (hardware differs in what it makes of
those). Shapes: B blocks of N elements of the flattened tensor, the last one padded with zeros.
"""

from collections.abc import Mapping

import numpy as np

from assay_core.aggregation.layout import Layout, PartLayout
from assay_core.bundle.numbers import (
    SMALLEST_NORMAL,
    Array,
    Float32,
    Shape,
    blocks,
    bounded,
    from_bfloat16,
    to_bfloat16,
)
from assay_core.bundle.tensor_files import element_count
from assay_core.protocol.errors import MalformedUpdate

BLOCK = 4_096
LEVELS = 127
INT4_BLOCK = 256
INT4_LEVELS = 7


class Int8:
    """127 levels either side of zero, a float32 scale per 4,096: off by 1/254 of a block's peak; 1 byte per element."""

    name = "int8"
    is_sparse = False

    def __init__(self) -> None:
        self.layout: Layout = {"": PartLayout("I8"), "#scale": PartLayout("F32", 1, BLOCK)}

    def encode(self, tensor: Float32) -> dict[str, Array]:
        blocks_BN = blocks(bounded(np.asarray(tensor, dtype=np.float32)), BLOCK)
        scale_B = np.abs(blocks_BN).max(axis=1, initial=0.0) / np.float32(LEVELS)
        scale_B[scale_B < SMALLEST_NORMAL] = 0.0
        levels_BN = _round_to_levels(blocks_BN, scale_B, LEVELS)
        return {"": levels_BN.reshape(-1)[: tensor.size].reshape(tensor.shape), "#scale": scale_B}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        levels_BN, scale_B = blocks(parts[""], BLOCK), parts["#scale"]
        _check_scales(levels_BN, scale_B, LEVELS)
        return _scaled(levels_BN, scale_B, shape)


class Int4:
    """7 levels either side of zero, one bfloat16 scale per 256: off by 1/14 of a block's peak; half a byte per element.

    Two elements to a byte, the first in its low half. Blocks are smaller than int8's, because with so few levels one
    outlier takes the resolution from its whole block.
    """

    name = "int4"
    is_sparse = False

    def __init__(self) -> None:
        self.layout: Layout = {"": PartLayout("U8", 1, 2), "#scale": PartLayout("U16", 1, INT4_BLOCK)}

    def encode(self, tensor: Float32) -> dict[str, Array]:
        blocks_BN = blocks(bounded(np.asarray(tensor, dtype=np.float32)), INT4_BLOCK)
        peak_B = np.abs(blocks_BN).max(axis=1, initial=0.0) / np.float32(INT4_LEVELS)
        scale_B = (peak_B.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)  # rounded down: no peak grows
        scale_B[scale_B < SMALLEST_NORMAL] = 0.0
        nibbles = _round_to_levels(blocks_BN, scale_B, INT4_LEVELS).view(np.uint8).reshape(-1) & np.uint8(15)
        packed = nibbles[0::2] | (nibbles[1::2] << np.uint8(4))
        return {"": packed[: self.layout[""].count(tensor.size)], "#scale": to_bfloat16(scale_B)}

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        packed = parts[""]
        nibbles = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1).reshape(-1)
        if nibbles[element_count(shape) :].any():
            raise MalformedUpdate("the half byte behind the last element is not zero")
        levels_BN = blocks((nibbles << np.uint8(4)).view(np.int8) >> 4, INT4_BLOCK)  # the shift back keeps the sign
        scale_B = from_bfloat16(parts["#scale"])
        _check_scales(levels_BN, scale_B, INT4_LEVELS)
        return _scaled(levels_BN, scale_B, shape)


def _round_to_levels(blocks_BN: Float32, scale_B: Float32, levels: int) -> Array:
    divisor_B = np.where(scale_B > 0, scale_B, np.float32(np.inf))  # x / inf = 0: an empty block
    return np.clip(np.rint(blocks_BN / divisor_B[:, None]), -levels, levels).astype(np.int8)


def _scaled(levels_BN: Array, scale_B: Float32, shape: Shape) -> Float32:
    with np.errstate(over="ignore"):  # found by bounded
        values_BN = levels_BN.astype(np.float32) * scale_B[:, None]
    return bounded(values_BN.reshape(-1)[: element_count(shape)].reshape(shape))


def _check_scales(levels_BN: Array, scale_B: Float32, levels: int) -> None:
    """The scale must be the one that the encoder would choose for these levels: no second encoding, no hidden zeros."""
    if not np.isfinite(scale_B).all() or np.signbit(scale_B).any():
        raise MalformedUpdate("a scale is not a finite number from zero on")
    if ((scale_B > 0) & (scale_B < SMALLEST_NORMAL)).any():
        raise MalformedUpdate("a scale is subnormal")
    if (levels_BN < -levels).any():
        raise MalformedUpdate(f"a level is {-levels - 1}, which the symmetric codec does not use")
    peak_B = np.abs(levels_BN).max(axis=1, initial=0)
    if (peak_B != np.where(scale_B > 0, levels, 0)).any():
        raise MalformedUpdate("a block's scale is not that of its largest element")
