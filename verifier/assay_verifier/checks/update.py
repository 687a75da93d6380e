"""Check 9: the pseudo-gradient has the policy's shapes, is finite, and is one that the recipe can produce.

Three measures. Against the recipe: no H steps of AdamW move a parameter further than a known bound, so a larger update
was not trained (fraud). Against the trace: the batches are those that the seed dictates, and without a step nothing
moves. Against the epoch's other submissions, once all are judged: far larger than the median earns 0, and is no fraud,
because the others decide where the median lies.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.exact import l2_norm
from assay_core.bundle.evidence import COMPARED
from assay_core.bundle.trajectory import Rollouts
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import RecipeSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.advantage import informative_groups
from assay_core.training.batches import batch_order
from assay_core.training.inner import ADAM_BETAS
from assay_core.training.trace import StepTrace
from assay_verifier.verdict import Finding, failed, measure, passed

NAME_NORM = "update norm"
NAME_TRACE = "update trace"
CODEC_SLACK = 1.05  # what rounding by a lossy codec may add to a norm

Tensors = Mapping[str, npt.NDArray[np.float32]]


def norm(tensors: Tensors) -> float:
    """Euclidean norm over all tensors: the same number on every machine."""
    return l2_norm(tensors.values())


def largest_norm(parameters: int, weights_norm: float, recipe: RecipeSpec) -> float:
    """The norm that `recipe.inner_steps` steps of AdamW cannot exceed.

    A step moves each of `parameters` numbers by at most lr × max(1, (1 - b1) / sqrt(1 - b2)) (Kingma & Ba 2015, §2.1),
    and weight decay by lr × weight_decay × |θ|, θ itself growing by no more than the steps before.
    """
    first, second = ADAM_BETAS
    step = recipe.lr * max(1.0, (1 - first) / math.sqrt(1 - second)) * math.sqrt(parameters)
    moved = 0.0
    for _ in range(recipe.inner_steps):
        moved += step + recipe.lr * recipe.weight_decay * (weights_norm + moved)
    return moved


def check_norm(update: Tensors, weights: Tensors, recipe: RecipeSpec) -> Finding:
    """The update's norm as a share of the largest that the recipe can produce."""
    length = norm(update)
    bound = largest_norm(sum(tensor.size for tensor in weights.values()), norm(weights), recipe)
    detail = f"the update's norm is {length:.4g}, the recipe cannot exceed {bound:.4g}"
    return measure(NAME_NORM, Reason.BAD_UPDATE, length / bound, CODEC_SLACK, detail, fraud=True)


def check_trace(update: Tensors, trace: Sequence[StepTrace], rollouts: Rollouts, spec: TaskSpec, seed: Seed) -> Finding:
    """That the steps' batches are the dictated ones, and that an update without steps is zero."""
    groups = sorted(informative_groups(rollouts, spec.checks.reward_tolerance))
    order = batch_order(groups, spec.recipe.inner_steps, spec.recipe.groups_per_step, seed)
    if len(trace) != len(order):
        detail = f"the trace has {len(trace)} inner steps, the recipe takes {len(order)} on these rollouts"
        return failed(NAME_TRACE, Reason.BAD_UPDATE, abs(len(trace) - len(order)), 0, detail)
    for number, (step, batch) in enumerate(zip(trace, order, strict=True)):
        if step.groups != batch:
            detail = f"inner step {number} trained on other groups than the seed dictates"
            evidence = {"step": number, "claimed": list(step.groups), "expected": list(batch)}
            return failed(NAME_TRACE, Reason.BAD_UPDATE, 1, 0, detail, evidence=evidence)
    if not order and (moved := norm(update)) > 0:
        return failed(NAME_TRACE, Reason.BAD_UPDATE, moved, 0, "no group teaches anything, yet the update is not zero")
    return passed(NAME_TRACE, 0, 0, f"{len(trace)} inner steps on the groups that the seed dictates")


def check_peers(length: float, others: Sequence[float], max_ratio: float) -> Finding:
    """The update's norm against the median of the epoch's acceptable updates that are not zero, itself included."""
    lengths = [other for other in others if other > 0]
    if not lengths:
        return passed(COMPARED, 0, max_ratio, "no update of this epoch moves anything")
    middle = median(lengths)
    detail = f"the update's norm is {length / middle:.3g} times the median of {len(lengths)} submissions"
    evidence = {"norm": repr(length), "median": repr(middle)}
    return measure(COMPARED, Reason.BAD_UPDATE, length / middle, max_ratio, detail, evidence=evidence, fraud=False)
