"""Inverse-CDF sampling: the token that a uniform names, and the interval that a token came from."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from assay_core.policy.sampling import distributions

logits = st.lists(st.floats(-30, 30), min_size=1, max_size=20)
uniforms = st.floats(0, 1, exclude_max=True)


def uniform(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(row=logits, u=uniforms, temperature=st.floats(0.1, 5))
def test_drawn_token_is_the_first_whose_cumulative_probability_exceeds_u(
    row: list[float], u: float, temperature: float
) -> None:
    token = int(distributions(torch.tensor([row]), temperature).draw(uniform(u)))

    cumulative = (torch.tensor(row, dtype=torch.float64) / temperature).softmax(0).cumsum(0).tolist()
    before = cumulative[token - 1] if token else 0.0
    assert before - 1e-5 <= u < cumulative[token] + 1e-5  # exponentials have float32's rounding


@given(row=logits, u=uniforms)
def test_interval_of_the_drawn_token_holds_u(row: list[float], u: float) -> None:
    drawn = distributions(torch.tensor([row]), 1.0)
    ids = drawn.draw(uniform(u))

    interval = drawn.interval(torch.tensor([0]), ids)

    assert float(interval.below_M) - 1e-12 <= u
    assert u < float(interval.upto_M) + 1e-12


@given(row=logits)
def test_intervals_follow_each_other_from_zero_to_one(row: list[float]) -> None:
    ids = torch.arange(len(row))
    interval = distributions(torch.tensor([row]), 1.0).interval(torch.zeros_like(ids), ids)

    assert float(interval.below_M[0]) == 0.0
    assert float(interval.upto_M[-1]) == 1.0
    assert torch.equal(interval.below_M[1:], interval.upto_M[:-1])


@given(row=logits, temperature=st.floats(0.1, 5))
def test_logprobs_are_those_of_the_softmax(row: list[float], temperature: float) -> None:
    ids = torch.arange(len(row))
    logprobs = distributions(torch.tensor([row]), temperature).logprobs(torch.zeros_like(ids), ids)

    expected = (torch.tensor(row, dtype=torch.float64) / temperature).log_softmax(0)
    assert torch.allclose(logprobs, expected, atol=1e-4, rtol=0)  # of numbers up to 600 in float32


def test_hardly_possible_token_has_a_finite_logprob() -> None:
    drawn = distributions(torch.tensor([[0.0, -150.0]]), 1.0)

    assert abs(float(drawn.logprobs(torch.tensor([0]), torch.tensor([1]))) + 150) < 1e-6


def test_uniform_that_rounds_to_the_total_takes_the_last_possible_token() -> None:
    one_below = 1 - 2**-53
    drawn = distributions(torch.tensor([[0.0, 1.0, -1e4]]), 1.0)

    assert int(drawn.draw(uniform(one_below))) == 1


def test_rows_are_told_apart() -> None:
    drawn = distributions(torch.tensor([[0.0, 50.0], [50.0, 0.0]]), 1.0)
    rows, ids = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])

    assert drawn.draw(uniform(0.5, 0.5)).tolist() == [1, 0]
    assert drawn.logprobs(rows, ids).round().tolist() == [-50.0, 0.0, 0.0]
    assert drawn.interval(rows, ids).upto_M.round().tolist() == [0.0, 1.0, 1.0]


def test_logits_that_are_no_numbers_still_name_a_token() -> None:
    ids = distributions(torch.full((1, 3), torch.nan), 1.0).draw(uniform(0.5))

    assert 0 <= int(ids) < 3


def test_lower_temperature_sharpens() -> None:
    row, place = torch.tensor([[1.0, 2.0]]), (torch.tensor([0]), torch.tensor([1]))

    assert float(distributions(row, 0.5).logprobs(*place)) > float(distributions(row, 1.0).logprobs(*place))


def test_many_draws_follow_the_distribution() -> None:
    row = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(30_000, -1)
    uniforms_R = torch.rand(30_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    shares = torch.bincount(distributions(row, 1.0).draw(uniforms_R), minlength=3) / 30_000

    assert torch.allclose(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.01)
