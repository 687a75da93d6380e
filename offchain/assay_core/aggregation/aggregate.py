"""From the accepted updates of an epoch to one pseudo-gradient, by the rule that the task names.

Bit-reproducible: submissions are taken in order of their index, not of arrival; element-wise operations are float32,
each a ufunc of its own (so that nothing is fused); norms and inner products are those of `exact`.

Memory is bounded: a first pass over the updates finds what each submission counts for, and the aggregate is computed
piece by piece when it is read. Pieces are whole chunks of `exact`, so their size changes no bit of the result.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay_core.aggregation.exact import CHUNK, add_inner_products, require_subnormals, sums_of_squares
from assay_core.aggregation.rules import (
    COORDINATE_WISE,
    Rule,
    centered_clipping,
    clipped_mean,
    coordinate_wise,
    multi_krum,
)
from assay_core.bundle.named_tensors import InMemory, Tensors, gather, pieces
from assay_core.bundle.numbers import Float32, Shape
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.types import SubmissionIndex

BUFFER_BYTES = 64 * 2**20  # for the pieces of all updates together, but at least one chunk of each


@dataclass(frozen=True, slots=True)
class Contribution:
    """An accepted submission's update, in memory or to be read. `weight` is what it counts for, e.g.

    units times score.
    """

    index: SubmissionIndex
    weight: int
    tensors: Mapping[str, Float32] | Tensors


@dataclass(frozen=True, slots=True)
class _Submission:
    index: SubmissionIndex
    weight: int
    update: Tensors


def aggregate(contributions: Iterable[Contribution], rule: Rule) -> dict[str, Float32]:
    """The whole aggregate in memory. Raises as `Aggregate` and its `read` do."""
    combined = Aggregate(contributions, rule)
    return gather(combined, combined.piece)


def piece_size(submissions: int) -> int:
    """Elements of a piece, so that those of all submissions and of what is made from them fit the buffer."""
    return max(1, BUFFER_BYTES // (4 * (submissions + 4) * CHUNK)) * CHUNK


class Aggregate:
    """One pseudo-gradient made of many, read in pieces; see `readable.Tensors`."""

    def __init__(self, contributions: Iterable[Contribution], rule: Rule) -> None:
        """Reads all updates once, twice for rules that compare them.

        Updates that are zero, those of submissions without an informative group, take part in the weighted mean. The
        other rules, which would take them for the majority that the rest deviates from, look at those that move, and
        the result shrinks by the zeros' share of the weight. All zero makes zero.

        Raises MalformedUpdate: tensors differ between submissions, or numbers that no update holds.
        Raises ValueError: nothing to aggregate (no contribution or no weight), an index twice, a negative weight.
        """
        submissions = [_Submission(each.index, each.weight, _readable(each.tensors)) for each in contributions]
        submissions.sort(key=lambda submission: submission.index)
        _check(submissions)
        require_subnormals()
        self.piece = piece_size(len(submissions))
        self.shapes: Mapping[str, Shape] = submissions[0].update.shapes
        self._rule = rule
        norms = [_norm(submission, self.piece) for submission in submissions]
        self._submissions, self._norms = submissions, norms
        self._share = np.float32(1.0)
        if rule.name != "weighted_mean":
            moving = [
                submission
                for submission, norm in zip(submissions, norms, strict=True)
                if norm > 0 and submission.weight > 0
            ]
            self._share = np.float32(
                sum(submission.weight for submission in moving) / sum(submission.weight for submission in submissions)
            )
            self._submissions = moving
        self._factors = [] if rule.name in COORDINATE_WISE else [np.float32(each) for each in self._coefficients()]

    def read(self, name: str, start: int, stop: int) -> Float32:
        """A piece of the aggregate. Raises MalformedUpdate: not finite."""
        if self._rule.name in COORDINATE_WISE and self._submissions:
            return np.multiply(self._by_coordinate(name, start, stop), self._share)
        total = np.zeros(stop - start, np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # looked for once, below
            for submission, factor in zip(self._submissions, self._factors, strict=True):
                if factor:
                    total += np.multiply(submission.update.read(name, start, stop), factor)
        if not np.isfinite(total).all():
            raise MalformedUpdate(f"the mean of tensor {name!r} is not finite")
        return total

    def _by_coordinate(self, name: str, start: int, stop: int) -> Float32:
        weights = [submission.weight for submission in self._submissions]
        return coordinate_wise(_stacked(self._submissions, name, start, stop), weights, self._rule)

    def _coefficients(self) -> list[float]:
        """What each submission's update is multiplied with."""
        weights = [submission.weight for submission in self._submissions]
        if self._rule.name == "weighted_mean":
            return clipped_mean(weights, self._norms, self._rule.clip_norm_ratio)
        if not self._submissions:
            return []
        products = _inner_products(self._submissions, self.piece)
        if self._rule.name == "centered_clipping":
            parts = centered_clipping(weights, products)
        else:
            parts = multi_krum(weights, products, self._rule.hostile_share)
        return [part * float(self._share) for part in parts]


def _readable(tensors: Mapping[str, Float32] | Tensors) -> Tensors:
    return InMemory(tensors) if isinstance(tensors, Mapping) else tensors


def _norm(submission: _Submission, piece: int) -> float:
    def parts() -> Iterator[float]:
        for name, start, stop in pieces(submission.update.shapes, piece):
            yield from sums_of_squares(submission.update.read(name, start, stop))

    norm = math.sqrt(math.fsum(parts()))
    if not math.isfinite(norm):
        raise MalformedUpdate(f"the update of submission {submission.index} is not finite")
    return norm


def _inner_products(submissions: Sequence[_Submission], piece: int) -> list[list[float]]:
    """[W, W], symmetric."""
    total_WW = np.zeros((len(submissions), len(submissions)))
    for name, start, stop in pieces(submissions[0].update.shapes, piece):
        add_inner_products(total_WW, _stacked(submissions, name, start, stop))
    return (np.triu(total_WW) + np.triu(total_WW, 1).T).tolist()


def _stacked(submissions: Sequence[_Submission], name: str, start: int, stop: int) -> Float32:
    """[W, stop - start]"""
    values_WN = np.empty((len(submissions), stop - start), np.float32)
    for row, submission in enumerate(submissions):
        values_WN[row] = submission.update.read(name, start, stop)
    return values_WN


def _check(submissions: Sequence[_Submission]) -> None:
    if sum(submission.weight for submission in submissions) <= 0 or any(
        submission.weight < 0 for submission in submissions
    ):
        raise ValueError("an aggregate needs submissions of positive weight")
    if len({submission.index for submission in submissions}) != len(submissions):
        raise ValueError("a submission is aggregated once")
    for submission in submissions:
        if dict(submission.update.shapes) != dict(submissions[0].update.shapes):
            raise MalformedUpdate(
                f"submission {submission.index} has other tensors than submission {submissions[0].index}"
            )
