"""The k activations of largest magnitude in each chunk: torch.topk's choice, for a fraction of its time.

Among equal activations, which are common in bfloat16, the reference takes those that torch.topk takes on the CPU. Where
a chunk has at least 64 k elements that is `std::partial_sort`: it walks through them with a heap of k, and one enters
only if it is larger than the smallest in the heap. One that is no larger than the k-th largest *before it* therefore
never enters, and leaving it out changes nothing: neither the heap nor its choice among equals. So nearly all are
dropped by vectorised comparisons, and torch.topk sees what is left, in the order of the chunk.

Shapes: C chunks, E elements of a chunk, H its first elements, G groups, L contenders of a chunk, F all that were found
behind the heads, K points.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Bf16Bits = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MAGNITUDE = np.uint16(0x7FFF)
INFINITE = np.uint16(0x7F80)
PARTIAL_SORT = 64  # torch.topk sorts partially from 64 k elements on, and otherwise in a way that looks at all of them
GROUPS = 4  # per k: the k-th largest of this many maxima bounds the k-th largest of all from below
HEAD = 48  # per k: what goes to torch.topk unseen; with the contenders behind it, mostly fewer than PARTIAL_SORT
WORTHWHILE = 128  # per k: chunks with fewer elements go to torch.topk as they are
BLOCK_ELEMENTS = 2**18  # that are compared at once: what fits a core's cache


def largest(bits_CE: Bf16Bits, topk: int) -> tuple[Ints, Bf16Bits]:
    """Positions and bit patterns of the k activations of largest magnitude, [C, K]; `bits_CE` is contiguous."""
    elements = bits_CE.shape[1]
    k = min(topk, elements)
    if elements < WORTHWHILE * k:
        positions_CK = _torch_topk(bits_CE & MAGNITUDE, k)
    else:
        contenders = _contenders(bits_CE, k)
        positions_CK = contenders.positions(_torch_topk(contenders.magnitudes_CL, k))
    return positions_CK, np.take(bits_CE.reshape(-1), positions_CK + _offsets(len(bits_CE), elements))


def _torch_topk(magnitudes_CE: Bf16Bits, k: int) -> Ints:
    """As integers they have the order that they have as numbers, except that any NaN is as good as another."""
    found = torch.from_numpy(magnitudes_CE.view(np.int16)).topk(k)
    if found.values[:, 0].max() > int(INFINITE):
        found = torch.from_numpy(np.minimum(magnitudes_CE, INFINITE + 1).view(np.int16)).topk(k)
    return found.indices.numpy()


def _offsets(chunks: int, elements: int) -> Ints:
    """Where each chunk begins in an array of all of them, [C, 1]."""
    return np.arange(0, chunks * elements, elements)[:, None]


@dataclass(frozen=True, slots=True)
class _Contenders:
    """Of each chunk the elements that may enter the heap: its head, then what was found behind it, then zeros."""

    magnitudes_CL: Bf16Bits
    head: int
    elements: int
    found_F: Ints  # where they lie in an array of all chunks, ascending
    edges_C: Ints  # where each chunk's begin among them

    def positions(self, places_CK: Ints) -> Ints:
        """Positions in their chunks of contenders that are given by their places in `magnitudes_CL`."""
        behind_CK = places_CK >= self.head
        slots_CK = np.where(behind_CK, places_CK + (self.edges_C[:, None] - self.head), len(self.found_F))
        found_CK = np.append(self.found_F, 0)[slots_CK]
        return np.where(behind_CK, found_CK - _offsets(len(places_CK), self.elements), places_CK)


def _contenders(bits_CE: Bf16Bits, k: int) -> _Contenders:
    chunks, elements = bits_CE.shape
    head = HEAD * k
    heads_CH = bits_CE[:, :head] & MAGNITUDE
    found_F = _found_behind(heads_CH, bits_CE, k)
    edges = np.searchsorted(found_F, np.arange(0, (chunks + 1) * elements, elements))
    counts_C = np.diff(edges)
    length = max(PARTIAL_SORT * k, head + int(counts_C.max()))
    magnitudes_CL = np.zeros((chunks, length), np.uint16)
    magnitudes_CL[:, :head] = heads_CH
    shifts_C = np.arange(head, chunks * length, length) - edges[:-1]
    slots_F = np.arange(len(found_F)) + np.repeat(shifts_C, counts_C)
    magnitudes_CL.reshape(-1)[slots_F] = np.take(bits_CE.reshape(-1), found_F) & MAGNITUDE
    return _Contenders(magnitudes_CL, head, elements, found_F, edges[:-1])


def _found_behind(heads_CH: Bf16Bits, bits_CE: Bf16Bits, k: int) -> Ints:
    """Places in `bits_CE` of what is larger than its chunk's bar; the bar rises in the first quarter of the chunk."""
    chunks, elements = bits_CE.shape
    groups = GROUPS * k
    width = groups * max(1, BLOCK_ELEMENTS // (chunks * groups))
    magnitudes, flags = np.empty(chunks * width, np.uint16), np.empty(chunks * width + 8, np.bool_)
    best_CG = _maxima(heads_CH, groups)
    bar_C1 = _bar(best_CG, k)
    found: list[Ints] = []
    for start in range(heads_CH.shape[1], elements, width):
        stop = min(start + width, elements)
        block, size = (chunks, stop - start), chunks * (stop - start)
        block_CW = np.bitwise_and(bits_CE[:, start:stop], MAGNITUDE, out=magnitudes[:size].reshape(block))
        np.greater(block_CW, bar_C1, out=flags[:size].reshape(block))
        places_F = _places(flags, size)
        counts_C = np.diff(np.searchsorted(places_F, np.arange(0, size + 1, stop - start)))
        found.append(places_F + np.repeat(np.arange(chunks) * (elements - stop + start) + start, counts_C))
        if 4 * stop <= elements:
            np.maximum(best_CG, _maxima(block_CW, groups), out=best_CG)
            bar_C1 = _bar(best_CG, k)
    return np.sort(np.concatenate(found)) if len(found) > 1 else found[0]


def _maxima(magnitudes_CW: Bf16Bits, groups: int) -> Bf16Bits:
    """Maxima of `groups` groups of elements that lie `groups` apart, [C, G]."""
    return magnitudes_CW.reshape(len(magnitudes_CW), -1, groups).max(axis=1)


def _bar(best_CG: Bf16Bits, k: int) -> Bf16Bits:
    """The k-th largest, [C, 1]."""
    place = best_CG.shape[1] - k
    return np.partition(best_CG, place, axis=1)[:, place : place + 1]


def _places(flags: Flags, size: int) -> Ints:
    """Where the first `size` flags are set, looking at eight at a time: few are. The next seven are overwritten."""
    flags[size : size + 7] = False
    words = flags[: size + 7 & ~7].view(np.uint64)
    set_words = np.flatnonzero(words != 0)
    set_bytes = np.flatnonzero(words[set_words].view(np.bool_))
    return set_words[set_bytes >> 3] * 8 + (set_bytes & 7)
