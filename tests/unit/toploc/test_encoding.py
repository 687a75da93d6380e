"""The modulus of a proof: the largest that keeps all positions apart, as a search one by one finds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay_core.toploc.encoding import MIN_MODULUS, MODULI_AT_ONCE, decode, encode, injective_moduli, values_at
from assay_core.toploc.finite_field import PRIME
from tests.examples import examples


def by_search(positions: list[int]) -> int:
    """The reference's search."""
    for modulus in range(PRIME, MIN_MODULUS - 1, -1):
        if len({position % modulus for position in positions}) == len(positions):
            return modulus
    raise ValueError


@given(rows=st.lists(st.lists(st.integers(0, 2**24), min_size=40, max_size=40, unique=True), min_size=1, max_size=5))
def test_modulus_is_what_a_search_one_by_one_finds(rows: list[list[int]]) -> None:
    assert injective_moduli(np.array(rows)).tolist() == [by_search(row) for row in rows]


@settings(max_examples=examples(30))
@given(
    far=st.lists(st.integers(PRIME - 200, PRIME), min_size=8, max_size=60, unique=True),
    factor=st.integers(1, 30),
    near=st.lists(st.integers(1, 400), min_size=1, max_size=8, unique=True),
)
def test_modulus_is_found_where_many_do_not_do(far: list[int], factor: int, near: list[int]) -> None:
    """Each far position falls onto 0 by its own modulus."""
    positions = sorted({0, *near, *(factor * modulus for modulus in far)})

    assert injective_moduli(np.array([positions])).tolist() == [by_search(positions)]


def test_modulus_is_found_behind_the_first_that_are_tried_together() -> None:
    positions = [0, *range(PRIME, PRIME - 2 * MODULI_AT_ONCE, -1)]

    found = injective_moduli(np.array([positions, list(range(len(positions)))]))

    assert found.tolist() == [by_search(positions), PRIME]
    assert found[0] <= PRIME - 2 * MODULI_AT_ONCE


def test_positions_that_no_modulus_keeps_apart_are_refused() -> None:
    """Every number from the smallest modulus to the largest is a difference of two of them."""
    step = 181
    positions = [*range(step), *range(MIN_MODULUS + step - 1, PRIME + step, step)]

    with pytest.raises(ValueError, match="no modulus keeps these positions apart"):
        injective_moduli(np.array([positions]))


@given(data=st.data(), count=st.integers(1, 140), rows=st.integers(1, 3))
def test_proof_gives_back_the_values_at_its_positions(data: st.DataObject, count: int, rows: int) -> None:
    seed = data.draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    positions_CK = np.stack([random.choice(2**22, count, replace=False) for _ in range(rows)])
    values_CK = random.integers(0, PRIME, (rows, count)).astype(np.uint16)

    proofs = encode(positions_CK, values_CK)

    assert [len(proof) for proof in proofs] == [2 + 2 * count] * rows
    assert np.array_equal(values_at(positions_CK, *decode(proofs, count)), values_CK)
