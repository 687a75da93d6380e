"""Polynomials over GF(65497), many at once: interpolation and evaluation for TOPLOC proofs.

Elements are integers 0 .. PRIME - 1 in float64, in which every product and sum below 2^53 is exact: so loops over
points run in vector instructions, and sums of products in BLAS. Coefficients are in ascending order of power.
Shapes: C polynomials (a row each), K coefficients or points, M points to evaluate at, D powers of a block.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from assay_core.toploc.compiled import compiled, inlined

PRIME = 65_497
BLOCK_ELEMENTS = 2**16  # coefficients of quotients that are summed up at once: what fits a core's cache

Field = npt.NDArray[np.float64]


def interpolate(points_CK: Field, values_CK: Field) -> Field:
    """Coefficients [C, K] of the polynomial of degree < K through (points, values); points of a row must differ.

    Lagrange: with M = prod (x - x_i) it is the sum of y_i / M'(x_i) times the quotients M / (x - x_i).
    """
    points_CK = np.ascontiguousarray(points_CK)
    degree = points_CK.shape[1]
    master = np.empty((len(points_CK), degree + 1))
    _from_roots(points_CK, master)
    slopes_CK = evaluate(_mod(master[:, 1:] * np.arange(1.0, degree + 1)), points_CK)
    weights_CK = _mod(values_CK * inverses()[slopes_CK.astype(np.int64)])
    coefficients_CK = np.empty(points_CK.shape)
    quotients_DK = np.empty((max(1, BLOCK_ELEMENTS // degree), degree))
    for row in range(len(points_CK)):
        carry_K = np.zeros(degree)
        for stop in range(degree, 0, -len(quotients_DK)):
            part = quotients_DK[: min(stop, len(quotients_DK))]
            _divide(master[row, stop - len(part) + 1 : stop + 1], points_CK[row], carry_K, part)
            coefficients_CK[row, stop - len(part) : stop] = part @ weights_CK[row]
    return _mod(coefficients_CK)


def evaluate(coefficients_CK: Field, points_CM: Field) -> Field:
    """Values [C, M] of each row's polynomial at its points."""
    values_CM = np.zeros(points_CM.shape)
    _horner(np.ascontiguousarray(coefficients_CK), np.ascontiguousarray(points_CM), values_CM)
    return values_CM


@inlined
def _reduced(x: float) -> float:
    """x mod PRIME for integers 0 <= x < 2^50: half a unit keeps the quotient clear of rounding."""
    return x - PRIME * np.floor((x + 0.5) * (1 / PRIME))


@compiled
def _horner(coefficients_CK: Field, points_CM: Field, values_CM: Field) -> None:
    """Adds to values, which are zero, what the polynomials are at the points."""
    for row in range(len(points_CM)):
        points_M, values_M = points_CM[row], values_CM[row]
        for power in range(coefficients_CK.shape[1] - 1, -1, -1):
            coefficient = coefficients_CK[row, power]
            for place in range(points_M.size):
                values_M[place] = _reduced(values_M[place] * points_M[place] + coefficient)


@compiled
def _from_roots(roots_CK: Field, master: Field) -> None:
    """prod (x - root), [C, K + 1]: one root after the other."""
    degree = roots_CK.shape[1]
    before = np.zeros(degree + 1)  # the product so far, times x
    for row in range(len(roots_CK)):
        product = master[row]
        product[:] = 0
        product[0] = 1
        for count in range(degree):
            negative = PRIME - roots_CK[row, count]
            before[1 : count + 2] = product[: count + 1]
            for power in range(count + 2):
                product[power] = _reduced(before[power] + product[power] * negative)


@compiled
def _divide(master_D: Field, points_K: Field, carry_K: Field, quotients_DK: Field) -> None:
    """Divide by (x - point), for each point: D coefficients of the quotients, from those of the D powers above.

    `carry_K` are the quotients' coefficients of the power above the block; afterwards those of its lowest.
    """
    for power in range(len(master_D) - 1, -1, -1):
        for place in range(points_K.size):
            carry_K[place] = _reduced(carry_K[place] * points_K[place] + master_D[power])
            quotients_DK[power, place] = carry_K[place]


def _mod(x: Field) -> Field:
    """`_reduced`, element by element."""
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
