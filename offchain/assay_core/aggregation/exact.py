"""Reductions whose result is defined to the bit, for numbers that all verifiers must agree on.

`np.sum` and BLAS are reproducible on one machine only: the order in which they add depends on the width of the
processor's vectors, on threads and on the build. Here the order is part of the definition. Within a chunk, halves are
added element by element (an element-wise IEEE operation has one result, however it is vectorised); chunk sums are
added in order of name and position, or by `math.fsum`, which rounds the exact sum once. Products of two float32 numbers
are exact in float64.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from assay_core.bundle.numbers import Float32
from assay_core.protocol.errors import Stop

CHUNK = 65_536  # elements; a power of two
PAIRS = 8  # products of one update with so many others at once: bounds memory


def l2_norm(tensors: Iterable[Float32]) -> float:
    """Euclidean norm over all elements of all tensors, in whatever order they come."""
    return math.sqrt(math.fsum(part for tensor in tensors for part in sums_of_squares(tensor)))


def sums_of_squares(tensor: Float32) -> Iterator[float]:
    """Of each chunk."""
    flat = tensor.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        piece = flat[start : start + CHUNK].astype(np.float64)
        yield float(_chunk_sums(np.multiply(piece, piece)[None])[0])


def add_inner_products(total_WW: npt.NDArray[np.float64], values_WN: Float32) -> None:
    """Add the inner products of each two of W updates over N more coordinates, chunk by chunk.

    Only the upper triangle is computed. Pieces of a tensor come in order, and all but its last are whole chunks.
    """
    for start in range(0, values_WN.shape[1], CHUNK):
        piece_WN = values_WN[:, start : start + CHUNK].astype(np.float64)
        for i in range(len(piece_WN)):
            for j in range(i, len(piece_WN), PAIRS):
                total_WW[i, j : j + PAIRS] += _chunk_sums(np.multiply(piece_WN[j : j + PAIRS], piece_WN[i]))


def require_subnormals() -> None:
    """Raises Stop: something in this process has told the processor to flush subnormal numbers to zero."""
    if np.full(1, 2**-140, np.float32)[0] * np.float32(0.5) == 0:
        raise Stop("a library in this process flushes subnormal numbers to zero: results would differ from others'")


def _chunk_sums(terms_KN: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[K]: the sum of each row of up to CHUNK numbers, the second half added to the first until one is left."""
    halves = np.zeros((len(terms_KN), CHUNK))
    halves[:, : terms_KN.shape[1]] = terms_KN
    while halves.shape[1] > 1:
        half = halves.shape[1] // 2
        halves = halves[:, :half] + halves[:, half:]
    return halves[:, 0]
