"""How a sequence is cut into chunks: the prompt, then as many further tokens as the task says.

Shapes: N positions of one sequence, H hidden width, C chunks, E elements of a chunk (its tokens × H).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from offchain.toploc.largest import Bf16Bits

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
    """How many proofs a sequence has."""
    runs = _runs(positions, prompt_tokens, chunk_tokens, skip_prefill)
    return sum((run.stop - run.start) // run.tokens for run in runs)


def chunks_of(sequences: Sequence[Hidden], chunk_tokens: int, skip_prefill: bool) -> Iterable[Chunks]:
    """All chunks, those of one size together; nothing is copied of a sequence that is long enough by itself."""
    by_size: dict[int, list[Chunks]] = defaultdict(list)
    for sequence, hidden in enumerate(sequences):
        for run in _runs(len(hidden.bits_NH), hidden.prompt_tokens, chunk_tokens, skip_prefill):
            chunks = _cut(hidden.bits_NH, sequence, run)
            by_size[chunks.bits_CE.shape[1]].append(chunks)
    for size in sorted(by_size):
        yield from _batches(by_size[size])


def _runs(positions: int, prompt_tokens: int, chunk_tokens: int, skip_prefill: bool) -> list[_Run]:
    if not 0 < prompt_tokens <= positions and not skip_prefill:
        raise ValueError(f"{prompt_tokens} prompt tokens among {positions} positions")
    full = (positions - prompt_tokens) // chunk_tokens
    rest = prompt_tokens + full * chunk_tokens
    first = 0 if skip_prefill else 1
    runs = [
        _Run(0, 0, 0 if skip_prefill else prompt_tokens, prompt_tokens),
        _Run(first, prompt_tokens, rest, chunk_tokens),
        _Run(first + full, rest, positions, positions - rest),
    ]
    return [run for run in runs if run.start < run.stop]


def _cut(bits_NH: Bf16Bits, sequence: int, run: _Run) -> Chunks:
    count = (run.stop - run.start) // run.tokens
    bits_CE = np.ascontiguousarray(bits_NH[run.start : run.stop]).reshape(count, -1)
    return Chunks([(sequence, run.first + chunk) for chunk in range(count)], bits_CE)


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
