"""Sort digits: the smallest environment on which a model visibly learns.

The prompt `314159=` asks for `113459`.
"""

from assay_core.environments.interface import Prompt
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Seed

MAX_DIGITS = 48  # 256 bits of seed stay uniform over 10^48 up to a bias of 10^-29
ALPHABET = "0123456789="  # all that prompts and solutions are written with


class Sorting:
    """`digits` per prompt; reward 1 for the sorted line and else 0, or, when `partial`, the share of right places."""

    def __init__(self, digits: int = 6, partial: bool = False) -> None:
        if not 1 <= digits <= MAX_DIGITS:
            raise Malformed(f"sorting takes 1 to {MAX_DIGITS} digits, not {digits}")
        self.digits = digits
        self.partial = partial

    def prompt(self, seed: Seed, index: int) -> Prompt:
        number = int.from_bytes(derive(seed, "sorting", index), "big") % 10**self.digits
        line = str(number).zfill(self.digits)
        return Prompt(f"{line}=", {"line": line})

    def solution(self, prompt: Prompt) -> str:
        return "".join(sorted(str(prompt.data["line"])))

    def reward(self, prompt: Prompt, completion: str) -> float:
        wanted = self.solution(prompt)
        if not self.partial or len(completion) > len(wanted):
            return float(completion == wanted)
        hits = sum(got == want for got, want in zip(completion, wanted, strict=False))  # a short answer misses places
        return hits / len(wanted)
