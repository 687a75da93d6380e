"""How good a policy is: mean reward of its most likely answers to held-out prompts."""

from offchain.environments.interface import Environment
from offchain.policy.interface import Policy
from offchain.protocol.encoding import derive
from offchain.protocol.types import Seed


def evaluate(policy: Policy, environment: Environment, seed: Seed, count: int, max_new_tokens: int) -> float:
    """Mean greedy reward over `count` prompts, in [0, 1].

    The prompts are those of a seed derived under its own label, so no trainer's seed ever names them.
    """
    held_out = derive(seed, "held-out")
    prompts = [environment.prompt(held_out, index) for index in range(count)]
    completions = policy.generate_greedy([policy.encode(prompt.text) for prompt in prompts], max_new_tokens)
    rewards = [environment.reward(prompt, policy.decode(ids)) for prompt, ids in zip(prompts, completions, strict=True)]
    return sum(rewards) / count
