"""Cheats in the training: too little of it, another kind, none at all, or an update that does harm."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from assay_core.aggregation.exact import l2_norm
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Reason
from assay_core.training.inner import PseudoGradient
from assay_core.training.trace import StepTrace
from assay_trainer.adversaries import AlteredUpdate
from tests.cheats.cheat import Catalogue, Seen
from tests.cheats.scene import COLLEAGUE, EARLIER, Scene
from tests.submissions import Draft

UPDATE_CHEATS = Catalogue()
fraud, refused = UPDATE_CHEATS.fraud, UPDATE_CHEATS.refused
DIRECTION, LENGTH, LARGEST, NORM = "replay direction", "replay length", "replay largest", "update norm"
FEW = 8


def with_update(scene: Scene, run: int, change: Callable[[PseudoGradient], PseudoGradient]) -> Draft:
    """An honest submission, its trace included, but for the update."""
    draft = scene.honest(run)
    return replace(draft, update=change(draft.update))


def scaled(update: PseudoGradient, factor: float) -> PseudoGradient:
    return {name: value * np.float32(factor) for name, value in update.items()}


def plus(update: PseudoGradient, other: PseudoGradient) -> PseudoGradient:
    return {name: value + other[name] for name, value in update.items()}


def noise_like(scene: Scene, run: int, update: PseudoGradient, share: float) -> PseudoGradient:
    """Gaussian, with a length of `share` times that of `update`."""
    generator = scene.generator(run, "noise")
    noise = {name: generator.standard_normal(value.shape).astype(np.float32) for name, value in update.items()}
    return scaled(noise, share * l2_norm(update.values()) / l2_norm(noise.values()))


@fraud("fewer inner steps", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def fewer_steps(scene: Scene, run: int) -> Draft:
    """Takes half of the inner steps and invents the rest of the trace."""
    draft, recipe = scene.honest(run), scene.spec.recipe
    few = recipe.model_copy(update={"inner_steps": recipe.inner_steps // 2})
    return replace(draft, update=scene.train(draft.rollouts, scene.seed(run), few)[0])


@refused("fewer inner steps, traced", Reason.BAD_UPDATE, "update trace")
def fewer_steps_traced(scene: Scene, run: int) -> Draft:
    """Takes half of the inner steps and says so in the trace."""
    draft, recipe = scene.honest(run), scene.spec.recipe
    few = recipe.model_copy(update={"inner_steps": recipe.inner_steps // 2})
    update, trace = scene.train(draft.rollouts, scene.seed(run), few)
    return replace(draft, update=update, trace=trace)


@fraud("one step skipped", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def step_skipped(scene: Scene, run: int) -> Draft:
    """Does not move in the third of four steps; the trace says nothing of it."""
    draft, parameters = scene.honest(run), scene.policy.trainable()
    before: dict[str, torch.Tensor] = {}

    def skip_third(number: int, _: StepTrace) -> None:
        if number == 1:
            before.update({name: value.detach().clone() for name, value in parameters.items()})
        if number == 2:
            with torch.no_grad():
                for name, value in parameters.items():
                    value.copy_(before[name])

    return replace(draft, update=scene.train(draft.rollouts, scene.seed(run), on_step=skip_third)[0])


@fraud("another learning rate", Reason.REPLAY_MISMATCH, LENGTH, DIRECTION, seen=Seen.REPLAY)
def other_rate(scene: Scene, run: int) -> Draft:
    """Trains with a learning rate 10 percent above the recipe's."""
    draft, recipe = scene.honest(run), scene.spec.recipe
    hot = recipe.model_copy(update={"lr": recipe.lr * 1.1})
    return replace(draft, update=scene.train(draft.rollouts, scene.seed(run), hot)[0])


@fraud("weight decay of its own", Reason.REPLAY_MISMATCH, LENGTH, DIRECTION, seen=Seen.REPLAY)
def weight_decay(scene: Scene, run: int) -> Draft:
    """Adds a weight decay of 1, which pulls the policy towards nothing, to the recipe."""
    draft, recipe = scene.honest(run), scene.spec.recipe
    decayed = recipe.model_copy(update={"weight_decay": 1.0})
    return replace(draft, update=scene.train(draft.rollouts, scene.seed(run), decayed)[0])


@fraud("another data order", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def other_order(scene: Scene, run: int) -> Draft:
    """Trains on batches of its own choice; the trace names those of the seed."""
    draft = scene.honest(run)
    return replace(draft, update=scene.train(draft.rollouts, derive(scene.seed(run), "own order"))[0])


@refused("another data order, traced", Reason.BAD_UPDATE, "update trace")
def other_order_traced(scene: Scene, run: int) -> Draft:
    """Trains on batches of its own choice and says so in the trace."""
    draft = scene.honest(run)
    update, trace = scene.train(draft.rollouts, derive(scene.seed(run), "own order"))
    return replace(draft, update=update, trace=trace)


@fraud("a zero update", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def zero_update(scene: Scene, run: int) -> Draft:
    """Does not train: the update is zero, the trace invented."""
    return with_update(scene, run, lambda update: scaled(update, 0.0))


@fraud("an update of noise", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def noise_update(scene: Scene, run: int) -> Draft:
    """Does not train: the update is noise of the right length."""
    return with_update(scene, run, lambda update: noise_like(scene, run, update, 1.0))


@fraud("the sign flipped", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def sign_flipped(scene: Scene, run: int) -> Draft:
    """Trains, and submits the update with its sign turned: the policy would unlearn."""
    return with_update(scene, run, AlteredUpdate().update)


@fraud("the update ten times as long", Reason.BAD_UPDATE, NORM)
def ten_times(scene: Scene, run: int) -> Draft:
    """Trains, and submits ten times the update, to outweigh all others. No AdamW steps are that long."""
    return with_update(scene, run, lambda update: scaled(update, 10.0))


@fraud("the update twice as long", Reason.REPLAY_MISMATCH, LENGTH, seen=Seen.REPLAY)
def twice(scene: Scene, run: int) -> Draft:
    """Trains, and submits twice the update, within what the recipe could produce."""
    return with_update(scene, run, lambda update: scaled(update, 2.0))


@fraud("a poison direction inside the norm bound", Reason.REPLAY_MISMATCH, DIRECTION, seen=Seen.REPLAY)
def poison(scene: Scene, run: int) -> Draft:
    """Adds a direction of its own, a tenth as long as the update, and shortens the sum to the honest length."""
    return with_update(scene, run, lambda update: poisoned(scene, run, update, 0.1))


def poisoned(scene: Scene, run: int, update: PseudoGradient, share: float) -> PseudoGradient:
    mixed = plus(update, noise_like(scene, run, update, share))
    return scaled(mixed, l2_norm(update.values()) / l2_norm(mixed.values()))


@fraud("poison in a few elements", Reason.REPLAY_MISMATCH, LARGEST, DIRECTION, seen=Seen.REPLAY)
def few_elements(scene: Scene, run: int) -> Draft:
    """Moves eight elements half as far again as the furthest was moved: next to nothing beside all others."""

    def poison(update: PseudoGradient) -> PseudoGradient:
        name = max(update, key=lambda each: update[each].size)
        places = scene.generator(run, "few elements").choice(update[name].size, FEW, replace=False)
        furthest = max(float(np.abs(value).max()) for value in update.values())
        poisoned = update[name].copy()
        poisoned.reshape(-1)[places] = np.float32(-1.5 * furthest) * np.sign(poisoned.reshape(-1)[places])
        return {**update, name: poisoned}

    return with_update(scene, run, poison)


@fraud(
    "last epoch's update again",
    Reason.REPLAY_MISMATCH,
    DIRECTION,
    steals=lambda scene, run: scene.honest(run + EARLIER),
)
def last_update(scene: Scene, run: int) -> Draft:
    """Does not train: submits the update of the epoch before. A duplicate is replayed whatever the draw says."""
    return with_update(scene, run, lambda _: scene.honest(run + EARLIER).update)


@fraud(
    "a colleague's update with noise",
    Reason.REPLAY_MISMATCH,
    DIRECTION,
    steals=lambda scene, run: scene.honest(run, COLLEAGUE),
)
def colleagues_update(scene: Scene, run: int) -> Draft:
    """Does not train: submits a colleague's update with noise of half its length. It is as good as a duplicate."""
    stolen = scene.honest(run, COLLEAGUE).update
    return with_update(scene, run, lambda _: plus(stolen, noise_like(scene, run, stolen, 0.5)))
