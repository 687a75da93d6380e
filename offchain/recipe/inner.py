"""The inner steps of a work: H steps of GRPO on its own rollouts, and the pseudo-gradient that they make.

Shapes: B completions of one batch, T tokens (padded), M completions of a group.
"""

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from offchain.protocol.errors import MalformedUpdate
from offchain.protocol.spec import RecipeSpec, TaskSpec
from offchain.protocol.types import Seed
from offchain.recipe.advantage import informative_groups
from offchain.recipe.batches import batch_order
from offchain.recipe.loss import token_sum_loss
from offchain.recipe.trace import StepTrace
from offchain.rollouts.trajectory import Completion, Rollouts

MICRO_BATCH_TOKENS = 2_048  # most padded tokens in one forward and backward pass: bounds memory
ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-8

PseudoGradient = dict[str, npt.NDArray[np.float32]]
OnStep = Callable[[int, StepTrace], None]


class TrainablePolicy(Protocol):
    """The part of a policy that inner steps need; see offchain/policy/interface.py."""

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
class _Sample:
    completion: Completion
    advantage: float


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
    policy: TrainablePolicy, rollouts: Rollouts, spec: TaskSpec, seed: Seed, on_step: OnStep | None = None
) -> InnerResult:
    """Train on the rollouts of one work, and leave the policy as it was.

    Deterministic on one machine with one number of threads; on another the result differs by float noise alone. Without
    an informative group there is no step, and the pseudo-gradient is all zeros.

    Args:
        seed: the work's `trainer_seed`; batches derive from it.
        on_step: called after each step; what it raises ends the run.
    Raises MalformedUpdate: a gradient is not finite.
    Source: INTELLECT-2, arXiv:2505.07291 §3.4 (loss); DiLoCo, arXiv:2311.08105 (fresh AdamW, pseudo-gradient).
    """
    parameters = policy.trainable()
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    advantages = informative_groups(rollouts, spec.checks.reward_tolerance)
    order = batch_order(sorted(advantages), spec.recipe.inner_steps, spec.recipe.groups_per_step, seed)
    optimizer = _optimizer(parameters, spec.recipe)
    trace: list[StepTrace] = []
    try:
        for number, groups in enumerate(order):
            samples = [
                _Sample(completion, float(advantage))
                for group in groups
                for completion, advantage in zip(rollouts.group(group), advantages[group], strict=True)
            ]
            optimizer.zero_grad(set_to_none=True)
            loss = _accumulate_gradient(policy, samples, spec)
            norm = _clip(parameters, spec.recipe.max_grad_norm)
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise MalformedUpdate(f"inner step {number}: loss {loss} or gradient norm {norm} is not finite")
            optimizer.step()
            trace.append(StepTrace(groups, loss, norm, state_digest(parameters)))
            if on_step is not None:
                on_step(number, trace[-1])
        pseudo_gradient = {
            name: (before[name] - parameter.detach()).to("cpu", torch.float32).numpy()
            for name, parameter in parameters.items()
        }
    finally:
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(before[name])
    return InnerResult(pseudo_gradient, tuple(trace))


def state_digest(parameters: Mapping[str, Tensor]) -> bytes:
    """SHA-256 over names and float32 bytes of the parameters, in their order."""
    digest = hashlib.sha256()
    for name, parameter in parameters.items():
        digest.update(name.encode() + b"\x00")
        digest.update(parameter.detach().to("cpu", torch.float32).contiguous().numpy().data)
    return digest.digest()


def _optimizer(parameters: Mapping[str, torch.nn.Parameter], recipe: RecipeSpec) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters.values(),
        lr=recipe.lr,
        betas=ADAM_BETAS,
        eps=ADAM_EPSILON,
        weight_decay=recipe.weight_decay,
        foreach=False,  # one order of operations on every device
    )


def _accumulate_gradient(policy: TrainablePolicy, samples: Sequence[_Sample], spec: TaskSpec) -> float:
    """Adds the gradient of the batch's mean token loss; returns that loss."""
    tokens = sum(len(sample.completion.completion_ids) for sample in samples)
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


def _micro_batches(samples: Sequence[_Sample]) -> Iterator[Sequence[_Sample]]:
    """Consecutive samples that together, padded, stay within MICRO_BATCH_TOKENS (or one alone)."""
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
