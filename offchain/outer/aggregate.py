"""From the accepted updates of an epoch to one pseudo-gradient: weighted mean after norm clipping.

Bit-reproducible: works are taken in order of their index, not of arrival; element-wise operations are float32, each a
ufunc of its own (so that nothing is fused); norms are those of `exact`. Clipping to a multiple of the median norm
bounds what one update, however large, can do (Sun et al. 2019, arXiv:1911.07963 §4). Updates that are zero, those of
works without an informative group, have no say in the median: where they are the most, they would clip away the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from offchain.outer.codecs import Float32
from offchain.outer.exact import l2_norm, require_subnormals
from offchain.protocol.errors import MalformedUpdate
from offchain.protocol.types import WorkIndex


@dataclass(frozen=True, slots=True)
class Contribution:
    """An accepted work's decoded update. `weight` is what it counts for, e.g. units times score."""

    index: WorkIndex
    weight: int
    tensors: Mapping[str, Float32]


def aggregate(contributions: Iterable[Contribution], *, clip_norm_ratio: float) -> dict[str, Float32]:
    """The mean of the updates, weighted, each clipped to `clip_norm_ratio` times the median of the norms above zero.

    All zero makes zero.
    Raises MalformedUpdate: tensors differ between works, or numbers so large that their mean is not finite.
    Raises ValueError: nothing to aggregate (no contribution or no weight), an index twice, a negative weight.
    """
    works = sorted(contributions, key=lambda work: work.index)
    _check(works)
    require_subnormals()
    factors = _factors(works, clip_norm_ratio)
    return {name: _weighted_sum(works, factors, name) for name in sorted(works[0].tensors)}


def _factors(works: Sequence[Contribution], clip_norm_ratio: float) -> list[np.float32]:
    """What each update is multiplied with: share of the weight times clipping."""
    total = sum(work.weight for work in works)
    norms = [l2_norm(work.tensors.values()) for work in works]
    limit = clip_norm_ratio * median([norm for norm in norms if norm > 0] or [0.0])
    return [
        np.float32(work.weight / total * (limit / norm if norm > limit else 1.0))
        for work, norm in zip(works, norms, strict=True)
    ]


def _weighted_sum(works: Sequence[Contribution], factors: Sequence[np.float32], name: str) -> Float32:
    total = np.zeros(works[0].tensors[name].shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # looked for once, below
        for work, factor in zip(works, factors, strict=True):
            total += np.multiply(work.tensors[name], factor)
    if not np.isfinite(total).all():
        raise MalformedUpdate(f"the mean of tensor {name!r} is not finite")
    return total


def _check(works: Sequence[Contribution]) -> None:
    if sum(work.weight for work in works) <= 0 or any(work.weight < 0 for work in works):
        raise ValueError("an aggregate needs works of positive weight")
    if len({work.index for work in works}) != len(works):
        raise ValueError("a work is aggregated once")
    shapes = [{name: array.shape for name, array in work.tensors.items()} for work in works]
    for work, found in zip(works, shapes, strict=True):
        if found != shapes[0]:
            raise MalformedUpdate(f"work {work.index} has other tensors than work {works[0].index}")
