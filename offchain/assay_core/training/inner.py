"""The inner steps of a submission: H steps of GRPO on its own rollouts, and the pseudo-gradient that they make.

One function takes a step (`Learner.step`), anyone who asks: the trainer, a replay of all steps, or a replay of one from
the state before it.

Shapes: B completions of one batch, T tokens (padded), M completions of a group.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.protocol.errors import MalformedUpdate
from assay_core.protocol.spec import RecipeSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.advantage import informative_groups
from assay_core.training.batches import batch_order
from assay_core.training.loss import token_sum_loss
from assay_core.training.states import InnerState, digest_of
from assay_core.training.trace import StepTrace

MICRO_BATCH_TOKENS = 2_048  # most padded tokens in one forward and backward pass: bounds memory
ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8

PseudoGradient = dict[str, npt.NDArray[np.float32]]
OnStep = Callable[[int, StepTrace], None]
OnState = Callable[[int, InnerState], None]


class TrainablePolicy(Protocol):
    """The part of a policy that inner steps need; see offchain/assay_core/policy/interface.py."""

    def trainable(self) -> dict[str, torch.nn.Parameter]: ...

    def token_logprobs(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], temperature: float
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, slots=True, eq=False)
class InnerResult:
    """θ before − θ after by parameter name (all of them, also where zero), and what each step did."""

    pseudo_gradient: PseudoGradient
    trace: tuple[StepTrace, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A completion, and how much better than its group it is."""

    completion: Completion
    advantage: float


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What each step trains on."""

    rollouts: Rollouts
    advantages: Mapping[int, npt.NDArray[np.float64]]
    order: Sequence[tuple[int, ...]]

    def samples(self, step: int) -> list[Sample]:
        return [
            Sample(completion, float(advantage))
            for group in self.order[step]
            for completion, advantage in zip(self.rollouts.group(group), self.advantages[group], strict=True)
        ]


@contextmanager
def in_float32() -> Generator[None]:
    """The precision that the recipe asks for, whatever flags the process runs under: TF32 or bfloat16 products would
    make an honest update that no replay confirms."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@in_float32()
def run_inner_steps(
    policy: TrainablePolicy,
    rollouts: Rollouts,
    spec: TaskSpec,
    seed: Seed,
    on_step: OnStep | None = None,
    on_state: OnState | None = None,
) -> InnerResult:
    """Train on the rollouts of one submission, and leave the policy as it was.

    Deterministic on one machine with one number of threads; on another the result differs by float noise alone. Without
    an informative group there is no step, and the pseudo-gradient is all zeros.

    Args:
        seed: the submission's `trainer_seed`; batches derive from it.
        on_step: called after each step; what it raises ends the run.
        on_state: is given the state after each step, before `on_step` is called.
    Raises MalformedUpdate: a gradient is not finite.
    Source: INTELLECT-2, arXiv:2505.07291 §3.4 (loss); DiLoCo, arXiv:2311.08105 (fresh AdamW, pseudo-gradient).
    """
    plan = plan_of(rollouts, spec, seed)
    trace: list[StepTrace] = []
    with borrowed(policy) as before:
        learner = Learner(policy, spec)
        for number, groups in enumerate(plan.order):
            loss, norm = learner.step(number, plan.samples(number))
            trace.append(StepTrace(groups, loss, norm, state_digest(learner.parameters)))
            if on_state is not None:
                on_state(number, learner.state())
            if on_step is not None:
                on_step(number, trace[-1])
        return InnerResult(difference(before, learner.parameters), tuple(trace))


@in_float32()
def repeat_inner_step(
    policy: TrainablePolicy, rollouts: Rollouts, spec: TaskSpec, seed: Seed, number: int, before: InnerState | None
) -> InnerState:
    """Take one of the steps of `run_inner_steps` from the state before it, and leave the policy as it was.

    The state after it has the same bits as in a whole run on the same machine.

    Args:
        number: counted from 0; the rollouts must make so many steps.
        before: the state after step `number` - 1; None for the first step, which starts from the policy itself.
    Raises MalformedUpdate: a gradient is not finite.
    """
    plan = plan_of(rollouts, spec, seed)
    with borrowed(policy):
        learner = Learner(policy, spec)
        if before is not None:
            learner.resume(number, before)
        learner.step(number, plan.samples(number))
        return learner.state()


def state_digest(parameters: Mapping[str, Tensor]) -> bytes:
    """See `digest_of`."""
    return digest_of({name: _array(parameter) for name, parameter in parameters.items()})


def difference(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> PseudoGradient:
    """θ before − θ after by parameter name."""
    return {
        name: (before[name] - parameter.detach()).to("cpu", torch.float32).numpy() for name, parameter in after.items()
    }


def plan_of(rollouts: Rollouts, spec: TaskSpec, seed: Seed) -> Plan:
    """Batches of all inner steps that these rollouts make; `seed` is the submission's `trainer_seed`."""
    advantages = informative_groups(rollouts, spec.checks.reward_tolerance)
    order = batch_order(sorted(advantages), spec.recipe.inner_steps, spec.recipe.groups_per_step, seed)
    return Plan(rollouts, advantages, order)


@contextmanager
def borrowed(policy: TrainablePolicy) -> Generator[dict[str, Tensor]]:
    """The trainable parameters as they are; in the end they are so again, without gradients."""
    parameters = policy.trainable()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        yield before
    finally:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.grad = None
                parameter.copy_(before[name])


class Learner:
    """A policy's trainable parameters under AdamW. A step is the gradient of a batch, then the descent along it."""

    def __init__(self, policy: TrainablePolicy, spec: TaskSpec) -> None:
        self.parameters = policy.trainable()
        self._policy, self._spec = policy, spec
        self._optimizer = _optimizer(self.parameters, spec.recipe)

    def step(self, number: int, samples: Sequence[Sample]) -> tuple[float, float]:
        """One inner step; the batch's mean token loss and the gradient's norm before clipping.

        Raises MalformedUpdate: they are not finite.
        """
        loss = self.gradient(samples, sum(len(sample.completion.completion_ids) for sample in samples))
        return loss, self.descend(number, loss)

    def gradient(self, samples: Sequence[Sample], tokens: int) -> float:
        """Leave in each parameter the gradient of the samples' token loss divided by `tokens`; returns that loss."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = _accumulate_gradient(self._policy, samples, tokens, self._spec)
        for parameter in self.parameters.values():
            if parameter.grad is None:  # not used by these samples; AdamW would leave out its moments' decay
                parameter.grad = torch.zeros_like(parameter)
        return loss

    def descend(self, number: int, loss: float) -> float:
        """Clip the gradient and take step `number` along it; its norm before. Raises MalformedUpdate: not finite."""
        norm = _clip(self.parameters, self._spec.recipe.max_grad_norm)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise MalformedUpdate(f"inner step {number}: loss {loss} or gradient norm {norm} is not finite")
        self._optimizer.step()
        return norm

    def state(self) -> InnerState:
        """After the steps taken so far; before the first the moments are zero."""

        def moments(which: str) -> dict[str, npt.NDArray[np.float32]]:
            state = self._optimizer.state
            return {
                name: _array(state[parameter][which]).copy() if state.get(parameter) else np.zeros(parameter.shape, "f")
                for name, parameter in self.parameters.items()
            }

        parameters = {name: _array(parameter).copy() for name, parameter in self.parameters.items()}
        return InnerState(parameters, moments("exp_avg"), moments("exp_avg_sq"))

    def resume(self, steps: int, state: InnerState) -> None:
        """Go on from the state after so many steps."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(torch.from_numpy(state.parameters[name]))
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(steps)),
                    "exp_avg": torch.from_numpy(state.first[name].copy()).to(parameter.device),
                    "exp_avg_sq": torch.from_numpy(state.second[name].copy()).to(parameter.device),
                }


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def _optimizer(parameters: Mapping[str, torch.nn.Parameter], recipe: RecipeSpec) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters.values(),
        lr=recipe.lr,
        betas=ADAM_BETAS,
        eps=ADAM_EPSILON,
        weight_decay=recipe.weight_decay,
        foreach=False,  # one order of operations on every device
    )


def _accumulate_gradient(policy: TrainablePolicy, samples: Sequence[Sample], tokens: int, spec: TaskSpec) -> float:
    """Adds the gradient of the samples' token loss, as a part of the mean over `tokens`; returns that loss."""
    total = 0.0
    for part in _micro_batches(samples):
        completions = [sample.completion for sample in part]
        logprobs_BT, mask_BT = policy.token_logprobs(
            [completion.prompt_ids for completion in completions],
            [completion.completion_ids for completion in completions],
            spec.sampler.temperature,
        )
        sampled_BT = torch.zeros_like(logprobs_BT)
        for row, completion in enumerate(completions):
            sampled_BT[row, : len(completion.logprobs_T)] = torch.from_numpy(completion.logprobs_T)
        advantages_B = logprobs_BT.new_tensor([sample.advantage for sample in part])
        loss = token_sum_loss(logprobs_BT, sampled_BT, advantages_B, mask_BT, spec.recipe) / tokens
        loss.backward()
        total += float(loss.detach())
    return total


def _micro_batches(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Consecutive samples that together, padded, stay within MICRO_BATCH_TOKENS (or one alone)."""
    if not samples:
        return
    first, longest = 0, 0
    for position, sample in enumerate(samples):
        length = len(sample.completion.prompt_ids) + len(sample.completion.completion_ids)
        if position > first and max(longest, length) * (position - first + 1) > MICRO_BATCH_TOKENS:
            yield samples[first:position]
            first, longest = position, 0
        longest = max(longest, length)
    yield samples[first:]


def _clip(parameters: Mapping[str, torch.nn.Parameter], max_norm: float) -> float:
    """Scales all gradients to a common norm of at most `max_norm`; returns the norm before."""
    return float(torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm, foreach=False))
