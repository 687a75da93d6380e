"""Check 10: inner steps again, on the submission's own rollouts, and what comes of them compared with what it claims.

Either all of them from the declared policy, and the updates are compared: ours passes through the task's codec as the
trainer's did. Or single steps, each from the state before it that the submission holds, and the states after it are
compared. Other hardware moves them by float noise; a skipped, altered or poisoned step moves them much further.

Three measures: direction and length of the whole, and the relative error over the largest elements of either alone,
where poison in a few elements shows that is too little for the others. AdamW's moments have one each.

A sparse codec chooses what it keeps, and after few steps of Adam many elements are equal but for float noise, which
then decides. So the submission's own choice is compared by what it is worth: elements that are nearly the largest will
do. The largest are then those among what the submission keeps.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.codecs import Codec
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import CheckSpec
from assay_core.training.inner import ADAM_BETAS, ADAM_EPSILON
from assay_core.training.states import InnerState
from assay_verifier.checks.update import norm
from assay_verifier.verdict import Finding, failed, measure, passed

NAME_CHOICE = "replay choice"
NAME_DIRECTION = "replay direction"
NAME_LENGTH = "replay length"
NAME_LARGEST = "replay largest"
NAME_FIRST = "replay first moment"
NAME_SECOND = "replay second moment"

TURNED_SIGNS = 2.5  # two, and noise besides, of the elements that a step moves

Tensors = Mapping[str, npt.NDArray[np.float32]]
Float64 = npt.NDArray[np.float64]


def compare(claimed: Tensors, ours: Tensors, codec: Codec, limits: CheckSpec) -> Iterator[Finding]:
    """Compare a decoded update with that of our replay, not yet encoded."""
    if codec.is_sparse:
        yield check_choice(claimed, ours, through_codec(ours, codec), limits)
        ours = _where_kept(ours, claimed)
    yield from check(claimed, through_codec(ours, codec), limits)


def check_choice(claimed: Tensors, ours: Tensors, best: Tensors, limits: CheckSpec) -> Finding:
    """How much shorter our update is over the elements that the submission keeps than over those that we would keep."""
    most, found = norm(_where_kept(ours, best)), norm(_where_kept(ours, claimed))
    missed = 1 - found / most if most else 0.0
    detail = f"the elements that the submission keeps miss {missed:.3g} of the norm that the largest have"
    limit = limits.max_replay_norm_error
    return measure(NAME_CHOICE, Reason.REPLAY_MISMATCH, max(0.0, missed), limit, detail)


def check(claimed: Tensors, replayed: Tensors, limits: CheckSpec) -> list[Finding]:
    """Compare two updates with the same names and shapes: the angle between them, lengths, largest elements.

    All are errors: 1 - cosine, the relative difference of norms, a relative L2 error.
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
    return [direction, length, check_largest(claimed, replayed, limits)]


def check_largest(claimed: Tensors, replayed: Tensors, limits: CheckSpec) -> Finding:
    """Relative L2 error over the union of the `limits.replay_topk` largest elements of the one and of the other."""
    ours, theirs = _largest(replayed, claimed, limits.replay_topk), _largest(claimed, replayed, limits.replay_topk)
    places = np.unique(np.concatenate([ours[0], theirs[0]]), return_index=True)[1]
    replayed_K, claimed_K = (
        np.concatenate(pair)[places] for pair in ((ours[1], theirs[2]), (ours[2], theirs[1]))
    )  # fmt: skip
    error = _relative_error(float(np.square(claimed_K - replayed_K).sum()), float(np.square(replayed_K).sum()))
    worst = int(np.argmax(np.abs(claimed_K - replayed_K)))
    detail = f"over the {len(places)} largest elements the claimed update is off by {error:.3g} of our replay"
    evidence = {"claimed": repr(float(claimed_K[worst])), "replayed": repr(float(replayed_K[worst]))}
    return measure(NAME_LARGEST, Reason.REPLAY_MISMATCH, error, limits.max_replay_topk_error, detail, evidence=evidence)


# ---- step by step


def check_steps(
    steps: Sequence[int],
    policy: Tensors,
    read: Callable[[int], InnerState],
    repeat: Callable[[int, InnerState | None], InnerState],
    limits: CheckSpec,
) -> Iterator[Finding]:
    """Take steps of a submission again; the first failure, or else the worst of each measure over all steps.

    Args:
        policy: its trainable parameters, which the first step starts from.
        read: the submission's state after a step.
        repeat: takes a step from the state before it, None before the first.
    """
    worst: dict[str, Finding] = {}
    for number in steps:
        before = read(number - 1) if number else None
        start = policy if before is None else before.parameters
        for finding in check_step(number, start, read(number), repeat(number, before), limits):
            if finding.reason is not None:
                yield finding
                return
            if finding.check not in worst or finding.measured > worst[finding.check].measured:
                worst[finding.check] = finding
    yield from worst.values()


def check_step(
    number: int, start: Tensors, claimed: InnerState, ours: InnerState, limits: CheckSpec
) -> Iterator[Finding]:
    """Compare two states after step `number` from the same start: how far it moved, and both moments."""
    moved, replayed = (
        {name: start[name] - state.parameters[name] for name in sorted(start)} for state in (claimed, ours)
    )
    moving = sum(int(np.count_nonzero(each)) for each in replayed.values())
    limits = _with_room_for_signs(limits, moving)
    for finding in (*check(moved, replayed, limits), *check_moments(number, claimed, ours, limits)):
        yield replace(
            finding, detail=f"inner step {number}: {finding.detail}", evidence={**finding.evidence, "step": number}
        )


def _with_room_for_signs(limits: CheckSpec, moving: int) -> CheckSpec:
    """Limits that so few turned signs do not exceed.

    AdamW's first step moves all elements by the learning rate, one way or the other; where a gradient is almost zero,
    noise says which. Among thousands of elements that is nothing, but an adapter may have hundreds.
    """
    share = TURNED_SIGNS / max(moving, 1)
    return limits.model_copy(
        update={
            "min_replay_cosine": max(0.0, min(limits.min_replay_cosine, 1 - 2 * share)),
            "max_replay_moment_error": max(limits.max_replay_moment_error, 2 * math.sqrt(share)),
        }
    )


def check_moments(number: int, claimed: InnerState, ours: InnerState, limits: CheckSpec) -> list[Finding]:
    """Relative L2 errors of both moments, each element in units of the step that AdamW makes of it.

    Gradients differ by orders of magnitude between tensors (an adapter's A and B), and AdamW takes steps of like size
    all the same: so the moments of small gradients must count as much.
    """
    correction = [1 - beta ** (number + 1) for beta in ADAM_BETAS]
    errors, lengths = [0.0, 0.0], [0.0, 0.0]
    for name in sorted(ours.first):
        roots = [np.sqrt(each.second[name].astype(np.float64) / correction[1]) for each in (claimed, ours)]
        unit = roots[1] + ADAM_EPSILON
        firsts = [each.first[name].astype(np.float64) / correction[0] for each in (claimed, ours)]
        for place, (theirs, own) in enumerate((firsts, roots)):
            errors[place] += float(np.square((theirs - own) / unit).sum())
            lengths[place] += float(np.square(own / unit).sum())
    found = [_relative_error(error, length) for error, length in zip(errors, lengths, strict=True)]
    limit = limits.max_replay_moment_error
    return [
        measure(name, Reason.REPLAY_MISMATCH, error, limit, f"AdamW's {which} moment is off by {error:.3g} of our own")
        for name, which, error in zip((NAME_FIRST, NAME_SECOND), ("first", "second"), found, strict=True)
    ]


# ---- arithmetic


def through_codec(tensors: Tensors, codec: Codec) -> dict[str, npt.NDArray[np.float32]]:
    """What a reader of the submitted update would have decoded."""
    return {name: codec.decode(codec.encode(tensor), tensor.shape) for name, tensor in tensors.items()}


def _where_kept(tensors: Tensors, pattern: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """Zero wherever the pattern is."""
    return {name: np.where(pattern[name] != 0, tensor, np.float32(0)) for name, tensor in tensors.items()}


def _inner(left: Tensors, right: Tensors) -> float:
    """Inner product in float64. Not NumPy's dot: BLAS starts threads, which fight for the cores with others'."""
    return math.fsum(float(np.sum(left[name].astype(np.float64) * right[name])) for name in left)


def _largest(tensors: Tensors, others: Tensors, count: int) -> tuple[npt.NDArray[np.intp], Float64, Float64]:
    """Places, values, and values of `others` there, of the `count` elements furthest from zero.

    Places count through all tensors in order of name.
    """
    places: list[npt.NDArray[np.intp]] = []
    values: list[Float64] = []
    theirs: list[Float64] = []
    offset = 0
    for name in sorted(tensors):
        flat = tensors[name].reshape(-1)
        found = _furthest(flat, count)
        places.append(found + offset)
        values.append(flat[found].astype(np.float64))
        theirs.append(others[name].reshape(-1)[found].astype(np.float64))
        offset += flat.size
    all_values = np.concatenate(values)
    kept = _furthest(all_values, count)
    return np.concatenate(places)[kept], all_values[kept], np.concatenate(theirs)[kept]


def _furthest(values: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.intp]:
    """Places, ascending, of the `count` elements furthest from zero; of equal ones the first."""
    if values.size <= count:
        return np.arange(values.size)
    sizes = np.abs(values)
    least = np.partition(sizes, sizes.size - count)[sizes.size - count]
    above, equal = np.flatnonzero(sizes > least), np.flatnonzero(sizes == least)
    return np.sort(np.concatenate([above, equal[: count - len(above)]]))


def _relative_error(squared_error: float, squared_length: float) -> float:
    """Not a number where something is; infinite where ours is zero and the other is not."""
    if squared_error == 0:
        return 0.0
    return math.sqrt(squared_error / squared_length) if squared_length else math.inf
