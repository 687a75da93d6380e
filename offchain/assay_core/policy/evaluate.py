"""How good a policy is: mean reward of what it samples for held-out prompts."""

from assay_core.environments.interface import Environment
from assay_core.policy.interface import Policy
from assay_core.protocol.encoding import derive
from assay_core.protocol.spec import SamplerSpec
from assay_core.protocol.types import Seed
from assay_core.training.seeding import uniforms


def evaluate(policy: Policy, environment: Environment, seed: Seed, count: int, sampler: SamplerSpec) -> float:
    """Mean reward over `count` prompts, one completion each, in [0, 1]; the same for the same seed.

    Sampled as in rollouts, because that is what training improves. The prompts are those of a seed derived under its
    own label, so no trainer's seed ever names them.
    """
    held_out = derive(seed, "held-out")
    prompts = [environment.prompt(held_out, index) for index in range(count)]
    uniforms_BT = uniforms([derive(held_out, index) for index in range(count)], sampler.max_new_tokens)
    generations = policy.generate([policy.encode(prompt.text) for prompt in prompts], uniforms_BT, sampler)
    rewards = [
        environment.reward(prompt, policy.decode(generation.token_ids))
        for prompt, generation in zip(prompts, generations, strict=True)
    ]
    return sum(rewards) / count
