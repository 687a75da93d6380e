"""Step 4: train on one's own rollouts; leaves the update and the trace in the work's folder."""

from collections.abc import Callable
from pathlib import Path

from offchain.outer.codecs import codec_named
from offchain.outer.updates import FOLDER, write_update
from offchain.protocol.spec import TaskSpec
from offchain.protocol.types import Seed
from offchain.recipe.inner import OnStep, PseudoGradient, TrainablePolicy, run_inner_steps
from offchain.recipe.trace import TRACE_NAME, StepTrace, trace_bytes
from offchain.rollouts.trajectory import Rollouts


def train(
    policy: TrainablePolicy,
    rollouts: Rollouts,
    spec: TaskSpec,
    seed: Seed,
    folder: Path,
    *,
    submit: Callable[[PseudoGradient], PseudoGradient] = lambda update: update,
    on_step: OnStep | None = None,
) -> tuple[StepTrace, ...]:
    """Write `update/` and `trace/` below `folder`. `submit` is the honest trainer's identity; see deviations.py.

    Raises MalformedUpdate: a gradient or the update is not finite: the policy has diverged.
    """
    result = run_inner_steps(policy, rollouts, spec, seed, on_step)
    write_update(folder / FOLDER, submit(result.pseudo_gradient), codec_named(spec.codec))
    trace = folder / TRACE_NAME
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_bytes(trace_bytes(result.trace))
    return result.trace
