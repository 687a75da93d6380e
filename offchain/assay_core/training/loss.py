"""GRPO's policy loss with two-sided clipping.

Shapes: B completions, T tokens (padded).
Source: INTELLECT-2, arXiv:2505.07291 §3.4; the lower bound on the ratio is PPO's, the upper one (`clip_max`)
stops tokens with negative advantage and a huge ratio from dominating the gradient.
"""

import torch
from torch import Tensor

from assay_core.protocol.spec import RecipeSpec

MAX_LOG_RATIO = 20.0  # exp(20) is far above any clip, and finite


def token_objective(
    logprobs_BT: Tensor, sampled_logprobs_BT: Tensor, advantages_B: Tensor, recipe: RecipeSpec
) -> Tensor:
    """min(min(ratio, clip_max) * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A) per token, [B, T].

    The importance ratio is taken against what the *sampler* assigned, so it also corrects for a stale policy.
    """
    log_ratio_BT = (logprobs_BT - sampled_logprobs_BT).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio_BT = log_ratio_BT.exp()
    advantages_B1 = advantages_B.unsqueeze(1)
    bounded_BT = ratio_BT.clamp(max=recipe.clip_max) * advantages_B1
    clipped_BT = ratio_BT.clamp(1 - recipe.clip_low, 1 + recipe.clip_high) * advantages_B1
    return torch.minimum(bounded_BT, clipped_BT)


def token_sum_loss(
    logprobs_BT: Tensor, sampled_logprobs_BT: Tensor, advantages_B: Tensor, mask_BT: Tensor, recipe: RecipeSpec
) -> Tensor:
    """Minus the objective, summed over the tokens where the mask is 1; divide by their number over the whole batch."""
    objective_BT = token_objective(logprobs_BT, sampled_logprobs_BT, advantages_B, recipe)
    return -(objective_BT * mask_BT).sum()
