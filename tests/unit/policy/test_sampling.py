"""Inverse-CDF sampling: the token that a uniform names, and the interval that a token came from."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from offchain.policy.sampling import draw, interval, probabilities

logits = st.lists(st.floats(-30, 30), min_size=1, max_size=20)
uniforms = st.floats(0, 1, exclude_max=True)


@given(row=logits, u=uniforms, temperature=st.floats(0.1, 5))
def test_drawn_token_is_the_first_whose_cumulative_probability_exceeds_u(
    row: list[float], u: float, temperature: float
) -> None:
    chances_BV = probabilities(torch.tensor([row]), temperature)
    token = int(draw(chances_BV, torch.tensor([u], dtype=torch.float64)))

    cumulative = chances_BV[0].cumsum(0).tolist()
    expected = next((place for place, value in enumerate(cumulative) if value > u), None)
    if expected is not None:
        assert token == expected


@given(row=logits, u=uniforms)
def test_interval_of_the_drawn_token_holds_u(row: list[float], u: float) -> None:
    chances_BV = probabilities(torch.tensor([row]), 1.0)
    ids_B = draw(chances_BV, torch.tensor([u], dtype=torch.float64))

    drawn = interval(chances_BV, ids_B)

    assert float(drawn.below_B) - 1e-12 <= u
    assert u < float(drawn.upto_B) + 1e-12


@given(row=logits)
def test_intervals_follow_each_other_from_zero_to_one(row: list[float]) -> None:
    chances_BV = probabilities(torch.tensor([row]), 1.0).expand(len(row), -1)
    intervals = interval(chances_BV, torch.arange(len(row)))

    assert abs(float(intervals.below_B[0])) < 1e-12
    assert abs(float(intervals.upto_B[-1]) - 1) < 1e-12
    assert torch.allclose(intervals.below_B[1:], intervals.upto_B[:-1], atol=1e-12, rtol=0)


def test_uniform_beyond_the_rounded_total_takes_the_last_possible_token() -> None:
    short_BV = torch.tensor([[0.25, 0.5, 0.0]], dtype=torch.float64)

    assert int(draw(short_BV, torch.tensor([0.9], dtype=torch.float64))) == 1


def test_lower_temperature_sharpens() -> None:
    row = torch.tensor([[1.0, 2.0]])

    assert float(probabilities(row, 0.5)[0, 1]) > float(probabilities(row, 1.0)[0, 1])


def test_many_draws_follow_the_distribution() -> None:
    chances_BV = torch.tensor([[0.1, 0.6, 0.3]], dtype=torch.float64).expand(30_000, -1)
    uniforms_B = torch.rand(30_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    shares = torch.bincount(draw(chances_BV, uniforms_B), minlength=3) / 30_000

    assert torch.allclose(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.01)
