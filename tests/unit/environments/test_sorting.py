"""The sorting environment: prompts that a seed fixes, rewards that no text can upset."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.environments import Environment, Solvable, make_environment
from assay_core.environments.sorting import ALPHABET, Sorting
from assay_core.protocol.errors import Malformed
from assay_core.protocol.spec import EnvironmentSpec
from assay_core.protocol.types import Seed

SEED = Seed(bytes(range(32)))


def test_prompts_follow_from_seed_and_index_alone() -> None:
    first, second = Sorting(6), Sorting(6)

    assert [first.prompt(SEED, i) for i in range(9)] == [second.prompt(SEED, i) for i in range(9)]


def test_other_seeds_and_indices_give_other_prompts() -> None:
    texts = {Sorting(12).prompt(Seed(bytes([s]) * 32), i).text for s in range(10) for i in range(50)}

    assert len(texts) == 500


def test_digits_are_spread_evenly() -> None:
    counts = Counter("".join(Sorting(6).prompt(SEED, i).text[:-1] for i in range(2_000)))

    assert set(counts) == set("0123456789")
    assert all(1_000 < count < 1_400 for count in counts.values())


def test_alphabet_covers_prompts_and_solutions() -> None:
    environment = Sorting(48)
    prompt = environment.prompt(SEED, 0)

    assert set(prompt.text) | set(environment.solution(prompt)) <= set(ALPHABET)


@given(index=st.integers(0, 2**40), digits=st.integers(1, 48), partial=st.booleans())
def test_solution_is_the_sorted_line_and_earns_one(index: int, digits: int, partial: bool) -> None:
    environment = Sorting(digits, partial)
    prompt = environment.prompt(SEED, index)

    assert environment.solution(prompt) == "".join(sorted(prompt.text[:-1]))
    assert environment.reward(prompt, environment.solution(prompt)) == 1.0


@given(completion=st.text(), partial=st.booleans())
def test_any_text_earns_between_zero_and_one(completion: str, partial: bool) -> None:
    environment = Sorting(6, partial)

    assert 0.0 <= environment.reward(environment.prompt(SEED, 0), completion) <= 1.0


@pytest.mark.parametrize(
    ("completion", "exact", "partial"),
    [
        ("1234", 1.0, 1.0),
        ("1243", 0.0, 0.5),
        ("12", 0.0, 0.5),
        ("", 0.0, 0.0),
        ("12345", 0.0, 0.0),
        (" 1234", 0.0, 0.0),
    ],
)
def test_partial_credit_is_the_share_of_right_places(completion: str, exact: float, partial: float) -> None:
    prompt = Sorting(4).prompt(SEED, 0)
    prompt = type(prompt)("4213=", {"line": "4213"})

    assert Sorting(4).reward(prompt, completion) == exact
    assert Sorting(4, partial=True).reward(prompt, completion) == partial


def test_spec_makes_the_environment_with_its_arguments() -> None:
    environment: Environment = make_environment(EnvironmentSpec(name="sorting", args={"digits": 3, "partial": True}))

    assert len(environment.prompt(SEED, 0).text) == 4
    assert isinstance(environment, Solvable)


@pytest.mark.parametrize(
    "args",
    [{"digits": 0}, {"digits": 49}, {"digits": "6"}, {"digits": True}, {"partial": 1}, {"letters": 3}],
    ids=str,
)
def test_impossible_arguments_are_malformed(args: dict[str, int | str | bool]) -> None:
    with pytest.raises(Malformed):
        make_environment(EnvironmentSpec(name="sorting", args=args))


@pytest.mark.parametrize("name", ["", "sort", "reasoning-gym", "os.system"])
def test_unknown_environment_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match="unknown environment"):
        make_environment(EnvironmentSpec(name=name))
