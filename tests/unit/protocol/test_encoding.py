"""Bytes that every party must derive alike: canonical JSON, Merkle roots, seeds."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offchain.protocol.encoding import Json, canonical_json, derive, merkle_root, parse_canonical_json, uniform_bps
from offchain.protocol.errors import Malformed
from offchain.protocol.types import Seed

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
