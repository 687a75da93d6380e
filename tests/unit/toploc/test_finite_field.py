"""Polynomials over GF(65497) against the textbook, digit by digit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.toploc.finite_field import PRIME, evaluate, interpolate, inverses
from tests.examples import examples

elements = st.integers(0, PRIME - 1)


def horner(coefficients: list[int], point: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % PRIME
    return value


@given(coefficients=st.lists(elements, min_size=1, max_size=40), points=st.lists(elements, min_size=1, max_size=9))
def test_evaluation_agrees_with_horner_in_integers(coefficients: list[int], points: list[int]) -> None:
    values = evaluate(np.array([coefficients], dtype=np.float64), np.array([points], dtype=np.float64))

    assert values[0].tolist() == [horner(coefficients, point) for point in points]


@given(data=st.data(), count=st.integers(1, 70))
def test_interpolation_gives_back_the_polynomial_that_made_the_points(data: st.DataObject, count: int) -> None:
    coefficients = data.draw(st.lists(elements, min_size=count, max_size=count))
    points = data.draw(st.lists(elements, min_size=count, max_size=count, unique=True))
    values = [horner(coefficients, point) for point in points]

    found = interpolate(np.array([points], dtype=np.float64), np.array([values], dtype=np.float64))

    assert found[0].tolist() == coefficients


def test_many_rows_at_once_give_what_each_gives_alone() -> None:
    random = np.random.default_rng(1)
    points = np.stack([random.permutation(PRIME)[:128] for _ in range(5)]).astype(np.float64)
    values = random.integers(0, PRIME, (5, 128)).astype(np.float64)

    together = interpolate(points, values)

    for row in range(5):
        assert np.array_equal(together[row], interpolate(points[row : row + 1], values[row : row + 1])[0])
    assert np.array_equal(evaluate(together, points), values)


def test_the_largest_proof_that_a_task_may_ask_for_is_exact() -> None:
    random = np.random.default_rng(2)
    points = (PRIME - 1 - np.arange(4_096, dtype=np.float64))[None]  # all products as large as they get
    values = random.integers(PRIME - 9, PRIME, (1, 4_096)).astype(np.float64)

    assert np.array_equal(evaluate(interpolate(points, values), points), values)


def test_every_element_times_its_inverse_is_one() -> None:
    elements = np.arange(PRIME)

    assert (elements[1:] * inverses()[1:].astype(np.int64) % PRIME == 1).all()
    assert inverses()[0] == 0


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300), rows=st.integers(1, 3))
def test_interpolation_passes_through_its_points(seed: int, count: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    points = np.stack([random.permutation(PRIME)[:count] for _ in range(rows)]).astype(np.float64)
    values = random.integers(0, PRIME, (rows, count)).astype(np.float64)

    coefficients = interpolate(points, values)

    assert coefficients.shape == (rows, count)
    assert ((coefficients >= 0) & (coefficients < PRIME)).all()
    assert np.array_equal(evaluate(coefficients, points), values)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_sum_of_two_polynomials_is_their_values_sum(seed: int, count: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, PRIME, (2, 1, count)).astype(np.float64)
    points = np.arange(0, PRIME, 997, dtype=np.float64)[None]

    together = evaluate((first + second) % PRIME, points)

    assert np.array_equal(together, (evaluate(first, points) + evaluate(second, points)) % PRIME)


@settings(max_examples=examples(200))
@given(quotient=st.integers(0, 2**34 - 1), rest=st.sampled_from([0, 1, PRIME // 2, PRIME - 2, PRIME - 1]))
def test_remainder_is_exact_on_either_side_of_a_multiple(quotient: int, rest: int) -> None:
    """One coefficient, evaluated anywhere, is its remainder."""
    assert evaluate(np.array([[float(quotient * PRIME + rest)]]), np.zeros((1, 1))).tolist() == [[rest]]
