"""Check 8: a submission that repeats another one, of its epoch or of the epoch before, is checked in full.

Likeness is a suspicion and never a verdict: anyone who copies may well be the first to commit, and where prompts are
few honest rollouts can be equal. So it takes the luck out of the spot check for both, the copy and what it was copied
from: every completion is prefilled and the update replayed, and only the lie fails.

Updates are compared by sketches: sums of their numbers, with signs drawn from the epoch's seed, in BUCKETS buckets. The
cosine of two sketches is that of the updates up to about (1 - cosine²) / √BUCKETS, and since the seed is not known
before all submissions are committed, nobody can craft a copy whose sketch looks different.

Shapes: E elements of an update, K buckets.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from assay_core.bundle.trajectory import Rollouts
from assay_core.protocol.encoding import derive
from assay_core.protocol.types import Seed
from assay_core.training.seeding import raw_stream
from assay_verifier.verdict import Finding, passed

NAME = "duplicates"
BUCKETS = 1_024
SAME = 1.0  # the likeness of equal rollouts, or equal updates

Tensors = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What of a submission is compared with others: `submission` names it, `rollouts` is a hash over all token ids."""

    submission: str
    rollouts: bytes
    update_K: npt.NDArray[np.float64]  # of length 1; all zeros for an update of zeros, which resembles nothing


def sketch(submission: str, rollouts: Rollouts, update: Tensors, epoch_seed: Seed) -> Sketch:
    """Sketches are comparable when they were drawn with the same seed from updates with the same tensors."""
    return Sketch(submission, _rollouts_hash(rollouts), _update_sketch(update, derive(epoch_seed, "sketch")))


def likeness(one: Sketch, other: Sketch) -> float:
    """1 where rollouts are equal, else the cosine of the updates, at least 0."""
    if one.rollouts == other.rollouts:
        return SAME
    return float(np.clip(np.sum(one.update_K * other.update_K), 0.0, SAME))


def closest(own: Sketch, others: Sequence[Sketch]) -> tuple[float, str | None]:
    """The greatest likeness among the other submissions, and whose it is."""
    found = [(likeness(own, other), other.submission) for other in others if other.submission != own.submission]
    return max(found, default=(0.0, None))


def check(own: Sketch, others: Sequence[Sketch], max_cosine: float) -> tuple[Finding, bool]:
    """The finding, which never decides, and whether the submission is to be checked in full."""
    alike, submission = closest(own, others)
    if submission is None or alike <= max_cosine:
        return passed(
            NAME, alike, SAME, f"repeats none of {len(others)} other submissions; the closest is {alike:.2f}"
        ), False
    return passed(NAME, alike, SAME, f"resembles submission {submission} by {alike:.3f}, so all of it is checked"), True


def _rollouts_hash(rollouts: Rollouts) -> bytes:
    """Of all lengths, then all ids: many small pieces would cost more than what they hold."""
    parts = [ids for row in rollouts.completions for ids in (row.prompt_ids, row.completion_ids)]
    lengths = np.array([len(ids) for ids in parts], dtype=">i4")
    return hashlib.sha256(lengths.tobytes() + np.array([*chain(*parts)], dtype=">i4").tobytes()).digest()


def _update_sketch(update: Tensors, seed: Seed) -> npt.NDArray[np.float64]:
    total_K = np.zeros(BUCKETS)
    for name in sorted(update):
        values_E = update[name].astype(np.float64).reshape(-1)
        signed = np.zeros(-(-values_E.size // BUCKETS) * BUCKETS)
        signed[: values_E.size] = values_E * _signs(derive(seed, name), values_E.size)
        total_K += signed.reshape(-1, BUCKETS).sum(axis=0)
    length = math.sqrt(float(np.sum(total_K * total_K)))
    return total_K / length if length > 0 else total_K


def _signs(seed: Seed, count: int) -> npt.NDArray[np.float64]:
    """`count` times +1 or -1."""
    bits = np.unpackbits(raw_stream(seed, -(-count // 64)).astype("<u8").view(np.uint8))[:count]
    return bits.astype(np.float64) * 2.0 - 1.0
