"""How good a policy is: mean reward of what it samples for held-out prompts."""

from offchain.environments.interface import Environment
from offchain.policy.interface import Policy
from offchain.protocol.encoding import derive
from offchain.protocol.spec import SamplerSpec
from offchain.protocol.types import Seed
from offchain.rollouts.seeding import uniforms


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
