"""TOPLOC: a proof of 2 + 2k bytes per chunk of tokens commits to its k largest activations in the final hidden states.

A proof is the polynomial over GF(65497) through the points (flattened position mod modulus, bfloat16 bit pattern), with
the modulus in front; all numbers are big-endian uint16. A verifier evaluates it at the positions of *its* k largest
activations: the same model gives nearly the same values there, another model gives noise.

Byte-compatible with the reference package toploc 0.1.6. Unlike it, the check reduces positions by the proof's modulus
on every path, and a null, short or surplus proof is malformed instead of passing.
Source: Ong et al. 2025, arXiv:2501.16007.

Shapes: N positions of one sequence, H hidden width, C chunks, E elements of a chunk (its tokens × H), K points.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from offchain.finite_field import PRIME, Field, evaluate, interpolate
from offchain.protocol.errors import MalformedProof
from offchain.protocol.spec import ToplocSpec

MIN_MODULUS = 2**15 + 1  # the reference's search ends here; the bit patterns beyond PRIME are NaNs
MANTISSA = 0x7F
EXPONENT = 0xFF
MANTISSA_BITS = 7
BLOCK_ELEMENTS = 2**23  # elements that go through top-k at once: bounds memory

Bf16Bits = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]
Place = tuple[int, int]  # which sequence, which of its chunks
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Hidden:
    """Final hidden states of one sequence as bfloat16 bit patterns; the first `prompt_tokens` rows are the prompt's."""

    bits_NH: Bf16Bits
    prompt_tokens: int


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


def proof_count(positions: int, prompt_tokens: int, chunk_tokens: int, skip_prefill: bool = False) -> int:
    """How many proofs a sequence has."""
    return len(_spans(positions, prompt_tokens, chunk_tokens, skip_prefill))


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
    proofs: dict[Place, bytes] = {}
    for chunks in _blocks(sequences, chunk_tokens, skip_prefill):
        indices_CK, values_CK = _largest(chunks.bits_CE, topk)
        if ((values_CK >> MANTISSA_BITS) & EXPONENT == EXPONENT).any():  # they would be the largest
            raise ValueError("hidden states are not finite: the policy has diverged")
        proofs.update(zip(chunks.places, _encode(indices_CK, values_CK), strict=True))
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
    distances: dict[Place, Distance] = {}
    for chunks in _blocks(sequences, chunk_tokens, skip_prefill):
        indices_CK, values_CK = _largest(chunks.bits_CE, topk)
        claimed = [proofs[sequence][place] for sequence, place in chunks.places]
        moduli_C, coefficients_CK = _decode(claimed, indices_CK.shape[1])
        points_CK = (indices_CK % moduli_C[:, None]).astype(np.float64)
        claimed_CK = evaluate(coefficients_CK, points_CK).astype(np.uint16)
        distances.update(zip(chunks.places, distances_between(claimed_CK, values_CK), strict=True))
    return _by_sequence(distances, len(sequences))


def encode_proof(indices: Sequence[int], values: Sequence[int]) -> bytes:
    """Prove k values (bfloat16 bit patterns) at k different positions.

    Raises ValueError: no or repeated positions, unequal lengths, values beyond 16 bits, or no modulus that keeps the
    positions apart.
    """
    if not indices or len(indices) != len(values) or len(set(indices)) != len(indices):
        raise ValueError("a proof needs as many values as positions, and no position twice")
    if min(indices) < 0 or not all(0 <= value < 2**16 for value in values):
        raise ValueError("positions are not negative, values are 16-bit patterns")
    return _encode(np.array([indices], dtype=np.int64), np.array([values], dtype=np.uint16))[0]


def distances_between(claimed_CK: Bf16Bits, recomputed_CK: Bf16Bits) -> list[Distance]:
    """Compare bit patterns at the same positions, row by row. Signs do not count, as in the reference."""
    agree_CK = (claimed_CK >> MANTISSA_BITS) & EXPONENT == (recomputed_CK >> MANTISSA_BITS) & EXPONENT
    errors_CK = np.abs((claimed_CK & MANTISSA).astype(np.float64) - (recomputed_CK & MANTISSA))
    errors_CK = np.sort(np.where(agree_CK, errors_CK, np.inf), axis=1)  # what counts comes first
    return [_summary(row_K, int(count)) for row_K, count in zip(errors_CK, agree_CK.sum(axis=1), strict=True)]


def _summary(sorted_errors_K: Field, count: int) -> Distance:
    mismatches = len(sorted_errors_K) - count
    if not count:
        return Distance(mismatches, float("inf"), float("inf"))
    median = (sorted_errors_K[(count - 1) // 2] + sorted_errors_K[count // 2]) / 2
    return Distance(mismatches, float(sorted_errors_K[:count].sum() / count), float(median))


# ---- chunks ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Chunks of equal size, possibly of many sequences."""

    places: Sequence[Place]
    bits_CE: Bf16Bits


def _spans(positions: int, prompt_tokens: int, chunk_tokens: int, skip_prefill: bool) -> list[slice]:
    if not 0 < prompt_tokens <= positions and not skip_prefill:
        raise ValueError(f"{prompt_tokens} prompt tokens among {positions} positions")
    spans = [] if skip_prefill else [slice(0, prompt_tokens)]
    first = prompt_tokens
    return spans + [
        slice(start, min(start + chunk_tokens, positions)) for start in range(first, positions, chunk_tokens)
    ]


def _blocks(sequences: Sequence[Hidden], chunk_tokens: int, skip_prefill: bool) -> Iterable[_Chunks]:
    """All chunks, those of one size together."""
    by_size: dict[int, list[tuple[Place, Bf16Bits]]] = defaultdict(list)
    for sequence, hidden in enumerate(sequences):
        spans = _spans(len(hidden.bits_NH), hidden.prompt_tokens, chunk_tokens, skip_prefill)
        for place, span in enumerate(spans):
            elements_E = np.ascontiguousarray(hidden.bits_NH[span]).reshape(-1)
            by_size[len(elements_E)].append(((sequence, place), elements_E))
    for size, rows in sorted(by_size.items()):
        step = max(1, BLOCK_ELEMENTS // size)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            yield _Chunks([place for place, _ in part], np.stack([elements_E for _, elements_E in part]))


def _by_sequence(found: Mapping[Place, Item], sequences: int) -> list[list[Item]]:
    results: list[list[Item]] = [[] for _ in range(sequences)]
    for sequence, place in sorted(found):
        results[sequence].append(found[sequence, place])
    return results


def _largest(bits_CE: Bf16Bits, topk: int) -> tuple[Ints, Bf16Bits]:
    """Positions and bit patterns of the k activations of largest magnitude, [C, K].

    Which of several equal activations makes it is torch.topk's choice on the CPU, because it is the reference's.
    """
    magnitudes_CE = torch.from_numpy((bits_CE & 0x7FFF).view(np.int16)).view(torch.bfloat16)
    indices_CK = magnitudes_CE.topk(min(topk, bits_CE.shape[1]), dim=-1).indices.numpy()
    return indices_CK, np.take_along_axis(bits_CE, indices_CK, axis=1)


# ---- bytes -----------------------------------------------------------------------------------------------------------


def _encode(indices_CK: Ints, values_CK: Bf16Bits) -> list[bytes]:
    moduli_C = _injective_moduli(indices_CK)
    points_CK = (indices_CK % moduli_C[:, None]).astype(np.float64)
    coefficients_CK = interpolate(points_CK, values_CK % np.float64(PRIME))
    rows = np.concatenate([moduli_C[:, None], coefficients_CK], axis=1).astype(">u2")
    return [row.tobytes() for row in rows]


def _decode(proofs: Sequence[bytes], topk: int) -> tuple[Ints, Field]:
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


def _injective_moduli(indices_CK: Ints) -> Ints:
    """Per row the largest modulus up to PRIME that keeps all positions apart, [C]. Raises ValueError: none does."""
    if indices_CK.shape[1] > PRIME:
        raise ValueError(f"no modulus up to {PRIME} keeps {indices_CK.shape[1]} positions apart")
    moduli_C = np.full(len(indices_CK), PRIME, dtype=np.int64)
    open_rows = np.flatnonzero(_collide(indices_CK, moduli_C))
    while open_rows.size:
        moduli_C[open_rows] -= 1
        if moduli_C[open_rows[0]] < MIN_MODULUS:
            raise ValueError("no modulus keeps these positions apart")
        open_rows = open_rows[_collide(indices_CK[open_rows], moduli_C[open_rows])]
    return moduli_C


def _collide(indices_CK: Ints, moduli_C: Ints) -> npt.NDArray[np.bool_]:
    reduced_CK = np.sort(indices_CK % moduli_C[:, None], axis=1)
    return (np.diff(reduced_CK, axis=1) == 0).any(axis=1)
