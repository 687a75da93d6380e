"""Any dataset of `reasoning-gym` as an environment: procedurally generated questions with checked answers."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from reasoning_gym.factory import DATASETS, create_dataset
from reasoning_gym.utils import extract_answer

from assay_core.environments.interface import Prompt
from assay_core.protocol.encoding import derive
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Seed

# Their scorers hand the answer to Python's eval, some by way of sympy: a completion could run code at every verifier.
EVALUATE_ANSWERS = frozenset(
    {
        "binary_matrix",
        "countdown",
        "intermediate_integration",
        "n_queens",
        "polynomial_multiplication",
        "puzzle24",
        "simple_integration",
        "spiral_matrix",
        "string_insertion",
    }
)
# Their questions follow the order of Python sets of strings, which differs from process to process.
NOT_REPRODUCIBLE = frozenset({"isomorphic_strings", "knight_swap", "list_functions", "ransom_note", "word_ladder"})
# Their scorers write a number out in full that the answer names by its exponent: "1e999999999" would never end.
EXPLODES_NUMBERS = frozenset({"coin_flip"})
TAKES_DATASETS = frozenset({"composite"})
REFUSED = EVALUATE_ANSWERS | EXPLODES_NUMBERS | NOT_REPRODUCIBLE | TAKES_DATASETS
MAX_ANSWER_CHARS = 16_384
Entry = dict[str, Any]


class ReasoningGym:
    """Questions of one dataset. The answer is what stands in `<answer>` tags, or else the whole completion."""

    def __init__(self, dataset: str, args: Mapping[str, int | str | bool]) -> None:
        if dataset not in DATASETS:
            raise Malformed(f"reasoning-gym has no dataset {dataset[:80]!r}")
        if dataset in REFUSED:
            raise Malformed(f"reasoning-gym/{dataset} is refused: unsafe to judge, or not the same on every machine")
        if {"seed", "size"} & set(args):
            raise Malformed("reasoning-gym: seed and size are not for the task to choose")
        self.dataset = dataset
        self._args = dict(args)
        self._entry = lru_cache(maxsize=4_096)(self._make_entry)
        self._entry(0)  # impossible arguments show here

    def prompt(self, seed: Seed, index: int) -> Prompt:
        number = int.from_bytes(derive(seed, "reasoning-gym", self.dataset, index)[:4], "big") >> 1
        _, entry = self._entry(number)
        return Prompt(str(entry["question"]), {"dataset": self.dataset, "number": number})

    def reward(self, prompt: Prompt, completion: str) -> float:
        number = prompt.data["number"]
        if not isinstance(number, int):
            raise ValueError("this prompt is of another environment")
        dataset, entry = self._entry(number)
        answer = extract_answer(completion[:MAX_ANSWER_CHARS]) or completion.strip()
        if len(completion) > MAX_ANSWER_CHARS:
            return 0.0
        try:
            score = float(dataset.score_answer(answer, entry))
        except Exception:  # noqa: BLE001  # scorers raise anything on a stranger's text: what cannot be scored is wrong
            return 0.0
        return min(1.0, max(0.0, score)) if math.isfinite(score) else 0.0

    def solution(self, prompt: Prompt) -> str:
        number = prompt.data["number"]
        assert isinstance(number, int)
        return str(self._entry(number)[1]["answer"])

    def _make_entry(self, number: int) -> tuple[Any, Entry]:
        """Dataset and entry that `number` seeds. Raises Malformed: arguments that the dataset does not take."""
        try:
            dataset = create_dataset(self.dataset, seed=number, size=1, **self._args)
        except (TypeError, ValueError, AssertionError) as error:
            raise Malformed(f"reasoning-gym/{self.dataset}: {error}") from error
        return dataset, dataset[0]
