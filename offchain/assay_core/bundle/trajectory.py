"""What a submission's rollouts are, in memory.

Shapes: T = tokens of one completion (EOS included), G = groups, M = completions of one group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Finish = Literal["eos", "length"]
FINISHES: tuple[Finish, ...] = get_args(Finish)


@dataclass(frozen=True, slots=True, eq=False)
class Completion:
    """One trajectory: the prompt's tokens, the tokens drawn after it, and what the trainer claims about them."""

    group: int  # 0..G-1
    prompt_index: int  # `environment.prompt(seed, prompt_index)`; equals `group`
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]  # [T], T >= 1
    logprobs_T: npt.NDArray[np.float32]  # log-probability of each token under the sampler (temperature applied)
    finish: Finish
    reward: float
    proofs: tuple[bytes, ...]  # TOPLOC, see offchain/assay_core/toploc


@dataclass(frozen=True, slots=True, eq=False)
class Rollouts:
    """All G × M completions of a submission, in order of group and member."""

    group_size: int
    completions: tuple[Completion, ...]

    @property
    def groups(self) -> int:
        return len(self.completions) // self.group_size

    @property
    def tokens(self) -> int:
        return sum(len(completion.completion_ids) for completion in self.completions)

    @property
    def mean_reward(self) -> float:
        return float(np.mean([completion.reward for completion in self.completions]))

    def group(self, index: int) -> Sequence[Completion]:
        """The M completions of one group, by member."""
        return self.completions[index * self.group_size : (index + 1) * self.group_size]
