"""Prompts and uniforms follow from the submission's seed alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.protocol.encoding import derive
from assay_core.protocol.spec import EnvironmentSpec, RolloutSpec, SamplerSpec, TaskSpec
from assay_core.protocol.types import Seed
from assay_core.training.seeding import (
    group_uniforms,
    permutation,
    raw_stream,
    raw_streams,
    submission_prompts,
    uniforms,
)

SEEDS = st.binary(min_size=32, max_size=32).map(Seed)
SEED = Seed(bytes(range(32)))
SPEC = TaskSpec(
    title="seeding",
    environment=EnvironmentSpec(name="sorting"),
    sampler=SamplerSpec(max_new_tokens=5),
    rollout=RolloutSpec(groups=3, group_size=4),
)


def philox(seed: bytes, count: int) -> list[int]:
    """Philox4x64-10 written out from its paper (Salmon et al. 2011), with NumPy's counter that starts at 1."""
    mask, words, counter = 2**64 - 1, list[int](), 1
    while len(words) < count:
        block = [counter, 0, 0, 0]
        key = [int.from_bytes(seed[:8], "little"), int.from_bytes(seed[8:16], "little")]
        for _ in range(10):
            left, right = 0xD2E7470EE14C6C93 * block[0], 0xCA5A826395121157 * block[2]
            block = [(right >> 64) ^ block[1] ^ key[0], right & mask, (left >> 64) ^ block[3] ^ key[1], left & mask]
            key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
        words += block
        counter += 1
    return words[:count]


@given(SEEDS, st.integers(0, 17))
def test_the_stream_is_philox_as_published(seed: Seed, count: int) -> None:
    assert raw_stream(seed, count).tolist() == philox(seed, count)


@given(st.lists(SEEDS, max_size=4), st.integers(0, 9))
def test_streams_of_many_seeds_are_those_of_each(seeds: list[Seed], count: int) -> None:
    assert raw_streams(seeds, count).tolist() == [raw_stream(seed, count).tolist() for seed in seeds]


@given(SEEDS, st.integers(1, 40))
def test_uniforms_lie_in_the_half_open_unit_interval_and_a_prefix_stays_a_prefix(seed: Seed, count: int) -> None:
    (drawn,) = uniforms([seed], count)
    assert drawn.dtype == np.float64
    assert ((drawn >= 0) & (drawn < 1)).all()
    assert np.array_equal(drawn, uniforms([seed], count + 7)[0, :count])


def test_the_largest_word_stays_below_one() -> None:
    assert float((np.uint64(2**64 - 1) >> np.uint64(11)).astype(np.float64) * 2.0**-53) < 1.0


def test_uniforms_are_pinned() -> None:
    assert uniforms([SEED], 2).tolist() == [[word / 2**53 for word in (w >> 11 for w in philox(SEED, 2))]]


def test_each_member_of_a_group_has_a_stream_of_its_own() -> None:
    first, second = group_uniforms(SEED, 0, SPEC), group_uniforms(SEED, 1, SPEC)
    assert first.shape == (4, 5)
    assert len({tuple(row) for row in np.concatenate([first, second]).tolist()}) == 8
    assert np.array_equal(first[2], uniforms([derive(SEED, "sample", 0, 2)], 5)[0])


@given(SEEDS, st.lists(st.integers(), max_size=50))
def test_a_permutation_keeps_all_items_and_repeats_itself(seed: Seed, items: list[int]) -> None:
    shuffled = permutation(seed, items)
    assert sorted(shuffled) == sorted(items)
    assert shuffled == permutation(seed, items)


def test_prompts_are_asked_for_by_index() -> None:
    class Naming:
        def prompt(self, seed: Seed, index: int) -> str:
            return f"{seed.hex()[:4]}/{index}"

    assert submission_prompts(Naming(), SEED, 3) == ["0001/0", "0001/1", "0001/2"]


@pytest.mark.parametrize("other", [Seed(bytes(32)), Seed(bytes(range(1, 33)))])
def test_another_seed_draws_other_numbers(other: Seed) -> None:
    assert not np.array_equal(uniforms([SEED], 8), uniforms([other], 8))
