"""Inverse-CDF sampling: from a uniform to a token, and from a token back to the interval it came from.

Exponentials are taken in float32, whose rounding is that of the logits, and added up in float64: the sum over a large
vocabulary would lose in float32 what sampling turns on.
Shapes: R rows, V ids of the vocabulary, M pairs of a row and an id.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Interval:
    """Where in [0, 1] a token lies: float64 [M] each."""

    below_M: torch.Tensor
    upto_M: torch.Tensor


@dataclass(frozen=True, slots=True)
class Distributions:
    """softmax(logits / temperature) of R rows."""

    scaled_RV: torch.Tensor  # logits / temperature
    highest_R: torch.Tensor
    weights_upto_RV: torch.Tensor  # cumulative sums of exp(scaled - highest), float64

    @property
    def totals_R(self) -> torch.Tensor:
        return self.weights_upto_RV[:, -1]

    def draw(self, uniforms_R: torch.Tensor) -> torch.Tensor:
        """The first id of each row whose cumulative probability exceeds the row's uniform, [R].

        Rounding may lift a uniform below 1 to the total; then it takes the last id that has any probability.
        """
        totals_R1 = self.weights_upto_RV[:, -1:]
        bounds_R1 = uniforms_R[:, None] * totals_R1
        ids_R = torch.searchsorted(self.weights_upto_RV, bounds_R1, right=True)[:, 0]
        last_R = torch.searchsorted(self.weights_upto_RV, totals_R1.contiguous())[:, 0]
        return torch.minimum(ids_R, last_R).clamp_max(self.weights_upto_RV.shape[-1] - 1)

    def interval(self, rows_M: torch.Tensor, ids_M: torch.Tensor) -> Interval:
        """The cumulative probability below each id, and up to and with it."""
        below_M = self.weights_upto_RV[rows_M, (ids_M - 1).clamp_min(0)].where(ids_M > 0, 0.0)
        totals_M = self.totals_R[rows_M]
        return Interval(below_M / totals_M, self.weights_upto_RV[rows_M, ids_M] / totals_M)

    def logprobs(self, rows_M: torch.Tensor, ids_M: torch.Tensor) -> torch.Tensor:
        """float64, [M]."""
        exponents_M = (self.scaled_RV[rows_M, ids_M] - self.highest_R[rows_M]).double()
        return exponents_M - self.totals_R[rows_M].log()


def distributions(logits_RV: torch.Tensor, temperature: float) -> Distributions:
    """What each row of logits [R, V] gives to the inverse CDF: scaled logits, their maxima, cumulative weights."""
    scaled_RV = logits_RV.float() / temperature if temperature != 1 else logits_RV.float()
    highest_R1 = scaled_RV.amax(-1, keepdim=True)
    weights_RV = (scaled_RV - highest_R1).exp_().double()
    return Distributions(scaled_RV, highest_R1[:, 0], torch.cumsum(weights_RV, -1, out=weights_RV))
