"""Polynomials over GF(65497), many at once: interpolation and evaluation for TOPLOC proofs.

Elements are integers 0 .. PRIME - 1 in float64, in which every product and sum below 2^53 is exact: so matrix products
run in BLAS. Coefficients are in ascending order of power.
Shapes: C polynomials (a row each), K coefficients or points, M points to evaluate at.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

PRIME = 65_497

Field = npt.NDArray[np.float64]


def interpolate(points_CK: Field, values_CK: Field) -> Field:
    """Coefficients [C, K] of the polynomial of degree < K through (points, values); points of a row must differ.

    With M = prod (x - x_i) and a_i = y_i / M'(x_i), Lagrange's sum a_i M / (x - x_i) has the coefficients
    f_d = sum_t M_(d+1+t) s_t, where s_t = sum_i a_i x_i^t: all convolutions and matrix products.
    """
    degree = points_CK.shape[1]
    master = _from_roots(points_CK)
    slopes_CK = evaluate(_mod(master[:, 1:] * np.arange(1, degree + 1)), points_CK)
    weights_CK = _mod(values_CK * inverses()[slopes_CK.astype(np.int64)])
    power_sums = _power_sums(weights_CK, points_CK)
    return _convolve(master[:, 1:], power_sums[:, ::-1])[:, degree - 1 :]


def evaluate(coefficients_CK: Field, points_CM: Field) -> Field:
    """Values [C, M] of each row's polynomial at its points: baby steps by matrix product, giant steps by Horner."""
    baby = _baby_steps(coefficients_CK.shape[1])
    giant = -(-coefficients_CK.shape[1] // baby)
    padded = np.zeros((len(coefficients_CK), giant * baby))
    padded[:, : coefficients_CK.shape[1]] = coefficients_CK
    small_CMb = _powers(points_CM, baby)
    parts_CMg = _mod(small_CMb @ padded.reshape(-1, giant, baby).transpose(0, 2, 1))
    stride_CM = _mod(small_CMb[:, :, -1] * points_CM)
    value_CM = parts_CMg[:, :, -1]
    for part in range(giant - 2, -1, -1):
        value_CM = _mod(value_CM * stride_CM + parts_CMg[:, :, part])
    return value_CM


def _power_sums(weights_CK: Field, points_CK: Field) -> Field:
    """sum_i weight_i point_i^t for t < K, [C, K]."""
    count = points_CK.shape[1]
    baby = _baby_steps(count)
    small_CKb = _powers(points_CK, baby)
    large_CKg = _powers(_mod(small_CKb[:, :, -1] * points_CK), -(-count // baby))
    weighted_CKg = _mod(weights_CK[:, :, None] * large_CKg)
    sums_Cgb = _mod(weighted_CKg.transpose(0, 2, 1) @ small_CKb)
    return sums_Cgb.reshape(len(points_CK), -1)[:, :count]


def _powers(points_CK: Field, count: int) -> Field:
    """Powers 0 .. count - 1, [C, K, count], by doubling."""
    powers = np.ones((*points_CK.shape, 1))
    step_CK = points_CK
    while powers.shape[-1] < count:
        powers = np.concatenate([powers, _mod(powers * step_CK[:, :, None])], axis=2)
        step_CK = _mod(step_CK * step_CK)
    return powers[:, :, :count]


def _from_roots(roots_CK: Field) -> Field:
    """prod (x - root), [C, K + 1], by a tree of products."""
    count = roots_CK.shape[1]
    factors = np.stack([_mod(PRIME - roots_CK), np.ones_like(roots_CK)], axis=2)
    while factors.shape[1] > 1:
        if factors.shape[1] % 2:
            one = np.zeros_like(factors[:, :1])
            one[:, :, 0] = 1
            factors = np.concatenate([factors, one], axis=1)
        factors = _convolve(factors[:, ::2], factors[:, 1::2])
    return factors[:, 0, : count + 1]


def _convolve(a: Field, b: Field) -> Field:
    """Products of polynomials along the last axis.

    The Fourier transform's error stays below 2^32 · K · 2^-50: rounding to integers is exact for K up to 4,096.
    """
    length = a.shape[-1] + b.shape[-1] - 1
    size = 1 << (length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)[..., :length]
    return _mod(np.rint(product))


def _mod(x: Field) -> Field:
    """x mod PRIME for integers 0 <= x < 2^52: half a unit keeps the quotient clear of rounding."""
    return x - PRIME * np.floor((x + 0.5) * (1 / PRIME))


def _baby_steps(count: int) -> int:
    return max(1, int(np.ceil(np.sqrt(count))))


@cache
def inverses() -> Field:
    """Inverse of each element (0 for 0), [PRIME], by Fermat: x^(PRIME - 2)."""
    base = np.arange(PRIME, dtype=np.float64)
    result, exponent = np.ones(PRIME), PRIME - 2
    while exponent:
        if exponent & 1:
            result = _mod(result * base)
        base, exponent = _mod(base * base), exponent >> 1
    return result
