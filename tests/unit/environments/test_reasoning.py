"""reasoning-gym behind our interface: the same questions everywhere, and no dataset that runs a stranger's answer."""

import inspect
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reasoning_gym.factory import DATASETS

from assay_core.environments import Solvable, make_environment
from assay_core.environments.reasoning import (
    EVALUATE_ANSWERS,
    EXPLODES_NUMBERS,
    MAX_ANSWER_CHARS,
    REFUSED,
    ReasoningGym,
)
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec
from assay_core.protocol.types import Seed

SEED = Seed(bytes(range(32)))
ASK = """
from assay_core.environments.reasoning import ReasoningGym
environment = ReasoningGym("word_sorting", {})
print([environment.prompt(bytes(range(32)), i).text for i in range(3)])
"""


@pytest.fixture(scope="module")
def spelling() -> ReasoningGym:
    return ReasoningGym("spell_backward", {"max_word_len": 5})


def test_spec_names_a_dataset() -> None:
    environment = make_environment(EnvironmentSpec(name="reasoning-gym/gcd", args={"max_numbers": 2}))

    assert "greatest common divisor" in environment.prompt(SEED, 0).text.lower()
    assert isinstance(environment, Solvable)


@pytest.mark.slow
def test_prompts_follow_from_seed_and_index_alone(spelling: ReasoningGym) -> None:
    again = ReasoningGym("spell_backward", {"max_word_len": 5})

    assert [spelling.prompt(SEED, i) for i in range(5)] == [again.prompt(SEED, i) for i in range(5)]
    assert len({spelling.prompt(SEED, i).text for i in range(30)}) > 20


@pytest.mark.slow  # two processes that import all datasets
def test_other_processes_get_the_same_prompts() -> None:
    def ask(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, check=True, text=True)
        return run.stdout

    assert ask("1") == ask("2")


@pytest.mark.parametrize("dataset", ["spell_backward", "chain_sum", "basic_arithmetic", "word_sorting", "leg_counting"])
def test_right_answer_earns_one_in_tags_or_bare(dataset: str) -> None:
    environment = ReasoningGym(dataset, {})
    prompt = environment.prompt(SEED, 3)
    answer = environment.solution(prompt)

    assert environment.reward(prompt, answer) == 1.0
    assert environment.reward(prompt, f"Let me think. <answer>{answer}</answer>") == 1.0


@given(completion=st.text())
def test_any_text_earns_between_zero_and_one(spelling: ReasoningGym, completion: str) -> None:
    assert 0.0 <= spelling.reward(spelling.prompt(SEED, 0), completion) <= 1.0


@pytest.mark.parametrize("answer", ["", "[", "NaN", "-inf", "1e999999999", "\x00", "9" * 20_000])
@pytest.mark.parametrize("dataset", ["chain_sum", "number_sorting", "complex_arithmetic"])
def test_hostile_answer_earns_between_zero_and_one(dataset: str, answer: str) -> None:
    environment = ReasoningGym(dataset, {})

    assert 0.0 <= environment.reward(environment.prompt(SEED, 0), answer) <= 1.0


def test_answer_that_is_too_long_earns_nothing(spelling: ReasoningGym) -> None:
    prompt = spelling.prompt(SEED, 0)
    long_winded = "x" * MAX_ANSWER_CHARS + f"<answer>{spelling.solution(prompt)}</answer>"

    assert spelling.reward(prompt, long_winded) == 0.0


@pytest.mark.parametrize("dataset", sorted(REFUSED))
def test_refused_dataset_is_malformed(dataset: str) -> None:
    with pytest.raises(Malformed, match="refused"):
        make_environment(EnvironmentSpec(name=f"reasoning-gym/{dataset}"))


def test_every_scorer_that_evaluates_text_is_refused() -> None:
    """Fails when another version of reasoning-gym brings a scorer that nobody has looked at."""
    suspicious = re.compile(r"\b(eval|exec|parse_expr|sympify|parse_latex|compile|__import__|subprocess)\s*\(")
    looked_at = {"number_sorting"}  # evaluates its own answer, not the stranger's
    scorers = {name: inspect.getsource(dataset.score_answer) for name, (dataset, _) in DATASETS.items()}

    assert {name for name, source in scorers.items() if suspicious.search(source)} - looked_at == EVALUATE_ANSWERS


def test_every_scorer_that_takes_fractions_with_exponents_is_refused() -> None:
    """`Fraction("1e999999999")` computes that number: one short answer would hang every verifier."""
    scorers = {name: inspect.getsource(dataset.score_answer) for name, (dataset, _) in DATASETS.items()}

    assert {name for name, source in scorers.items() if "Fraction(" in source} == EXPLODES_NUMBERS


def test_unknown_dataset_is_malformed() -> None:
    with pytest.raises(Malformed, match="no dataset"):
        ReasoningGym("no_such_thing", {})


@pytest.mark.parametrize(
    "args",
    [{"seed": 1}, {"size": 3}, {"colour": "red"}, {"min_word_len": -4}, {"max_word_len": "long"}],
    ids=str,
)
def test_impossible_arguments_are_malformed(args: dict[str, int | str | bool]) -> None:
    with pytest.raises(Malformed):
        ReasoningGym("spell_backward", args)
