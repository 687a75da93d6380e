"""Cheats in a training that is replayed step by step: in its states, or in the gradients between states that fit.

One step differs from what the recipe makes of the state before it, or all do. The first is found if that step is drawn,
so in `checks.steps_replayed` of `recipe.inner_steps` drawn submissions; the others in every drawn submission.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from assay_core.protocol.errors import Reason
from assay_core.training.inner import Learner, borrowed, in_float32, plan_of
from assay_core.training.states import InnerState, state_name
from tests.cheats.cheat import Catalogue, Seen
from tests.cheats.forging import Gradients, train_with
from tests.cheats.scene import EARLIER, Scene
from tests.cheats.update_cheats import scaled
from tests.submissions import Draft

STEP_CHEATS = Catalogue(is_step_wise=True)
fraud, refused = STEP_CHEATS.fraud, STEP_CHEATS.refused
DIRECTION, LENGTH, LARGEST = "replay direction", "replay length", "replay largest"
FIRST, SECOND = "replay first moment", "replay second moment"
HANDED_IN, HANGING_TOGETHER = "training states", "training steps"
FEW = 8


def chosen_step(scene: Scene, run: int) -> int:
    """The step that is altered: the cheat does not know which will be drawn."""
    return int(scene.generator(run, "step").integers(1, scene.spec.recipe.inner_steps))


def with_gradients(scene: Scene, run: int, alter: Callable[[int, Gradients], None]) -> Draft:
    """Honest rollouts, and a training that goes as AdamW goes, but for its gradients."""
    draft = scene.honest(run)
    update, trace, states = train_with(scene.policy, draft.rollouts, scene.spec, scene.seed(run), alter)
    return replace(draft, update=update, trace=trace, states=states)


def with_state(draft: Draft, step: int, state: InnerState) -> Draft:
    """One state replaced, in the trace too; the update is what the last state says."""
    states = (*draft.states[:step], state, *draft.states[step + 1 :])
    trace = tuple(replace(each, state=found.digest()) for each, found in zip(draft.trace, states, strict=True))
    moved = draft.states[-1].parameters, states[-1].parameters
    update = {name: value + (moved[0][name] - moved[1][name]) for name, value in draft.update.items()}
    return replace(draft, states=states, trace=trace, update=update)


def with_files(scene: Scene, run: int, change: Callable[[Path], None]) -> Draft:
    return replace(scene.honest(run), tamper=change)


# ---- gradients that the recipe does not give


@fraud("one step against the gradient", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.STEP)
def turned(scene: Scene, run: int) -> Draft:
    """Rotation the gradient in one of four steps, with states that hang together."""
    step = chosen_step(scene, run)

    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for gradient in gradients.values():
                gradient.neg_()

    return with_gradients(scene, run, alter)


@fraud("one step skipped, in states that hang together", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.STEP)
def reused(scene: Scene, run: int) -> Draft:
    """Saves one step in four: takes it with the gradient of the step before."""
    step, kept = chosen_step(scene, run), dict[str, torch.Tensor]()

    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for name, gradient in gradients.items():
                gradient.copy_(kept[name])
        kept.update({name: gradient.clone() for name, gradient in gradients.items()})

    return with_gradients(scene, run, alter)


@fraud("one step on nothing", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.STEP)
def idle(scene: Scene, run: int) -> Draft:
    """Takes one step in four with a gradient of zero: the moments alone move it."""
    step = chosen_step(scene, run)

    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for gradient in gradients.values():
                gradient.zero_()

    return with_gradients(scene, run, alter)


@fraud("one step on other data", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.STEP)
def other_data(scene: Scene, run: int) -> Draft:
    """Trains one step in four on a batch of its own choice; the trace names the seed's."""
    draft, step = scene.honest(run), chosen_step(scene, run)
    other = gradient_of(scene, run, (step + 1) % scene.spec.recipe.inner_steps, draft.states[step - 1])

    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for name, gradient in gradients.items():
                gradient.copy_(other[name])

    return with_gradients(scene, run, alter)


@in_float32()
def gradient_of(scene: Scene, run: int, batch: int, at: InnerState) -> Gradients:
    plan = plan_of(scene.honest(run).rollouts, scene.spec, scene.seed(run))
    samples = plan.samples(batch)
    with borrowed(scene.policy):
        learner = Learner(scene.policy, scene.spec)
        learner.resume(1, at)
        learner.gradient(samples, sum(len(each.completion.completion_ids) for each in samples))
        return {name: value.grad.clone() for name, value in learner.parameters.items() if value.grad is not None}


@fraud(
    "poison in a few elements of one step", Reason.REPLAY_MISMATCH, DIRECTION, LENGTH, LARGEST, FIRST, seen=Seen.STEP
)
def few_elements(scene: Scene, run: int) -> Draft:
    """Rotation the gradient of the eight elements that move furthest, in one step of four."""
    draft, step = scene.honest(run), chosen_step(scene, run)
    first = draft.states[step].first
    flat = np.concatenate([first[name].reshape(-1) for name in sorted(first)])
    least = np.sort(np.abs(flat))[-FEW]

    def alter(number: int, gradients: Gradients) -> None:
        if number == step:
            for name, gradient in gradients.items():
                gradient[torch.from_numpy(np.abs(first[name]) >= least)] *= -10.0

    return with_gradients(scene, run, alter)


@fraud("gradients of noise", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def noise(scene: Scene, run: int) -> Draft:
    """Does not train: follows gradients of noise, of the right length, with states that hang together."""
    random = torch.Generator().manual_seed(run)

    def alter(number: int, gradients: Gradients) -> None:
        for gradient in gradients.values():
            gradient.copy_(torch.randn(gradient.shape, generator=random) * gradient.norm() / gradient.numel() ** 0.5)

    return with_gradients(scene, run, alter)


@fraud("the states of another run", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def other_run(scene: Scene, run: int) -> Draft:
    """Does not train: submits update and states of the epoch before under this one's trace."""
    draft, other = scene.honest(run), scene.honest(run + EARLIER)
    trace = tuple(replace(each, groups=own.groups) for each, own in zip(other.trace, draft.trace, strict=True))
    return replace(draft, update=other.update, states=other.states, trace=trace)


# ---- states that do not hang together


@refused("a step that stands still", Reason.BAD_UPDATE, HANGING_TOGETHER)
def standing_still(scene: Scene, run: int) -> Draft:
    """Hands in the same state twice, one step after the other."""
    draft, step = scene.honest(run), chosen_step(scene, run)
    return with_state(draft, step, draft.states[step - 1])


@refused("one step at another learning rate", Reason.BAD_UPDATE, HANGING_TOGETHER)
def other_rate(scene: Scene, run: int) -> Draft:
    """Goes twice as far in the last step as AdamW goes with these moments."""
    draft = scene.honest(run)
    last, before = draft.states[-1], draft.states[-2].parameters
    further = {name: value + (value - before[name]) for name, value in last.parameters.items()}
    return with_state(draft, len(draft.states) - 1, replace(last, parameters=further))


@refused("poisoned first moments", Reason.BAD_UPDATE, HANGING_TOGETHER)
def poisoned_first(scene: Scene, run: int) -> Draft:
    """Triples the first moments after one step, which would carry its direction through all steps that follow."""
    draft, step = scene.honest(run), chosen_step(scene, run)
    state = draft.states[step]
    return with_state(draft, step, replace(state, first=scaled(dict(state.first), 3.0)))


@refused("poisoned second moments", Reason.BAD_UPDATE, HANGING_TOGETHER)
def poisoned_second(scene: Scene, run: int) -> Draft:
    """Sets second moments to almost nothing, which would make the next step of these elements a giant's."""
    draft, step = scene.honest(run), chosen_step(scene, run)
    state = draft.states[step]
    return with_state(draft, step, replace(state, second=scaled(dict(state.second), 1e-12)))


@refused("an update that is not what the states say", Reason.BAD_UPDATE, HANDED_IN)
def other_update(scene: Scene, run: int) -> Draft:
    """States of an honest training, and an update that is 5 percent longer."""
    draft = scene.honest(run)
    return replace(draft, update=scaled(draft.update, 1.05))


@refused("a poisoned last state", Reason.BAD_UPDATE, HANGING_TOGETHER)
def poisoned_last(scene: Scene, run: int) -> Draft:
    """Trains honestly and adds poison to a few elements of the last state, and so of the update."""
    draft = scene.honest(run)
    last = draft.states[-1]
    name = min(last.parameters)
    poisoned = last.parameters[name].copy()
    poisoned.reshape(-1)[:FEW] += np.float32(10 * scene.spec.recipe.lr)
    return with_state(draft, len(draft.states) - 1, replace(last, parameters={**last.parameters, name: poisoned}))


@refused("states that the trace does not name", Reason.BAD_UPDATE, HANDED_IN)
def untraced(scene: Scene, run: int) -> Draft:
    """Hands in the states of another run beside its own trace and update."""
    return replace(scene.honest(run), states=scene.honest(run + EARLIER).states)


# ---- files


@refused("no inner steps at all", Reason.BAD_UPDATE, "update trace")
def no_steps(scene: Scene, run: int) -> Draft:
    """Says that there was nothing to learn: no steps, no states, an update of zero."""
    draft = scene.honest(run)
    return replace(draft, update=scaled(draft.update, 0.0), trace=(), states=())


@refused("a state missing", Reason.MALFORMED, "bytes")
def missing(scene: Scene, run: int) -> Draft:
    """Leaves one state out, in the hope that its step cannot be checked then."""
    step = chosen_step(scene, run)
    return with_files(scene, run, lambda folder: (folder / state_name(step)).unlink())


@refused("a state too many", Reason.MALFORMED, "bytes")
def too_many(scene: Scene, run: int) -> Draft:
    """Adds a state after the last."""
    last = scene.spec.recipe.inner_steps

    def copy(folder: Path) -> None:
        shutil.copy(folder / state_name(0), folder / state_name(last))

    return with_files(scene, run, copy)


@refused("a state too short", Reason.BAD_UPDATE, HANDED_IN)
def too_short(scene: Scene, run: int) -> Draft:
    """Cuts the end off one state."""

    def cut(folder: Path) -> None:
        path = folder / state_name(1)
        path.write_bytes(path.read_bytes()[:-4])

    return with_files(scene, run, cut)


@refused("a state of megabytes", Reason.BAD_UPDATE, HANDED_IN)
def oversized(scene: Scene, run: int) -> Draft:
    """Adds a tensor of zeros to one state, which every verifier would have to read."""
    return with_files(scene, run, lambda folder: _rewrite(folder, lambda all_: all_ | {"x": np.zeros(2**18, "f")}))


@refused("not a number among the moments", Reason.BAD_UPDATE, HANDED_IN)
def not_a_number(scene: Scene, run: int) -> Draft:
    """Puts NaN into a second moment, which compares with nothing."""

    def poison(tensors: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        name = next(name for name in sorted(tensors) if name.endswith("#second"))
        return tensors | {name: np.full_like(tensors[name], np.nan)}

    return with_files(scene, run, lambda folder: _rewrite(folder, poison))


def _rewrite(folder: Path, change: Callable[[dict[str, npt.NDArray[Any]]], dict[str, npt.NDArray[Any]]]) -> None:
    path = folder / state_name(1)
    save_file(change(load_file(path)), path)
