"""Trainers that cheat, for demonstrations and tests of verification.

Each deviates from the honest trainer in exactly one place and does everything else as it should, down to proofs that
are true of what it really ran. The honest trainer has no adversary: `build_worker(settings)`.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.policy.interface import Policy
from assay_core.protocol.errors import Stop
from assay_core.training.inner import PseudoGradient

NOISE = 0.5  # of each tensor's own standard deviation


class Adversary(Protocol):
    """Where a trainer can depart from the protocol."""

    name: str

    def policy_for_rollout(self, policy: Policy) -> Policy:
        """The policy that rolls out, in place of the one that the submission declares."""
        ...

    def rollouts_for_training(self, rollouts: Rollouts) -> Rollouts:
        """What is trained on, in place of what the submission declares."""
        ...

    def update(self, pseudo_gradient: PseudoGradient) -> PseudoGradient:
        """The update that is submitted, in place of the one that training made."""
        ...


class Honest:
    """Deviates nowhere; others do in one place."""

    name = "honest"

    def policy_for_rollout(self, policy: Policy) -> Policy:
        return policy

    def rollouts_for_training(self, rollouts: Rollouts) -> Rollouts:
        return rollouts

    def update(self, pseudo_gradient: PseudoGradient) -> PseudoGradient:
        return pseudo_gradient


class OtherModel(Honest):
    """Rolls out with another model of the same shape, and proves it honestly: what a cheaper model would look like."""

    name = "other-model"

    def policy_for_rollout(self, policy: Policy) -> Policy:
        other = copy.deepcopy(policy)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in other.trainable().values():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter += NOISE * (parameter.std() if parameter.numel() > 1 else parameter.abs()) * noise
        return other


class AlteredUpdate(Honest):
    """Rolls out and trains honestly, then submits the update with its sign turned: the policy would unlearn."""

    name = "altered-update"

    def update(self, pseudo_gradient: PseudoGradient) -> PseudoGradient:
        return {name: np.negative(tensor) for name, tensor in pseudo_gradient.items()}


class HalfRead(Honest):
    """Trains on the first half of each completion alone: what a trainer would do that is short of time.

    Only a replay shows it: all that can be checked without one hangs together. What it learns is true as far as it
    goes, so a verifier that pays it does the policy little harm: it is what is planted.
    """

    name = "half-read"

    def rollouts_for_training(self, rollouts: Rollouts) -> Rollouts:
        return Rollouts(rollouts.group_size, tuple(_first_half(each) for each in rollouts.completions))


def _first_half(completion: Completion) -> Completion:
    tokens = -(-len(completion.completion_ids) // 2)
    return replace(
        completion, completion_ids=completion.completion_ids[:tokens], logprobs_T=completion.logprobs_T[:tokens]
    )


ADVERSARIES: dict[str, Callable[[], Adversary]] = {kind.name: kind for kind in (OtherModel, AlteredUpdate)}


def make_adversary(name: str) -> Adversary:
    """Raises Stop: there is no such adversary."""
    if name not in ADVERSARIES:
        raise Stop(f"no adversary {name!r}: choose {' or '.join(sorted(ADVERSARIES))}")
    return ADVERSARIES[name]()
