"""Building proofs and checking them, many sequences at once.

Shapes: N positions of one sequence, H hidden width, C chunks, K points.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from assay_core.protocol.errors import MalformedProof
from assay_core.toploc.chunks import Hidden, Place, chunks_of, proof_count
from assay_core.toploc.distance import Distance, distances_between, not_finite
from assay_core.toploc.encoding import decode, encode, values_at
from assay_core.toploc.largest import Bf16Bits, Ints, largest

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Points:
    """The largest activations of many chunks: the same number of each."""

    places: Sequence[Place]
    positions_CK: Ints
    values_CK: Bf16Bits


def build_proofs(
    bits_NH: Bf16Bits, prompt_tokens: int, *, topk: int, chunk_tokens: int, skip_prefill: bool = False
) -> list[bytes]:
    """Prove one sequence; see `build_all`."""
    hidden = [Hidden(bits_NH, prompt_tokens)]
    return build_all(hidden, topk=topk, chunk_tokens=chunk_tokens, skip_prefill=skip_prefill)[0]


def build_all(
    sequences: Sequence[Hidden], *, topk: int, chunk_tokens: int, skip_prefill: bool = False
) -> list[list[bytes]]:
    """Per sequence one proof of the prompt (unless `skip_prefill`), then one per `chunk_tokens` further positions.

    A chunk of fewer than `topk` elements is proved by all of them. Many short sequences at once cost far less than each
    alone.
    Raises ValueError: an activation that is not finite, which no honest model produces.
    """
    proofs: list[tuple[Place, bytes]] = []
    for points in _points(sequences, topk, chunk_tokens, skip_prefill):
        if not_finite(points.values_CK):  # they would be the largest
            raise ValueError("hidden states are not finite: the policy has diverged")
        proofs += zip(points.places, encode(points.positions_CK, points.values_CK), strict=True)
    return _by_sequence(proofs, len(sequences))


def check_proofs(
    bits_NH: Bf16Bits,
    prompt_tokens: int,
    proofs: Sequence[bytes],
    *,
    topk: int,
    chunk_tokens: int,
    skip_prefill: bool = False,
) -> list[Distance]:
    """Check one sequence; see `check_all`."""
    hidden = [Hidden(bits_NH, prompt_tokens)]
    return check_all(hidden, [proofs], topk=topk, chunk_tokens=chunk_tokens, skip_prefill=skip_prefill)[0]


def check_all(
    sequences: Sequence[Hidden],
    proofs: Sequence[Sequence[bytes]],
    *,
    topk: int,
    chunk_tokens: int,
    skip_prefill: bool = False,
) -> list[list[Distance]]:
    """Distance of each chunk that we recomputed to the proof that was claimed for it.

    Raises MalformedProof: too few or too many proofs, or one of the wrong length, modulus or coefficients.
    """
    for hidden, claimed in zip(sequences, proofs, strict=True):
        expected = proof_count(len(hidden.bits_NH), hidden.prompt_tokens, chunk_tokens, skip_prefill)
        if len(claimed) != expected:
            raise MalformedProof(f"{len(claimed)} proofs for a sequence of {expected} chunks")
    distances: list[tuple[Place, Distance]] = []
    for points in _points(sequences, topk, chunk_tokens, skip_prefill):
        claimed = [proofs[sequence][chunk] for sequence, chunk in points.places]
        moduli_C, coefficients_CK = decode(claimed, points.positions_CK.shape[1])
        claimed_CK = values_at(points.positions_CK, moduli_C, coefficients_CK)
        distances += zip(points.places, distances_between(claimed_CK, points.values_CK), strict=True)
    return _by_sequence(distances, len(sequences))


def _points(sequences: Sequence[Hidden], topk: int, chunk_tokens: int, skip_prefill: bool) -> Iterator[_Points]:
    """What is proved of all chunks; those with as many points come together, whatever their size."""
    by_count: dict[int, list[_Points]] = defaultdict(list)
    for chunks in chunks_of(sequences, chunk_tokens, skip_prefill):
        positions_CK, values_CK = largest(chunks.bits_CE, topk)
        by_count[positions_CK.shape[1]].append(_Points(chunks.places, positions_CK, values_CK))
    for parts in by_count.values():
        yield _Points(
            [place for part in parts for place in part.places],
            np.concatenate([part.positions_CK for part in parts]),
            np.concatenate([part.values_CK for part in parts]),
        )


def _by_sequence(found: Iterable[tuple[Place, Item]], sequences: int) -> list[list[Item]]:
    results: list[list[Item]] = [[] for _ in range(sequences)]
    for (sequence, _), item in sorted(found, key=lambda pair: pair[0]):
        results[sequence].append(item)
    return results
