"""Where a task is replayed step by step: a work's states hang together, and the update is what lies between them.

Cheap, so every work is checked. From state to state each element must have moved as AdamW moves it, for some gradient:
the moments say for which. So only the gradients of steps that are not drawn are taken on faith, and no step can make
more of a gradient than AdamW does. A mismatch earns 0: it never pays, so it needs no slash.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from offchain.outer.codecs import Codec
from offchain.protocol.errors import Reason
from offchain.protocol.spec import RecipeSpec
from offchain.recipe.inner import ADAM_BETAS, ADAM_EPSILON
from offchain.recipe.states import InnerState
from offchain.recipe.trace import StepTrace
from verifier.checks.replay import through_codec
from verifier.verdict import Finding, failed, measure, passed

NAME = "training states"
NAME_STEPS = "training steps"
# What other hardware may do. Rounding moves results by some 1e-7 of what is added up, and parameters by bits of theirs.
ROUNDING = 1e-5
BITS_OF_PARAMETER = 4 * 2.0**-23
CLIPPING = 1e-3  # of a gradient's norm
UNDERFLOW = 1e-30  # of squares: the moments of smaller gradients vanish, and weigh nothing against AdamW's epsilon
ELEMENTS_TOGETHER = 2**16
CLIP_EPSILON = 1e-6  # torch's, in what a gradient's norm is divided by

Tensors = Mapping[str, npt.NDArray[np.float32]]
Float64 = npt.NDArray[np.float64]


def check(
    policy: Tensors,
    read: Callable[[int], InnerState],
    trace: Sequence[StepTrace],
    claimed: Tensors,
    recipe: RecipeSpec,
    codec: Codec,
) -> Iterator[Finding]:
    """Look at all states of a work, one in memory at a time beside the one before it.

    Args:
        policy: its trainable parameters.
        read: the work's state after a step. Raises MalformedUpdate: it is none.
        claimed: the work's update, decoded.
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
    for names in _together(after.parameters):
        moves = [
            [_joined(part, names) for part in (state.parameters, state.first, state.second)]
            for state in (before, after)
        ]
        gradient = (moves[1][1] - ADAM_BETAS[0] * moves[0][1]) / (1 - ADAM_BETAS[0])
        gradient_square += float(np.square(gradient).sum())
        moments_square += float(np.square(moves[0][1]).sum() + np.square(moves[1][1]).sum())
        excess = np.maximum(_excess_of_second(gradient, *moves), _excess_of_move(number, recipe, *moves))
        place = int(excess.argmax())  # not a number counts as the most
        found = math.inf if math.isnan(excess[place]) else float(excess[place])
        if found > worst:
            ends = np.cumsum([after.parameters[name].size for name in names])
            worst, where = found, names[int(np.searchsorted(ends, place, side="right"))]
    norm = step.gradient_norm
    expected = norm * min(1.0, recipe.max_grad_norm / (norm + CLIP_EPSILON))
    slack = CLIPPING * expected + ROUNDING * math.sqrt(moments_square) / (1 - ADAM_BETAS[0]) + UNDERFLOW
    excess = abs(math.sqrt(gradient_square) - expected) / slack
    return (excess, "gradient norm") if excess > worst else (worst, where)


def _excess_of_second(gradient: Float64, before: Sequence[Float64], after: Sequence[Float64]) -> Float64:
    """v' = b2 v + (1 - b2) g^2, where g follows from the first moments: m' = b1 m + (1 - b1) g."""
    b1, b2 = ADAM_BETAS
    square = b2 * before[2] + (1 - b2) * np.square(gradient)
    slack_of_gradient = ROUNDING * (np.abs(after[1]) + np.abs(before[1])) / (1 - b1)
    slack_of_square = (1 - b2) * slack_of_gradient * (2 * np.abs(gradient) + slack_of_gradient)
    return np.abs(after[2] - square) / (ROUNDING * (square + after[2]) + slack_of_square + UNDERFLOW)


def _excess_of_move(number: int, recipe: RecipeSpec, before: Sequence[Float64], after: Sequence[Float64]) -> Float64:
    """θ' = θ (1 - lr decay) - lr m'^ / (sqrt(v'^) + epsilon), where ^ corrects for the bias of the first steps."""
    first, second = (part / (1 - beta ** (number + 1)) for part, beta in zip(after[1:], ADAM_BETAS, strict=True))
    step = recipe.lr * first / (np.sqrt(second) + ADAM_EPSILON)
    moved = before[0] * (1 - recipe.lr * recipe.weight_decay) - step
    slack = BITS_OF_PARAMETER * (np.abs(before[0]) + np.abs(after[0])) + ROUNDING * np.abs(step) + UNDERFLOW
    return np.abs(after[0] - moved) / slack


def _together(tensors: Tensors) -> Iterator[list[str]]:
    """Names in order, as many small tensors at a time as are worth a pass of their own."""
    waiting, elements = list[str](), 0
    for name in sorted(tensors):
        waiting.append(name)
        elements += tensors[name].size
        if elements >= ELEMENTS_TOGETHER:
            yield waiting
            waiting, elements = [], 0
    if waiting:
        yield waiting


def _joined(part: Tensors, names: Sequence[str]) -> Float64:
    """These tensors of a state, one after the other."""
    return np.concatenate([part[name].reshape(-1) for name in names], dtype=np.float64)
