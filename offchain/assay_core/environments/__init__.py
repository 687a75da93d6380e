"""Where prompts and rewards come from."""

from assay_core.environments.interface import Environment, Prompt, Solvable
from assay_core.environments.registry import make_environment

__all__ = ["Environment", "Prompt", "Solvable", "make_environment"]
