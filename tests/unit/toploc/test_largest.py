"""The k largest activations: torch.topk's choice among equals, whatever the chunk looks like."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.toploc.compiled import compiled
from assay_core.toploc.largest import Bf16Bits, largest
from tests.examples import examples

GNU = pytest.mark.skipif(sys.platform != "linux", reason="the reference's choice is that of GNU's C++ library")
ZERO, MINUS_ZERO, TINY, ONE, MINUS_ONE, INFINITY, MINUS_INFINITY = 0, 0x8000, 1, 0x3F80, 0xBF80, 0x7F80, 0xFF80
NAN, OTHER_NAN, MINUS_NAN = 0x7FC0, 0x7F81, 0xFFFF
few_values = st.lists(st.sampled_from([ZERO, MINUS_ZERO, TINY, ONE, ONE + 1, MINUS_ONE]), min_size=1, max_size=6)
any_values = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=40)
not_finite = st.lists(st.sampled_from([ONE, INFINITY, MINUS_INFINITY, NAN, OTHER_NAN, MINUS_NAN]), min_size=1)
values = few_values | any_values | not_finite


def by_torch(bits_CE: Bf16Bits, topk: int) -> list[list[int]]:
    numbers_CE = torch.from_numpy(bits_CE.view(np.int16)).view(torch.bfloat16)
    found = numbers_CE.abs().topk(min(topk, bits_CE.shape[1])).indices
    return [sorted(row) for row in found.tolist()]


def positions(bits_CE: Bf16Bits, topk: int) -> list[list[int]]:
    positions_CK, values_CK = largest(bits_CE, topk)
    assert np.array_equal(values_CK, np.take_along_axis(bits_CE, positions_CK, axis=1))
    return [sorted(row) for row in positions_CK.tolist()]


def normal(chunks: int, elements: int, seed: int) -> Bf16Bits:
    numbers = torch.randn(chunks, elements, generator=torch.Generator().manual_seed(seed))
    return numbers.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)


@GNU
@settings(max_examples=examples(300))
@given(
    values=values,
    shape=st.tuples(st.integers(1, 3), st.integers(1, 700)),
    topk=st.integers(1, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_choice_among_equals_is_that_of_torch(values: list[int], shape: tuple[int, int], topk: int, seed: int) -> None:
    bits_CE = np.array(values, np.uint16)[np.random.default_rng(seed).integers(0, len(values), shape)]

    assert positions(bits_CE, topk) == by_torch(bits_CE, topk)


@GNU
@pytest.mark.parametrize("topk", [1, 2, 3, 64, 127, 128])
@pytest.mark.parametrize("elements", [8_191, 8_192, 8_193, 18_432, 73_728])
def test_choice_among_normal_numbers_is_that_of_torch(elements: int, topk: int) -> None:
    bits_CE = normal(4, elements, seed=elements + topk)

    assert positions(bits_CE, topk) == by_torch(bits_CE, topk)


@GNU
@pytest.mark.parametrize("order", [1, -1], ids=["rising", "falling"])
def test_choice_in_a_sorted_chunk_is_that_of_torch(order: int) -> None:
    """All enter, or none: nothing is skipped in the one, all is in the other."""
    bits_CE = np.sort(normal(2, 20_000, seed=3) & np.uint16(0x7FFF), axis=1)[:, ::order].copy()

    assert positions(bits_CE, 128) == by_torch(bits_CE, 128)


@GNU
@pytest.mark.parametrize("value", [ZERO, ONE, INFINITY, NAN], ids=["zero", "one", "infinity", "nan"])
def test_choice_in_a_constant_chunk_is_that_of_torch(value: int) -> None:
    bits_CE = np.full((1, 9_000), value, np.uint16)

    assert positions(bits_CE, 128) == by_torch(bits_CE, 128)


def test_what_cannot_be_written_to_is_read() -> None:
    bits_CE = normal(1, 20_000, seed=4)
    same_CE = bits_CE.copy()
    same_CE.flags.writeable = False

    assert positions(same_CE, 128) == positions(bits_CE, 128)


def test_each_chunk_is_chosen_from_by_itself() -> None:
    bits_CE = normal(5, 10_000, seed=5)

    assert positions(bits_CE, 16) == [positions(bits_CE[row : row + 1], 16)[0] for row in range(5)]


def test_function_without_a_file_is_compiled_without_keeping_the_result() -> None:
    names: dict[str, Any] = {}
    exec("def twice(x): return 2 * x", names)

    assert compiled(names["twice"])(21) == 42
