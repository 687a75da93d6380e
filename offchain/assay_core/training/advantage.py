"""Group-relative advantages (GRPO, arXiv:2402.03300 §4.1.2)."""

import numpy as np
import numpy.typing as npt

from assay_core.bundle.trajectory import Rollouts

STD_EPSILON = 1e-6
SAME = 4.0  # rewards no further apart than so many tolerances count as equal; bending equal ones makes 2 of them


def group_advantages(rewards_M: npt.NDArray[np.float64], tolerance: float) -> npt.NDArray[np.float64]:
    """(r - mean) / (std + epsilon) over the completions of one prompt, [M]; zero where all rewards are equal.

    Equal up to what the reward check tolerates: the division by the spread would make full advantages, of the trainer's
    own choice, out of equal rewards that it has bent by less than anybody notices.
    """
    if rewards_M.max() - rewards_M.min() <= SAME * tolerance:
        return np.zeros_like(rewards_M)
    return (rewards_M - rewards_M.mean()) / (rewards_M.std() + STD_EPSILON)


def informative_groups(rollouts: Rollouts, tolerance: float) -> dict[int, npt.NDArray[np.float64]]:
    """Advantages [M] by group, without the groups that teach nothing because all their rewards are equal.

    `tolerance` is the task's `checks.reward_tolerance`.
    """
    advantages: dict[int, npt.NDArray[np.float64]] = {}
    for group in range(rollouts.groups):
        rewards_M = np.array([completion.reward for completion in rollouts.group(group)], dtype=np.float64)
        advantages_M = group_advantages(rewards_M, tolerance)
        if advantages_M.any():
            advantages[group] = advantages_M
    return advantages
