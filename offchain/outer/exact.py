"""Reductions whose result is defined to the bit, for numbers that all verifiers must agree on.

`np.sum` and BLAS are reproducible on one machine only: the order in which they add depends on the width of the
processor's vectors, on threads and on the build. Here the order is part of the definition. Within a chunk, halves are
added element by element (an element-wise IEEE operation has one result, however it is vectorised); chunk sums are
then added by `math.fsum`, which rounds the exact sum once. Squares of float32 numbers are exact in float64.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from offchain.outer.numbers import Float32
from offchain.protocol.errors import Stop

CHUNK = 65_536  # elements; a power of two


def l2_norm(tensors: Iterable[Float32]) -> float:
    """Euclidean norm over all elements of all tensors, in whatever order they come."""
    return math.sqrt(math.fsum(part for tensor in tensors for part in _chunk_sums_of_squares(tensor)))


def require_subnormals() -> None:
    """Raises Stop: something in this process has told the processor to flush subnormal numbers to zero."""
    if np.full(1, 2**-140, np.float32)[0] * np.float32(0.5) == 0:
        raise Stop("a library in this process flushes subnormal numbers to zero: results would differ from others'")


def _chunk_sums_of_squares(tensor: Float32) -> Iterator[float]:
    flat = tensor.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        squares = np.zeros(CHUNK)
        piece = flat[start : start + CHUNK].astype(np.float64)
        np.multiply(piece, piece, out=squares[: piece.size])
        while squares.size > 1:
            half = squares.size // 2
            squares = squares[:half] + squares[half:]
        yield float(squares[0])
