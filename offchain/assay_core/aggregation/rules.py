"""Robust rules: what makes one pseudo-gradient out of the updates of submissions, some of which may be hostile. Pure.

Two kinds. The rules of one kind decide how much each submission counts for as a whole, from the updates' norms and
inner products alone: weighted mean after clipping, centered clipping, multi-Krum. The others decide for every
coordinate by
itself: trimmed mean, median. Weights are integers (units times score); a submission is named by its position here.

Numbers decide whom a rule excludes, so all of it is defined to the bit: Python floats, `math.fsum`, ties to the first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

import numpy as np

from assay_core.bundle.numbers import Float32

RuleName = Literal["weighted_mean", "centered_clipping", "multi_krum", "trimmed_mean", "median"]
COORDINATE_WISE: frozenset[RuleName] = frozenset({"trimmed_mean", "median"})
CENTERED_PASSES = 5
COLUMNS = 16_384  # coordinates that are sorted at once: bounds memory

Matrix = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its parameters.

    Args:
        clip_norm_ratio: weighted mean: the largest norm that counts in full, in medians of the norms.
        hostile_share: multi-Krum and trimmed mean: the share of submissions, or of weight, that may be hostile.
    Raises ValueError: no such rule, or parameters that make none.
    """

    name: RuleName = "weighted_mean"
    clip_norm_ratio: float = 2.0
    hostile_share: float = 0.25

    def __post_init__(self) -> None:
        if self.name not in get_args(RuleName):
            raise ValueError(f"no rule is named {self.name!r}: {', '.join(get_args(RuleName))} are")
        if not self.clip_norm_ratio > 0 or not 0 <= self.hostile_share < 0.5:
            raise ValueError("a rule needs a positive clipping ratio and a hostile share from 0 to below one half")


def clipped_mean(weights: Sequence[int], norms: Sequence[float], ratio: float) -> list[float]:
    """Shares of the weight, each times what clips its update to `ratio` times the median of the norms above zero.

    Updates of zero, those of submissions without an informative group, have no say in the median: where they are the
    most, they would clip away the rest. Source: Sun et al. 2019, arXiv:1911.07963 §4.
    """
    total = sum(weights)
    limit = ratio * median([norm for norm in norms if norm > 0] or [0.0])
    return [
        weight / total * (limit / norm if norm > limit else 1.0) for weight, norm in zip(weights, norms, strict=True)
    ]


def centered_clipping(weights: Sequence[int], products: Matrix) -> list[float]:
    """Coefficients of v after some passes of v ← v + Σ share × clip(x - v).

    A pass clips each difference to the median of their lengths, so that a minority cannot pull further than the
    majority does. v starts as the update that has the smallest weighted sum of distances to the others.
    Source: Karimireddy et al. 2021, arXiv:2012.10333 algorithm 2, there with a fixed radius and from the last momentum.
    """
    count, total = len(weights), sum(weights)
    sums = [math.fsum(weight * _distance(products, i, j) for j, weight in enumerate(weights)) for i in range(count)]
    center = [0.0] * count
    center[sums.index(min(sums))] = 1.0
    for _ in range(CENTERED_PASSES):
        distances = _distances_to(center, products)
        radius = median(distances)
        pulls = [
            weight / total * (radius / distance if distance > radius else 1.0)
            for weight, distance in zip(weights, distances, strict=True)
        ]
        kept = 1.0 - math.fsum(pulls)
        center = [kept * part + pull for part, pull in zip(center, pulls, strict=True)]
    return center


def multi_krum(weights: Sequence[int], products: Matrix, hostile_share: float) -> list[float]:
    """Shares of the weight of those updates that lie closest to their neighbours; zero for the others.

    Of n updates f = ⌊n × hostile_share⌋ may be hostile. An update's score is the sum of its squared distances to its
    n - f - 2 nearest; the n - f of lowest score count. Source: Blanchard et al. 2017, arXiv:1703.02757 §4.
    """
    count = len(weights)
    hostile = math.floor(count * hostile_share)
    neighbours = max(1, count - hostile - 2)
    scores = [
        math.fsum(sorted(_distance(products, i, j) ** 2 for j in range(count) if j != i)[:neighbours])
        for i in range(count)
    ]
    chosen = set(sorted(range(count), key=lambda i: (scores[i], i))[: count - hostile])
    total = sum(weights[i] for i in chosen)
    return [weight / total if i in chosen else 0.0 for i, weight in enumerate(weights)]


def coordinate_wise(values_WN: Float32, weights: Sequence[int], rule: Rule) -> Float32:
    """[N]: for each coordinate the mean of what is left between two quantiles of the submissions' weighted values.

    The trimmed mean leaves out `hostile_share` of the weight at either end (a submission at the edge counts in part),
    the median all but the middle. Source: Yin et al. 2018, arXiv:1803.01498; weighted here.
    """
    doubled = 2 * sum(weights)  # so that the middle between two submissions is an integer
    below = doubled // 2 - 1 if rule.name == "median" else math.floor(doubled * rule.hostile_share)
    result = np.empty(values_WN.shape[1], np.float32)
    for start in range(0, len(result), COLUMNS):
        part = slice(start, start + COLUMNS)
        result[part] = _between(values_WN[:, part], weights, below, doubled - below)
    return result


def _between(values_WN: Float32, weights: Sequence[int], low: int, high: int) -> Float32:
    """Mean of the values whose cumulated doubled weight lies from `low` to `high`, added from the smallest up."""
    order_WN = np.argsort(values_WN, axis=0, kind="stable")
    upto_WN = np.cumsum(2 * np.asarray(weights, np.int64)[order_WN], axis=0)
    from_N, total_N = np.zeros(values_WN.shape[1], np.int64), np.zeros(values_WN.shape[1])
    for values_N, upto_N in zip(np.take_along_axis(values_WN, order_WN, axis=0), upto_WN, strict=True):
        counted_N = np.minimum(upto_N, high) - np.maximum(from_N, low)
        total_N += np.multiply(np.maximum(counted_N, 0), values_N, dtype=np.float64)
        from_N = upto_N
    return (total_N / (high - low)).astype(np.float32)


def _distance(products: Matrix, i: int, j: int) -> float:
    return math.sqrt(max(0.0, math.fsum((products[i][i], products[j][j], -2 * products[i][j]))))


def _distances_to(center: Sequence[float], products: Matrix) -> list[float]:
    """Of each update from Σ center × update."""
    with_center = [math.fsum(part * product for part, product in zip(center, row, strict=True)) for row in products]
    square = math.fsum(part * product for part, product in zip(center, with_center, strict=True))
    return [math.sqrt(max(0.0, math.fsum((products[i][i], square, -2 * each)))) for i, each in enumerate(with_center)]
