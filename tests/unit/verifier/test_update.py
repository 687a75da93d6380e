"""The norm that no training exceeds."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.protocol.spec import RecipeSpec
from assay_verifier.checks.update import CODEC_SLACK, check_norm, check_peers, largest_norm
from tests.examples import examples


@settings(max_examples=examples(50))
@given(
    steps=st.integers(1, 12),
    size=st.integers(1, 20),
    decay=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(1e-6, 1e6),
)
def test_no_gradients_move_adamw_beyond_the_bound(steps: int, size: int, decay: float, seed: int, scale: float) -> None:
    """Gradients are as hostile as they come: of any scale, changing by orders of magnitude between steps."""
    recipe = RecipeSpec(inner_steps=steps, lr=1e-2, weight_decay=decay)
    generator = np.random.default_rng(seed)
    start = generator.normal(size=size).astype(np.float32)
    parameter = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.AdamW([parameter], lr=recipe.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    for _ in range(steps):
        gradient = generator.normal(size=size) * scale * 10.0 ** generator.integers(-6, 6, size=size)
        parameter.grad = torch.from_numpy(gradient.astype(np.float32))
        optimizer.step()
    moved = float(np.linalg.norm(start - parameter.detach().numpy()))
    assert moved <= largest_norm(size, float(np.linalg.norm(start)), recipe) * CODEC_SLACK


def test_update_just_beyond_the_bound_is_fraud() -> None:
    recipe = RecipeSpec(inner_steps=2, lr=1e-3)
    weights = {"w": np.ones(100, np.float32)}
    bound = largest_norm(100, 10.0, recipe)
    within = {"w": np.full(100, bound / 10, np.float32)}
    beyond = {"w": np.full(100, bound / 10 * 1.1, np.float32)}
    assert check_norm(within, weights, recipe).reason is None
    assert check_norm(beyond, weights, recipe).score == 255


def test_alone_or_among_zeros_no_update_is_too_large() -> None:
    assert check_peers(5.0, [5.0], 10.0).reason is None
    assert check_peers(0.0, [0.0, 0.0], 10.0).reason is None
    assert check_peers(5.0, [0.0, 0.0, 5.0], 10.0).reason is None
