"""The bytes of a proof: the modulus, then the coefficients of the polynomial, all big-endian uint16.

Shapes: C chunks, K points of each, R rows that are still open, M moduli tried at once.
"""

from collections.abc import Sequence

import numpy as np

from assay_core.protocol.errors import MalformedProof
from assay_core.toploc.finite_field import PRIME, Field, evaluate, interpolate
from assay_core.toploc.largest import Bf16Bits, Flags, Ints

MIN_MODULUS = 2**15 + 1  # the reference's search ends here; the bit patterns beyond PRIME are NaNs
MODULI_AT_ONCE = 32


def encode_proof(indices: Sequence[int], values: Sequence[int]) -> bytes:
    """Prove k values (bfloat16 bit patterns) at k different positions.

    Raises ValueError: no or repeated positions, unequal lengths, values beyond 16 bits, or no modulus that keeps the
    positions apart.
    """
    if not indices or len(indices) != len(values) or len(set(indices)) != len(indices):
        raise ValueError("a proof needs as many values as positions, and no position twice")
    if min(indices) < 0 or not all(0 <= value < 2**16 for value in values):
        raise ValueError("positions are not negative, values are 16-bit patterns")
    return encode(np.array([indices], dtype=np.int64), np.array([values], dtype=np.uint16))[0]


def encode(positions_CK: Ints, values_CK: Bf16Bits) -> list[bytes]:
    """A proof per row. Raises ValueError: no modulus keeps the positions of a row apart."""
    moduli_C = injective_moduli(positions_CK)
    points_CK = (positions_CK % moduli_C[:, None]).astype(np.float64)
    coefficients_CK = interpolate(points_CK, values_CK % np.float64(PRIME))
    rows = np.concatenate([moduli_C[:, None], coefficients_CK], axis=1).astype(">u2")
    return [row.tobytes() for row in rows]


def decode(proofs: Sequence[bytes], topk: int) -> tuple[Ints, Field]:
    """Moduli [C] and coefficients [C, K]. Raises MalformedProof."""
    length = 2 + 2 * topk
    for proof in proofs:
        if len(proof) != length:
            raise MalformedProof(f"a proof of {len(proof)} bytes, must have {length}")
    rows = np.frombuffer(b"".join(proofs), dtype=">u2").reshape(len(proofs), topk + 1)
    moduli_C, coefficients_CK = rows[:, 0].astype(np.int64), rows[:, 1:].astype(np.float64)
    if ((moduli_C < MIN_MODULUS) | (moduli_C > PRIME)).any():
        raise MalformedProof(f"a proof's modulus lies outside of {MIN_MODULUS} to {PRIME}")
    if (coefficients_CK >= PRIME).any():
        raise MalformedProof(f"a proof's coefficient is not below {PRIME}")
    return moduli_C, coefficients_CK


def values_at(positions_CK: Ints, moduli_C: Ints, coefficients_CK: Field) -> Bf16Bits:
    """The bit patterns [C, K] that decoded proofs commit to at these positions."""
    points_CK = (positions_CK % moduli_C[:, None]).astype(np.float64)
    return evaluate(coefficients_CK, points_CK).astype(np.uint16)


def injective_moduli(positions_CK: Ints) -> Ints:
    """Per row the largest modulus up to PRIME that keeps all positions apart, [C]. Raises ValueError: none does."""
    if positions_CK.shape[1] > PRIME:
        raise ValueError(f"no modulus up to {PRIME} keeps {positions_CK.shape[1]} positions apart")
    moduli_C = np.full(len(positions_CK), PRIME, dtype=np.int64)
    open_R = np.flatnonzero(positions_CK.max(axis=1) >= PRIME)  # smaller positions are apart as they are
    tried_M = np.array([PRIME])  # does for nearly all
    while open_R.size:
        if not tried_M.size:
            raise ValueError("no modulus keeps these positions apart")
        apart_RM = _apart(positions_CK[open_R], tried_M)
        solved_R = apart_RM.any(axis=1)
        moduli_C[open_R[solved_R]] = tried_M[apart_RM[solved_R].argmax(axis=1)]
        open_R = open_R[~solved_R]
        tried_M = np.arange(tried_M[-1] - 1, max(tried_M[-1] - 1 - MODULI_AT_ONCE, MIN_MODULUS - 1), -1)
    return moduli_C


def _apart(positions_RK: Ints, moduli_M: Ints) -> Flags:
    """Whether all positions of a row differ by a modulus, [R, M]."""
    reduced_RMK = np.sort((positions_RK[:, None] % moduli_M[:, None]).astype(np.uint16), axis=2)
    return (reduced_RMK[:, :, 1:] != reduced_RMK[:, :, :-1]).all(axis=2)
