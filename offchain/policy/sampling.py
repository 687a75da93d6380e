"""Inverse-CDF sampling in float64: from a uniform to a token, and from a token back to the interval it came from.

Shapes: B rows, V ids of the vocabulary.
"""

from dataclasses import dataclass

import torch


def probabilities(logits_BV: torch.Tensor, temperature: float) -> torch.Tensor:
    """softmax(logits / temperature) in float64, [B, V]."""
    return torch.softmax(logits_BV.double() / temperature, dim=-1)


def draw(probabilities_BV: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """The first id whose cumulative probability exceeds the row's uniform, [B].

    Rounding may leave the last cumulative probability below 1; a uniform above it takes the last id that has any
    probability, whose interval would end at 1.
    """
    cumulative_BV = probabilities_BV.cumsum(dim=-1)
    ids_B = torch.searchsorted(cumulative_BV, uniforms_B[:, None], right=True)[:, 0]
    most = probabilities_BV.shape[-1] - 1
    last_B = most - (probabilities_BV > 0).flip(-1).int().argmax(dim=-1)
    return torch.minimum(ids_B, last_B)


@dataclass(frozen=True, slots=True)
class Interval:
    """Where in [0, 1] a token lies: float64 [B] each."""

    below_B: torch.Tensor
    upto_B: torch.Tensor


def interval(probabilities_BV: torch.Tensor, ids_B: torch.Tensor) -> Interval:
    """The cumulative probability below each id, and up to and with it."""
    upto_B = probabilities_BV.cumsum(dim=-1).gather(-1, ids_B[:, None])[:, 0]
    chosen_B = probabilities_BV.gather(-1, ids_B[:, None])[:, 0]
    return Interval((upto_B - chosen_B).clamp_min(0.0), upto_B)
