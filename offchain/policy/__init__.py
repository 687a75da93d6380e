"""The model being trained; the only place that knows architectures."""

from offchain.policy.bundle import load_policy, save_policy
from offchain.policy.evaluate import evaluate
from offchain.policy.initial import initial_policy
from offchain.policy.interface import Generation, Policy, Prefill
from offchain.policy.weights import write_successor

__all__ = [
    "Generation",
    "Policy",
    "Prefill",
    "evaluate",
    "initial_policy",
    "load_policy",
    "save_policy",
    "write_successor",
]
