"""Where a task is replayed step by step: a submission's states hang together, and the update is what lies between them.

Cheap, so every submission is checked. From state to state each element must have moved as AdamW moves it, for some
gradient: the moments say for which. So only the gradients of steps that are not drawn are taken on faith, and no step
can make more of a gradient than AdamW does. A mismatch earns 0: it never pays, so it needs no slash.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assay_core.aggregation.codecs import Codec
from assay_core.protocol.errors import Reason
from assay_core.protocol.spec import RecipeSpec
from assay_core.toploc.compiled import compiled
from assay_core.training.inner import ADAM_BETAS, ADAM_EPSILON
from assay_core.training.states import InnerState
from assay_core.training.trace import StepTrace
from assay_verifier.checks.replay import through_codec
from assay_verifier.verdict import Finding, failed, measure, passed

NAME = "training states"
NAME_STEPS = "training steps"
# What other hardware may do. Rounding moves results by some 1e-7 of what is added up, and parameters by bits of theirs.
ROUNDING = 1e-5
BITS_OF_PARAMETER = 4 * 2.0**-23
CLIPPING = 1e-3  # of a gradient's norm
UNDERFLOW = 1e-30  # of squares: the moments of smaller gradients vanish, and weigh nothing against AdamW's epsilon
CLIP_EPSILON = 1e-6  # torch's, in what a gradient's norm is divided by

BETA_1, BETA_2 = ADAM_BETAS

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Tensors = Mapping[str, Float32]


class Part(NamedTuple):
    """One tensor of a state."""

    parameter_E: Float32
    first_E: Float32
    second_E: Float32


class AdamW(NamedTuple):
    """What a step of AdamW multiplies and divides by."""

    lr: float
    kept: float  # of a parameter, after its decay
    unbias_first: float
    unbias_second: float


def check(
    policy: Tensors,
    read: Callable[[int], InnerState],
    trace: Sequence[StepTrace],
    claimed: Tensors,
    recipe: RecipeSpec,
    codec: Codec,
) -> Iterator[Finding]:
    """Look at all states of a submission, one in memory at a time beside the one before it.

    Args:
        policy: its trainable parameters.
        read: the submission's state after a step. Raises MalformedUpdate: it is none.
        claimed: the submission's update, decoded.
    """
    nothing = {name: np.zeros_like(parameter) for name, parameter in policy.items()}
    before, most, place = InnerState(policy, nothing, nothing), 0.0, ""
    for number, step in enumerate(trace):
        after = read(number)
        if after.digest() != step.state:
            detail = f"the state after inner step {number} is not the one that the trace names"
            yield failed(NAME, Reason.BAD_UPDATE, 1, 0, detail, evidence={"step": number})
            return
        excess, where = excess_of_step(number, step, before, after, recipe)
        if excess > most:
            most, place = excess, f"{where}, inner step {number}"
        before = after
    at = f" ({place})" if most > 1 else ""
    detail = f"from state to state it goes as AdamW goes, up to {most:.3g} of what rounding may do{at}"
    yield measure(NAME_STEPS, Reason.BAD_UPDATE, most, 1, detail, evidence={"at": place})
    yield check_end(policy, before, claimed, codec)


def check_end(policy: Tensors, last: InnerState, claimed: Tensors, codec: Codec) -> Finding:
    """The update, to the bit, is what the codec makes of the way from the policy to the last state."""
    expected = through_codec({name: policy[name] - last.parameters[name] for name in sorted(policy)}, codec)
    for name, tensor in expected.items():
        if tensor.tobytes() != claimed[name].tobytes():
            detail = f"the update of {name} is not what lies between the policy and the last state"
            return failed(NAME, Reason.BAD_UPDATE, 1, 0, detail, evidence={"tensor": name})
    return passed(NAME, 0, 0, "the update is what lies between the policy and the last state")


def excess_of_step(
    number: int, step: StepTrace, before: InnerState, after: InnerState, recipe: RecipeSpec
) -> tuple[float, str]:
    """How far a step is from one of AdamW, as a multiple of what rounding may do, and where it is furthest.

    The gradient's norm must be the trace's, clipped as the recipe says.
    """
    worst, where = 0.0, ""
    gradient_square = moments_square = 0.0
    excess_2E = np.empty((2, max((part.size for part in after.parameters.values()), default=0)))
    terms = AdamW(recipe.lr, 1 - recipe.lr * recipe.weight_decay, *(1 - beta ** (number + 1) for beta in ADAM_BETAS))
    for name in sorted(after.parameters):
        found, gradient, moments = _survey(_part(before, name), _part(after, name), terms, excess_2E)
        gradient_square, moments_square = gradient_square + gradient, moments_square + moments
        if found > worst:
            worst, where = found, name
    norm = step.gradient_norm
    expected = norm * min(1.0, recipe.max_grad_norm / (norm + CLIP_EPSILON))
    slack = CLIPPING * expected + ROUNDING * math.sqrt(moments_square) / (1 - BETA_1) + UNDERFLOW
    excess = abs(math.sqrt(gradient_square) - expected) / slack
    return (excess, "gradient norm") if excess > worst else (worst, where)


def _part(state: InnerState, name: str) -> Part:
    return Part(*(part[name].reshape(-1) for part in (state.parameters, state.first, state.second)))


@compiled
def _survey(before: Part, after: Part, adamw: AdamW, excess_2E: Float64) -> tuple[float, float, float]:
    """Of one tensor: its worst excess (infinite for not a number), and the sums of squares of gradient and moments.

    The gradient g follows from the first moments: m' = b1 m + (1 - b1) g. Then v' = b2 v + (1 - b2) g^2, and
    θ' = θ (1 - lr decay) - lr m'^ / (sqrt(v'^) + epsilon), where ^ corrects for the bias of the first steps.
    """
    for place in range(before.first_E.size):  # vector instructions: nothing is added up here
        m, v = np.float64(before.first_E[place]), np.float64(before.second_E[place])
        next_m, next_v = np.float64(after.first_E[place]), np.float64(after.second_E[place])
        gradient = (next_m - BETA_1 * m) / (1 - BETA_1)
        square = BETA_2 * v + (1 - BETA_2) * gradient * gradient
        slack_of_gradient = ROUNDING * (abs(next_m) + abs(m)) / (1 - BETA_1)
        slack_of_square = (1 - BETA_2) * slack_of_gradient * (2 * abs(gradient) + slack_of_gradient)
        excess_2E[0, place] = abs(next_v - square) / (ROUNDING * (square + next_v) + slack_of_square + UNDERFLOW)

        value, next_value = np.float64(before.parameter_E[place]), np.float64(after.parameter_E[place])
        step = adamw.lr * (next_m / adamw.unbias_first) / (np.sqrt(next_v / adamw.unbias_second) + ADAM_EPSILON)
        slack = BITS_OF_PARAMETER * (abs(value) + abs(next_value)) + ROUNDING * abs(step) + UNDERFLOW
        excess_2E[1, place] = abs(next_value - (value * adamw.kept - step)) / slack
    worst = gradient_square = moments_square = 0.0
    for place in range(before.first_E.size):
        m, next_m = np.float64(before.first_E[place]), np.float64(after.first_E[place])
        gradient = (next_m - BETA_1 * m) / (1 - BETA_1)
        gradient_square += gradient * gradient
        moments_square += m * m + next_m * next_m
        for excess in (excess_2E[0, place], excess_2E[1, place]):
            if not excess <= worst:
                worst = excess if excess > worst else np.inf
    return worst, gradient_square, moments_square
