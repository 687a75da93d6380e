"""What an environment is: prompts out of a seed, rewards out of a completion, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from assay_core.protocol.encoding import Json
from assay_core.protocol.types import Seed


@dataclass(frozen=True, slots=True)
class Prompt:
    """`text` is what the policy reads; `data` is what the environment needs to judge the answer."""

    text: str
    data: Mapping[str, Json] = field(default_factory=dict[str, Json])


class Environment(Protocol):
    """Both methods are pure: any machine gets the same prompt and the same reward."""

    def prompt(self, seed: Seed, index: int) -> Prompt:
        """The `index`-th prompt of the endless list that `seed` names."""
        ...

    def reward(self, prompt: Prompt, completion: str) -> float:
        """Finite, in [0, 1], for any text whatever: completions come from strangers."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """An environment that knows the right answers; a policy's supervised warm-up needs them."""

    def solution(self, prompt: Prompt) -> str:
        """A completion whose reward is 1, without the end-of-sequence token."""
        ...
