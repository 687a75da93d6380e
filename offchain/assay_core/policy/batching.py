"""Which sequences go through a model together, and how they are laid out.

Completions of one prompt share its pass: successive rows with the same prompt are told together.
Shapes: B rows of a batch, U different prompts among them, P longest prompt, T longest completion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

Ids = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Successive rows. `prompts` are their U different prompts, of which row b continues number `owners_B[b]`."""

    rows: slice
    prompts: Ids
    owners_B: torch.Tensor


def batches(prompts: Ids, new_tokens: Sequence[int], most: int, context: int) -> Iterator[Batch]:
    """At most `most` rows together, and no more than fit a context of so many tokens once all are padded.

    `new_tokens` is how long each row's completion is or may become; each row alone has to fit.
    """
    start = 0
    while start < len(prompts):
        stop = _end(prompts, new_tokens, start, min(start + most, len(prompts)), context)
        yield _batch(prompts, slice(start, stop))
        start = stop


def _end(prompts: Ids, new_tokens: Sequence[int], start: int, stop: int, context: int) -> int:
    longest, most_new = 0, 0
    for row in range(start, stop):
        longest, most_new = max(longest, len(prompts[row])), max(most_new, new_tokens[row])
        if longest + most_new > context and row > start:
            return row
    return stop


def _batch(prompts: Ids, rows: slice) -> Batch:
    different: list[Sequence[int]] = []
    owners: list[int] = []
    for prompt in prompts[rows]:
        if not different or different[-1] != prompt:
            different.append(prompt)
        owners.append(len(different) - 1)
    return Batch(rows, different, torch.tensor(owners))


def pad_right(sequences: Ids) -> torch.Tensor:
    """[U, P]: ids, filled with zeros up to the longest sequence."""
    longest = max(len(ids) for ids in sequences)
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in sequences])


def pad_left(sequences: Ids) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids, and which of them are real."""
    longest = max(len(ids) for ids in sequences)
    ids_UP = torch.tensor([[*[0] * (longest - len(ids)), *ids] for ids in sequences])
    starts_U = torch.tensor([longest - len(ids) for ids in sequences])
    return ids_UP, torch.arange(longest) >= starts_U[:, None]


def within(lengths: Sequence[int]) -> torch.Tensor:
    """Whether a place lies before its row's end, [B, longest]."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
