"""A codec that keeps the largest elements alone, with 2 bits for each value.

Of each chunk of 256 elements the K largest in magnitude are kept: an index of one byte and a code of two bits. One bit
is the sign, the other says which of two magnitudes: the mean of the block's small ones or that of its large ones, which
the mean of all parts. Source: SparseLoCo, Sarfi et al. 2025, arXiv:2508.15706 (chunk-wise top-k, 2-bit values); smaller
chunks than there (4,096), so that an index is a byte and every neighbourhood is served.

Shapes: C chunks of 256 elements, K kept slots in each, B blocks of 16 chunks, which share two magnitudes.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.layout import Layout, PartLayout
from assay_core.bundle.numbers import (
    MAX_MAGNITUDE,
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

CHUNK = 256
CHUNKS_PER_BLOCK = 16
CODES_PER_BYTE = 4
LARGE, NEGATIVE = np.uint8(1), np.uint8(2)  # the two bits of a code

Bools = npt.NDArray[np.bool_]


class TopK:
    """The `kept` largest of every 256 elements, 2 bits each: 0.317, 0.103 or 0.024 bytes per element for 64, 20 or 4.

    Elements below float32's normal range count as zero, and zeros are never kept: a chunk with fewer others than `kept`
    leaves slots empty, which are all zeros.
    """

    is_sparse = True

    def __init__(self, kept: int) -> None:
        """Raises ValueError: `kept` is no multiple of 4 up to 252."""
        if kept % CODES_PER_BYTE or not 0 < kept < CHUNK:
            raise ValueError(f"top-k keeps a multiple of 4 up to 252 of each 256 elements, not {kept}")
        self._kept = kept
        self.name = f"topk{kept}"
        self.layout: Layout = {
            "": PartLayout("U8", kept // CODES_PER_BYTE, CHUNK),
            "#count": PartLayout("U8", 1, CHUNK),
            "#index": PartLayout("U8", kept, CHUNK),
            "#magnitudes": PartLayout("U16", 2, CHUNK * CHUNKS_PER_BLOCK),
        }

    def encode(self, tensor: Float32) -> dict[str, Array]:
        chunks_CN = blocks(bounded(np.asarray(tensor, dtype=np.float32)), CHUNK)
        kept_CN = _largest(np.abs(chunks_CN), self._kept)
        count_C = kept_CN.sum(axis=1, dtype=np.uint8)
        chunk, index = np.nonzero(kept_CN)  # in order of chunk, then of index
        used_CK = _used(count_C, self._kept)
        values = chunks_CN[chunk, index]
        magnitudes_B2, is_large = _two_magnitudes(np.abs(values), chunk // CHUNKS_PER_BLOCK, len(chunks_CN))
        index_CK, code_CK = np.zeros(used_CK.shape, np.uint8), np.zeros(used_CK.shape, np.uint8)
        index_CK[used_CK] = index
        code_CK[used_CK] = is_large * LARGE + np.signbit(values) * NEGATIVE
        return {
            "": _pack(code_CK).reshape(-1),
            "#count": count_C,
            "#index": index_CK.reshape(-1),
            "#magnitudes": magnitudes_B2.reshape(-1),
        }

    def decode(self, parts: Mapping[str, Array], shape: Shape) -> Float32:
        size = element_count(shape)
        count_C, index_CK = parts["#count"], parts["#index"].reshape(-1, self._kept)
        code_CK = _unpack(parts[""].reshape(len(count_C), self._kept // CODES_PER_BYTE))
        if (count_C > self._kept).any():
            raise MalformedUpdate(f"a chunk keeps more than {self._kept} elements")
        used_CK = _used(count_C, self._kept)
        _check_slots(index_CK, code_CK, used_CK, size)
        magnitudes_B2 = from_bfloat16(parts["#magnitudes"]).reshape(-1, 2)
        chunk = np.nonzero(used_CK)[0]
        block, code = chunk // CHUNKS_PER_BLOCK, code_CK[used_CK]
        _check_magnitudes(magnitudes_B2, block, (code & LARGE).astype(np.bool_))
        values = magnitudes_B2[block, code & LARGE]
        decoded = np.zeros(len(count_C) * CHUNK, np.float32)
        decoded[chunk * CHUNK + index_CK[used_CK]] = np.where(code & NEGATIVE, -values, values)
        return decoded[:size].reshape(shape)


def _largest(magnitudes_CN: Float32, kept: int) -> Bools:
    """Which elements are among the `kept` largest of their chunk; of equal ones the first. Zeros never are."""
    if not len(magnitudes_CN):
        return np.zeros(magnitudes_CN.shape, np.bool_)
    smallest_C1 = np.partition(magnitudes_CN, CHUNK - kept, axis=1)[:, CHUNK - kept, None]
    above_CN, equal_CN = magnitudes_CN > smallest_C1, magnitudes_CN == smallest_C1
    room_C1 = kept - above_CN.sum(axis=1, keepdims=True)
    return (above_CN | (equal_CN & (equal_CN.cumsum(axis=1) <= room_C1))) & (magnitudes_CN >= SMALLEST_NORMAL)


def _two_magnitudes(magnitudes: Float32, block: npt.NDArray[np.intp], chunks: int) -> tuple[Array, Bools]:
    """bfloat16 patterns [B, 2] of the means of small and large, and which of `magnitudes` are large.

    `block` says where each belongs. In a block where small and large round to the same number, all are small.
    """
    count = -(-chunks // CHUNKS_PER_BLOCK)

    def means(of: Bools) -> npt.NDArray[np.float64]:
        total = np.bincount(block[of], magnitudes[of].astype(np.float64), count)
        return total / np.maximum(np.bincount(block[of], minlength=count), 1)

    mean_B = means(np.ones(len(magnitudes), np.bool_))
    is_large = magnitudes > mean_B[block]
    small_B = to_bfloat16(means(~is_large).astype(np.float32))
    large_B = to_bfloat16(means(is_large).astype(np.float32))
    is_one_B = large_B <= small_B  # also where there are no large ones
    return np.stack([small_B, np.where(is_one_B, small_B, large_B)], axis=1), is_large & ~is_one_B[block]


def _used(count_C: Array, kept: int) -> Bools:
    return np.arange(kept) < count_C[:, None]


def _pack(code_CK: Array) -> Array:
    """[C, K / 4]: four codes to a byte, the first in its lowest bits."""
    code_CK4 = code_CK.reshape(len(code_CK), code_CK.shape[1] // CODES_PER_BYTE, CODES_PER_BYTE)
    packed = code_CK4[:, :, 0].copy()
    for place in range(1, CODES_PER_BYTE):
        packed |= code_CK4[:, :, place] << np.uint8(2 * place)
    return packed


def _unpack(packed: Array) -> Array:
    shifts = np.arange(CODES_PER_BYTE, dtype=np.uint8) * np.uint8(2)
    return ((packed[:, :, None] >> shifts) & np.uint8(3)).reshape(len(packed), packed.shape[1] * CODES_PER_BYTE)


def _check_slots(index_CK: Array, code_CK: Array, used_CK: Bools, size: int) -> None:
    """Used slots come first, ascending and within the tensor; empty ones are zero."""
    if index_CK[~used_CK].any() or code_CK[~used_CK].any():
        raise MalformedUpdate("a slot that is not used is not zero")
    if ((index_CK[:, 1:] <= index_CK[:, :-1]) & used_CK[:, 1:]).any():
        raise MalformedUpdate("indices of kept elements are not ascending")
    last = size % CHUNK
    if last and (index_CK[-1][used_CK[-1]] >= last).any():
        raise MalformedUpdate("a kept element lies behind the end of the tensor")


def _check_magnitudes(magnitudes_B2: Float32, block: npt.NDArray[np.intp], is_large: Bools) -> None:
    """The two magnitudes must be those that the encoder would choose: both in use, or equal, or the block empty."""
    if not (magnitudes_B2 <= MAX_MAGNITUDE).all() or np.signbit(magnitudes_B2).any():
        raise MalformedUpdate("a magnitude is not a number from zero on, or absurdly large")
    if ((magnitudes_B2 > 0) & (magnitudes_B2 < SMALLEST_NORMAL)).any():
        raise MalformedUpdate("a magnitude is subnormal")
    small_B, large_B = magnitudes_B2[:, 0], magnitudes_B2[:, 1]
    has_small_B = np.bincount(block[~is_large], minlength=len(small_B)) > 0
    has_large_B = np.bincount(block[is_large], minlength=len(small_B)) > 0
    if ((small_B > 0) != (has_small_B | has_large_B)).any():
        raise MalformedUpdate("a block without kept elements has a magnitude, or one with them has none")
    is_right_B = np.where(small_B < large_B, has_small_B & has_large_B, (small_B == large_B) & ~has_large_B)
    if not is_right_B.all():
        raise MalformedUpdate("a block's magnitudes are not those of its elements")
