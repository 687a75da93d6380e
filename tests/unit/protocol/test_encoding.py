"""Bytes that every party must derive alike: canonical JSON, Merkle roots, seeds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay_core.chain.abis import canonical_type, entries
from assay_core.protocol.encoding import (
    PARAMS_TYPE,
    Json,
    canonical_json,
    challenge_commitment,
    decoy_commitment,
    derive,
    merkle_root,
    parse_canonical_json,
    plant_commitment,
    submission_place,
    uniform_bps,
    vote_commitment,
)
from assay_core.protocol.errors import Malformed
from assay_core.protocol.types import Address, Epoch, Root, Seed, SubmissionIndex, TaskId

SEED = Seed(bytes(range(32)))
leaves = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_canonical_json_reads_back(value: Json) -> None:
    try:
        data = canonical_json(value)
    except (Malformed, UnicodeEncodeError):  # too deep, or half of a surrogate pair
        return
    assert parse_canonical_json(data) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_canonical_json_or_malformed(data: bytes) -> None:
    try:
        value = parse_canonical_json(data)
    except Malformed:
        return
    assert canonical_json(value) == data


@pytest.mark.parametrize(
    "data",
    [b'{"a": 1}', b'{"b":1,"a":1}', b'{"a":1,"a":1}', b"1.0", b"1e3", b"NaN", b"9007199254740992", b'"\\ud800"',
     b'"\\u0041"', b"[" * 17 + b"]" * 17, b"[" * 100_000],
)  # fmt: skip
def test_other_ways_to_write_json_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_canonical_json(data)


def test_merkle_roots_are_those_of_rfc_6962() -> None:
    """Test vectors of the Certificate Transparency reference code."""
    inputs = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43"]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    }
    assert {count: merkle_root(inputs[:count]).hex() for count in roots} == roots


def test_no_leaves_have_no_root() -> None:
    with pytest.raises(ValueError, match="at least one leaf"):
        merkle_root([])


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_other_labels_derive_other_seeds(first: list[str], second: list[str]) -> None:
    try:
        same = derive(SEED, *first) == derive(SEED, *second)
    except UnicodeEncodeError:
        return
    assert same is (first == second)


def test_derivation_is_pinned() -> None:
    expected = hashlib.sha256(SEED + b"\x00\x00\x00\x06sample" + b"\x00\x00\x00\x013").digest()
    assert derive(SEED, "sample", 3) == expected


def test_draws_lie_below_ten_thousand() -> None:
    assert all(0 <= uniform_bps(derive(SEED, number)) < 10_000 for number in range(100))


def test_the_type_of_terms_is_that_of_the_contracts() -> None:
    (opened,) = (entry for entry in entries("TaskRegistry", "event") if entry["name"] == "TaskOpened")
    params = next(part for part in opened["inputs"] if part["name"] == "params")
    assert canonical_type(params) == PARAMS_TYPE


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**16 - 1))
def test_a_place_says_epoch_and_index(epoch: int, index: int) -> None:
    place = submission_place(Epoch(epoch), SubmissionIndex(index))
    assert (place >> 16, place & 0xFFFF) == (epoch, index)


def test_every_part_of_a_commitment_changes_it() -> None:
    """What a commitment left out could be changed once others are known."""
    somebody, other, salt = Address("0x" + "11" * 20), Address("0x" + "22" * 20), b"s" * 32
    votes = [
        vote_commitment(SEED, somebody, 70, False, salt),
        vote_commitment(Seed(b"x" * 32), somebody, 70, False, salt),
        vote_commitment(SEED, other, 70, False, salt),
        vote_commitment(SEED, somebody, 71, False, salt),
        vote_commitment(SEED, somebody, 70, True, salt),
        vote_commitment(SEED, somebody, 70, False, b"t" * 32),
    ]
    here = TaskId(1), Epoch(2), somebody, SubmissionIndex(3)
    challenges = [
        challenge_commitment(*here, 70, salt),
        challenge_commitment(TaskId(9), *here[1:], 70, salt),
        challenge_commitment(TaskId(1), Epoch(9), *here[2:], 70, salt),
        challenge_commitment(*here[:2], other, SubmissionIndex(3), 70, salt),
        challenge_commitment(*here[:3], SubmissionIndex(9), 70, salt),
        challenge_commitment(*here, 71, salt),
        challenge_commitment(*here, 70, b"t" * 32),
    ]
    root = Root(b"r" * 32)
    plants = [
        plant_commitment(TaskId(1), somebody, root, salt),
        plant_commitment(TaskId(2), somebody, root, salt),
        plant_commitment(TaskId(1), other, root, salt),
        plant_commitment(TaskId(1), somebody, Root(b"q" * 32), salt),
        plant_commitment(TaskId(1), somebody, root, b"t" * 32),
        decoy_commitment(TaskId(1), salt),
        decoy_commitment(TaskId(2), salt),
    ]
    for commitments in (votes, challenges, plants):
        assert len(set(commitments)) == len(commitments)
