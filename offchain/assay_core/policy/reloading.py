"""Whether a policy's files give back the policy, and whether what it samples can be proved: asked before money moves.

Everybody else has the files alone. A model that loads as another one, or that cannot be continued from a cache, would
take an escrow that nobody can earn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assay_core.policy.batching import pad_right
from assay_core.policy.bundle import load_policy
from assay_core.policy.causal import CausalPolicy
from assay_core.policy.local_model import line, listed
from assay_core.protocol.errors import Malformed, Stop
from assay_core.protocol.spec import SamplerSpec

NOISE = 1e-2  # in a logprob, between ways through the same weights; another model is off by far more
TOKENS_TRIED = 4
NO_CACHE = "Assay cannot sample from this architecture, which keeps more than keys and values between tokens"


def require_reloading(policy: CausalPolicy, directory: Path) -> None:
    """Raises Stop: the files in `directory` do not load, or are another policy than the one that was saved there."""
    try:
        loaded = load_policy(directory)
    except Malformed as error:
        raise Stop(f"nobody could load this policy from its files: {error}") from error
    _require_same(_numbers(policy), _numbers(loaded))
    ids_BN = pad_right(_sequences(policy)[0])
    with torch.inference_mode():
        ours, theirs = (each.backbone.logits(each.backbone.hidden(ids_BN)) for each in (policy, loaded))
    if not torch.allclose(ours, theirs, atol=NOISE):
        raise Stop("the policy that its files hold gives other logits than the model: it has state that is not saved")
    require_sampling(loaded)


def require_sampling(policy: CausalPolicy) -> None:
    """Raises Stop: tokens that are sampled, or proved, one after the other are not those of one plain pass."""
    prompts, completions = _sequences(policy)
    sampler = SamplerSpec(max_new_tokens=len(completions[0]))
    uniforms_BT = np.random.default_rng(0).random((len(prompts), sampler.max_new_tokens))
    try:
        made = policy.generate(prompts, uniforms_BT, sampler)
        proved = policy.prefill(prompts, completions, sampler)
    except Exception as error:  # each architecture fails in its own way
        raise Stop(f"{NO_CACHE} ({type(error).__name__}: {line(error)})") from error
    sampled = [(list(each.token_ids), each.logprobs_T) for each in made]
    sampled += [(ids, each.logprobs_T) for ids, each in zip(completions, proved, strict=True)]
    with torch.inference_mode():
        for prompt, (ids, logprobs_T) in zip([*prompts, *prompts], sampled, strict=True):
            plain_T = policy.token_logprobs([prompt], [ids], sampler.temperature)[0][0]
            if not np.allclose(plain_T.numpy(), logprobs_T, atol=NOISE):
                raise Stop(f"{NO_CACHE} (what it samples depends on how it is batched)")


def _sequences(policy: CausalPolicy) -> tuple[list[list[int]], list[list[int]]]:
    """Unequal prompts and what follows them, as long as the context allows."""
    ids = [1 + 7 * place % max(1, policy.vocabulary - 1) for place in range(12)]
    new = max(1, min(TOKENS_TRIED, policy.context_tokens // 2))
    longest = max(1, min(6, policy.context_tokens - new))
    ids = [each % policy.vocabulary for each in ids]
    return [ids[:longest], ids[:1]], [ids[-new:], ids[:new]]


def _numbers(policy: CausalPolicy) -> dict[str, torch.Tensor]:
    module: Any = policy.backbone.module()
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _require_same(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    both = ours.keys() & theirs.keys()
    other = (ours.keys() ^ theirs.keys()) | {name for name in both if not torch.equal(ours[name], theirs[name])}
    if other:
        raise Stop(f"the policy's files do not give these weights back as they were: {listed(other)}")
