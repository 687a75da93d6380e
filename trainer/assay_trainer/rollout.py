"""Step 2: roll out the policy on the prompts that the submission's seed dictates, and let the environment judge.

Shapes: B completions of one batch, T tokens of a completion, N positions and H width of hidden states.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from assay_core.bundle.trajectory import Completion
from assay_core.policy.interface import Generation
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.seeding import PromptSource, group_uniforms, submission_prompts

BATCH_COMPLETIONS = 256  # whole groups, at least one

P = TypeVar("P", bound="HasText")
P_contra = TypeVar("P_contra", contravariant=True)


class HasText(Protocol):
    @property
    def text(self) -> str: ...


class RolloutEnvironment(PromptSource[P], Protocol[P]):
    """The part of an environment that a rollout needs; see offchain/assay_core/environments/interface.py."""

    def reward(self, prompt: P, completion: str, /) -> float: ...


class Sampler(Protocol):
    """The part of a policy that a rollout needs; see offchain/assay_core/policy/interface.py."""

    def encode(self, text: str) -> list[int]: ...
    def decode(self, token_ids: Sequence[int]) -> str: ...
    def generate(
        self, prompts: Sequence[Sequence[int]], uniforms_BT: npt.NDArray[np.float64], sampler: SamplerSpec
    ) -> list[Generation]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Unproved:
    """A completion that still lacks its proofs, with the hidden states they are made of (bfloat16 bit patterns)."""

    completion: Completion
    hidden_NH: npt.NDArray[np.uint16]


def roll_out(
    policy: Sampler, environment: RolloutEnvironment[P], spec: TaskSpec, seed: Seed
) -> Iterator[list[Unproved]]:
    """All completions of a submission, in order, a batch of whole groups at a time (so that hidden states fit in
    memory).
    """
    prompts = submission_prompts(environment, seed, spec.rollout.groups)
    step = max(1, BATCH_COMPLETIONS // spec.rollout.group_size)
    for first in range(0, len(prompts), step):
        yield _batch(policy, environment, spec, seed, range(first, min(first + step, len(prompts))), prompts)


def _batch(
    policy: Sampler,
    environment: RolloutEnvironment[P],
    spec: TaskSpec,
    seed: Seed,
    groups: range,
    prompts: Sequence[P],
) -> list[Unproved]:
    of_row = [group for group in groups for _ in range(spec.rollout.group_size)]
    tokens = {group: policy.encode(prompts[group].text) for group in groups}
    uniforms_BT = np.concatenate([group_uniforms(seed, group, spec) for group in groups])
    generations = policy.generate([tokens[group] for group in of_row], uniforms_BT, spec.sampler)
    return [
        Unproved(
            Completion(
                group=group,
                prompt_index=group,
                prompt_ids=tuple(tokens[group]),
                completion_ids=generation.token_ids,
                logprobs_T=generation.logprobs_T,
                finish=generation.finish,
                reward=_reward(environment, prompts[group], policy.decode(generation.token_ids)),
                proofs=(),
            ),
            generation.hidden_NH,
        )
        for group, generation in zip(of_row, generations, strict=True)
    ]


def _reward(environment: RolloutEnvironment[P], prompt: P, completion: str) -> float:
    """Raises Malformed: the environment does not do what environments promise."""
    reward = environment.reward(prompt, completion)
    if not 0 <= reward <= 1:  # nor when it is not a number
        raise Malformed(f"the environment gives a completion the reward {reward}, which is no number from 0 to 1")
    return reward
