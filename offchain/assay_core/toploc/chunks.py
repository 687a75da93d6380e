"""How a sequence is cut into chunks: the prompt, then as many further tokens as the task says.

Shapes: S sequences, N positions of each, H hidden width, C chunks, E elements of a chunk (its tokens × H).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from assay_core.toploc.largest import Bf16Bits

SHORT_ELEMENTS = 2**15  # copying a sequence of at most so many costs less than looking at it by itself
BATCH_ELEMENTS = 2**19  # short sequences are copied together up to about this many
LONG_ELEMENTS = 2**23  # long ones are taken apart from this many on: bounds memory

Place = tuple[int, int]  # which sequence, which of its chunks


@dataclass(frozen=True, slots=True)
class Hidden:
    """Final hidden states of one sequence as bfloat16 bit patterns; the first `prompt_tokens` rows are the prompt's."""

    bits_NH: Bf16Bits
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of equal size, possibly of many sequences; contiguous."""

    places: Sequence[Place]
    bits_CE: Bf16Bits


@dataclass(frozen=True, slots=True)
class _Run:
    """Successive chunks of equal size of one sequence: positions `start` to `stop`, the first of them chunk `first`."""

    first: int
    start: int
    stop: int
    tokens: int


def proof_count(positions: int, prompt_tokens: int, chunk_tokens: int, skip_prefill: bool = False) -> int:
    """How many proofs a sequence has. Raises ValueError: no prompt to prove, or one longer than the sequence."""
    _require_prompt(positions, prompt_tokens, skip_prefill)
    return int(not skip_prefill) - (prompt_tokens - positions) // chunk_tokens


def chunks_of(sequences: Sequence[Hidden], chunk_tokens: int, skip_prefill: bool) -> Iterable[Chunks]:
    """All chunks, those of one size together; nothing is copied of a sequence that is long enough by itself."""
    by_size: dict[int, list[Chunks]] = defaultdict(list)
    for members in _alike(sequences):
        bits_SNH = _stacked([sequences[member].bits_NH for member in members])
        prompt_tokens = sequences[members[0]].prompt_tokens
        for run in _runs(bits_SNH.shape[1], prompt_tokens, chunk_tokens, skip_prefill):
            chunks = _cut(bits_SNH, members, run)
            by_size[chunks.bits_CE.shape[1]].append(chunks)
    for size in sorted(by_size):
        yield from _batches(by_size[size])


def _alike(sequences: Sequence[Hidden]) -> Iterable[list[int]]:
    """Which sequences are cut in the same way; long ones come alone."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for position, sequence in enumerate(sequences):
        key = (*sequence.bits_NH.shape, sequence.prompt_tokens)
        alike[(*key, position) if sequence.bits_NH.size > SHORT_ELEMENTS else key].append(position)
    return alike.values()


def _stacked(parts: Sequence[Bf16Bits]) -> Bf16Bits:
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _runs(positions: int, prompt_tokens: int, chunk_tokens: int, skip_prefill: bool) -> list[_Run]:
    _require_prompt(positions, prompt_tokens, skip_prefill)
    full = (positions - prompt_tokens) // chunk_tokens
    rest = prompt_tokens + full * chunk_tokens
    first = 0 if skip_prefill else 1
    runs = [
        _Run(0, 0, 0 if skip_prefill else prompt_tokens, prompt_tokens),
        _Run(first, prompt_tokens, rest, chunk_tokens),
        _Run(first + full, rest, positions, positions - rest),
    ]
    return [run for run in runs if run.start < run.stop]


def _require_prompt(positions: int, prompt_tokens: int, skip_prefill: bool) -> None:
    if not int(not skip_prefill) <= prompt_tokens <= positions:
        raise ValueError(f"{prompt_tokens} prompt tokens among {positions} positions")


def _cut(bits_SNH: Bf16Bits, members: Sequence[int], run: _Run) -> Chunks:
    count = (run.stop - run.start) // run.tokens
    bits_CE = np.ascontiguousarray(bits_SNH[:, run.start : run.stop]).reshape(len(members) * count, -1)
    return Chunks([(member, run.first + chunk) for member in members for chunk in range(count)], bits_CE)


def _batches(parts: Iterable[Chunks]) -> Iterable[Chunks]:
    waiting: list[Chunks] = []
    elements = 0
    for part in parts:
        step = max(1, LONG_ELEMENTS // part.bits_CE.shape[1])
        for start in range(0, len(part.places), step):
            waiting.append(Chunks(part.places[start : start + step], part.bits_CE[start : start + step]))
            elements += waiting[-1].bits_CE.size
            if elements >= BATCH_ELEMENTS:
                yield _together(waiting)
                waiting, elements = [], 0
    if waiting:
        yield _together(waiting)


def _together(parts: Sequence[Chunks]) -> Chunks:
    if len(parts) == 1:
        return parts[0]
    places = [place for part in parts for place in part.places]
    return Chunks(places, np.concatenate([part.bits_CE for part in parts]))
