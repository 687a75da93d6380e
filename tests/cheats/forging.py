"""Trainings that go as AdamW goes, but for gradients of one's own: states that hang together and are lies."""

from collections.abc import Callable, Mapping

import torch

from assay_core.bundle.trajectory import Rollouts
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.inner import (
    Learner,
    PseudoGradient,
    TrainablePolicy,
    borrowed,
    difference,
    in_float32,
    plan_of,
    state_digest,
)
from assay_core.training.states import InnerState
from assay_core.training.trace import StepTrace

Gradients = Mapping[str, torch.Tensor]


@in_float32()
def train_with(
    policy: TrainablePolicy,
    rollouts: Rollouts,
    spec: TaskSpec,
    seed: Seed,
    alter: Callable[[int, Gradients], None],
) -> tuple[PseudoGradient, tuple[StepTrace, ...], tuple[InnerState, ...]]:
    """The recipe's training, with `alter` changing the gradient of each step before it is clipped and used."""
    plan = plan_of(rollouts, spec, seed)
    trace: list[StepTrace] = []
    states: list[InnerState] = []
    with borrowed(policy) as before:
        learner = Learner(policy, spec)
        for number, groups in enumerate(plan.order):
            samples = plan.samples(number)
            loss = learner.gradient(samples, sum(len(each.completion.completion_ids) for each in samples))
            alter(number, {name: _gradient(parameter) for name, parameter in learner.parameters.items()})
            norm = learner.descend(number, loss)
            trace.append(StepTrace(groups, loss, norm, state_digest(learner.parameters)))
            states.append(learner.state())
        return difference(before, learner.parameters), tuple(trace), tuple(states)


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad
