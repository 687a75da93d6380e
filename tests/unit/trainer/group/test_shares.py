"""Shares of a batch are a partition, and what the members add up is what one of them alone would have."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay_trainer.group.shares import Counted, counted_in, pack, share_of, unpack

COSTS = st.lists(st.integers(0, 5_000), max_size=60)


@given(COSTS, st.integers(1, 12))
def test_shares_are_a_partition_in_order(costs: list[int], peers: int) -> None:
    taken = [position for rank in range(peers) for position in share_of(costs, rank, peers)]
    assert taken == list(range(len(costs)))


@given(COSTS, st.integers(1, 12))
def test_no_share_is_much_dearer_than_its_part(costs: list[int], peers: int) -> None:
    for rank in range(peers):
        mine = sum(costs[position] for position in share_of(costs, rank, peers))
        assert mine <= sum(costs) / peers + max(costs, default=0)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(-4, 4, width=32)), min_size=1, max_size=30),
    st.integers(1, 7),
    st.integers(0, 2**32 - 1),
)
def test_any_division_of_a_batch_adds_up_to_the_same(samples: list[tuple[int, float]], peers: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    like = {"b": torch.zeros(2, 3), "a": torch.zeros(5)}
    each = [
        {name: torch.from_numpy(random.standard_normal(tuple(p.shape)).astype(np.float32)) for name, p in like.items()}
        for _ in samples
    ]

    def contribution(positions: range, leaders: int) -> np.ndarray:
        gradients = {name: sum((each[i][name] for i in positions), torch.zeros_like(p)) for name, p in like.items()}
        tokens = sum(samples[i][0] for i in positions)
        return pack(gradients, Counted(tokens, math.fsum(samples[i][1] for i in positions), leaders, 60_000))

    costs = [tokens for tokens, _ in samples]
    total = sum(contribution(share_of(costs, rank, peers), int(rank == 0)) for rank in range(peers))
    assert isinstance(total, np.ndarray)
    whole, counted = unpack(contribution(range(len(samples)), 1), like)
    found, found_counted = unpack(total.astype(np.float32), like)
    for name, expected in whole.items():
        assert torch.allclose(found[name], expected, rtol=1e-5, atol=1e-5)
    assert (found_counted.tokens, found_counted.leaders) == (counted.tokens, 1) == (sum(costs), 1)
    assert found_counted.marks == 60_000 * peers
    assert abs(found_counted.loss - counted.loss) < 1e-3


def test_missing_share_shows_in_the_tokens() -> None:
    whole = [pack({"a": torch.ones(2)}, Counted(tokens, 0.5, int(tokens == 3), 9)) for tokens in (3, 4, 5)]
    assert counted_in(sum(whole[:2], np.zeros(6, np.float32))).tokens == 7 != 12


def test_number_that_is_none_is_no_count() -> None:
    for value in (math.nan, math.inf, 1e30):
        assert counted_in(np.array([0, value, 0, value, value], np.float32)) == Counted(-1, 0.0, -1, -1)


def test_more_members_than_samples_leave_some_without_any() -> None:
    shares = [share_of([10, 10], rank, 5) for rank in range(5)]
    assert sorted(position for share in shares for position in share) == [0, 1]
