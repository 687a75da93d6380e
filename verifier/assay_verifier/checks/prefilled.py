"""The one batched prefill that TOPLOC, sampling and termination share.

Shapes: R = completions, T = tokens of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from assay_core.bundle.trajectory import Completion, Rollouts
from assay_core.policy.interface import Prefill
from assay_core.protocol.spec import SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.seeding import sample_uniforms


class Prefiller(Protocol):
    def prefill(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], sampler: SamplerSpec
    ) -> list[Prefill]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Prefilled:
    """A completion beside what the declared policy says about it."""

    group: int
    member: int
    row: Completion
    prefill: Prefill
    uniforms_T: npt.NDArray[np.float64]  # what the trainer's seed dictated for each token

    @property
    def interval_errors_T(self) -> npt.NDArray[np.float64]:
        """See `interval_errors`."""
        return interval_errors([self])

    @property
    def ends_inside(self) -> bool:
        """Whether the last uniform lies within its token's interval."""
        return bool(self.prefill.cdf_below_T[-1] <= self.uniforms_T[-1] <= self.prefill.cdf_upto_T[-1])


def interval_errors(checked: Sequence[Prefilled]) -> npt.NDArray[np.float64]:
    """How far each uniform lies outside of the interval of the token that it is said to have drawn; 0 inside.

    Of all tokens of all completions, one after the other; there must be one at least.
    """
    uniforms_M = np.concatenate([item.uniforms_T for item in checked])
    below_M = np.concatenate([item.prefill.cdf_below_T for item in checked]) - uniforms_M
    above_M = uniforms_M - np.concatenate([item.prefill.cdf_upto_T for item in checked])
    return np.maximum(np.maximum(below_M, above_M), 0.0)


def prefill_rollouts(
    policy: Prefiller, rollouts: Rollouts, positions: Sequence[int], spec: TaskSpec, trainer_seed: Seed
) -> list[Prefilled]:
    """Prefill the completions at `positions`; the policy batches as its memory allows.

    Raises Malformed: a token id outside of the vocabulary, or longer than the policy's context.
    """
    rows = [rollouts.completions[position] for position in positions]
    members = [divmod(position, rollouts.group_size) for position in positions]
    prefills = policy.prefill([row.prompt_ids for row in rows], [row.completion_ids for row in rows], spec.sampler)
    uniforms_RT = sample_uniforms(trainer_seed, members, spec)
    return [
        Prefilled(group, member, row, prefill, uniforms_T[: len(row.completion_ids)])
        for (group, member), row, prefill, uniforms_T in zip(members, rows, prefills, uniforms_RT, strict=True)
    ]
