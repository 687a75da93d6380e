"""The loss against the paper's formula, advantages, batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.spec import RecipeSpec
from assay_core.protocol.types import Seed
from assay_core.training.advantage import group_advantages
from assay_core.training.batches import batch_order
from assay_core.training.loss import token_objective, token_sum_loss

RECIPE = RecipeSpec(clip_low=0.2, clip_high=0.3, clip_max=4.0)
SEED = Seed(bytes(range(32)))


def clamp(value: float, low: float, high: float) -> float:
    return max(low, min(value, high))


def formula(ratio: float, advantage: float) -> float:
    """arXiv:2505.07291 §3.4, by hand."""
    return min(min(ratio, 4.0) * advantage, clamp(ratio, 0.8, 1.3) * advantage)


@given(st.floats(-3, 3), st.floats(-5, 5))
def test_the_objective_is_the_papers(log_ratio: float, advantage: float) -> None:
    new = torch.tensor([[log_ratio - 1.0]], dtype=torch.float64)
    old = torch.full((1, 1), -1.0, dtype=torch.float64)
    objective = token_objective(new, old, torch.tensor([advantage], dtype=torch.float64), RECIPE)
    assert float(objective) == pytest.approx(formula(math.exp(log_ratio), advantage), abs=1e-9)


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"),
    [
        pytest.param(1.0, 1.0, True, id="on policy"),
        pytest.param(1.4, 1.0, False, id="already likelier than the clip allows"),
        pytest.param(0.5, 1.0, True, id="good token became unlikely"),
        pytest.param(0.7, -1.0, False, id="bad token already unlikely"),
        pytest.param(2.0, -1.0, True, id="bad token became likely"),
        pytest.param(9.0, -1.0, False, id="bad token far off policy: the second side of the clip"),
    ],
)
def test_the_gradient_stops_on_both_sides_of_the_clip(ratio: float, advantage: float, moves: bool) -> None:
    new = torch.tensor([[math.log(ratio)]], requires_grad=True)
    token_objective(new, torch.zeros(1, 1), torch.tensor([advantage]), RECIPE).sum().backward()
    assert new.grad is not None
    assert bool(new.grad.abs() > 0) is moves


@pytest.mark.parametrize("claimed", [-1e30, 1e30])
def test_absurd_claimed_logprobs_leave_the_gradient_finite(claimed: float) -> None:
    new = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    token_objective(new, torch.full((1, 2), claimed), torch.tensor([-1.0]), RECIPE).sum().backward()
    assert new.grad is not None
    assert torch.isfinite(new.grad).all()


def test_padding_adds_nothing() -> None:
    new, old = torch.full((2, 3), -1.0), torch.full((2, 3), -1.0)
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    loss = token_sum_loss(new, old, torch.tensor([1.0, -3.0]), mask, RECIPE)
    assert float(loss) == pytest.approx(-(2 * 1.0 - 3.0))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=16))
def test_advantages_are_centred_and_of_unit_scale_or_zero(rewards: list[float]) -> None:
    advantages = group_advantages(np.array(rewards), 1e-6)
    assert np.isfinite(advantages).all()
    assert abs(float(advantages.sum())) < 1e-6
    assert float(advantages.std()) <= 1 + 1e-9
    if max(rewards) - min(rewards) <= 2e-6:
        assert not advantages.any()


@given(st.integers(0, 40), st.integers(1, 12), st.integers(1, 50))
def test_batches_have_one_size_and_no_repetition_within(groups: int, steps: int, size: int) -> None:
    order = batch_order(range(groups), steps, size, SEED)
    assert len(order) == (steps if groups else 0)
    for batch in order:
        assert len(set(batch)) == len(batch) == min(size, groups)
    per_pass = max(1, groups // size)
    first_pass = [group for batch in order[:per_pass] for group in batch]
    assert len(first_pass) == len(set(first_pass))


def test_batches_follow_from_the_seed() -> None:
    order = batch_order(range(20), 6, 5, SEED)
    assert order == batch_order(range(20), 6, 5, SEED)
    assert order != batch_order(range(20), 6, 5, Seed(bytes(32)))
    assert order[:4] != order[4:] + order[:2]
