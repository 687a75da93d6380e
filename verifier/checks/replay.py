"""Check 10: all inner steps again, from the declared policy on the work's own rollouts, and the updates compared.

Our update passes through the task's codec as the trainer's did. Other hardware moves it by float noise; a skipped,
altered or poisoned step moves it much further.

A sparse codec chooses what it keeps, and after few steps of Adam many elements are equal but for float noise, which
then decides. So the work's own choice is compared by what it is worth: elements that are nearly the largest will do.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from offchain.outer.codecs import Codec
from offchain.protocol.errors import Reason
from offchain.protocol.spec import CheckSpec
from verifier.checks.update import norm
from verifier.verdict import Finding, failed, measure, passed

NAME_CHOICE = "replay choice"
NAME_DIRECTION = "replay direction"
NAME_LENGTH = "replay length"

Tensors = Mapping[str, npt.NDArray[np.float32]]


def compare(claimed: Tensors, ours: Tensors, codec: Codec, limits: CheckSpec) -> Iterator[Finding]:
    """Compare a decoded update with that of our replay, not yet encoded."""
    if codec.is_sparse:
        yield check_choice(claimed, ours, through_codec(ours, codec), limits)
        ours = _where_kept(ours, claimed)
    yield from check(claimed, through_codec(ours, codec), limits)


def check_choice(claimed: Tensors, ours: Tensors, best: Tensors, limits: CheckSpec) -> Finding:
    """How much shorter our update is over the elements that the work keeps than over those that we would keep."""
    most, found = norm(_where_kept(ours, best)), norm(_where_kept(ours, claimed))
    missed = 1 - found / most if most else 0.0
    detail = f"the elements that the work keeps miss {missed:.3g} of the norm that the largest have"
    limit = limits.max_replay_norm_error
    return measure(NAME_CHOICE, Reason.REPLAY_MISMATCH, max(0.0, missed), limit, detail)


def check(claimed: Tensors, replayed: Tensors, limits: CheckSpec) -> list[Finding]:
    """Compare two updates with the same names and shapes: the angle between them, then their lengths.

    Both are errors: 1 - cosine, and the relative difference of norms.
    """
    lengths = norm(claimed), norm(replayed)
    max_turn = 1 - limits.min_replay_cosine
    if lengths == (0.0, 0.0):
        return [passed(NAME_DIRECTION, 0, max_turn, "nothing to learn: both updates are zero")]
    evidence = {"claimed_norm": repr(lengths[0]), "replayed_norm": repr(lengths[1])}
    if 0.0 in lengths:
        whose = "the claimed update" if lengths[0] == 0.0 else "our replay"
        detail = f"{whose} is zero, the other is not"
        return [failed(NAME_DIRECTION, Reason.REPLAY_MISMATCH, 1, max_turn, detail, evidence=evidence)]
    turn = 1 - _inner(claimed, replayed) / (lengths[0] * lengths[1])
    detail = f"the claimed update points away from our replay by 1 - cosine = {turn:.3g}"
    direction = measure(NAME_DIRECTION, Reason.REPLAY_MISMATCH, turn, max_turn, detail, evidence=evidence)
    if direction.reason is not None:
        return [direction]
    error = abs(lengths[0] - lengths[1]) / lengths[1]
    detail = f"the claimed update's norm is {lengths[0]:.4g}, our replay's {lengths[1]:.4g}"
    length = measure(
        NAME_LENGTH, Reason.REPLAY_MISMATCH, error, limits.max_replay_norm_error, detail, evidence=evidence
    )
    return [direction, length]


def through_codec(tensors: Tensors, codec: Codec) -> dict[str, npt.NDArray[np.float32]]:
    """What a reader of the submitted update would have decoded."""
    return {name: codec.decode(codec.encode(tensor), tensor.shape) for name, tensor in tensors.items()}


def _where_kept(tensors: Tensors, pattern: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """Zero wherever the pattern is."""
    return {name: np.where(pattern[name] != 0, tensor, np.float32(0)) for name, tensor in tensors.items()}


def _inner(left: Tensors, right: Tensors) -> float:
    """Inner product in float64. Not `np.dot`: BLAS starts threads, which fight for the cores with everybody else's."""
    return math.fsum(float(np.sum(left[name].astype(np.float64) * right[name])) for name in left)
