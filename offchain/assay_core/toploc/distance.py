"""How far the activations that a verifier recomputed lie from those that a proof commits to.

Shapes: C chunks, K points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay_core.protocol.spec import ToplocSpec
from assay_core.toploc.largest import Bf16Bits

MANTISSA = 0x7F
EXPONENT = 0xFF
MANTISSA_BITS = 7
APART = MANTISSA + 1  # stands for the error of a pair whose exponents differ: larger than any that counts


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a chunk lies from its proof. Mantissa errors count where exponents agree; infinite where none does."""

    exponent_mismatches: int
    mantissa_mean: float
    mantissa_median: float

    def within(self, thresholds: ToplocSpec) -> bool:
        """Whether the same model may have produced both."""
        return (
            self.exponent_mismatches <= thresholds.max_exponent_mismatches
            and self.mantissa_mean <= thresholds.max_mantissa_mean
            and self.mantissa_median <= thresholds.max_mantissa_median
        )


def distances_between(claimed_CK: Bf16Bits, recomputed_CK: Bf16Bits) -> list[Distance]:
    """Compare bit patterns at the same positions, row by row. Signs do not count, as in the reference."""
    agree_CK = ((claimed_CK ^ recomputed_CK) >> MANTISSA_BITS) & EXPONENT == 0
    errors_CK = np.abs((claimed_CK & MANTISSA).view(np.int16) - (recomputed_CK & MANTISSA).view(np.int16))
    counts_C = agree_CK.sum(axis=1)
    sums_C = np.where(agree_CK, errors_CK, 0).sum(axis=1)
    sorted_CK = np.sort(np.where(agree_CK, errors_CK, np.int16(APART)), axis=1)  # what counts comes first
    rows = np.arange(len(sorted_CK))
    middles_C = sorted_CK[rows, np.maximum(counts_C - 1, 0) // 2] + sorted_CK[rows, counts_C // 2 - (counts_C == 0)]
    return _distances(claimed_CK.shape[1], counts_C.tolist(), sums_C.tolist(), middles_C.tolist())


def _distances(points: int, counts: Sequence[int], sums: Sequence[int], middles: Sequence[int]) -> list[Distance]:
    """`middles` are the sums of the two errors in the middle."""
    return [
        Distance(points - count, total / count, middle / 2) if count else Distance(points, float("inf"), float("inf"))
        for count, total, middle in zip(counts, sums, middles, strict=True)
    ]


def not_finite(values_CK: Bf16Bits) -> bool:
    """Whether an infinity or a NaN is among the bit patterns."""
    return bool(((values_CK >> MANTISSA_BITS) & EXPONENT == EXPONENT).any())
