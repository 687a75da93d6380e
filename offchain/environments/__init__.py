"""Where prompts and rewards come from."""

from offchain.environments.interface import Environment, Prompt, Solvable
from offchain.environments.registry import make_environment

__all__ = ["Environment", "Prompt", "Solvable", "make_environment"]
