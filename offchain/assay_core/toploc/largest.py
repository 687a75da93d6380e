"""The k activations of largest magnitude in each chunk: the reference's choice, in a fraction of its time.

Among equal activations, which are common in bfloat16, the reference takes those that torch.topk takes on the CPU. Where
a chunk has at least 64 k elements that is `std::partial_sort` of GNU's C++ library: it walks through the chunk with a
heap of k, whose top is the smallest, and what is larger than the top takes its place. Which of several equal ones are
thrown out depends on how the heap moves them. The walk below makes the same moves, and skips what is no larger than the
top many elements at a time. So the choice is the same on every machine, whatever its torch was built with.

Shapes: C chunks, E elements of a chunk, K points.
"""

import numpy as np
import numpy.typing as npt
import torch

from assay_core.toploc.compiled import compiled, inlined

Bf16Bits = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Heap = npt.NDArray[np.uint64]  # entries: magnitude in the upper 16 bits, position in the others

MAGNITUDE = np.uint16(0x7FFF)
NAN = np.uint16(0x7F81)  # stands for all of them: none is larger than another
PARTIAL_SORT = 64  # per k: with fewer elements torch.topk sorts in another way, and is fast
BLOCK = 64  # elements that are skipped together
VALUE = np.uint64(48)
POSITION = np.uint64(2**48 - 1)
ONE = np.uint64(1)


def largest(bits_CE: Bf16Bits, topk: int) -> tuple[Ints, Bf16Bits]:
    """Positions and bit patterns of the k activations of largest magnitude, [C, K], in no order."""
    k = min(topk, bits_CE.shape[1])
    if bits_CE.shape[1] < PARTIAL_SORT * k:
        magnitudes_CE = np.minimum(
            bits_CE & MAGNITUDE, NAN
        )  # as integers they have the order that they have as numbers
        positions_CK = torch.from_numpy(magnitudes_CE.view(np.int16)).topk(k, sorted=False).indices.numpy()
    else:
        positions_CK = np.empty((len(bits_CE), k), np.int64)
        _walk(bits_CE, positions_CK)
    return positions_CK, np.take_along_axis(bits_CE, positions_CK, axis=1)


# Places in the heap are unsigned: a sign would be tested at each access, and int64 with uint64 would give a float.


@inlined
def _settle(heap: Heap, hole: np.uint64, entry: np.uint64) -> None:
    """`std::__adjust_heap`: a hole sinks to the bottom along the smaller children, then `entry` rises from there."""
    top, size = hole, np.uint64(heap.size)
    right = hole + hole + ONE + ONE
    while right < size:
        first, second = heap[right - ONE], heap[right]
        larger = second >> VALUE > first >> VALUE
        heap[hole] = first if larger else second
        hole = right - np.uint64(larger)  # no branch: it would be mispredicted half of the times
        right = hole + hole + ONE + ONE
    if right == size:
        heap[hole] = heap[right - ONE]
        hole = right - ONE
    while hole > top:
        parent = (hole - ONE) >> ONE
        if heap[parent] >> VALUE <= entry >> VALUE:
            break
        heap[hole] = heap[parent]
        hole = parent
    heap[hole] = entry


@inlined
def _entry(magnitude: np.uint16, position: int) -> np.uint64:
    return np.uint64(min(magnitude, NAN)) << VALUE | np.uint64(position)


@inlined
def _may_enter(block: Bf16Bits, bar: np.uint16) -> bool | np.bool_:
    """Whether any of the block is larger than the bar, or the block is the last and a short one."""
    if block.size < BLOCK:
        return True
    best = np.uint16(0)
    for place in range(BLOCK):
        best = max(best, np.uint16(block[place] & MAGNITUDE))
    return best > bar


@compiled
def _walk(bits_CE: Bf16Bits, positions_CK: Ints) -> None:
    """`std::partial_sort` without the sorting at its end."""
    k = positions_CK.shape[1]
    heap = np.empty(k, np.uint64)
    for chunk in range(len(bits_CE)):
        row = bits_CE[chunk]
        for position in range(k):
            heap[position] = _entry(row[position] & MAGNITUDE, position)
        for hole in range(k // 2 - 1, -1, -1):
            _settle(heap, np.uint64(hole), heap[hole])
        bar = np.uint16(heap[0] >> VALUE)
        for start in range(k, row.size, BLOCK):
            block = row[start : start + BLOCK]
            if _may_enter(block, bar):
                for place in range(block.size):
                    magnitude = np.uint16(block[place] & MAGNITUDE)
                    if magnitude > bar and bar < NAN:
                        _settle(heap, np.uint64(0), _entry(magnitude, start + place))
                        bar = np.uint16(heap[0] >> VALUE)
        for place in range(k):
            positions_CK[chunk, place] = heap[place] & POSITION
