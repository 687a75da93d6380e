"""Polynomials over GF(65497), many at once: interpolation and evaluation for TOPLOC proofs.

Elements are integers 0 .. PRIME - 1. Arithmetic happens in float64, in which every product and sum below 2^53 is exact:
so matrix products run in BLAS. Points are looked up in tables of powers. Coefficients are in ascending order of power.
Shapes: C polynomials (a row each), K coefficients or points, M points to evaluate at; b baby and g giant steps with
b g >= K: x^(i b + j) = (x^b)^i x^j.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

PRIME = 65_497
SLAB_ELEMENTS = 2**18  # powers of points that are looked up at once: what fits a core's cache

Field = npt.NDArray[np.float64]
Points = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]


def interpolate(points_CK: Points, values_CK: Field) -> Field:
    """Coefficients [C, K] of the polynomial of degree < K through (points, values); points of a row must differ.

    With M = prod (x - x_i) and a_i = y_i / M'(x_i), Lagrange's sum a_i M / (x - x_i) has the coefficients
    f_d = sum_t M_(d+1+t) s_t, where s_t = sum_i a_i x_i^t: all convolutions and matrix products.
    """
    coefficients_CK = np.empty(points_CK.shape)
    for rows in _slabs(points_CK):
        coefficients_CK[rows] = _interpolate(points_CK[rows], values_CK[rows])
    return coefficients_CK


def evaluate(coefficients_CK: Field, points_CM: Points) -> Field:
    """Values [C, M] of each row's polynomial at its points."""
    values_CM = np.empty(points_CM.shape)
    for rows in _slabs(points_CM):
        baby_CMb, giant_CMg = _powers(points_CM[rows], coefficients_CK.shape[1])
        values_CM[rows] = _evaluate(coefficients_CK[rows], baby_CMb, giant_CMg)
    return values_CM


def _interpolate(points_CK: Points, values_CK: Field) -> Field:
    degree = points_CK.shape[1]
    baby_CKb, giant_CKg = _powers(points_CK, degree)
    master = _from_roots(points_CK.astype(np.float64))
    slopes_CK = _evaluate(_mod(master[:, 1:] * np.arange(1.0, degree + 1)), baby_CKb, giant_CKg)
    weights_CK = _mod(values_CK * inverses()[slopes_CK.astype(np.int64)])
    weighted_CKg = _mod(weights_CK[:, :, None] * giant_CKg)
    sums_Cgb = _mod(weighted_CKg.transpose(0, 2, 1) @ baby_CKb)
    power_sums_CK = sums_Cgb.reshape(len(points_CK), -1)[:, :degree]
    return _convolve(master[:, 1:], power_sums_CK[:, ::-1])[:, degree - 1 :]


def _evaluate(coefficients_CK: Field, baby_CMb: Field, giant_CMg: Field) -> Field:
    baby, giant = baby_CMb.shape[2], giant_CMg.shape[2]
    padded = np.zeros((len(coefficients_CK), giant * baby))
    padded[:, : coefficients_CK.shape[1]] = coefficients_CK
    parts_CMg = _mod(baby_CMb @ padded.reshape(-1, giant, baby).transpose(0, 2, 1))
    return _mod(np.einsum("cmg,cmg->cm", parts_CMg, giant_CMg))


def _powers(points_CM: Points, count: int) -> tuple[Field, Field]:
    """Powers of the points from which all below `count` are made: baby [C, M, b], giant [C, M, g]."""
    baby, giant = _power_tables((count - 1).bit_length())
    needed = -(-count // baby.shape[1])
    return baby[points_CM].astype(np.float64), giant[points_CM, :needed].astype(np.float64)


@cache
def _power_tables(bits: int) -> tuple[Table, Table]:
    """x^j for j < b and x^(b i) for i < g, of each element x; b g = 2^bits."""
    baby = 2 ** ((bits + 1) // 2)
    elements = np.arange(PRIME, dtype=np.float64)
    small, stride = _table(elements, baby)
    return small, _table(stride, 2**bits // baby)[0]


def _table(bases: Field, count: int) -> tuple[Table, Field]:
    """The powers 0 .. count - 1 of each base, [PRIME, count], and the power `count`."""
    table = np.empty((len(bases), count), np.uint16)
    power = np.ones(len(bases))
    for exponent in range(count):
        table[:, exponent] = power
        power = _mod(power * bases)
    return table, power


def _slabs(points: Points) -> Iterator[slice]:
    """Rows that are worked on together: bounds memory."""
    count = points.shape[1]
    step = max(1, SLAB_ELEMENTS // (2 * count * (int(np.sqrt(count)) + 1)))
    for start in range(0, len(points), step):
        yield slice(start, start + step)


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
