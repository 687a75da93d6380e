"""Step 4: train on one's own rollouts; leaves the update and the trace in the submission's folder."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from assay_core.aggregation.codecs import codec_named
from assay_core.aggregation.updates import FOLDER, write_update
from assay_core.bundle.trajectory import Rollouts
from assay_core.protocol.spec import TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.inner import InnerResult, OnState, OnStep, PseudoGradient, TrainablePolicy, run_inner_steps
from assay_core.training.states import write_state
from assay_core.training.trace import TRACE_NAME, StepTrace, trace_bytes


class InnerSteps(Protocol):
    """Takes the inner steps of a submission: `run_inner_steps`, or several machines together; see
    trainer/assay_trainer/group.
    """

    def __call__(
        self,
        policy: TrainablePolicy,
        rollouts: Rollouts,
        spec: TaskSpec,
        seed: Seed,
        on_step: OnStep | None = None,
        on_state: OnState | None = None,
    ) -> InnerResult: ...


def train(
    policy: TrainablePolicy,
    rollouts: Rollouts,
    spec: TaskSpec,
    seed: Seed,
    folder: Path,
    *,
    submit: Callable[[PseudoGradient], PseudoGradient] = lambda update: update,
    on_step: OnStep | None = None,
    take_steps: InnerSteps = run_inner_steps,
) -> tuple[StepTrace, ...]:
    """Write `update/` and `trace/` below `folder`. `submit` is the honest trainer's identity; see adversaries.py.

    Where submissions are replayed step by step, the state after each step is written as soon as it is there.
    Raises MalformedUpdate: a gradient or the update is not finite: the policy has diverged.
    """
    on_state = partial(write_state, folder) if spec.checks.replay == "steps" else None
    result = take_steps(policy, rollouts, spec, seed, on_step, on_state)
    write_training(folder, submit(result.pseudo_gradient), result.trace, spec)
    return result.trace


def write_training(folder: Path, update: PseudoGradient, trace: Sequence[StepTrace], spec: TaskSpec) -> None:
    """Write `update/` and `trace/` below `folder`. Raises MalformedUpdate: the update is not finite."""
    write_update(folder / FOLDER, update, codec_named(spec.codec))
    file = folder / TRACE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(trace_bytes(trace))
