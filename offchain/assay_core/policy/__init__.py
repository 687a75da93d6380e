"""The model being trained; the only place that knows architectures."""

from assay_core.policy.bundle import load_policy, save_policy
from assay_core.policy.evaluate import evaluate
from assay_core.policy.initial import initial_policy
from assay_core.policy.interface import Generation, Policy, Prefill
from assay_core.policy.reloading import require_reloading

__all__ = [
    "Generation",
    "Policy",
    "Prefill",
    "evaluate",
    "initial_policy",
    "load_policy",
    "require_reloading",
    "save_policy",
]
